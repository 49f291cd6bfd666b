"""An even spread over the space."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from spaces import MIXED, spaces

from neuropt_core.advisors.fillers import filler
from neuropt_core.space import SearchSpace


@settings(max_examples=60, deadline=None)
@given(space=spaces(), seed=st.integers(0, 99), index=st.integers(0, 600))
def test_every_filler_is_legal(space: SearchSpace, seed: int, index: int) -> None:
    """Each point of the sequence is in the space, conditions included, and is a function of its arguments."""
    point = filler(space, seed, index)
    assert space.check(point) == ()
    assert filler(space, seed, index) == point


def test_the_spread_is_even() -> None:
    """Of the first 16 points each sixteenth of a range holds one: chance would leave a third of them empty."""
    found = sorted(int(float(filler(MIXED, 0, i)["dropout"]) / 0.5 * 16) for i in range(16))  # type: ignore[arg-type]
    assert found == list(range(16))


def test_studies_differ() -> None:
    """Two seeds spread differently, so that repeated studies do not try the same."""
    assert filler(MIXED, 0, 0) != filler(MIXED, 1, 0)
