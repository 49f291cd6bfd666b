"""What a good trial is: one or several objectives, and constraints on what a trial measured."""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from neuropt_core.errors import ConfigError
from neuropt_core.trial import Trial

Direction = Literal["minimize", "maximize"]

_CONSTRAINT = re.compile(r"\s*(?P<metric>[^\s<>=]+)\s*(?P<sign><=|>=)\s*(?P<bound>\S+)\s*")


@dataclass(frozen=True, slots=True)
class Constraint:
    """A bound on a metric that trials report, e.g. ``latency_ms <= 20``; judged by the metric's last value.

    Attributes:
        metric: The name under which `neuropt_core.report` gets it.
        at_most: Whether `bound` is an upper one.
        bound: In the metric's own unit.
    """

    metric: str
    at_most: bool
    bound: float

    @classmethod
    def parse(cls, text: str, where: str = "hydra.sweeper.constraints") -> Constraint:
        """Reads ``metric <= number`` or ``metric >= number``.

        Raises:
            ConfigError: The text is neither.
        """
        found = _CONSTRAINT.fullmatch(text)
        try:
            bound = float(found["bound"]) if found else math.nan
        except ValueError:
            bound = math.nan
        if found is None or not math.isfinite(bound):
            raise ConfigError(where, "must be a metric, <= or >=, and a finite number", got=text)
        return cls(found["metric"], found["sign"] == "<=", bound)

    def violation(self, trial: Trial) -> float:
        """Returns by how much a trial breaks it: 0 if it holds, infinite if the metric was not reported or is nan."""
        series = trial.curve.series(self.metric)
        value = series[-1][1] if series else math.nan
        if math.isnan(value):
            return math.inf
        return max(0.0, value - self.bound if self.at_most else self.bound - value)

    def __str__(self) -> str:
        # repr is exact, so that `parse` makes an equal constraint of it; "20" reads better than "20.0".
        return f"{self.metric} {'<=' if self.at_most else '>='} {repr(self.bound).removesuffix('.0')}"


def losses(trial: Trial, directions: Sequence[Direction]) -> tuple[float, ...] | None:
    """Returns the scores with their signs turned such that less is better; None for a trial without a score."""
    if trial.value is None:
        return None
    return tuple(v if d == "minimize" else -v for v, d in zip(trial.values, directions, strict=True))


def fronts(points: Sequence[tuple[float, ...]]) -> list[int]:
    """Returns the front of each point ``(n, d)``, less being better: 0 for those that no other dominates.

    Source: the non-dominated sorting of Deb et al. 2002 (NSGA-II), plainly written.
    """
    left, found, front = set(range(len(points))), [0] * len(points), 0
    while left:
        first = {i for i in left if not any(_dominates(points[j], points[i]) for j in left)}
        for i in first:
            found[i] = front
        left -= first
        front += 1
    return found


def pareto_front(trials: Iterable[Trial], directions: Sequence[Direction]) -> tuple[Trial, ...]:
    """Returns the scored trials that no other one beats in all objectives, in the order of their numbers."""
    scored = [(t, point) for t in trials if (point := losses(t, directions)) is not None]
    return tuple(t for t, point in scored if not any(_dominates(other, point) for _, other in scored))


def order(trials: Iterable[Trial], directions: Sequence[Direction], constraints: Sequence[Constraint]) -> list[Trial]:
    """Returns the scored trials, best first, the earlier of equals first.

    Those that break no constraint come first, then by how far the others break theirs, each in shares of its bound. Of
    several objectives the fronts decide, and within a front a trial's worst rank among all in any objective, then the
    sum of its ranks: the balanced ones first. (The sum alone is the same for all of a front of two objectives.)
    """
    if len(directions) == 1 and not constraints:  # Asked several times for each trial of thousands.
        sign = 1 if directions[0] == "minimize" else -1
        values = [(t.value, t) for t in trials]
        plain = [(sign * value, t.number, i) for i, (value, t) in enumerate(values) if value is not None]
        return [values[i][1] for _, _, i in sorted(plain)]
    scored = [(t, point) for t in trials if (point := losses(t, directions)) is not None]
    points = [point for _, point in scored]
    if len(directions) == 1:
        keys: list[tuple[float, ...]] = list(points)
    else:
        columns = [sorted(column) for column in zip(*points, strict=True)]
        ranks = [[bisect_left(columns[d], x) for d, x in enumerate(point)] for point in points]
        keys = [(front, max(rank), sum(rank)) for front, rank in zip(fronts(points), ranks, strict=True)]
    broken = [sum(c.violation(t) / (abs(c.bound) or 1.0) for c in constraints) for t, _ in scored]
    indexed = sorted(range(len(scored)), key=lambda i: (broken[i], keys[i], scored[i][0].number))
    return [scored[i][0] for i in indexed]


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
