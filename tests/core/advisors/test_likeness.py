"""Gower's distance over mixed and conditional parameters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spaces import MIXED, spaces

from neuropt_core.advisors.chance import draw
from neuropt_core.advisors.likeness import Ruler
from neuropt_core.space import SearchSpace, Value

ONE: dict[str, Value] = {"lr": 1e-3, "dropout": 0.0, "width": 64, "opt": "adam"}


@settings(max_examples=40, deadline=None)
@given(space=spaces(), seed=st.integers(0, 99))
def test_it_is_a_distance(space: SearchSpace, seed: int) -> None:
    """It is 0 from a configuration to itself, the same both ways, never over 1, and keeps the triangle's rule."""
    ruler = Ruler(space)
    places = ruler.places([draw(space, seed, n) for n in range(4)])
    found = ruler.distances(places, places)
    assert found.diagonal() == pytest.approx(0)
    assert found == pytest.approx(found.T)
    assert 0 <= found.min() <= found.max() <= 1
    assert all(found[i, j] <= found[i, k] + found[k, j] + 1e-9 for i in range(4) for j in range(4) for k in range(4))


@settings(max_examples=40, deadline=None)
@given(space=spaces(), seed=st.integers(0, 99), limit=st.floats(0.01, 1.0))
def test_what_is_near_is_what_differs_little_in_each_parameter(space: SearchSpace, seed: int, limit: float) -> None:
    """The quick search finds what the table of all differences says, the nearest first, odd values and all."""
    ruler = Ruler(space)
    odd: dict[str, Value] = {"p0": "none such"}
    one, other = (ruler.places([draw(space, seed, n) for n in numbers] + [odd]) for numbers in (range(6), range(4, 20)))
    worst = ruler.differences(one, other).max(axis=2)
    for row, found in zip(worst, ruler.near(one, other, limit), strict=True):
        near = [i for i in np.argsort(row, kind="stable") if row[i] < limit]
        assert found == [(i, row[i]) for i in near]
    assert ruler.near(one, other[:0], limit) == [[] for _ in one]


def test_each_parameter_counts_alike_on_its_own_scale() -> None:
    """A decade of a rate over five decades is a fifth of its range, and a parameter a fifth of the whole."""
    ruler = Ruler(MIXED)
    assert ruler.nearest(ONE, [{**ONE, "lr": 1e-2}])[1] == pytest.approx(0.2 / 5)
    assert ruler.nearest(ONE, [{**ONE, "opt": "sgd", "momentum": 0.9}])[1] == pytest.approx(2 / 5)


def test_the_nearest_is_named() -> None:
    """Of several configurations the nearest one's place comes back, and none from an empty list."""
    ruler = Ruler(MIXED)
    assert ruler.nearest(ONE, [{**ONE, "width": 512}, {**ONE, "width": 65}])[0] == 1
    assert ruler.nearest(ONE, []) == (-1, 1.0)


def test_what_is_no_value_of_the_space_has_no_place() -> None:
    """A user's own value on the wrong side of zero, or among no choices, is as unlike as can be, and no error."""
    ruler = Ruler(MIXED)
    odd = {**ONE, "lr": 0.0, "opt": "lion"}
    assert ruler.nearest(ONE, [odd])[1] == pytest.approx(2 / 5)
    assert ruler.nearest(odd, [odd])[1] == pytest.approx(0)
