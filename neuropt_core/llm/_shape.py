"""The shape of one metric over a trial, in shares of its own range: what a digest's labels are judged by.

Everything is the same for a loss of 0.02 and one of 20. For a loss with a constant added it is the same but for `moved`
and `ends_worse`, which ask how large a difference is beside the first value, and for curves that are level from their
second point on, of which `span` asks how far they move beside their best value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

WORSE = 0.15
"""Share of the range, or of the first value, by which an end is worse than the best point, or than the beginning."""
STILL = 0.02
"""Share of the first value under which a metric has hardly moved."""
_LEVEL = 0.05
_ALONE = 6
_FLAT = 0.4


@dataclass(frozen=True, slots=True)
class Series:
    """One metric, turned so that less is better.

    Attributes:
        steps: The steps of its finite values, at least one.
        values: The values, in the same order.
        share: True for a share of 1, such as an accuracy: its distance from 1 says, too, how far it might move.
    """

    steps: tuple[int, ...]
    values: tuple[float, ...]
    share: bool = False

    @property
    def best(self) -> int:
        """The index of the smallest value, the first of equals."""
        return min(range(len(self.values)), key=self.values.__getitem__)

    @property
    def span(self) -> float:
        """The range of the values; never 0, so that it can divide.

        From six points on without the first one: it often precedes all learning and would make the rest look flat.
        Where the rest is flat indeed, its noise is no range: two fifths of the whole range count, or of the best value
        if that is less.
        """
        whole = max(self.values) - min(self.values) or abs(self.values[0]) or 1.0
        if len(self.values) < _ALONE:
            return whole
        rest = max(self.values[1:]) - min(self.values[1:])
        return max(rest, _FLAT * min(whole, abs(self.values[self.best]))) or whole

    @property
    def lost(self) -> float:
        """How much of the range the last value lies above the best one, 0 or more."""
        return (self.values[-1] - self.values[self.best]) / self.span

    @property
    def tail(self) -> int:
        """How many points count as the end: the last quarter, but three at least."""
        return max(3, len(self.values) // 4)

    def change(self) -> float:
        """The change over the end by its least-squares line, as a share of the range; below 0 is better."""
        ys = [y - self.values[-1] for y in self.values[-self.tail :]]  # exact whatever the level
        middle, mean = (len(ys) - 1) / 2, sum(ys) / len(ys)
        spread = sum((x - middle) ** 2 for x in range(len(ys)))
        tilt = sum((x - middle) * (y - mean) for x, y in enumerate(ys))
        return tilt / spread * (len(ys) - 1) / self.span if spread else 0.0

    def swing(self) -> float:
        """The mean size of turns (a step against the one before it), as a share of the range; 0 where turns are few."""
        turns = self._turns()
        return sum(turns) / len(turns) / self.span if len(turns) * 2 >= len(self.values) - 2 > 0 else 0.0

    def noise(self) -> float:
        """The mean size of turns, however few, as a share of the range; 0 for one turn, which a smooth valley has."""
        turns = self._turns()
        return sum(turns) / len(turns) / self.span if len(turns) > 1 else 0.0

    def _turns(self) -> list[float]:
        moves = [b - a for a, b in pairwise(self.values)]
        return [min(abs(a), abs(b)) for a, b in pairwise(moves) if a * b < 0]

    def plateau(self) -> int:
        """How many of the last points lie within a twentieth of the range of each other."""
        low = high = self.values[-1]
        count, width = 0, _LEVEL * self.span
        for value in reversed(self.values):
            low, high = min(low, value), max(high, value)
            if high - low > width:
                break
            count += 1
        return count

    def reached(self) -> int:
        """The step by which nine tenths of the gain from the first to the best value were made."""
        first, best = self.values[0], self.values[self.best]
        return next(s for s, v in zip(self.steps, self.values, strict=True) if first - v >= 0.9 * (first - best))

    def moved(self) -> bool:
        """Tells whether the values moved by more than a fiftieth of the first one."""
        first = abs(self.values[0])
        reference = max(first, 1.0 - first) if self.share else first
        return reference == 0 or max(self.values) - min(self.values) >= STILL * reference

    def ends_worse(self) -> bool:
        """Tells whether the last two values are both clearly worse than the first."""
        return min(self.values[-2:]) - self.values[0] > WORSE * abs(self.values[0])


def trend(gap: Sequence[float], span: float) -> str:
    """Says how the gap of the last third compares with that of the first, beside the range of the curve.

    Args:
        gap: How much worse validation is than training, point by point; at least one.
        span: The range of the validation metric.
    """
    third = max(1, len(gap) // 3)
    change = sum(gap[-third:]) / third - sum(gap[:third]) / third
    if abs(change) <= max(0.25 * max(map(abs, gap)), 0.1 * span):
        return "steady"
    return "widening" if change > 0 else "closing"
