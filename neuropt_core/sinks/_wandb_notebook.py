"""What W&B is told about the study, as plain data: its run, a row for each ended trial, and what is left at the end.

Every key is described in docs/wandb_keys.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from neuropt_core.advice import Consultation, lessons
from neuropt_core.expectations import calibration, surprise, verdict
from neuropt_core.pruning import saved_steps
from neuropt_core.redact import redact
from neuropt_core.sinks._objectives import front
from neuropt_core.sinks._wandb_payload import Message, place, run_id
from neuropt_core.sinks.base import Scene
from neuropt_core.sinks.results import harmless
from neuropt_core.sinks.text import changes, compare, one_line, plain, reason
from neuropt_core.space import Float, Int, SearchSpace
from neuropt_core.trial import Trial, TrialState, numbered


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
        **place(scene, project, entity),
        "id": run_id(scene),
        "name": plain(spec.name),
        "job_type": "controller",
        "tags": ["neuropt"],
        "config": {"neuropt": config},
    }


def sweep_config(scene: Scene) -> dict[str, Any]:
    """Returns the config of a native W&B sweep that only holds runs together: nobody is to propose trials for it."""
    goal = scene.spec.direction
    return {
        "name": plain(scene.spec.name),
        "method": "custom",
        "controller": {"type": "local"},
        "metric": {"name": "score", "goal": goal},
        "parameters": _parameters(scene.spec.space),
    }


def progress_message(scene: Scene, trial: Trial) -> Message:
    """Returns the message that adds an ended trial to the study's run."""
    outcome, spec = trial.outcome, scene.spec
    best = () if scene.best is None else scene.best.values
    values = {
        "trial": trial.number,
        "failed": int(trial.state is TrialState.FAIL),
        "seconds": None if outcome is None else outcome.seconds,
        "surprise": surprise(trial, spec.direction),
        **numbered("score", trial.values),
        **numbered("best", best),
        "improvement": _improvement(scene),
        **_calibration(scene),
        **_llm(scene),
        **_counts(scene),
    }
    row = sum(t.outcome is not None for t in scene.trials) - 1
    return {"op": "log", "row": row, "values": {name: value for name, value in values.items() if value is not None}}


def finish_message(scene: Scene, why: str, own: Mapping[int, str], transcript: Message | None = None) -> Message:
    """Returns the message that closes the study's run, with a table of all trials.

    Args:
        scene: The study.
        why: Why it ends, in words.
        own: Trial number -> the id of the run that we made for it, where that is not the usual one.
        transcript: From `transcript_plan`.
    """
    best, base = scene.best, scene.baseline
    summary: dict[str, Any] = {
        "ended": plain(why),
        "comparison": compare(scene).words,
        "lessons": [plain(lesson.text) for lesson in lessons(scene.consulted).values()],
        "retries": sum(scene.retries.values()),
    }
    if best is not None:
        summary |= numbered("best", best.values) | {"best_trial": best.number}
    if base is not None:
        summary |= numbered("baseline", base.values)
    if (advised := scene.recommended) is not None:
        summary |= {"recommended_trial": advised.trial.number, "recommendation": plain(advised.words)}
    if scene.spec.further:
        summary["pareto_front"] = [t.number for t in front(scene)]
    if scene.importance:
        summary["importance"] = {plain(name): share for name, share in scene.importance.items()}
    return {"op": "finish", "summary": summary, "table": trials_table(scene, own), "transcript": transcript}


COLUMNS = ("trial", "state", "score", "seconds", "source", "stands_in_for", "intent", "parent", "changed", "hypothesis")
MORE_COLUMNS = ("expected_p10", "expected_p50", "expected_p90", "surprise", "verdict", "reason", "rationale", "run")


def trials_table(scene: Scene, own: Mapping[int, str]) -> Message:
    """Returns the table of all trials; text that a spreadsheet would take for a formula gets an apostrophe in front.

    The last cell of a row tells the pages of the runs that the trial's own script has made. Where it has made none,
    ``own`` has the id of ours, whose page only the child knows; else "".
    """
    further = [f"score_{at}" for at in range(1, len(scene.spec.directions))]
    at = COLUMNS.index("score") + 1
    columns = [*COLUMNS[:at], *further, *COLUMNS[at:], *MORE_COLUMNS]
    data = [[harmless(cell) if isinstance(cell, str) else cell for cell in _row(scene, t)] for t in scene.trials]
    ours = [
        "" if row[-1] or trial.outcome is None else own.get(trial.number) or run_id(scene, trial.number)
        for trial, row in zip(scene.trials, data, strict=True)
    ]
    return {"columns": columns, "rows": data, "own": ours}


