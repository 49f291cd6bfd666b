"""Which configurations were tried, so that one more is compared with its neighbours alone."""

from __future__ import annotations

import bisect
import math
from collections.abc import Hashable, Mapping
from typing import TypeGuard

from neuropt_core.space import Float, SearchSpace, Value

_WINDOW = 0.0101
"""A little more than the hundredth of a range within which `SearchSpace.alike` takes two numbers for one."""


def key_of(params: Mapping[str, Value]) -> Hashable:
    """Returns the same for equal configurations alone: 1, 1.0 and True are three values."""
    return frozenset((name, type(value).__name__, value) for name, value in params.items())


class Tried:
    """Configurations, found by `SearchSpace.alike` in the time that a few of them take, however many there are.

    They lie in buckets of equal choices and whole numbers, each sorted by its first real number.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._buckets: dict[Hashable, tuple[list[float], list[Mapping[str, Value]]]] = {}
        self._odd: list[Mapping[str, Value]] = []

    def add(self, params: Mapping[str, Value]) -> None:
        """Notes a configuration, legal or not."""
        bucket, position = self._place(params)
        if position is None:
            self._odd.append(params)
            return
        positions, there = self._buckets.setdefault(bucket, ([], []))
        at = bisect.bisect(positions, position)
        positions.insert(at, position)
        there.insert(at, params)

    def has_like(self, params: Mapping[str, Value]) -> bool:
        """Tells whether a configuration like this one was noted."""
        bucket, position = self._place(params)
        if position is None:
            everything = [*self._odd, *(p for _, there in self._buckets.values() for p in there)]
            return any(self._space.alike(params, other) for other in everything)
        positions, there = self._buckets.get(bucket, ([], []))
        near = slice(bisect.bisect(positions, position - _WINDOW), bisect.bisect(positions, position + _WINDOW))
        return any(self._space.alike(params, other) for other in (*there[near], *self._odd))

    def _place(self, params: Mapping[str, Value]) -> tuple[Hashable, float | None]:
        """Returns a bucket, and the place of the first real number in shares of its range; None for odd values."""
        bucket: list[tuple[str, str, Value]] = []
        position: float | None = None
        for name in sorted(params):
            value = params[name]
            if name not in self._space or not isinstance(parameter := self._space[name], Float):
                bucket.append((name, type(value).__name__, value))
                continue
            bucket.append((name, "float", None))
            if not _has_place(value, parameter.log):
                return tuple(bucket), None
            if position is None:
                position = _share(parameter, value)
        return tuple(bucket), 0.0 if position is None else position


def _has_place(value: Value, log: bool) -> TypeGuard[float]:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    return math.isfinite(value) and (value > 0 or not log)


def _share(parameter: Float, value: float) -> float:
    if parameter.log:
        return math.log(value / parameter.low) / math.log(parameter.high / parameter.low)
    return (value - parameter.low) / (parameter.high - parameter.low)
