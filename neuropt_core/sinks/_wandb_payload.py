"""What W&B is told about trials, as plain data: functions of the scene, without a process or a network.

Every key is described in docs/wandb_keys.md.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neuropt_core.curve import Curve, Point
from neuropt_core.errors import StudyError
from neuropt_core.expectations import surprise, verdict
from neuropt_core.files import write_whole
from neuropt_core.sinks._sections import breaks_what
from neuropt_core.sinks.base import Scene
from neuropt_core.sinks.text import plain, reason, trial_name, unmarked
from neuropt_core.trial import Trial, TrialState, numbered

Message = dict[str, Any]
PINNED = ("neuropt_hypothesis", "neuropt_rationale", "neuropt_falsifier")
"""Keys of a trial's config that are shown, as Markdown, at the top of its run's page."""
_ASIDE = "aside"
"""The job type of a run that shows nothing that counts: reports and groupings by ``trial`` leave it out."""


def run_id(scene: Scene, number: int | None = None) -> str:
    """Returns the id of the study's run, or of a trial's: the same whenever the study is resumed, be it moved."""
    digest = _kept_id(scene.folder) or _new_id(scene)
    return digest if number is None else f"{digest}-{number:03d}"


def keep_id(scene: Scene) -> None:
    """Keeps the study's id in its folder, which may be moved.

    Raises:
        StudyError: The disk is full or the folder is not writable.
    """
    if _kept_id(scene.folder):
        return
    try:
        write_whole(_id_path(scene.folder), json.dumps({"id": _new_id(scene), "folder": str(scene.folder)}))
    except OSError as error:
        mend = f"Tell it all later with: neuropt report {shlex.quote(str(scene.folder))} --wandb"
        rule = f"cannot be written ({error.strerror or error}); the study goes on without W&B"
        raise StudyError(str(_id_path(scene.folder)), rule, mend=mend) from None


def _new_id(scene: Scene) -> str:
    return hashlib.sha256(f"{scene.spec.name}\0{scene.folder}".encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _kept_id(folder: Path) -> str:
    """Returns the id that is kept in a folder; "" without one, or in a copy whose original is still there."""
    try:
        kept = json.loads(_id_path(folder).read_text(encoding="utf-8"))
        moved = kept["folder"] != str(folder)
        return "" if moved and _id_path(Path(kept["folder"])).exists() else str(kept["id"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _id_path(folder: Path) -> Path:
    return folder / "wandb" / "study.json"


def place(scene: Scene, project: str, entity: str | None) -> Message:
    """Returns where a run is, as arguments of `wandb.init`."""
    return {"project": project, "entity": entity, "group": plain(scene.spec.name)}


def trial_run(scene: Scene, trial: Trial, project: str, entity: str | None, own_id: str = "") -> Message:
    """Returns the arguments of `wandb.init` for a trial's run.

    Args:
        scene: The study.
        trial: Of it.
        project: Where the run is.
        entity: Whose that is; None for the account's default.
        own_id: The run's id, if not the usual one.
    """
    return {
        **place(scene, project, entity),
        "id": own_id or run_id(scene, trial.number),
        "name": trial_name(trial),
        "job_type": "trial",
        "notes": notes(trial),
        "tags": list(tags(trial)),
        "config": trial_config(scene, trial),
    }


def trial_message(scene: Scene, trial: Trial, project: str, entity: str | None, own_id: str = "") -> Message:
    """Returns the message that makes an ended trial's run, or ends the one that is open: all that is known of it."""
    return {
        "op": "trial",
        "run": trial_run(scene, trial, project, entity, own_id),
        "rows": rows(trial.curve.points),
        "summary": {**_scores(trial), **trial_summary(scene, trial)},
        "exit_code": _exit_code(trial),
    }


def live_message(run: Message, curve: Curve, known: int) -> Message:
    """Returns the message that adds to a running trial's run what it has reported since the first `known` points."""
    return {"op": "live", "run": run, "known": known, "rows": rows(curve.points[known:])}


def aside_message(run: Mapping[str, Any], why: str) -> Message:
    """Returns the message that ends a live run of ours and puts it aside, since another one shows its trial.

    Args:
        run: The arguments with which it was opened.
        why: In a word or two, for its name.
    """
    return {"op": "aside", "run": {**run, "name": f"{run['name']} ({why})", "job_type": _ASIDE}}


