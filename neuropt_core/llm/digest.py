"""A training curve in a few words: what a person would say on seeing it, with the numbers that he would point at.

All thresholds are relative to the curve itself (its range, its first value), so that they mean the same for a loss of
0.02 and one of 20, and for an accuracy. Wall-clock time is left to `pace` and told only as a coarse class: numbers that
differ from run to run would keep a recorded study from being replayed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from neuropt_core.curve import Curve
from neuropt_core.figures import alike_digits
from neuropt_core.llm._shape import STILL, WORSE, Series, trend
from neuropt_core.llm._text import tidy

_UP = ("acc", "auc", "f1", "precision", "recall", "map", "iou", "r2", "dice", "bleu", "rouge")
_DOWN = ("loss", "err", "perplexity", "ppl", "mse", "mae", "mape", "rmse", "nll", "wer", "cer")
_HELD_OUT = ("val", "test", "eval", "dev")

_STEEP = 0.32  # share of what a straight line would gain over the end that a slow curve still gains there
_SHAPED = 5  # points from which a shape is judged: below, the three of the end are most of them
_SWING = 0.2  # share of the range by which an unstable curve turns back, on average
_RISE = 0.05  # share of the range lost since the best point that a widening gap makes overfitting
_OVER, _TREND = 4.0, 2.0  # multiples of the noise: what is lost, or gained at the end, must be more
_CLOSE = 0.1  # share of the range within which validation is no worse than training
_TOLD = 0.05  # share of the range from which a swing is worth a word
_PACE = 4.0
_SECONDS = 0.5

LABELS = ("healthy", "overfit", "underfit", "unstable", "slow", "capacity-limited", "diverged", "oom", "short")
"""What a curve can be called; ``short`` means too few points to tell: under 3, or under 5 where all is in the shape."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a curve says.

    Attributes:
        label: One of `LABELS`.
        evidence: Why, in words.
        metric: The metric that was read; "" if there is none.
        twin: The same metric on training data; "" if there is none.
        best: The step of its best value; -1 if there is none.
        words: All of it on one line.
    """

    label: str
    evidence: str
    metric: str
    twin: str
    best: int
    words: str


def digest(curve: Curve, direction: str = "minimize", failure: str = "") -> str:
    """Returns a curve in words, one line; ``no curve`` if nothing was reported.

    Args:
        curve: What the job reported.
        direction: ``minimize`` or ``maximize``; decides for metrics whose names do not say which way is good.
        failure: The `Failure.kind` of a trial that failed.
    """
    reading = read_curve(curve, direction, failure)
    return "no curve" if reading is None else reading.words


def read_curve(curve: Curve, direction: str = "minimize", failure: str = "") -> Reading | None:
    """Returns what a curve says, or None if it holds no metric and the trial did not run out of memory."""
    metric = _held_out(curve.metrics)
    full = {"out_of_memory": "out of memory", "host_out_of_memory": "out of the machine's own memory"}.get(failure)
    if metric is None:
        label, evidence = "oom", f"{full} before the first report"
        return Reading(label, evidence, "", "", -1, f"{label} ({evidence})") if full else None
    sign = _sign(metric, direction)
    twin = _twin(metric, curve.metrics) or ""
    series, train = _series(curve, metric, sign), _series(curve, twin, sign)
    gap = _gap(curve, metric, twin, sign) if twin else ()
    if full:
        label, evidence = "oom", f"{full} after step {curve.points[-1].step}"
    else:
        label, evidence = _judge(series, train, gap, _broken(curve, metric, twin))
    facts = _facts(metric, series, sign, gap)
    best = -1 if series is None else series.steps[series.best]
    return Reading(label, evidence, metric, twin, best, "; ".join([*facts, f"{label} ({evidence})"]))


def pace(curve: Curve) -> float | None:
    """Returns seconds per step between the first and the last report, or None where that cannot be told."""
    if len(curve) < 2:
        return None
    first, last = curve.points[0], curve.points[-1]
    steps, seconds = last.step - first.step, last.seconds - first.seconds
    return seconds / steps if steps > 0 and seconds > 0 and math.isfinite(seconds) else None


def usual_pace(curves: Iterable[Curve]) -> float | None:
    """Returns the median pace; None for fewer than three, or below half a second, where it is mostly noise."""
    paces = [p for p in map(pace, curves) if p is not None]
    middle = median(paces) if len(paces) >= 3 else 0.0
    return middle if middle >= _SECONDS else None


def pace_words(curve: Curve, usual: float | None) -> str:
    """Says that a step takes more than 4 times, or less than a quarter of, the usual seconds; else "".

    The classes are so far apart that a replayed study, whose jobs never take exactly as long, is told the same.
    """
    own = pace(curve)
    if own is None or usual is None:
        return ""
    if own > _PACE * usual:
        return "a step takes over 4 times the median time"
    return "a step takes under a quarter of the median time" if own < usual / _PACE else ""


def _judge(series: Series | None, train: Series | None, gap: Sequence[float], broken: str) -> tuple[str, str]:
    """Returns the label and its evidence; the order of the tests is the order of gravity."""
    if broken or series is None:
        return "diverged", broken
    if len(series.values) < 3:
        return "short", f"{len(series.values)} points"
    learns = train is not None and not train.ends_worse()
    if series.ends_worse() and not learns and (train is not None or series.best == 0):
        return "diverged", "ends worse than it began" + (", and so does training" if train is not None else "")
    if not series.moved():
        if train is not None and train.moved() and train.values[-1] < train.values[0]:
            return "overfit", f"moved by less than {STILL:.0%} of its first value while training improved"
        return "underfit", f"moved by less than {STILL:.0%} of its first value"
    return _judge_shape(series, gap)


def _judge_shape(series: Series, gap: Sequence[float]) -> tuple[str, str]:
    """Judges by differences alone: the same for any scale and offset."""
    if len(series.values) < _SHAPED:
        return "short", f"{len(series.values)} points"
    if series.swing() > _SWING:
        return "unstable", f"turns back by {series.swing():.0%} of its range"
    widening = len(gap) > 1 and trend(gap, series.span) == "widening"
    if series.lost > max(_RISE if widening else WORSE, _OVER * series.noise()):
        cause = f"the gap to training {'widens' if widening else 'does not widen'}" if gap else "no training curve"
        label = "overfit" if widening or not gap else "unstable"
        return label, f"{series.lost:.0%} of the range lost since step {series.steps[series.best]}, {cause}"
    # With noise the best point is often not the last one, though the curve still falls.
    falling = series.lost <= _OVER * series.noise()
    steep = _STEEP * series.tail / len(series.values)
    if falling and -series.change() > max(steep, _TREND * series.noise()):
        return "slow", f"still gains {-series.change():.0%} of its range over the last {series.tail} points"
    # Where validation is level and the gap steady, training is level, too.
    if gap and abs(gap[-1]) < _CLOSE * series.span and trend(gap, series.span) == "steady":
        return "capacity-limited", "level, and training is no better than validation"
    return "healthy", "levelled off near its best"


def _facts(metric: str, series: Series | None, sign: float, gap: Sequence[float]) -> list[str]:
    name = json.dumps(tidy(metric, 32), ensure_ascii=False)
    if series is None:
        return [f"{name} never finite"]
    first, best, last = (sign * series.values[i] for i in (0, series.best, -1))
    at = f"step {series.steps[series.best]} of {series.steps[0]}..{series.steps[-1]}"
    d = alike_digits((first, best, last), least=4)
    facts = [f"{name} first {first:.{d}g}, best {best:.{d}g} at {at}, last {last:.{d}g}"]
    if len(series.values) >= _SHAPED:
        facts.append(f"end {sign * series.change():+.0%} of range")
        if series.swing() >= _TOLD:
            facts.append(f"swings {series.swing():.0%}")
        facts.append(f"90% of its gain by step {series.reached()}")
        if series.plateau() >= 3:
            facts.append(f"level for {series.plateau()} points")
    if gap:
        facts.append(f"gap {gap[-1]:+.3g} {trend(gap, series.span)}")
    return facts


def _series(curve: Curve, metric: str, sign: float) -> Series | None:
    """Returns the finite values of a metric, turned so that less is better; None if there are none."""
    finite = [(step, sign * value) for step, value in curve.series(metric) if math.isfinite(value)]
    if not finite:
        return None
    share = _is(metric, _UP) and all(0 <= sign * value <= 1 for _, value in finite)
    return Series(tuple(s for s, _ in finite), tuple(v for _, v in finite), share)


def _broken(curve: Curve, metric: str, twin: str) -> str:
    """Says where the metric, or its twin, was not finite first; "" if nowhere."""
    for name, words in ((metric, "not finite"), (twin, "training not finite")):
        for step, value in curve.series(name):
            if not math.isfinite(value):
                return f"{words} at step {step}"
    return ""


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
