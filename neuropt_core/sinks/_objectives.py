"""Words and choices for more than one score: Pareto fronts, broken constraints, scores against seconds."""

from __future__ import annotations

import math

from neuropt_core.objectives import fronts, losses, pareto_front
from neuropt_core.sinks.base import Scene
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Trial

_TOLD = 0.005
"""A share below it would read 0 %."""


def score(trial: Trial, digits: int = 5) -> str:
    """Returns all scores of a trial for a reader, e.g. ``0.21 / 93.4``; "-" for a trial without one."""
    return " / ".join(f"{value:.{digits}g}" for value in trial.values) or "-"


def difference(trial: Trial, other: Trial) -> str:
    """Returns a trial's scores less another's, with their signs; "-" unless both have some."""
    pairs = zip(trial.values, other.values, strict=False)
    return " / ".join(f"{one - two:+.4g}" for one, two in pairs) or "-"


def broken(spec: StudySpec, trial: Trial) -> str:
    """Returns which constraints a scored trial breaks, e.g. ``breaks latency_ms <= 20 by 3.2``; "" if none."""
    if trial.value is None:
        return ""
    found = []
    for constraint in spec.constraints:
        by = constraint.violation(trial)
        if by:
            series = trial.curve.series(constraint.metric)
            told = f"by {by:.4g}" if math.isfinite(by) else f"({series[-1][1]})" if series else "(not reported)"
            found.append(f"{constraint} {told}")
    return f"breaks {', '.join(found)}" if found else ""


def front(scene: Scene) -> tuple[Trial, ...]:
    """Returns the trials that keep all constraints and that no other such trial beats in all objectives.

    A repetition with the very same scores as the trial that it repeats says nothing new, and is left out.
    """
    found = pareto_front((t for t in scene.present if scene.spec.feasible(t)), scene.spec.directions)
    shown: list[Trial] = []
    for trial in found:
        if not any(trial.params == other.params and trial.values == other.values for other in shown):
            shown.append(trial)
    return tuple(shown)


def against_time(scene: Scene) -> tuple[Trial, ...]:
    """Returns the feasible trials that no other beats in its scores and its seconds at once, the quickest first."""
    points = [
        (trial, (*point, trial.outcome.seconds))
        for trial in scene.present
        if trial.outcome is not None and scene.spec.feasible(trial)
        if (point := losses(trial, scene.spec.directions)) is not None
    ]
    first = fronts([point for _, point in points])
    found = [(point[-1], trial.number, trial) for (trial, point), rank in zip(points, first, strict=True) if rank == 0]
    return tuple(trial for _, _, trial in sorted(found, key=lambda item: item[:2]))


def gained(scene: Scene, trial: Trial) -> float | None:
    """Returns by how much a trial's first score is better than trial 0's, per second that it ran; None if unknown."""
    base, outcome = scene.baseline, trial.outcome
    if base is None or base.value is None or trial.value is None or outcome is None or outcome.seconds <= 0:
        return None
    better = base.value - trial.value if scene.spec.direction == "minimize" else trial.value - base.value
    return better / outcome.seconds


def against_baseline(scene: Scene, best: Trial, base: Trial) -> str:
    """Returns how `best` stands to trial 0 where a single score does not tell; "" where it does."""
    spec = scene.spec
    if lacking := broken(spec, best):
        return f"nearest to the constraints, none of the trials keeping them: it {lacking}"
    if lacking := broken(spec, base):
        return f"within the constraints, while your own configuration {lacking}"
    if not spec.further or best.number == base.number:
        return ""
    pairs = list(zip(losses(best, spec.directions) or (), losses(base, spec.directions) or (), strict=True))
    better, worse = sum(a < b for a, b in pairs), sum(a > b for a, b in pairs)
    text = f"better in {better} of {len(pairs)} objectives than your own configuration"
    return f"{text}, worse in {worse}" if worse else text


def front_line(scene: Scene) -> str:
    """Returns the sentence that names the whole Pareto front; "" for one objective, or before a feasible score."""
    found, best = front(scene), scene.best
    if not scene.spec.further or not found or best is None:
        return ""
    shown = ", ".join(f"trial {t.number} ({score(t)})" for t in found)
    return (
        f"Pareto front, {len(found)} that no trial beats in all objectives: {shown}; {best.number} is the balanced one."
    )


def time_line(scene: Scene) -> str:
    """Returns the sentence that sets scores against seconds; "" unless the study is aware of cost."""
    found = against_time(scene) if scene.spec.cost_aware else ()
    if not found:
        return ""
    shown = []
    for trial in found:
        seconds = 0.0 if trial.outcome is None else trial.outcome.seconds
        shown.append(f"{score(trial)} in {seconds:.3g} s (trial {trial.number})")
    return f"Score against time: {', '.join(shown)}."


def importance_line(scene: Scene, top: int = 3) -> str:
    """Returns the sentence that names what mattered most to a good score; "" where that is not known."""
    if not scene.importance:
        return ""
    told = [item for item in scene.importance.items() if item[1] >= _TOLD]
    ranked = sorted(told, key=lambda item: (-item[1], item[0]))[:top]
    return f"What mattered most: {', '.join(f'{name} {100 * share:.0f} %' for name, share in ranked)}."