def annotate_message(scene: Scene, trial: Trial, project: str, entity: str | None) -> Message | None:
    """Returns the message that adds what came of a trial to the runs that its own script has made; None without any.

    Runs of an earlier attempt are told only that they do not count, and are closed if they are open.
    """
    *before, last = scene.attempts(trial) or ((),)
    counted = last or next((runs for runs in reversed(before) if runs), ())
    if not counted:
        return None
    ended = {"summary": trial_summary(scene, trial), "absent": _scores(trial), "exit_code": _exit_code(trial)}
    lost = {"summary": {"neuropt/state": "superseded"}, "absent": {}, "exit_code": 1}
    found = [
        {
            "run": {"id": run.id, "project": run.project or project, "entity": run.entity or entity},
            "mode": run.mode,
            "file": run.file,
            **(ended if run in counted else lost),
        }
        for runs in (*before, last)
        for run in runs
    ]
    return {"op": "annotate", "runs": found, "config": trial_config(scene, trial)}


def tags(trial: Trial) -> tuple[str, ...]:
    """Returns the tags of a trial's run: ours, who proposed it, and what for."""
    return tuple(filter(None, ("neuropt", trial.proposal.source, trial.proposal.intent)))


def notes(trial: Trial) -> str:
    """Returns the notes of a trial's run, Markdown: the hypothesis, where there is one, and the rationale."""
    return "\n\n".join(unmarked(text) for text in (trial.proposal.hypothesis, trial.proposal.rationale) if text)


def trial_summary(scene: Scene, trial: Trial) -> dict[str, Any]:
    """Returns what came of an ended trial, all below ``neuropt/``: no metric of the script's is written over."""
    outcome, direction = trial.outcome, scene.spec.direction
    failure = None if outcome is None else outcome.failure
    found: dict[str, Any] = {
        "state": trial.state.value,
        "seconds": 0.0 if outcome is None else outcome.seconds,
        "retries": scene.retries.get(trial.number, 0),
        "surprise": surprise(trial, direction),
        "verdict": verdict(trial, direction) or None,
        "reason": reason(trial) or None,
        "failure": None if failure is None else failure.kind,
        "breaks": breaks_what(scene, trial) or None,
        **_scores(trial),
    }
    return {f"neuropt/{name}": value for name, value in found.items() if value is not None}


def about(trial: Trial) -> dict[str, Any]:
    """Returns what a run's config holds of its trial: ``neuropt`` and, flat, what is pinned.

    Flat, since only keys of the top level can be pinned to a run's page. W&B renders pinned text as Markdown, so that
    an LLM's links and images are made plain text.
    """
    proposal, expected = trial.proposal, trial.proposal.predicted
    told: dict[str, Any] = {
        "trial": trial.number,
        "source": proposal.source,
        "stands_in_for": proposal.stands_in_for or None,
        "intent": proposal.intent or None,
        "parent": proposal.parent,
        "seed": proposal.seed,
        "hypothesis": plain(proposal.hypothesis) or None,
        "falsifier": plain(proposal.falsifier) or None,
        "expected": None if expected is None else {"p10": expected.p10, "p50": expected.p50, "p90": expected.p90},
    }
    texts = (proposal.hypothesis, proposal.rationale, proposal.falsifier)
    pinned = {key: unmarked(text) for key, text in zip(PINNED, texts, strict=True) if text}
    return {"neuropt": {name: value for name, value in told.items() if value is not None}, **pinned}


def note_config(trial: Trial) -> dict[str, Any]:
    """Returns what a run of the script's own is told: `about`, and below ``neuropt.params`` the trial's parameters.

    Not beside the script's own keys, which might say the same in other words; what it does not say at all is added when
    the trial has ended (`annotate_message`).
    """
    told = about(trial)
    return {**told, "neuropt": {**told["neuropt"], "params": nested(trial.params)}}


def trial_config(scene: Scene, trial: Trial) -> dict[str, Any]:
    """Returns a trial's whole config, nested at its dots, beside what `about` tells.

    The user's own config with the trial's parameters in it. Nested, because W&B's reports look for ``optimizer.lr``
    there.
    """
    config = nested({**scene.config, **trial.params})
    more = about(trial)
    theirs = config.get("neuropt")
    return {**config, **more, "neuropt": {**(theirs if isinstance(theirs, dict) else {}), **more["neuropt"]}}


def nested(params: Mapping[str, Any]) -> dict[str, Any]:
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


def rows(points: Sequence[Point]) -> list[dict[str, float]]:
    """Returns points as rows of a run's history, one each in the order of their reports.

    ``step`` is the axis of all charts: W&B's own step only ever grows, and a row for an earlier one would be lost.
    """
    return [{**point.metrics, "neuropt/seconds": point.seconds, "step": point.step} for point in points]


def _scores(trial: Trial) -> dict[str, float]:
    return numbered("score", trial.values)


def _exit_code(trial: Trial) -> int:
    return int(trial.state is TrialState.FAIL)
