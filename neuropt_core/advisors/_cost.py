"""What a configuration would cost: the time that its neighbours took."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from neuropt_core.advisors._evidence import Evidence
from neuropt_core.space import Categorical, Parameter, SearchSpace, Value

_NEIGHBOURS = 5
_LOOKED_AT = 200


def timed(entries: Iterable[Evidence]) -> tuple[Evidence, ...]:
    """Returns the latest scored entries (at most 200) whose time is known."""
    known = [e for e in entries if e.values and e.trial.outcome is not None and e.trial.outcome.seconds > 0]
    return tuple(heapq.nlargest(_LOOKED_AT, known, key=lambda e: e.number))


def log_seconds(params: Mapping[str, Value], known: Sequence[Evidence], space: SearchSpace) -> float:
    """Returns the mean of the logarithm of seconds over the five nearest of `known`, of which there is at least one.

    Near is what differs little in the mean over parameters: numbers by shares of their range on their own scale,
    choices by being equal, and a parameter that only one of the two has counts as wholly different (Gower 1971).
    """
    nearest = heapq.nsmallest(_NEIGHBOURS, known, key=lambda e: (_distance(params, e.params, space), e.number))
    return fmean(math.log(e.trial.outcome.seconds) for e in nearest if e.trial.outcome is not None)


def _distance(one: Mapping[str, Value], other: Mapping[str, Value], space: SearchSpace) -> float:
    names = one.keys() | other.keys()
    return sum(_apart(space[n], one[n], other[n]) if n in one and n in other else 1.0 for n in names) / len(names)


def _apart(parameter: Parameter, one: Value, other: Value) -> float:
    if isinstance(parameter, Categorical) or not isinstance(one, (int, float)) or not isinstance(other, (int, float)):
        return float(type(one) is not type(other) or one != other)
    if parameter.log:
        return abs(math.log(one / other)) / math.log(parameter.high / parameter.low)
    return abs(one - other) / (parameter.high - parameter.low)
