"""Which reported metric the score comes from: trials can be judged by it while they run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from neuropt_core.curve import Curve
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Trial

_LATEST = 20
"""So many scored trials, the latest, are enough to see where the score comes from."""
_MOST = 5
"""The most values at the end of a curve whose mean is looked for."""
_TOLERANCES = (1e-6, 1e-3)
"""Relative: a float32 that became a float64, and a score that the script has rounded."""
_CONCORDANT, _PAIRS = 0.6, 6
"""A metric that the user named, and that is not the score, must order so many pairs of trials nearly as the score."""

_READINGS: tuple[Callable[[float], float], ...] = (lambda v: v, lambda v: -v, lambda v: 1 - v, lambda v: 100 - v)
"""How scripts make a score of a metric: as it is, turned around, and an error from an accuracy."""


@dataclass(frozen=True, slots=True)
class Tied:
    """A metric and how it gives the score.

    Attributes:
        metric: Its name.
        minimize: Whether a small value of the metric is good.
        by_best: Whether the best value of the curve counts, not the end.
        last: How many of the last values are averaged, if the end counts.
    """

    metric: str
    minimize: bool
    by_best: bool
    last: int = 1

    def read(self, curve: Curve) -> float | None:
        """Returns the value of the metric that counts for a whole curve; None without a finite one."""
        return _counting(_values(curve, self.metric), self.minimize, self.by_best, self.last)


def tie(spec: StudySpec, scored: Sequence[Trial], metric: str | None) -> Tied | None:
    """Returns the metric that gives the score of most trials, or None if there is no such.

    A metric gives the score if its best value, its last one or the mean of its last few is the returned number, as it
    is, with its sign turned, or taken from 1 or 100. Where the best and the last value do equally well, it is the best,
    which spares more trials; of equal metrics one that is not of the training.

    Args:
        spec: What defines the study.
        scored: Trials with a score.
        metric: ``auto``; or the only metric to consider, which may also order the trials as the score does without
            being it; or None for none.
    """
    latest = [trial for trial in scored if trial.curve.points][-_LATEST:]
    if metric is None or not latest:
        return None
    names = dict.fromkeys(name for trial in latest for name in trial.curve.metrics) if metric == "auto" else [metric]
    curves = {name: [_values(trial.curve, name) for trial in latest] for name in names}
    minimize_score = spec.direction == "minimize"
    for tolerance in _TOLERANCES:
        counted = []
        for name in names:
            for minimize, read, tied in _candidates(name, minimize_score):
                hits = 0
                for values, trial in zip(curves[name], latest, strict=True):
                    value = _counting(values, minimize, tied.by_best, tied.last)
                    # Every reading is its own inverse. Compared as the metric: from 1 or 100 small values look alike.
                    hits += value is not None and math.isclose(
                        value, read(_score(trial)), rel_tol=tolerance, abs_tol=1e-12
                    )
                counted.append((hits, "train" not in name.lower(), tied))
        best = max(counted, key=lambda item: item[:2], default=None)  # The first of equals.
        if best is not None and 2 * best[0] > len(latest):
            return best[2]
    return None if metric == "auto" else _by_order(metric, latest, curves[metric], minimize_score)


def _candidates(name: str, minimize_score: bool) -> Iterator[tuple[bool, Callable[[float], float], Tied]]:
    for place, read in enumerate(_READINGS):
        minimize = minimize_score == (place == 0)
        yield minimize, read, Tied(name, minimize, by_best=True)
        for last in range(1, _MOST + 1):
            yield minimize, read, Tied(name, minimize, by_best=False, last=last)


def _by_order(name: str, trials: Sequence[Trial], curves: Sequence[list[float]], minimize_score: bool) -> Tied | None:
    """Ties a metric by Kendall's tau between its last values and the scores; its sign gives the metric's direction."""
    ends = [(_score(trial), values[-1]) for trial, values in zip(trials, curves, strict=True) if values]
    pairs = [(a, b) for i, a in enumerate(ends) for b in ends[:i] if a[0] != b[0]]
    if len(pairs) < _PAIRS:
        return None
    signs = [(a[0] > b[0]) - (a[0] < b[0]) for a, b in pairs]
    tau = sum(s * ((a[1] > b[1]) - (a[1] < b[1])) for s, (a, b) in zip(signs, pairs, strict=True)) / len(pairs)
    if abs(tau) < _CONCORDANT:
        return None
    minimize = minimize_score == (tau > 0)
    return Tied(name, minimize, by_best=True)


def _values(curve: Curve, metric: str) -> list[float]:
    return [value for _, value in curve.series(metric) if math.isfinite(value)]


def _counting(values: list[float], minimize: bool, by_best: bool, last: int) -> float | None:
    if not values or last > len(values):
        return None
    if by_best:
        return min(values) if minimize else max(values)
    return sum(values[-last:]) / last


def _score(trial: Trial) -> float:
    assert trial.value is not None  # Only scored trials come here.
    return trial.value
