"""How many digits a number gets."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuropt_core.figures import digits_for, figure
from neuropt_core.space import Categorical, Float, Int, Parameter, Value

LR = Float(name="lr", low=1e-5, high=1e-1, log=True)
OFFSET = Float(name="x", low=1000.0, high=1010.0)


@pytest.mark.parametrize(
    ("value", "parameter", "text"),
    [
        (3.00049e-4, LR, "0.0003"),
        (0.3333333, Float(name="x", low=0, high=1), "0.333"),
        (1003.571428, OFFSET, "1003.57"),
        (0.99961234, Float(name="x", low=0.9, high=0.9999), "0.99961"),
        (0.9996, Float(name="x", low=0.0, high=0.9999), "0.9996"),
        (1.0012345, Float(name="x", low=1.0, high=1.1, log=True), "1.0012"),
        (5.0, OFFSET, "5"),
        (123456.0, Float(name="x", low=0, high=1e6), "1.23e+05"),
        (0.123456, None, "0.123"),
        (0.123456, Categorical(name="x", choices=(0.123456,)), "0.123"),
        (1234567, Int(name="x", low=1, high=9999999), "1234567"),
        (math.nan, LR, "nan"),
        ("auto", LR, "auto"),
        (True, LR, "True"),
    ],
)
def test_a_number_is_as_long_as_its_range_needs(value: Value, parameter: Parameter | None, text: str) -> None:
    """Three digits where they tell a hundredth of the range, more where there is an offset or a bound is near."""
    assert figure(value, parameter) == text


_ENDS = st.floats(-1e300, 1e300)


@given(_ENDS, _ENDS, st.floats(0, 1))
def test_what_lies_within_is_shown_within(one: float, other: float, share: float) -> None:
    """A shown value could be proposed, and is off by half a hundredth of the range at most."""
    low, high = sorted((one, other))
    if not low < high:
        return
    value = min(max(low * (1 - share) + high * share, low), high)
    shown = float(figure(value, Float(name="x", low=low, high=high)))
    assert low <= shown <= high
    assert abs(shown - value) <= (high / 200 - low / 200) * 1.001 + 1e-15 * max(abs(low), abs(high))


@given(st.floats(1e-300, 1e300), st.floats(1.0001, 1e6), st.floats(0, 1))
def test_on_a_log_scale_too(low: float, factor: float, share: float) -> None:
    """Half a hundredth of the logarithm's range, or three digits, tell values apart."""
    high = low * factor
    if math.isinf(high):
        return
    value = min(max(low * factor**share, low), high)
    shown = float(figure(value, Float(name="x", low=low, high=high, log=True)))
    assert low <= shown <= high
    assert abs(math.log(shown / value)) <= min(math.log(factor) / 199, 0.0051) + 1e-12


def test_digits_have_bounds() -> None:
    """A point needs no more than three, and no range more than a float holds."""
    assert digits_for(0.0) == 3
    assert digits_for(5.0) == 3
    assert digits_for(1e-300) == 17
