"""The words of the console: one line a trial, and the summary at the end. Plain text, without colours or a stream."""

from __future__ import annotations

from neuropt_core.pruning import saved_steps
from neuropt_core.sinks.base import Scene
from neuropt_core.sinks.results import CSV_NAME, YAML_NAME
from neuropt_core.sinks.text import (
    changed,
    compare,
    duration,
    first_sentence,
    literal,
    number,
    one_line,
    reason,
    source,
)
from neuropt_core.space import Value
from neuropt_core.trial import Trial, TrialState

Part = tuple[str, str]
"""A piece of text and what it is: ``head``, ``best``, ``score``, ``bad``, ``warn``, ``dim`` or ``""``."""


def trial_parts(scene: Scene, trial: Trial) -> list[Part]:
    """Returns what is to be said of an ended trial, in pieces that two spaces part; the first is the head."""
    done, width = sum(t.outcome is not None for t in scene.trials), len(str(scene.n_trials))
    parts: list[Part] = [(f"[{done:>{width}}/{scene.n_trials}] trial {trial.number}", "head")]
    if trial.state is TrialState.FAIL:
        parts.append((f"FAILED ({reason(trial)})", "bad"))
    elif trial.state is TrialState.PRUNED:
        parts.append((f"pruned ({reason(trial)})", "warn"))
    elif trial.value is not None:
        best = scene.best is not None and scene.best.number == trial.number
        parts.append((number(trial.value), "best" if best else "score"))
        parts.append((standing(scene, trial), "best" if best else ""))
    if trial.outcome is not None:
        parts.append((duration(trial.outcome.seconds), "dim"))
    if trial.number != 0:
        parts.append((source(trial), ""))
        parts.append((changes(scene, trial), ""))
        parts.append((f'"{first_sentence(trial.proposal.rationale)}"', "dim"))
    if scene.spent.calls:
        parts.append((scene.spent.words, "dim"))
    return parts


def standing(scene: Scene, trial: Trial) -> str:
    """Returns where an ended trial's score stands, e.g. ``best (-0.12 vs trial 0)``."""
    best, base = scene.best, scene.baseline
    if trial.value is None or best is None or best.value is None:
        return ""
    if trial.number == 0:
        return "your own configuration"
    against = [] if base is None or base.value is None else [f"{_signed(trial.value - base.value)} vs trial 0"]
    if best.number != trial.number and best.number != 0:
        against.append(f"{_signed(trial.value - best.value)} vs best of trial {best.number}")
    if best.number != trial.number:
        return ", ".join(against)
    return f"best ({against[0]})" if against else "best"


def changes(scene: Scene, trial: Trial) -> str:
    """Returns the parameters in which a trial differs from trial 0, e.g. ``optimizer.lr=0.0003``."""
    found = [f"{name}={_short(value)}" for name, value in changed(scene, trial).items()]
    return ", ".join(found) or "same as trial 0"


def outcome_lines(scene: Scene, why: str) -> list[str]:
    """Returns the sentences that come first at the end: how many trials, and whether any beat trial 0."""
    states = [trial.state for trial in scene.trials]
    counted = [(states.count(TrialState.COMPLETE), "with a score"), (states.count(TrialState.PRUNED), "pruned")]
    counted += [(states.count(TrialState.FAIL), "failed"), (states.count(TrialState.RUNNING), "unfinished")]
    counts = ", ".join(f"{count} {word}" for count, word in counted if count) or "none launched"
    lines = [f"Study {one_line(scene.spec.name)} ended: {one_line(why).removesuffix('.')}. Trials: {counts}."]
    saved, of = saved_steps(scene.trials)
    if saved:
        lines.append(f"Pruning saved about {100 * saved / of:.0f} % of the epochs.")
    found, best, base = compare(scene), scene.best, scene.baseline
    if best is None or best.value is None:
        lines.append("No trial has a score.")
    elif found.better and base is not None and base.value is not None:
        lines.append(f"Best: trial {best.number} with {number(best.value)}, {found.words} ({number(base.value)}).")
    elif found.difference is not None:
        lines.append(f"Nothing beat your own configuration: trial 0 with {number(best.value)} is the best.")
    else:
        lines.append(f"Best: trial {best.number} with {number(best.value)}; it {found.words}.")
    return lines


def table_rows(scene: Scene, top: int = 3) -> list[tuple[str, ...]]:
    """Returns the summary's table, titles first: the best trials, and trial 0 wherever it stands."""
    shown = list(scene.spec.ranked(scene.trials)[:top])
    base = scene.baseline
    if base is not None and base.number not in [trial.number for trial in shown]:
        shown.append(base)
    rows: list[tuple[str, ...]] = [("trial", "score", "vs trial 0", "source", "changed")]
    for trial in shown:
        score = "-" if trial.value is None else number(trial.value)
        against = "-"
        if trial.number != 0 and base is not None and base.value is not None and trial.value is not None:
            against = _signed(trial.value - base.value)
        what = "your own configuration" if trial.number == 0 else changes(scene, trial)
        rows.append((str(trial.number), score, against, source(trial), what))
    return rows


def where_lines(scene: Scene) -> list[str]:
    """Returns the last lines: where the results lie, and the command that runs the best trial once."""
    lines = [f"Results: {one_line(str(scene.folder / YAML_NAME))} and {CSV_NAME}"]
    if scene.best is not None:
        lines.append(f"Run the best once: {one_line(scene.reproduce(scene.best))}")
    return lines


def _signed(difference: float) -> str:
    return f"{difference:+.4g}"


def _short(value: Value) -> str:
    return number(value, 4) if isinstance(value, float) else literal(value)
