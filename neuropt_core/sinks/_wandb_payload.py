"""What W&B is told about a study, as plain data: functions of the scene, without a process or a network."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from neuropt_core.sinks._objectives import broken, front
from neuropt_core.sinks.base import Scene
from neuropt_core.sinks.text import changed, compare, literal, plain, reason, unmarked
from neuropt_core.space import Value
from neuropt_core.trial import Trial, TrialState

Message = dict[str, Any]


def run_id(scene: Scene, number: int | None = None) -> str:
    """Returns the id of the study's run, or of a trial's: the same whenever the study is resumed in its folder."""
    digest = hashlib.sha256(f"{scene.spec.name}\0{scene.folder}".encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return digest if number is None else f"{digest}-{number:03d}"


def study_run(scene: Scene, project: str, entity: str | None) -> Message:
    """Returns the arguments of `wandb.init` for the study's run."""
    spec = scene.spec
    config = {
        "study": spec.name,
        "direction": list(spec.directions) if spec.further else spec.direction,
        **({"constraints": [str(c) for c in spec.constraints]} if spec.constraints else {}),
        "advisor": scene.advisor,
        "n_trials": scene.n_trials,
        "seed": spec.seed,
        "space": spec.space.to_json(),
    }
    return {
        **_place(scene, project, entity),
        "id": run_id(scene),
        "name": plain(spec.name),
        "job_type": "controller",
        "config": {"neuropt": config},
    }


def trial_message(scene: Scene, trial: Trial, project: str, entity: str | None) -> Message:
    """Returns the message that makes a trial's run: its configuration, curve and outcome."""
    name = f"trial-{trial.number:03d}"
    run = {
        **_place(scene, project, entity),
        "id": run_id(scene, trial.number),
        "name": name,
        "job_type": "trial",
        "notes": unmarked(trial.proposal.rationale),
        "config": trial_config(trial),
    }
    outcome = trial.outcome
    summary: dict[str, Any] = {"state": trial.state.value, "seconds": 0.0 if outcome is None else outcome.seconds}
    if trial.value is not None:
        summary |= _scores("score", trial)
    if lacking := broken(scene.spec, trial):
        summary["breaks"] = lacking.removeprefix("breaks ")
    if reason(trial):
        summary["reason"] = reason(trial)
    return {
        "op": "trial",
        "run": run,
        "points": steps(trial),
        "summary": summary,
        "exit_code": int(trial.state is TrialState.FAIL),
    }


def trial_config(trial: Trial) -> dict[str, Any]:
    """Returns a trial's parameters nested at their dots, beside `neuropt` and, flat, `neuropt_rationale`.

    Nested, because W&B's reports look for ``optimizer.lr`` there. The rationale is flat, since only keys of the top
    level can be pinned to a run's page.
    """
    proposal = trial.proposal
    config = nested(trial.params)
    about: dict[str, Any] = {"trial": trial.number, "source": proposal.source}
    if proposal.stands_in_for:
        about["stands_in_for"] = proposal.stands_in_for
    if proposal.source == "replicate":
        about |= {"repeats": proposal.parent, "seed": proposal.seed}
    if proposal.predicted is not None:
        about["predicted"] = {
            "p10": proposal.predicted.p10,
            "p50": proposal.predicted.p50,
            "p90": proposal.predicted.p90,
        }
    theirs = config.get("neuropt")
    config["neuropt"] = {**(theirs if isinstance(theirs, dict) else {}), **about}
    config["neuropt_rationale"] = plain(proposal.rationale)
    return config


def nested(params: Mapping[str, Value]) -> dict[str, Any]:
    """Returns values nested at the dots of their names.

    Where ``optimizer`` has a value beside ``optimizer.lr``, the former is found under ``optimizer._self_``.
    """
    tree: dict[str, Any] = {}
    for name, value in params.items():
        *path, leaf = name.split(".")
        node = tree
        for part in path:
            if not isinstance(node.setdefault(part, {}), dict):
                node[part] = {"_self_": node[part]}
            node = node[part]
        if isinstance(node.get(leaf), dict):
            node[leaf]["_self_"] = value
        else:
            node[leaf] = value
    return tree


def steps(trial: Trial) -> list[tuple[int, dict[str, float]]]:
    """Returns a curve's metrics by step, in ascending order: W&B drops a step that comes after a higher one."""
    merged: dict[int, dict[str, float]] = {}
    for point in trial.curve.points:
        merged.setdefault(point.step, {"neuropt/seconds": point.seconds}).update(point.metrics)
    return sorted(merged.items())


def progress_message(scene: Scene, trial: Trial) -> Message:
    """Returns the message that adds an ended trial to the study's run."""
    values: dict[str, Any] = {"trial": trial.number, "failed": int(trial.state is TrialState.FAIL)}
    if trial.outcome is not None:
        values["seconds"] = trial.outcome.seconds
    if trial.value is not None:
        values |= _scores("score", trial)
    if scene.best is not None:
        values |= _scores("best", scene.best)
    return {"op": "log", "values": values}


def finish_message(scene: Scene, why: str) -> Message:
    """Returns the message that closes the study's run, with a table of all trials."""
    best, base, found = scene.best, scene.baseline, compare(scene)
    summary: dict[str, Any] = {"ended": plain(why), "comparison": found.words}
    if best is not None:
        summary |= _scores("best", best) | {"best_trial": best.number}
    if base is not None and base.value is not None:
        summary |= _scores("baseline", base)
    if (advised := scene.recommended) is not None:
        summary |= {"recommended_trial": advised.trial.number, "recommendation": plain(advised.words)}
    if scene.retries:
        summary["retries"] = sum(scene.retries.values())
    if scene.spec.further:
        summary["pareto_front"] = [t.number for t in front(scene)]
    if scene.importance:
        summary["importance"] = {plain(name): share for name, share in scene.importance.items()}
    further = [f"score_{place}" for place in range(1, len(scene.spec.directions))]
    columns = [
        "trial",
        "state",
        "score",
        *further,
        "seconds",
        "source",
        "stands_in_for",
        "changed",
        "reason",
        "rationale",
    ]
    rows = [
        [
            trial.number,
            trial.state.value,
            *(trial.values or [None] * (1 + len(further))),
            None if trial.outcome is None else trial.outcome.seconds,
            trial.proposal.source,
            trial.proposal.stands_in_for,
            ", ".join(f"{name}={literal(value)}" for name, value in changed(scene, trial).items()),
            reason(trial),
            plain(trial.proposal.rationale),
        ]
        for trial in scene.trials
    ]
    return {"op": "finish", "summary": summary, "table": {"columns": columns, "rows": rows}}


def _scores(name: str, trial: Trial) -> dict[str, float]:
    """Returns a trial's scores: ``score`` the first, ``score_1`` the second of several and so on."""
    return {name if not place else f"{name}_{place}": value for place, value in enumerate(trial.values)}


def _place(scene: Scene, project: str, entity: str | None) -> Message:
    return {"project": project, "entity": entity, "group": plain(scene.spec.name)}
