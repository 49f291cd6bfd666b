"""The raw points of the few curves that are worth reading point by point."""

from __future__ import annotations

import json
from collections.abc import Sequence

from neuropt_core.advice import Request
from neuropt_core.curve import Curve
from neuropt_core.figures import alike_digits
from neuropt_core.llm._record import outside
from neuropt_core.llm._text import tidy
from neuropt_core.llm.digest import read_curve
from neuropt_core.trial import Trial

CURVES, POINTS = 4, 12


def curves(request: Request, count: int = CURVES, points: int = POINTS) -> list[str]:
    """Returns the curves of the best trial, its parent, the newest and the most surprising, a line each.

    Args:
        request: What is known.
        count: The most curves to show, by that order.
        points: The most points of each: first, best and last always, the others evenly between.
    """
    lines = []
    for trial, why in list(_chosen(request).values())[:count]:
        line = _points(trial.curve, request.spec.direction, points)
        lines.append(f"#{trial.number} ({', '.join(why)}): {line}")
    return lines


def _chosen(request: Request) -> dict[int, tuple[Trial, list[str]]]:
    """Returns the trials to show, by number in order of weight, each with the reasons."""
    ranked = request.ranked
    trials = {t.number: t for t in request.trials}
    ended = [t for t in request.trials if len(t.curve)]
    wanted: list[tuple[Trial | None, str]] = [(ranked[0] if ranked else None, "best")]
    if ranked and ranked[0].proposal.parent is not None:
        wanted.append((trials.get(ranked[0].proposal.parent), f"parent of #{ranked[0].number}"))
    wanted.append((ended[-1] if ended else None, "newest"))
    # The earliest of equals, so that the choice is a function of the history alone.
    far = max(ended, key=lambda t: (outside(t), -t.number), default=None)
    wanted.append((far if far is not None and outside(far) > 0 else None, "farthest outside its p10..p90"))
    chosen: dict[int, tuple[Trial, list[str]]] = {}
    for trial, why in wanted:
        if trial is not None and read_curve(trial.curve, request.spec.direction) is not None:
            chosen.setdefault(trial.number, (trial, []))[1].append(why)
    return chosen


def _points(curve: Curve, direction: str, points: int) -> str:
    reading = read_curve(curve, direction)
    if reading is None:
        return "no curve"
    parts = []
    for metric in filter(None, (reading.metric, reading.twin)):
        series = curve.series(metric)
        best = next((i for i, (step, _) in enumerate(series) if step == reading.best), 0)
        kept = [series[i] for i in _spread(len(series), points, best)]
        digits = alike_digits([value for _, value in series])
        shown = " ".join(f"{step}:{value:.{digits}g}" for step, value in kept)
        cut = f" ({len(kept)} of {len(series)} points)" if len(kept) < len(series) else ""
        parts.append(f"{json.dumps(tidy(metric, 32), ensure_ascii=False)} {shown}{cut}")
    return "; ".join(parts)


def _spread(count: int, points: int, best: int) -> Sequence[int]:
    """Returns the indices of at most `points` points, at least 3, of which one is the best."""
    if count <= points:
        return range(count)
    even = [round(i * (count - 1) / (points - 2)) for i in range(points - 1)]
    return sorted({*even, best})