def transcript_plan(scene: Scene, log_prompts: str, secrets: tuple[str, ...] = ()) -> Message | None:
    """Returns what is uploaded of the exchanges with an LLM; None where there were none, or nothing is.

    Args:
        scene: The study.
        log_prompts: One of `LOG_PROMPTS`.
        secrets: What must not be in it.
    """
    calls = [c for c in scene.consulted if c.is_call]
    if not calls or log_prompts == "none":
        return None
    name = f"{run_id(scene)}-transcript"
    if log_prompts == "full":
        return {"name": name, "path": str(scene.folder / "neuropt" / "transcript.jsonl")}
    return {"name": name, "entries": [_exchange(c, secrets) for c in calls]}


def without_words(scene: Scene) -> Scene:
    """Returns a study without what the LLM has said of it at large: diagnoses and lessons; numbers stay."""
    return replace(scene, consulted=tuple(replace(c, diagnosis="", learnt=(), retired=()) for c in scene.consulted))


def _exchange(consultation: Consultation, secrets: tuple[str, ...]) -> dict[str, Any]:
    """Returns one exchange without its texts: numbers, what was made of the reply, and what it taught."""
    kept = ("number", "purpose", "kind", "model", "seconds", "usage", "accepted", "replayed")
    data = consultation.to_json()
    return {
        **{name: data[name] for name in kept},
        "diagnosis": redact(plain(consultation.diagnosis), *secrets),
        "learnt": [redact(plain(lesson.text), *secrets) for lesson in consultation.learnt],
        "complaints": [redact(plain(text), *secrets) for text in consultation.complaints],
    }


def _row(scene: Scene, trial: Trial) -> list[Any]:
    proposal, outcome, expected = trial.proposal, trial.outcome, trial.proposal.predicted
    runs = scene.runs(trial)
    return [
        trial.number,
        trial.state.value,
        *(trial.values or [None] * len(scene.spec.directions)),
        None if outcome is None else outcome.seconds,
        proposal.source,
        proposal.stands_in_for,
        proposal.intent,
        proposal.parent,
        changes(scene, trial),
        one_line(proposal.hypothesis),
        *((None, None, None) if expected is None else (expected.p10, expected.p50, expected.p90)),
        surprise(trial, scene.spec.direction),
        verdict(trial, scene.spec.direction),
        reason(trial),
        one_line(proposal.rationale),
        " ".join(one_line(run.url or run.id) for run in runs),
    ]


def _improvement(scene: Scene) -> float | None:
    """Returns by how much the best score is better than trial 0's, in units of the score; 0 at the least."""
    best, base = scene.best, scene.baseline
    if best is None or best.value is None or base is None or base.value is None or scene.spec.further:
        return None
    gain = best.value - base.value
    return gain if scene.spec.direction == "maximize" else -gain


def _calibration(scene: Scene) -> dict[str, float]:
    found = calibration(scene.present, scene.spec.direction)
    if found is None:
        return {}
    values = {"coverage": found.coverage, "bias": found.bias, "miss": found.miss, "stated": found.stated}
    return {f"calibration/{name}": value for name, value in values.items()}


def _llm(scene: Scene) -> dict[str, float | None]:
    """Returns what the LLM has cost, and how often it failed or what it said was of no use."""
    calls = [c for c in scene.consulted if c.is_call]
    if not calls:
        return {}
    asked = [c for c in calls if not c.replayed]
    seconds = sum(c.seconds for c in asked)
    return {
        "llm/calls": scene.spent.calls,
        "llm/tokens": scene.spent.tokens,
        "llm/usd": scene.spent.usd,
        "llm/seconds": seconds,
        "llm/latency": seconds / len(asked) if asked else None,
        "llm/failed": sum(c.failed for c in calls),
        "llm/fallbacks": sum(t.proposal.stands_in_for == "llm" for t in scene.trials),
        "llm/complaints": sum(len(c.complaints) for c in calls),
    }


def _counts(scene: Scene) -> dict[str, float]:
    """Returns how trials and proposals have ended, and what was used and saved."""
    states = Counter(trial.state for trial in scene.trials)
    failures = Counter(t.outcome.failure.kind for t in scene.trials if t.outcome and t.outcome.failure)
    rejected = Counter(rejection.rule for rejection in scene.rejected)
    saved, of_steps = saved_steps(scene.trials)
    return {
        **{f"trials/{s.value.lower()}": states[s] for s in TrialState if s is not TrialState.RUNNING},
        **{f"failures/{kind}": count for kind, count in sorted(failures.items())},
        **{f"rejected/{rule}": count for rule, count in sorted(rejected.items())},
        "retries": sum(scene.retries.values()),
        "pruning/saved_steps": saved,
        "pruning/of_steps": of_steps,
        "used/seconds": scene.used.seconds,
        "used/gpu_hours": scene.used.gpu_hours,
    }


def _parameters(space: SearchSpace) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for parameter in space.parameters:
        if isinstance(parameter, (Float, Int)):
            found[parameter.name] = {"min": parameter.low, "max": parameter.high}
            if parameter.log:
                found[parameter.name]["distribution"] = f"{'q_' * isinstance(parameter, Int)}log_uniform_values"
        else:
            found[parameter.name] = {"values": list(parameter.choices)}
    return found
