"""Where a curve is heading: an ensemble of power laws, and how far other trials got from the same step.

Everything here is in losses: less is better; who maximises turns the signs of what goes in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_POWERS = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
"""The exponents c of a + b x^-c: from hardly bent (0.1 is close to a logarithm) to flat after a few steps."""
_POINTS = 24
"""A longer curve is thinned to as many points: the fit hardly changes, its cost would."""
_LEAST = 4
"""Points that a fit needs: its parameters are three."""
_SPREAD = 0.5
"""Standard deviation of the logarithm of how much a trial gains, as a multiple of what another one did."""


@dataclass(frozen=True, slots=True)
class _Fit:
    """What one power law says of the end: Student's t around `mean`.

    Attributes:
        mean: The predicted value.
        scale: The standard error of the prediction, that of one more measurement.
        freedom: Degrees of freedom.
        misfit: The mean square of the residuals.
    """

    mean: float
    scale: float
    freedom: int
    misfit: float


def chance_by_shape(points: Sequence[tuple[int, float]], last_step: int, target: float) -> tuple[float, float] | None:
    """Returns the chance that a curve ends below `target`, and the value at which it is expected to end.

    An ensemble of laws ``y = a + b x^-c`` over a grid of c, fitted by least squares to the whole curve and to its later
    half, each with the exact predictive distribution of a linear model (Student's t), and weighted by fit. Power laws
    and their ensembles: Domhan et al. 2015 (IJCAI, "Speeding up automatic hyperparameter optimization of deep neural
    networks by extrapolation of learning curves"); there sampled, here in closed form for each c.

    Args:
        points: (step, value), the steps ascending and distinct, the values finite.
        last_step: The step at which the curve will end.
        target: What it must fall below.

    Returns:
        None where there are too few points to say anything, or where the curve is at its end.
    """
    if len(points) < _LEAST or last_step <= points[-1][0]:
        return None
    first, gap = points[0][0], (points[-1][0] - points[0][0]) / (len(points) - 1)
    scaled = [((step - first) / gap + 1.0, value) for step, value in points]
    end = (last_step - first) / gap + 1.0
    windows = [_thinned(scaled)]
    if len(points) // 2 >= _LEAST:
        windows.append(_thinned(scaled[len(points) // 2 :]))
    fits = [fit for window in windows for power in _POWERS if (fit := _fit(window, end, power)) is not None]
    if not fits:
        return None
    # An exact fit must not silence the others: what looks like a law so far need not go on being one.
    floor = 1e-3 * _mean_square([value for _, value in scaled]) + 1e-300
    if not math.isfinite(floor):
        return None
    weights = [floor / (fit.misfit + floor) for fit in fits]
    total = sum(weights)
    chance = sum(w * _below(fit, target) for fit, w in zip(fits, weights, strict=True)) / total
    return chance, sum(w * fit.mean for fit, w in zip(fits, weights, strict=True)) / total


def chance_by_gains(value: float, target: float, gains: Sequence[float]) -> float:
    """Returns the chance that a trial falls from `value` below `target`, going by how far others fell from there.

    The trial is taken to gain what one of the others gained, times a factor whose logarithm is normal around 0. This
    knows what no shape can: that all trials drop once the learning rate does.

    Args:
        value: Where the trial is.
        target: What it must fall below.
        gains: How far each of the others fell from this step to its end; below 0 if it rose.
    """
    need = value - target
    if need < 0 or not gains:
        return 1.0
    return sum(_reaches(gain, need) for gain in gains) / len(gains)


def _reaches(gain: float, need: float) -> float:
    if gain <= 0 or need == 0 or gain / need == 0:
        return float(gain > 0 and need == 0)
    return _normal(math.log(gain / need) / _SPREAD)


def _thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    if len(points) <= _POINTS:
        return points
    last = len(points) - 1
    return [points[round(i * last / (_POINTS - 1))] for i in range(_POINTS)]


def _fit(points: Sequence[tuple[float, float]], end: float, power: float) -> _Fit | None:
    count = len(points)
    u = [x**-power for x, _ in points]
    u_mean, y_mean = sum(u) / count, sum(y for _, y in points) / count
    spread = _squares([v - u_mean for v in u])
    if spread <= 0:
        return None
    slope = sum((v - u_mean) * (y - y_mean) for v, (_, y) in zip(u, points, strict=True)) / spread
    residuals = _squares([y - y_mean - slope * (v - u_mean) for v, (_, y) in zip(u, points, strict=True)])
    ahead = end**-power - u_mean
    freedom = count - 2
    variance = residuals / freedom * (1 + 1 / count + ahead**2 / spread)
    fit = _Fit(y_mean + slope * ahead, math.sqrt(variance), freedom, residuals / count)
    return fit if all(map(math.isfinite, (fit.mean, fit.scale, fit.misfit))) else None


def _below(fit: _Fit, target: float) -> float:
    if fit.scale <= 0:
        return float(fit.mean < target)
    return _student((target - fit.mean) / fit.scale, fit.freedom)


def _mean_square(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return _squares([value - mean for value in values]) / len(values)


def _squares(values: Sequence[float]) -> float:
    return sum(value * value for value in values)  # Not value**2, which raises where a product becomes infinite.


def _normal(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2))


def _student(t: float, freedom: int) -> float:
    """Returns the distribution function of Student's t for a whole number of degrees of freedom.

    Source: Abramowitz and Stegun 1964, equations 26.7.3 and 26.7.4.
    """
    angle = math.atan2(t, math.sqrt(freedom))
    sine, cosine_squared = math.sin(angle), math.cos(angle) ** 2
    odd = freedom % 2
    term = total = 1.0
    for k in range(1, (freedom - odd) // 2):
        term *= cosine_squared * (2 * k - 1 + odd) / (2 * k + odd)
        total += term
    if not odd:
        return 0.5 + 0.5 * sine * total
    inner = math.cos(angle) * sine * total if freedom > 1 else 0.0
    return 0.5 + (angle + inner) / math.pi
