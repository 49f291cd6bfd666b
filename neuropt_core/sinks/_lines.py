"""The words of the console: one line a trial, and the summary at the end. Plain text, without colours or a stream."""

from __future__ import annotations

from collections.abc import Mapping

from neuropt_core.pruning import saved_steps
from neuropt_core.sinks._objectives import broken, difference, front, front_line, importance_line, score, time_line
from neuropt_core.sinks.base import Scene
from neuropt_core.sinks.html import HTML_NAME
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
from neuropt_core.taxonomy import kind_of
from neuropt_core.trial import Trial, TrialState

Part = tuple[str, str]
"""A piece of text and what it is: ``head``, ``best``, ``score``, ``bad``, ``warn``, ``dim`` or ``""``."""


def trial_parts(scene: Scene, trial: Trial) -> list[Part]:
    """Returns what is to be said of an ended trial, in pieces that two spaces part; the first is the head."""
    done, width = sum(t.outcome is not None for t in scene.trials), len(str(scene.n_trials))
    parts: list[Part] = [(f"[{done:>{width}}/{scene.n_trials}] trial {trial.number}", "head")]
    if trial.state is TrialState.FAIL:
        parts.append((f"FAILED ({reason(trial)})", "bad"))
        if trial.outcome is not None and trial.outcome.failure is not None:
            parts.append((f"told as {kind_of(trial.outcome.failure.kind).told_as}", "dim"))
    elif trial.state is TrialState.PRUNED:
        parts.append((f"pruned ({reason(trial)})", "warn"))
    elif trial.value is not None:
        best = scene.best is not None and scene.best.number == trial.number
        lacking = broken(scene.spec, trial)
        good = best and not lacking
        parts.append((score(trial), "best" if good else "score"))
        parts.append((standing(scene, trial), "best" if good else ""))
        if lacking:
            parts.append((lacking, "warn"))
    if trial.outcome is not None:
        parts.append((duration(trial.outcome.seconds), "dim"))
    if trial.number != 0:
        parts.append((source(trial), ""))
        parts.append((changes(scene, trial), ""))
        parts.append((f'"{first_sentence(trial.proposal.rationale)}"', "dim"))
    if scene.spent.calls:
        parts.append((scene.spent.words, "dim"))
    return parts


def running_words(number: int, running: Mapping[int, float | None], now: float) -> str:
    """Returns a running trial for the bar, e.g. ``7 (12 min)``: how long it has run, in minutes, if that is known."""
    began = running.get(number)
    minutes = 0 if began is None else int((now - began) / 60)
    return (
        f"{number} ({minutes // 60} h {minutes % 60:02d} min)"
        if minutes >= 60
        else (f"{number} ({minutes} min)" if minutes else str(number))
    )


def standing(scene: Scene, trial: Trial) -> str:
    """Returns where an ended trial's score stands, e.g. ``best (-0.12 vs trial 0)``."""
    best, base = scene.best, scene.baseline
    if trial.value is None or best is None or best.value is None:
        return ""
    own = 0 if base is None else base.number
    if trial.number == own:
        return "your own configuration"
    against = [] if base is None or base.value is None else [f"{difference(trial, base)} vs trial {own}"]
    if best.number != trial.number and best.number != own:
        against.append(f"{difference(trial, best)} vs best of trial {best.number}")
    if best.number != trial.number:
        on_front = ["on the Pareto front"] if scene.spec.further and trial in front(scene) else []
        return ", ".join([*on_front, *against])
    word = "best" if scene.spec.feasible(trial) else "nearest to the constraints"
    return f"{word} ({against[0]})" if against else word


def changes(scene: Scene, trial: Trial) -> str:
    """Returns the parameters in which a trial differs from trial 0, e.g. ``optimizer.lr=0.0003``."""
    found = [f"{name}={_short(value)}" for name, value in changed(scene, trial).items()]
    return ", ".join(found) or f"same as trial {0 if scene.baseline is None else scene.baseline.number}"


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
    if scene.retries:
        lines.append(f"Launched again since a machine was at fault: {sum(scene.retries.values())} times.")
    found, best, base, advised = compare(scene), scene.best, scene.baseline, scene.recommended
    if best is None or best.value is None:
        lines.append("No trial has a score.")
    elif advised is not None and advised.noise is not None:
        lines.append(f"Recommended: {advised.words}.")
        lines.append(f"It {'' if found.difference is None else 'is '}{found.words}.")
    elif found.better and base is not None and base.value is not None:
        lines.append(f"Best: trial {best.number} with {score(best)}, {found.words} ({score(base)}).")
    elif found.difference is not None:
        lacking = broken(scene.spec, best)
        also = f" It {lacking}, and no trial keeps the constraints." if lacking else ""
        lines.append(f"Nothing beat your own configuration: trial {best.number} with {score(best)} is the best.{also}")
    else:
        lines.append(f"Best: trial {best.number} with {score(best)}; it {found.words}.")
    return [*lines, *filter(None, (front_line(scene), time_line(scene), importance_line(scene)))]


def table_rows(scene: Scene, top: int = 3) -> list[tuple[str, ...]]:
    """Returns the summary's table, titles first: the best trials, and trial 0 wherever it stands."""
    shown = list(scene.spec.ranked(scene.present)[:top])
    base = scene.baseline
    own = 0 if base is None else base.number
    if base is not None and base.number not in [trial.number for trial in shown]:
        shown.append(base)
    rows: list[tuple[str, ...]] = [("trial", "score", f"vs trial {own}", "source", "changed")]
    for trial in shown:
        against = "-" if trial.number == own or base is None else difference(trial, base)
        what = "your own configuration" if trial.number == own else changes(scene, trial)
        if lacking := broken(scene.spec, trial):
            what += f"; {lacking}"
        rows.append((str(trial.number), score(trial), against, source(trial), what))
    return rows


def where_lines(scene: Scene) -> list[str]:
    """Returns the last lines: where the results lie, and the command that runs the best trial once."""
    lines = [f"Results: {one_line(str(scene.folder / YAML_NAME))} and {CSV_NAME}"]
    lines.append(f"Report: {one_line(str(scene.folder / HTML_NAME))}")
    if scene.recommended is not None:
        lines.append(f"Run the best once: {one_line(scene.reproduce(scene.recommended.trial))}")
    return lines


def _short(value: Value) -> str:
    return number(value, 4) if isinstance(value, float) else literal(value)
