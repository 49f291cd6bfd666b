"""The scores so far: who ranks where, what the best quarter is, and how far scores lie apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from neuropt_core.advice import Request
from neuropt_core.trial import Trial


@dataclass(frozen=True, slots=True)
class Scores:
    """What can be said of the scored trials together.

    Attributes:
        ranked: The scored trials, best first.
        ranks: Number of a scored trial -> its rank, from 1.
        spread: The distance between the quartiles of the scores; 0 if they are all alike.
        sign: 1 if less is better, -1 if more is.
    """

    ranked: tuple[Trial, ...]
    ranks: Mapping[int, int]
    spread: float
    sign: float

    @classmethod
    def of(cls, request: Request) -> Scores:
        """Reads the scores of a request's trials."""
        ranked = request.ranked
        values = [t.value for t in ranked if t.value is not None]
        spread = abs(quantile(values, 0.75) - quantile(values, 0.25)) if values else 0.0
        ranks = {t.number: place for place, t in enumerate(ranked, start=1)}
        return cls(ranked, ranks, spread, 1.0 if request.spec.direction == "minimize" else -1.0)

    @property
    def quarter(self) -> int:
        """How many trials the best quarter holds: at least one, if any is scored."""
        return -(-len(self.ranked) // 4)

    def best_quarter(self, number: int) -> bool:
        """Tells whether a trial is scored and in the best quarter."""
        return self.ranks.get(number, self.quarter + 1) <= self.quarter


def quantile(values: Sequence[float], share: float) -> float:
    """Returns a quantile by linear interpolation between the two nearest of the values, of which there is one."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def numbers(trials: Sequence[Trial], limit: int = 8) -> str:
    """Returns the numbers of trials, ``#2, #5 and 3 more``."""
    shown = ", ".join(f"#{t.number}" for t in trials[:limit])
    return shown + (f" and {len(trials) - limit} more" if len(trials) > limit else "")
