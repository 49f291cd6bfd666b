"""One metric's values along a count, thinned evenly as they come, so that memory is bounded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

Entry = tuple[int, float, float]
"""Step, value, and the time in seconds since the epoch."""
Values = Mapping[str, Sequence[Entry]]
"""Metric -> its entries by ascending steps."""


class Series:
    """Keeps the first entry, the newest, and of those in between every second, fourth, eighth ... as they get more."""

    __slots__ = ("_count", "_every", "_kept", "_newest")

    def __init__(self) -> None:
        self._kept: list[Entry] = []
        self._newest: Entry | None = None
        self._every, self._count = 1, 0

    @property
    def entries(self) -> list[Entry]:
        """What is kept, by ascending steps."""
        newest = self._newest
        return self._kept if newest is None or (self._kept and self._kept[-1] is newest) else [*self._kept, newest]

    @property
    def thinned(self) -> bool:
        """Whether entries were left out."""
        return self._every > 1

    def add(self, entry: Entry, most: int) -> None:
        """Adds an entry. One of the newest one's step replaces it, one of a lower step all that lie behind that.

        Args:
            entry: The new one.
            most: How many may be kept.
        """
        newest, kept = self._newest, self._kept
        if newest is not None and entry[0] <= newest[0]:
            while kept and kept[-1][0] >= entry[0]:
                kept.pop()
                self._count = len(kept) * self._every
            if newest[0] == entry[0] and self._count % self._every:
                self._newest = entry
                return
        self._newest = entry
        if self._count % self._every == 0:
            kept.append(entry)
            while len(kept) > most:
                del kept[1::2]
                self._every *= 2
        self._count += 1


def thinned(entries: Sequence[Entry], most: int) -> Sequence[Entry]:
    """Returns at most so many entries, evenly chosen, the first and the last among them."""
    if len(entries) <= most:
        return entries
    last = len(entries) - 1
    return [entries[round(place * last / (most - 1))] for place in range(most)]


def shifted(values: Values, move: Callable[[Entry], Entry]) -> Values:
    """Returns the values with each entry moved."""
    return {name: [move(entry) for entry in entries] for name, entries in values.items()}


def first_step(values: Values) -> int | None:
    """Returns the least step of all; None if there is no value."""
    return min((entries[0][0] for entries in values.values() if entries), default=None)


def last_step(values: Values) -> int | None:
    """Returns the greatest step of all; None if there is no value."""
    return max((entries[-1][0] for entries in values.values() if entries), default=None)


def first_time(values: Values) -> float | None:
    """Returns when the first value was logged; None if there is none."""
    return min((entry[2] for entries in values.values() for entry in entries), default=None)
