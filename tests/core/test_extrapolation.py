"""Where a curve is heading."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from neuropt_core.extrapolation import _student, chance_by_gains, chance_by_shape


def _law(a: float, b: float, c: float, steps: int, noise: float = 0.0, seed: int = 0) -> list[tuple[int, float]]:
    chance = random.Random(seed)
    return [(t, a + b * (t + 1) ** -c + chance.gauss(0, noise)) for t in range(steps)]


@pytest.mark.parametrize("freedom", [1, 2, 3, 7, 22])
def test_students_t_is_scipys(freedom: int) -> None:
    """The distribution function agrees with scipy's to 12 digits, far tails included."""
    for z in (-30.0, -2.0, -0.1, 0.0, 1.5, 9.0):
        assert _student(z, freedom) == pytest.approx(student.cdf(z, freedom), rel=1e-9, abs=1e-13)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_a_power_law_is_found(power: float) -> None:
    """The expected end of an exact power law is near its true end, which lies far ahead."""
    found = chance_by_shape(_law(0.5, 1.0, power, 12), 49, 0.0)
    assert found is not None
    assert found[1] == pytest.approx(0.5 + 50**-power, abs=0.03)


def test_the_chance_is_high_below_reach_and_low_beyond() -> None:
    """A target well above the end is reached almost surely, one well below it almost never."""
    points = _law(0.5, 1.0, 1.0, 12, noise=0.01)
    easy, hard = chance_by_shape(points, 49, 0.8), chance_by_shape(points, 49, 0.2)
    assert easy is not None
    assert hard is not None
    assert easy[0] > 0.99
    assert hard[0] < 0.01


def test_the_chance_is_what_happens() -> None:
    """Of noisy power laws whose chance is told as below 5 %, hardly any reach the target; of those above 50 %, most."""
    doomed, hopeful = [], []
    for seed in range(300):
        draw = random.Random(f"laws {seed}")
        a, c = draw.uniform(0.1, 0.9), draw.uniform(0.3, 2.0)
        points = _law(a, 1.0, c, 30, noise=0.02, seed=seed)
        found = chance_by_shape(points[:10], 29, 0.5)
        assert found is not None
        if found[0] < 0.05:
            doomed.append(points[-1][1] < 0.5)
        elif found[0] > 0.5:
            hopeful.append(points[-1][1] < 0.5)
    assert len(doomed) > 80
    assert sum(doomed) / len(doomed) < 0.05
    assert sum(hopeful) / len(hopeful) > 0.7


def test_too_little_says_nothing() -> None:
    """Three points, or a curve at its end, have no outlook."""
    points = _law(0.5, 1.0, 1.0, 10)
    assert chance_by_shape(points[:3], 49, 0.0) is None
    assert chance_by_shape(points, 9, 0.0) is None
    assert chance_by_shape(points[:4], 9, 0.0) is not None


def test_a_constant_curve_stays_where_it_is() -> None:
    """What never moved is expected to stay: it reaches what lies above it and nothing below."""
    points = [(t, 1.0) for t in range(8)]
    assert chance_by_shape(points, 19, 1.1) == (pytest.approx(1.0), pytest.approx(1.0))
    assert chance_by_shape(points, 19, 0.9) == (0.0, pytest.approx(1.0))


def test_steps_need_not_be_0_1_2() -> None:
    """A curve that is reported every 500 batches has the outlook of the same curve in epochs."""
    points = _law(0.5, 1.0, 1.0, 12, noise=0.01)
    spread = [(500 * (t + 1), value) for t, value in points]
    assert chance_by_shape(spread, 500 * 50, 0.5) == pytest.approx(chance_by_shape(points, 49, 0.5))


@given(
    st.lists(st.floats(-1e300, 1e300), min_size=4, max_size=40),
    st.integers(40, 1000),
    st.floats(-1e300, 1e300),
)
def test_any_curve_has_a_chance_or_none(values: list[float], last: int, target: float) -> None:
    """Whatever is reported, huge numbers included, the chance is a number from 0 to 1 or there is none."""
    found = chance_by_shape(list(enumerate(values)), last, target)
    assert found is None or (0 <= found[0] <= 1 + 1e-9 and math.isfinite(found[1]))


def test_gains_of_others() -> None:
    """A trial that needs what all others gained has about even odds; ten times that is hopeless, nothing is sure."""
    assert chance_by_gains(1.0, 0.5, [0.5, 0.5]) == pytest.approx(0.5)
    assert chance_by_gains(1.0, 0.5, [0.05, -0.2]) < 0.001
    assert chance_by_gains(1.0, 1.2, [0.05]) == 1.0
    assert chance_by_gains(1.0, 1.0, [0.05, -0.05]) == 0.5


@given(
    st.floats(-1e300, 1e300),
    st.floats(-1e300, 1e300),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=9),
)
def test_any_gain_has_a_chance(value: float, target: float, gains: list[float]) -> None:
    """Whatever the numbers, the chance lies between 0 and 1."""
    assert 0 <= chance_by_gains(value, target, gains) <= 1 + 1e-9
