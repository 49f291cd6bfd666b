"""A training curve in a few words: what a person would say on seeing it, with the numbers that he would point at.

All thresholds are relative to the curve itself (its range, its first value), so that they mean the same for a loss of
0.02 and one of 20, and for an accuracy.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from neuropt_core.curve import Curve
from neuropt_core.llm._text import tidy

_UP = ("acc", "auc", "f1", "precision", "recall", "map", "iou", "r2", "dice", "bleu", "rouge")
_DOWN = ("loss", "err", "perplexity", "ppl", "mse", "mae", "rmse", "nll", "wer", "cer")
_HELD_OUT = ("val", "test", "eval", "dev")

_STEEP = 0.03  # share of the range per step that still counts as moving
_WORSE = 0.15  # share of the range lost since the best point that counts as a loss
_STILL = 0.02  # share of the first value under which a curve has hardly moved
_SWING = 0.25  # share of the range by which an unstable curve turns back, on average


@dataclass(frozen=True, slots=True)
class Reading:
    """What a curve says.

    Attributes:
        label: ``healthy``, ``overfit``, ``slow``, ``unstable``, ``underfit``, ``capacity-limited``, ``diverged`` or
            ``short`` (too few points to tell).
        evidence: Why, in words.
        metric: The metric that was read.
        words: All of it on one line.
    """

    label: str
    evidence: str
    metric: str
    words: str


@dataclass(frozen=True, slots=True)
class _Series:
    """One metric turned so that less is better, and its shape."""

    steps: tuple[int, ...]
    values: tuple[float, ...]

    @property
    def best(self) -> int:
        return min(range(len(self.values)), key=self.values.__getitem__)

    @property
    def span(self) -> float:
        """The range of the values; never 0, so that it can divide."""
        return max(self.values) - min(self.values) or abs(self.values[0]) or 1.0

    def slope(self) -> float:
        """The least-squares slope of the last quarter (3 points or more) per step, as a share of the range."""
        n = max(3, len(self.values) // 4)
        xs, ys = self.steps[-n:], self.values[-n:]
        mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
        spread = sum((x - mean_x) ** 2 for x in xs)
        tilt = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
        return tilt / spread / self.span if spread else 0.0

    def swing(self) -> float:
        """The mean size of turns (a step against the one before it), as a share of the range; 0 without turns."""
        moves = [b - a for a, b in pairwise(self.values)]
        turns = [min(abs(a), abs(b)) for a, b in pairwise(moves) if a * b < 0]
        return sum(turns) / len(turns) / self.span if len(turns) * 2 >= len(moves) - 1 > 0 else 0.0


def digest(curve: Curve, direction: str = "minimize") -> str:
    """Returns a curve in words, one line; ``no curve`` if nothing was reported.

    Args:
        curve: What the job reported.
        direction: ``minimize`` or ``maximize``; decides for metrics whose names do not say which way is good.
    """
    reading = read_curve(curve, direction)
    return "no curve" if reading is None else reading.words


def read_curve(curve: Curve, direction: str = "minimize") -> Reading | None:
    """Returns what a curve says, or None if it holds no metric."""
    metric = _held_out(curve.metrics)
    if metric is None:
        return None
    sign = _sign(metric, direction)
    raw = curve.series(metric)
    broken = next((step for step, value in raw if not math.isfinite(value)), None)
    finite = [(step, sign * value) for step, value in raw if math.isfinite(value)]
    series = _Series(tuple(s for s, _ in finite), tuple(v for _, v in finite))
    twin = _twin(metric, curve.metrics)
    gap = _gap(curve, metric, twin, sign) if twin else ()
    label, evidence = _judge(series, broken, gap)
    facts = _facts(metric, series, sign, twin, gap)
    return Reading(label, evidence, metric, "; ".join([*facts, f"{label} ({evidence})"]))


def _judge(series: _Series, broken: int | None, gap: Sequence[float]) -> tuple[str, str]:
    """Returns the label and its evidence; the order of the tests is the order of gravity."""
    if broken is not None:
        return "diverged", f"not finite at step {broken}"
    values = series.values
    if len(values) < 3:
        return "short", f"{len(values)} points"
    lost = (values[-1] - values[series.best]) / series.span
    if series.best == 0 and values[-1] - values[0] > _WORSE * abs(values[0]):
        return "diverged", "ends worse than it began"
    if abs(values[0]) > 0 and max(values) - min(values) < _STILL * abs(values[0]):
        return "underfit", f"moved by less than {_STILL:.0%} of its first value"
    if series.swing() > _SWING:
        return "unstable", f"turns back by {series.swing():.0%} of its range"
    slope = series.slope()
    if lost > _WORSE:
        widening = len(gap) > 1 and _trend(gap, series.span) == "widening"
        cause = "the gap to training widens" if widening else "training goes on" if gap else "no training curve"
        label = "overfit" if widening or not gap else "unstable"
        return label, f"{lost:.0%} of the range lost since step {series.steps[series.best]}, {cause}"
    if slope < -_STEEP:
        return "slow", f"still improving by {-slope:.0%} of its range per step at the end"
    if gap and abs(gap[-1]) < 0.1 * series.span and _trend(gap, series.span) == "steady":
        return "capacity-limited", "level, and training is no better than validation"
    return "healthy", "levelled off near its best"


def _facts(metric: str, series: _Series, sign: float, twin: str | None, gap: Sequence[float]) -> list[str]:
    name = json.dumps(tidy(metric, 32), ensure_ascii=False)
    if not series.values:
        return [f"{name} never finite"]
    first, best, last = (sign * series.values[i] for i in (0, series.best, -1))
    at = f"step {series.steps[series.best]} of {series.steps[0]}..{series.steps[-1]}"
    facts = [f"{name} first {first:.4g}, best {best:.4g} at {at}, last {last:.4g}"]
    if len(series.values) >= 3:
        facts.append(f"end slope {sign * series.slope():+.1%} of range per step")
    if twin and gap:
        facts.append(f"train-val gap {gap[-1]:+.3g} {_trend(gap, series.span)}")
    return facts


def _held_out(metrics: Sequence[str]) -> str | None:
    """Returns the metric to read: a loss on held-out data if there is one, else the nearest thing to it."""
    ranked = sorted(
        enumerate(metrics),
        key=lambda item: (not _is(item[1], _HELD_OUT), not _is(item[1], _DOWN), _is(item[1], ("train",)), item[0]),
    )
    return ranked[0][1] if ranked else None


def _twin(metric: str, metrics: Sequence[str]) -> str | None:
    """Returns the same metric measured on training data, e.g. ``train_loss`` for ``val_loss``."""
    tail = _tail(metric)
    if not _is(metric, _HELD_OUT):
        return None
    return next((m for m in metrics if m != metric and _is(m, ("train",)) and _tail(m) == tail), None)


def _tail(metric: str) -> str:
    parts = [p for p in _parts(metric) if not p.startswith((*_HELD_OUT, "train"))]
    return "_".join(parts)


def _parts(metric: str) -> list[str]:
    return metric.lower().replace("/", "_").replace(".", "_").replace("-", "_").split("_")


def _is(metric: str, kinds: tuple[str, ...]) -> bool:
    return any(part.startswith(kinds) for part in _parts(metric))


def _sign(metric: str, direction: str) -> float:
    if _is(metric, _DOWN):
        return 1.0
    return -1.0 if _is(metric, _UP) or direction == "maximize" else 1.0


def _gap(curve: Curve, metric: str, twin: str, sign: float) -> tuple[float, ...]:
    """Returns how much worse validation is than training, at every step that has both."""
    pairs = ((p.metrics[metric], p.metrics[twin]) for p in curve.points if metric in p.metrics and twin in p.metrics)
    return tuple(sign * (a - b) for a, b in pairs if math.isfinite(a) and math.isfinite(b))


def _trend(gap: Sequence[float], span: float) -> str:
    """Says how the gap of the last third compares with that of the first, beside the range of the curve."""
    third = max(1, len(gap) // 3)
    change = sum(gap[-third:]) / third - sum(gap[:third]) / third
    if abs(change) <= max(0.25 * max(map(abs, gap)), 0.1 * span):
        return "steady"
    return "widening" if change > 0 else "closing"
