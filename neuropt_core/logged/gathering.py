"""The rows of one log as values by metric and step, along one count that all its metrics share.

The count is the rows' own ``epoch`` if they have one and it only ever holds whole numbers that do not fall; else their
``global_step`` under the same condition; else the logger's step. A key counts under the last part of its name, so that
``train/epoch`` is an epoch. A row without the key belongs to the next one that has it, at the end to the last.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from neuropt_core.logged._series import Entry, Series, Values
from neuropt_core.logged.rows import Row

MOST_POINTS = 1000
"""The most values of one metric that are kept."""
MOST_VALUES = 10_000
"""The most values of all metrics of one log."""
MOST_METRICS = 200
"""The most metrics of one log, in the order of their first values."""
_COUNTS = ("epoch", "global_step")


class Gathering:
    """Takes in rows one by one; holds at most `MOST_VALUES` values for each way to count.

    Attributes:
        crowded: Whether there were more than `MOST_METRICS` metrics.
    """

    def __init__(self) -> None:
        self._axes = (_Axis(), _Axis())
        self._own = _Axis()
        self._names: set[str] = set()
        self._keys: dict[str, str] = {}
        self.crowded = False

    @property
    def thinned(self) -> bool:
        """Whether values were left out since there were too many."""
        return self._axis.thinned

    @property
    def values(self) -> Values:
        """What counts so far."""
        return self._axis.values()

    def add(self, row: Row) -> None:
        """Takes in a row; one whose step is below 0 is left out."""
        if row.step < 0:
            return
        metrics: dict[str, float] = {}
        counts: dict[str, dict[str, float]] = {kind: {} for kind in _COUNTS}
        for name, value in row.values.items():
            if kind := self._counts_as(name):
                counts[kind][name] = value
            elif name in self._names or self._takes(name):
                metrics[name] = value
        most = self._most
        for kind, axis in zip(_COUNTS, self._axes, strict=True):
            axis.add(metrics, row.time, axis.chosen(kind, counts[kind]), most)
        self._own.add(metrics, row.time, row.step, most, falls=True)

    @property
    def _most(self) -> int:
        return min(MOST_POINTS, MOST_VALUES // max(1, len(self._names)))

    @property
    def _axis(self) -> _Axis:
        return next((axis for axis in self._axes if axis.holds), self._own)

    def _counts_as(self, name: str) -> str:
        """Returns which of `_COUNTS` a name is, "" if none."""
        if (kind := self._keys.get(name)) is None:
            last = re.split(r"[/.]", name)[-1].lower()
            kind = last if last in _COUNTS else ""
            if len(self._keys) < 4 * MOST_METRICS:  # Names that hold a number would fill the memory.
                self._keys[name] = kind
        return kind

    def _takes(self, name: str) -> bool:
        if len(self._names) >= MOST_METRICS:
            self.crowded = True
            return False
        self._names.add(name)
        return True


class _Axis:
    """All metrics along one count."""

    __slots__ = ("_broken", "_key", "_newest", "_series", "_waiting")

    def __init__(self) -> None:
        self._key = ""
        self._series: dict[str, Series] = {}
        self._waiting: dict[str, tuple[float, float]] = {}
        self._newest: int | None = None
        self._broken = False

    @property
    def holds(self) -> bool:
        """Whether the rows can be counted by it."""
        return self._newest is not None and not self._broken

    @property
    def thinned(self) -> bool:
        """Whether values were left out."""
        return any(series.thinned for series in self._series.values())

    def chosen(self, kind: str, counts: Mapping[str, float]) -> float | None:
        """Returns a row's count, given what it holds of this kind: under the bare name, or the one that came first."""
        if not self._key and counts:
            self._key = kind if kind in counts else next(iter(counts))
        return counts.get(self._key)

    def values(self) -> dict[str, list[Entry]]:
        """Returns the values so far; what still waits for its row belongs to the last one, if that lacks it."""
        found = {name: list(series.entries) for name, series in self._series.items()}
        if self._newest is not None:
            for name, (value, time) in self._waiting.items():
                entries = found.setdefault(name, [])
                if not entries or entries[-1][0] < self._newest:
                    entries.append((self._newest, value, time))
        return found

    def add(
        self, metrics: Mapping[str, float], time: float, count: float | None, most: int, *, falls: bool = False
    ) -> None:
        """Takes in a row; one that this axis cannot count ends it, unless counts may fall."""
        if self._broken:
            return
        if count is None:
            self._waiting |= {name: (value, time) for name, value in metrics.items()}
            return
        if not falls and (count != count or count < (self._newest or 0) or count != count // 1 or count > 2**53):
            self._broken, self._series, self._waiting = True, {}, {}
            return
        step = int(count)
        self._newest = step if self._newest is None else max(step, self._newest)
        for name, (value, at) in self._waiting.items():
            if name not in metrics:
                self._put(name, (step, value, at), most)
        self._waiting = {}
        for name, value in metrics.items():
            self._put(name, (step, value, time), most)

    def _put(self, name: str, entry: Entry, most: int) -> None:
        series = self._series.get(name)
        if series is None:
            series = self._series[name] = Series()
        series.add(entry, most)
