"""The charts of the report in W&B, as plain data, and the runs that they show.

A panel is a mapping with a ``kind`` (``line``, ``parallel``, ``importance``, ``scatter``); a value is either
``summary:`` or ``config:`` and a dotted name. A runset has ``project`` and ``entity``, and some of ``group``,
``job_type``, ``not_job_types``, ``ids`` and ``not_group``, all of which a run must meet; ``order`` names what it is
sorted by.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from neuropt_core.sinks._report_text import clipped
from neuropt_core.sinks._wandb_payload import run_id
from neuropt_core.sinks.base import Scene
from neuropt_core.sinks.text import plain
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Trial
from neuropt_core.tying import tie

Block = Mapping[str, Any]

SCORE = "neuropt/score"
"""Where the summary of a trial's run has its score: below ``neuropt/``, so that no metric of a script's is meant."""
TOP = 8
"""So many of the best trials are drawn, beside the user's own configuration."""
COLUMNS = 16
"""The most parameters that are drawn as parallel coordinates; of more, those that mattered most."""
_METRICS = 4


def progress(scene: Scene, project: str, entity: str) -> list[Block]:
    """Returns the chart of the best score so far, from the study's own run."""
    place = {"project": project, "entity": entity, "group": plain(scene.spec.name), "job_type": "controller"}
    panel = {"kind": "line", "title": "Best score so far", "x": "trial", "y": ["best", "score"], "title_x": "trial"}
    return [{"kind": "panels", "runsets": [{"name": "study", **place}], "panels": [panel]}]


def curves(scene: Scene, project: str, entity: str) -> list[Block]:
    """Returns the charts of the best trials' curves, trial 0 beside them."""
    metrics = _metrics(scene)
    best = list(scene.spec.ranked(scene.present)[:TOP])
    if scene.baseline is not None and all(t.number != scene.baseline.number for t in best):
        best.append(scene.baseline)
    if not metrics or not best:
        return [{"kind": "text", "text": "No trial with a score has reported a curve yet."}]
    numbers = ", ".join(str(trial.number) for trial in best)
    said = f"Trials {numbers}, the best first; trial 0 is the user's own configuration."
    # Scripts' own runs know W&B's step alone, while ours log several rows a step.
    x = "Step" if any(scene.runs(trial) for trial in best) else "step"
    panels = [{"kind": "line", "title": clipped(name, 120), "x": x, "y": [name]} for name in metrics]
    runsets = _by_id(scene, best, project, entity)
    return [{"kind": "text", "text": said}, {"kind": "panels", "runsets": runsets, "panels": panels}]


def parallel(scene: Scene, runsets: list[dict[str, Any]]) -> list[Block]:
    """Returns the parallel coordinates of all trials: their parameters, and the score last."""
    names = list(scene.spec.space.names)
    shown = sorted(names, key=lambda name: -scene.importance.get(name, 0.0))[:COLUMNS]
    columns = [
        {
            "value": f"config:{_path(name, (*names, *scene.config))}",
            "title": clipped(name, 60),
            "log": bool(getattr(scene.spec.space[name], "log", False)),
        }
        for name in names
        if name in shown
    ]
    columns.append({"value": f"summary:{SCORE}", "title": "score", "log": False})
    panel = {"kind": "parallel", "title": "Parameters and score", "columns": columns}
    blocks: list[Block] = [{"kind": "panels", "runsets": runsets, "panels": [panel]}]
    if len(shown) < len(names):
        text = f"{COLUMNS} of {len(names)} parameters are drawn; the runs' config has all."
        blocks.append({"kind": "text", "text": text})
    return blocks


def importance(runsets: list[dict[str, Any]]) -> list[Block]:
    """Returns W&B's own chart of what the score depends on."""
    panel = {"kind": "importance", "metric": SCORE}
    return [{"kind": "panels", "runsets": runsets, "panels": [panel]}]


def expectations(scene: Scene, runsets: list[dict[str, Any]]) -> list[Block]:
    """Returns the chart of scores over what their proposers expected; none where nobody expected anything."""
    if all(trial.proposal.predicted is None for trial in scene.trials):
        return []
    panel = {
        "kind": "scatter",
        "title": "Score over the expected median",
        "x": "config:neuropt.expected.p50",
        "y": f"summary:{SCORE}",
    }
    return [{"kind": "panels", "runsets": runsets, "panels": [panel]}]


def _metrics(scene: Scene) -> list[str]:
    """Returns the metrics to draw: the one that the score comes from, else the first few that trials report."""
    scored = [trial for trial in scene.present if trial.value is not None]
    tied = tie(scene.spec, scored, "auto")
    every = list(dict.fromkeys(name for trial in scored for name in trial.curve.metrics))
    return [tied.metric] if tied is not None else every[:_METRICS]


def _path(name: str, names: Iterable[str]) -> str:
    """Returns where a parameter's value lies in a run's nested config; see `_wandb_payload.nested`."""
    return f"{name}._self_" if any(other.startswith(f"{name}.") for other in names) else name


def all_runs(scene: Scene, project: str, entity: str) -> list[dict[str, Any]]:
    """Returns the runs of all trials: those of the group, and by their ids those that scripts keep elsewhere.

    Reads the disk, as `Scene.runs` does.
    """
    order, name = _order(scene.spec), plain(scene.spec.name)
    place = {"project": project, "entity": entity}
    found: list[dict[str, Any]] = [
        {"name": "trials", **place, "group": name, "not_job_types": ["controller", "aside"], **order}
    ]
    if own := [run.id for t in scene.trials for run in scene.runs(t) if _is_here(run.project, project)]:
        # A script that names a group of its own keeps it.
        found.append({"name": "trials in other groups", **place, "ids": own, "not_group": name, **order})
    return [*found, *_elsewhere(scene, scene.trials, project, entity)]


def _by_id(scene: Scene, trials: Iterable[Trial], project: str, entity: str) -> list[dict[str, Any]]:
    """Returns the runs of some trials: the script's own where it made some, else those made for it."""
    chosen = list(trials)
    here = [run_id(scene, trial.number) for trial in chosen]
    here += [run.id for trial in chosen for run in scene.runs(trial) if _is_here(run.project, project)]
    first = {"name": "best trials", "project": project, "entity": entity, "ids": here, **_order(scene.spec)}
    return [first, *_elsewhere(scene, chosen, project, entity)]


def _elsewhere(scene: Scene, trials: Iterable[Trial], project: str, entity: str) -> list[dict[str, Any]]:
    """Returns a runset for each other project in which trials' scripts keep their runs."""
    places: dict[tuple[str, str], list[str]] = {}
    for trial in trials:
        for run in scene.runs(trial):
            if not _is_here(run.project, project):
                places.setdefault((run.project, run.entity or entity), []).append(run.id)
    return [
        {"name": clipped(f"in {where}", 60), "project": where, "entity": whose, "ids": ids, **_order(scene.spec)}
        for (where, whose), ids in places.items()
    ]


def _is_here(theirs: str, project: str) -> bool:
    return not theirs or theirs == project


def _order(spec: StudySpec) -> dict[str, Any]:
    return {"order": SCORE, "ascending": spec.direction == "minimize"}
