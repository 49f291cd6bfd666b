"""A number in as few digits as tell it from its neighbours: three for most, more where a range has an offset.

Three digits tell a hundredth of a range apart that begins near 0 or spans decades. Of 1000 to 1010 they make one value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from neuropt_core.space import Categorical, Parameter, Value

_DIGITS = 3
_EXACT = 17  # digits that tell any two floats apart


def figure(value: Value, parameter: Parameter | None = None) -> str:
    """Returns a value of a parameter as text; a float to half a hundredth of the range or better, on its scale.

    A value within the bounds never becomes a text outside them, so that what is shown can be proposed. Whole numbers
    are told whole; what is no number, in Python's words.

    Args:
        value: Any value, within the bounds or not.
        parameter: What it is a value of; None for a number without a range, which gets three digits.
    """
    if not isinstance(value, float) or not math.isfinite(value):
        return str(value)
    if parameter is None or isinstance(parameter, Categorical):
        return f"{value:.{_DIGITS}g}"
    low, high = float(parameter.low), float(parameter.high)
    digits = digits_for(_relative_width(parameter))
    held = low <= value <= high
    while digits < _EXACT and held and not low <= float(f"{value:.{digits}g}") <= high:
        digits += 1
    return f"{value:.{digits}g}"


def digits_for(width: float) -> int:
    """Returns how many significant digits tell hundredths of a range apart, between 3 and 17.

    The error of rounding to d digits is at most half of 10^(1 - d) of the magnitude: half a hundredth of the range.

    Args:
        width: The range as a share of its largest magnitude; 0 where it is a point.
    """
    return min(_EXACT, max(_DIGITS, math.ceil(3 - math.log10(width) - 1e-9))) if width > 0 else _DIGITS


def alike_digits(values: Sequence[float], least: int = _DIGITS, most: int = 7) -> int:
    """Returns how many significant digits tell hundredths of the finite values' own range apart.

    Args:
        values: What is shown side by side.
        least: The fewest digits.
        most: The most; beyond them a difference is noise.
    """
    finite = [v for v in values if math.isfinite(v)]
    largest = max(map(abs, finite), default=0.0)
    width = max(finite) / largest - min(finite) / largest if largest else 0.0
    return min(most, max(least, digits_for(width)))


def _relative_width(parameter: Parameter) -> float:
    if isinstance(parameter, Categorical):
        return 0.0
    low, high = float(parameter.low), float(parameter.high)
    if parameter.log:
        return math.log(high / low)
    # Divided first, since the width of a range may be more than a float can hold.
    largest = max(abs(low), abs(high))
    return high / largest - low / largest
