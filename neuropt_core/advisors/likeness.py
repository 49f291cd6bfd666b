"""How unlike two configurations are: Gower's distance, 0 for the same one and 1 for the opposite ends of everything.

Source: Gower 1971, "A General Coefficient of Similarity and Some of Its Properties", Biometrics 27(4).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

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

    def places(self, configurations: Iterable[Mapping[str, Value]]) -> Array:
        """Returns the places of configurations, ``(n, d)``."""
        rows = [[_place(p, params) for p in self.space.parameters] for params in configurations]
        return np.array(rows, dtype=float).reshape(len(rows), len(self.space))

    def differences(self, one: Array, other: Array) -> Array:
        """Returns how far apart ``(n, d)`` and ``(m, d)`` places are in each parameter: ``(n, m, d)`` in [0, 1]."""
        gaps = np.abs(one[:, None, :] - other[None, :, :])
        gaps[:, :, self._choice] = gaps[:, :, self._choice] > 0.5
        absent = np.isnan(one)[:, None, :], np.isnan(other)[None, :, :]
        # The user's own value may lie outside the range; nothing is further than the whole of it.
        return np.where(absent[0] & absent[1], 0.0, np.where(absent[0] | absent[1], 1.0, np.minimum(gaps, 1.0)))

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


def _place(parameter: Parameter, params: Mapping[str, Value]) -> float:
    if parameter.name not in params:
        return math.nan
    value = params[parameter.name]
    if isinstance(parameter, Categorical):
        same = [i for i, c in enumerate(parameter.choices) if type(c) is type(value) and c == value]
        return float(same[0]) if same else math.nan
    if isinstance(value, (bool, str, type(None))) or (parameter.log and value <= 0):
        return math.nan
    low, high, at = (math.log(v) if parameter.log else float(v) for v in (parameter.low, parameter.high, value))
    return (at - low) / (high - low)
