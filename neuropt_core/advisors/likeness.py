"""How unlike two configurations are: Gower's distance, 0 for the same one and 1 for the opposite ends of everything.

Source: Gower 1971, "A General Coefficient of Similarity and Some of Its Properties", Biometrics 27(4).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neuropt_core.space import Categorical, Parameter, SearchSpace, Value

Array = npt.NDArray[np.float64]


class Ruler:
    """Measures configurations of one space.

    A number's place is its share of the range, on the parameter's own scale; a choice's place is its index. Where a
    parameter is inactive, or the user's own value is no number of the space, there is no place (nan): two without one
    are alike in it, one with and one without are as unlike as can be.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self._choice = np.array([isinstance(p, Categorical) for p in space.parameters])
        self._scales = [_Scale.of(p) for p in space.parameters]

    def places(self, configurations: Iterable[Mapping[str, Value]]) -> Array:
        """Returns the places of configurations, ``(n, d)``."""
        scales = self._scales
        rows = [[scale.place(params) for scale in scales] for params in configurations]
        return np.array(rows, dtype=float).reshape(len(rows), len(self.space))

    def differences(self, one: Array, other: Array) -> Array:
        """Returns how far apart ``(n, d)`` and ``(m, d)`` places are in each parameter: ``(n, m, d)`` in [0, 1]."""
        gaps = np.abs(one[:, None, :] - other[None, :, :])
        gaps[:, :, self._choice] = gaps[:, :, self._choice] > 0.5
        absent = np.isnan(one)[:, None, :], np.isnan(other)[None, :, :]
        # The user's own value may lie outside the range; nothing is further than the whole of it.
        return np.where(absent[0] & absent[1], 0.0, np.where(absent[0] | absent[1], 1.0, np.minimum(gaps, 1.0)))

    def near(self, one: Array, other: Array, limit: float) -> list[list[tuple[int, float]]]:
        """Returns for each of ``(n, d)`` places which of ``(m, d)`` differ from it in no parameter by `limit` or more.

        Each comes with the greatest of its differences, the nearest first, the earlier of equals first. It takes far
        less than `differences` where few are near, since one parameter after the other rules out most of what is left.
        """
        found: list[list[tuple[int, float]]] = [[] for _ in one]
        if not len(one) or not len(other):
            return found
        numbers_first = np.argsort(self._choice, kind="stable")  # They rule out more than choices do.
        gaps = self._differences(one[:, None, numbers_first[0]], other[None, :, numbers_first[0]], numbers_first[0])
        rows, columns = np.nonzero(gaps < limit)
        worst = gaps[rows, columns]
        for d in numbers_first[1:]:
            worst = np.maximum(worst, self._differences(one[rows, d], other[columns, d], d))
            kept = worst < limit
            rows, columns, worst = rows[kept], columns[kept], worst[kept]
        for place in np.lexsort((columns, worst)):
            found[rows[place]].append((int(columns[place]), float(worst[place])))
        return found

    def _differences(self, one: Array, other: Array, parameter: int) -> Array:
        """Returns `differences` in one parameter, for places that broadcast."""
        gaps = np.abs(one - other)
        gaps = np.minimum(gaps > 0.5 if self._choice[parameter] else gaps, 1.0)
        if not np.isnan(gaps).any() and not self._choice[parameter]:
            return gaps
        absent = np.isnan(one), np.isnan(other)
        return np.where(absent[0] & absent[1], 0.0, np.where(absent[0] | absent[1], 1.0, gaps))

    def distances(self, one: Array, other: Array) -> Array:
        """Returns Gower's distance between ``(n, d)`` and ``(m, d)`` places: ``(n, m)`` in [0, 1]."""
        means: Array = self.differences(one, other).mean(axis=2)
        return means

    def nearest(self, params: Mapping[str, Value], others: Sequence[Mapping[str, Value]]) -> tuple[int, float]:
        """Returns which of `others` is nearest to a configuration, and how far it is; (-1, 1.0) without any."""
        if not others:
            return -1, 1.0
        row = self.distances(self.places([params]), self.places(others))[0]
        return int(row.argmin()), float(row.min())


@dataclass(frozen=True, slots=True)
class _Scale:
    """What tells a value's place in one parameter, worked out once for thousands of trials."""

    name: str
    low: float = 0.0
    width: float = 1.0
    log: bool = False
    choices: Mapping[tuple[type, Value], float] | None = None

    @classmethod
    def of(cls, parameter: Parameter) -> _Scale:
        if isinstance(parameter, Categorical):
            places = {(type(c), c): float(i) for i, c in reversed(list(enumerate(parameter.choices)))}
            return cls(parameter.name, choices=places)
        low, high = (math.log(v) if parameter.log else float(v) for v in (parameter.low, parameter.high))
        return cls(parameter.name, low, high - low, parameter.log)

    def place(self, params: Mapping[str, Value]) -> float:
        if self.name not in params:
            return math.nan
        value = params[self.name]
        if self.choices is not None:
            return self.choices.get((type(value), value), math.nan)
        if isinstance(value, (bool, str, type(None))) or (self.log and value <= 0):
            return math.nan
        return ((math.log(value) if self.log else float(value)) - self.low) / self.width
