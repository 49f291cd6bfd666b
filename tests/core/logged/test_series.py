"""One metric's values, thinned as they come."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from neuropt_core.logged._series import Series, thinned


def _series(steps: list[int], most: int) -> Series:
    series = Series()
    for value, step in enumerate(steps):
        series.add((step, float(value), float(value)), most)
    return series


@given(st.integers(1, 3000), st.integers(2, 60))
def test_long_series_are_thinned_evenly(count: int, most: int) -> None:
    """The first and the last stay, no more than asked for are kept between them, and their distances are equal."""
    series = _series(list(range(count)), most)
    steps = [entry[0] for entry in series.entries]
    assert (steps[0], steps[-1]) == (0, count - 1)
    assert len(steps) <= most + 1
    assert series.thinned == (count > most)
    if series.thinned:
        assert len(steps) >= most // 2
        assert len({b - a for a, b in pairwise(steps[:-1])}) <= 1


@given(st.lists(st.integers(0, 30), max_size=200), st.integers(2, 8))
def test_steps_ascend_whatever_comes(steps: list[int], most: int) -> None:
    """A step that comes again, or falls, replaces what was from there on: the last value of a step is the one kept."""
    series = _series(steps, most)
    kept = series.entries
    assert [entry[0] for entry in kept] == sorted({entry[0] for entry in kept})
    assert all(entry == (steps[int(entry[1])], entry[1], entry[1]) for entry in kept)
    if steps:
        assert kept[-1][:2] == (steps[-1], len(steps) - 1.0)
        assert len(kept) <= most + 1
    last = {step: float(place) for place, step in enumerate(steps)}
    assert all(last[entry[0]] == entry[1] for entry in kept)


@given(st.integers(0, 500), st.integers(2, 50))
def test_what_is_joined_is_thinned_once_more(count: int, most: int) -> None:
    """Of a whole series at most so many are chosen, the first and the last among them."""
    entries = [(step, 0.0, 0.0) for step in range(count)]
    kept = thinned(entries, most)
    assert len(kept) == min(count, most)
    assert list(kept) == sorted(set(kept))
    assert not count or (kept[0], kept[-1]) == (entries[0], entries[-1])
