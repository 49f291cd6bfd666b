"""What a good trial is, in words: directions, constraints, the Pareto front and its widest gap."""

from __future__ import annotations

import json
from collections.abc import Sequence

from neuropt_core.advice import Request
from neuropt_core.llm._replicates import Repeated
from neuropt_core.llm._text import tidy
from neuropt_core.objectives import Constraint, losses, pareto_front
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Trial

_NAME = 32
_FRONT = 12


def goal_lines(spec: StudySpec) -> list[str]:
    """Returns what makes a score good, and what else a trial must keep."""
    goals = ["smaller is better" if d == "minimize" else "larger is better" for d in spec.directions]
    if len(goals) == 1:
        lines = [f"The score: {goals[0]}."]
    else:
        listed = "; ".join(f"score {i}: {goal}" for i, goal in enumerate(goals, start=1))
        lines = [
            f"Each trial has {len(goals)} scores ({listed}). What is sought is the front: the trials that no other one "
            "beats in one score without losing in another. Aim a candidate at the widest gap of the front, which is "
            "named. Medians, quartiles and expected scores are those of score 1; ranks count the fronts."
        ]
    if spec.constraints:
        listed = ", ".join(f"{_metric(c)} {_bound(c)}" for c in spec.constraints)
        lines.append(
            f"Constraints on the last value that a trial reports: {listed}. A trial that breaks one is infeasible, and "
            "ranks below all that break none."
        )
    if spec.cost_aware:
        lines.append("Of two trials with the same score the cheaper one is better.")
    return lines


def score_words(trial: Trial, spec: StudySpec, repeated: Repeated | None = None) -> str:
    """Returns the scores of a scored trial, how its replicates scatter, and which constraints it holds or breaks."""
    first, *further = (f"{value:.5g}" for value in trial.values)
    shown = " / ".join([f"{first}{repeated.spread if repeated else ''}", *further])
    words = f"score{'s' if further else ''} {shown}{repeated.words if repeated else ''}"
    if not spec.constraints:
        return words
    held = [_held(c, trial) for c in spec.constraints]
    return f"{words} ({', '.join(held)}){'' if spec.feasible(trial) else ', infeasible'}"


def front(request: Request) -> tuple[Trial, ...]:
    """Returns the Pareto front of several objectives, best in the first one first; empty for a single objective.

    Infeasible trials are on it only where no trial is feasible.
    """
    spec = request.spec
    if len(spec.directions) == 1:
        return ()
    feasible = [t for t in request.trials if spec.feasible(t)]
    best = pareto_front(feasible or request.trials, spec.directions)
    return tuple(sorted(best, key=lambda t: (losses(t, spec.directions) or (), t.number)))


def front_line(request: Request) -> str:
    """Returns the front and its widest gap; "" for a single objective, or without a score."""
    best = front(request)
    if not best:
        return ""
    shown = ", ".join(f"#{t.number} ({' / '.join(f'{v:.4g}' for v in t.values)})" for t in best[:_FRONT])
    more = f" and {len(best) - _FRONT} more" if len(best) > _FRONT else ""
    gap = _widest_gap(best, request.spec)
    return f"Pareto front: {shown}{more}." + (f" Its widest gap: between #{gap[0]} and #{gap[1]}." if gap else "")


def _widest_gap(best: Sequence[Trial], spec: StudySpec) -> tuple[int, int] | None:
    """Returns the two neighbours on the front that lie farthest apart, each score in shares of the front's range."""
    points = [losses(t, spec.directions) or () for t in best]
    spans = [max(column) - min(column) for column in zip(*points, strict=True)]
    if len(best) < 2 or not any(spans):
        return None

    def apart(i: int) -> float:
        pairs = zip(points[i], points[i + 1], spans, strict=True)
        return sum((abs(a - b) / span for a, b, span in pairs if span), 0.0)

    widest = max(range(len(best) - 1), key=lambda i: (apart(i), -i))
    return best[widest].number, best[widest + 1].number


def _held(constraint: Constraint, trial: Trial) -> str:
    series = trial.curve.series(constraint.metric)
    if not series:
        return f"{_metric(constraint)} not reported, so {_bound(constraint)} is broken"
    word = "breaks" if constraint.violation(trial) else "holds"
    return f"{_metric(constraint)} {series[-1][1]:.4g} {word} {_bound(constraint)}"


def _metric(constraint: Constraint) -> str:
    return json.dumps(tidy(constraint.metric, _NAME), ensure_ascii=False)


def _bound(constraint: Constraint) -> str:
    return f"{'<=' if constraint.at_most else '>='} {constraint.bound:.12g}"
