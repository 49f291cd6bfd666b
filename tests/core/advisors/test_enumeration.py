"""All configurations of a small space."""

from __future__ import annotations

from itertools import islice

from neuropt_core.advisors.enumeration import configurations
from neuropt_core.space import Categorical, Float, Int, SearchSpace, When


def test_each_comes_once_and_is_legal() -> None:
    """A conditional parameter is there where it counts, and no configuration comes twice."""
    space = SearchSpace(
        (
            Categorical(name="a", choices=("x", "y")),
            Int(name="b", low=1, high=7, step=3, when=(When("a", ("y",)),)),
        )
    )
    assert list(configurations(space)) == [{"a": "x"}, {"a": "y", "b": 1}, {"a": "y", "b": 4}, {"a": "y", "b": 7}]


def test_a_real_number_comes_in_hundredths() -> None:
    """A range of real numbers is walked from end to end, and a large space yields what it can."""
    line = list(configurations(SearchSpace((Float(name="x", low=1e-4, high=1.0, log=True),))))
    assert len(line) == 101
    assert (line[0], line[-1]) == ({"x": 1e-4}, {"x": 1.0})
    large = SearchSpace(tuple(Float(name=f"x{i}", low=0.0, high=1.0) for i in range(6)))
    assert all(large.check(params) == () for params in islice(configurations(large), 50))
