"""Configurations spread evenly over the space: what nobody's belief has chosen, to hold beliefs against.

Source: Sobol 1967, scrambled by a linear matrix and a digital shift (Matousek 1998), as `scipy.stats.qmc.Sobol` does.
"""

from __future__ import annotations

import functools
import math
import random
import warnings

import numpy as np
import numpy.typing as npt

from neuropt_core.space import Categorical, Float, Parameter, SearchSpace, Value

_MADE = 256


def filler(space: SearchSpace, seed: int, index: int) -> dict[str, Value]:
    """Returns the point number `index` of the study's own sequence; a function of its arguments."""
    block, place = divmod(index, _MADE)
    shares = _points(len(space), random.Random(f"{seed}/{block}/filler").getrandbits(32))[place]
    values: dict[str, Value] = {}
    for parameter, share in zip(space.parameters, shares, strict=True):
        if space.is_active(parameter.name, values):
            values[parameter.name] = _at(parameter, float(share))
    return values


@functools.lru_cache(maxsize=4)
def _points(dimensions: int, seed: int) -> npt.NDArray[np.float64]:
    # Late: of a second of imports nothing is felt where no filler is drawn.
    from scipy.stats import qmc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # It would rather be asked for powers of two, which this is.
        points: npt.NDArray[np.float64] = qmc.Sobol(dimensions, scramble=True, rng=seed).random(_MADE)
    return points


def _at(parameter: Parameter, share: float) -> Value:
    if isinstance(parameter, Categorical):
        return parameter.choices[min(int(share * len(parameter.choices)), len(parameter.choices) - 1)]
    low, high = parameter.low, parameter.high
    if isinstance(parameter, Float):
        if not parameter.log:
            return low + share * (high - low)
        value = float(f"{math.exp(math.log(low) + share * math.log(high / low)):.4g}")
        return value if low <= value <= high else low  # Only the low end can be rounded out of the range.
    if parameter.log:
        exact = math.exp(math.log(low - 0.5) + share * math.log((high + 0.5) / (low - 0.5)))
        return min(max(round(exact), parameter.low), parameter.high)
    return (
        parameter.low + min(int(share * steps(parameter.low, parameter.high, parameter.step)), 10**9) * parameter.step
    )


def steps(low: int, high: int, step: int) -> int:
    """Returns how many whole numbers low, low + step, ... there are up to high."""
    return (high - low) // step + 1
