"""What a belief means as chance: a draw from it, the weight it gives a value, and a mutation that follows it.

A number's belief is a normal density in two halves around the mode, on the parameter's own scale, with four fifths of
its mass in the interval; a tenth of all mass is spread evenly over the whole parameter, so that nothing is excluded.
Choices have half the mass of the one believed likelier, and share the same tenth. The even share is what keeps a wrong
prior from hiding a good region: Souza et al. 2021 (BOPrO, arXiv:2006.14608) and Hvarfner et al. 2022 (piBO,
arXiv:2204.11051) let the prior decay for that reason.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping

from neuropt_core.card import Belief
from neuropt_core.figures import figure
from neuropt_core.space import Categorical, Float, Int, Parameter, SearchSpace, Value

FLOOR = 0.1
"""The share of the mass that is spread evenly over the whole parameter."""

_EDGE = 1.28
"""Standard deviations from the mode to an end of the interval: four fifths of a normal density lie between the ends."""

_NARROWEST = 0.02
"""Of the parameter's range: a narrower half would be a point."""

_CANDIDATES = 4
_TRIES = 30
_LEAST_STEP, _LARGEST_STEP = 0.1, 0.5


def draw_from(parameter: Parameter, belief: Belief | None, rng: random.Random) -> Value:
    """Returns a legal value: mostly from the belief's interval, around its mode; evenly where there is no belief."""
    if isinstance(parameter, Categorical):
        return rng.choices(parameter.choices, _shares(parameter, belief))[0]
    place = rng.random()
    if belief is not None and rng.random() >= FLOOR:
        mode, left, right = _halves(parameter, belief)
        for _ in range(_TRIES):
            step = abs(rng.gauss(0, 1))
            place = mode - left * step if rng.random() < left / (left + right) else mode + right * step
            if 0 <= place <= 1:
                break
        place = min(max(place, 0.0), 1.0)
    return at(parameter, place)


def weight(parameter: Parameter, belief: Belief | None, value: Value) -> float:
    """Returns the density that a belief gives a legal value, as a share of its highest, in (0, 1]; 1 without belief."""
    if belief is None:
        return 1.0
    if isinstance(parameter, Categorical):
        shares = _shares(parameter, belief)
        found = next(s for c, s in zip(parameter.choices, shares, strict=True) if type(c) is type(value) and c == value)
        return found / max(shares)
    mode, left, right = _halves(parameter, belief)
    distance = place_of(parameter, value) - mode
    peak = (1 - FLOOR) * math.sqrt(2 / math.pi) / (left + right)
    density = peak * math.exp(-((distance / (left if distance < 0 else right)) ** 2) / 2)
    return (density + FLOOR) / (peak + FLOOR)


def perturbed(
    space: SearchSpace,
    params: Mapping[str, Value],
    beliefs: Mapping[str, Belief],
    rng: random.Random,
    n_changes: int | None = None,
) -> dict[str, Value] | None:
    """Returns a legal configuration near `params` and never alike it.

    Numbers take a step of random size, from a tenth to half of their range and sometimes beyond, towards the likelier of some
    candidates, or are drawn from the belief; choices are drawn from it. What a changed choice makes active comes in at
    the user's own value, else as believed.

    Args:
        space: Where it must lie.
        params: The parent; what is illegal in it (the user's own values may be) is replaced.
        beliefs: By parameter name; there may be none.
        rng: All chance.
        n_changes: How many parameters change; by default one or two, rarely three.

    Returns:
        The configuration; None if there is no other one, or none was found, which only tiny spaces are up to.
    """
    base = completed(space, params, beliefs, rng)
    movable = [name for name in base if _movable(space[name])]
    for _ in range(_TRIES if movable else 0):
        count = n_changes or rng.choices((1, 2, 3), (5, 4, 1))[0]
        names = rng.sample(movable, min(count, len(movable)))
        changed = {name: _moved(space[name], base[name], beliefs.get(name), rng) for name in names}
        child = completed(space, {**base, **changed}, beliefs, rng)
        if not space.alike(child, params):
            return child
    return None


def redrawn(
    space: SearchSpace, params: Mapping[str, Value], beliefs: Mapping[str, Belief], rng: random.Random, share: float
) -> dict[str, Value]:
    """Returns `params` with each parameter drawn anew from its belief with probability `share`; legal, maybe alike."""
    kept = {name: value for name, value in completed(space, params, beliefs, rng).items() if rng.random() >= share}
    values: dict[str, Value] = {}
    for parameter in space.parameters:
        if space.is_active(parameter.name, values):
            own = kept.get(parameter.name)
            drawn = draw_from(parameter, beliefs.get(parameter.name), rng)
            values[parameter.name] = own if parameter.name in kept else drawn
    return values


def completed(
    space: SearchSpace, wanted: Mapping[str, Value], beliefs: Mapping[str, Belief], rng: random.Random
) -> dict[str, Value]:
    """Returns `wanted` without what is inactive, and with what is missing or illegal at the user's own value or drawn.

    It is legal in `space`.
    """
    params: dict[str, Value] = {}
    for parameter in space.parameters:
        name = parameter.name
        if not space.is_active(name, params):
            continue
        if name in wanted and parameter.check(wanted[name]) is None:
            params[name] = wanted[name]
        elif parameter.has_default and parameter.check(parameter.default) is None:
            params[name] = parameter.default
        else:
            params[name] = draw_from(parameter, beliefs.get(name), rng)
    return params


def place_of(parameter: Float | Int, value: Value) -> float:
    """Returns where a number lies in its parameter's range, on its scale, in [0, 1]."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{parameter.name}: {value!r} is no number")
    low, high = float(parameter.low), float(parameter.high)
    if parameter.log:
        place = math.log(max(float(value), low) / low) / math.log(high / low)
    else:  # Divided first, since the width of a range may be more than a float can hold.
        largest = max(abs(low), abs(high))
        place = (value / largest - low / largest) / (high / largest - low / largest)
    return min(max(place, 0.0), 1.0)


def at(parameter: Float | Int, place: float) -> float | int:
    """Returns the legal value at a place in [0, 1] of a parameter's range, in few digits; whole ones on their grid."""
    low, high = float(parameter.low), float(parameter.high)
    exact = low * (high / low) ** place if parameter.log else low * (1 - place) + high * place
    exact = min(max(exact, low), high)
    if isinstance(parameter, Float):
        return float(figure(exact, parameter))
    steps = (parameter.high - parameter.low) // parameter.step
    return parameter.low + min(steps, round((exact - parameter.low) / parameter.step)) * parameter.step


def _halves(parameter: Float | Int, belief: Belief) -> tuple[float, float, float]:
    """Returns the mode's place and the widths of the two halves, as shares of the range."""
    low = 0.0 if belief.low is None else place_of(parameter, belief.low)
    high = 1.0 if belief.high is None else place_of(parameter, belief.high)
    mode = (low + high) / 2 if belief.mode is None else place_of(parameter, belief.mode)
    return mode, max((mode - low) / _EDGE, _NARROWEST), max((high - mode) / _EDGE, _NARROWEST)


def _shares(parameter: Categorical, belief: Belief | None) -> list[float]:
    """Returns the probability of each choice."""
    count = len(parameter.choices)
    said: tuple[Value, ...] = () if belief is None else belief.likely or (belief.mode,)
    likely = [choice for choice in said if parameter.check(choice) is None]
    places = {(type(c).__name__, c): i for i, c in reversed(list(enumerate(likely)))}  # 1, 1.0 and True are different.
    if not places:
        return [1 / count] * count
    ranks = [places.get((type(choice).__name__, choice)) for choice in parameter.choices]
    raw = [0.0 if rank is None else 0.5**rank for rank in ranks]
    return [(1 - FLOOR) * share / sum(raw) + FLOOR / count for share in raw]


def _movable(parameter: Parameter) -> bool:
    if isinstance(parameter, Categorical):
        return len(parameter.choices) > 1
    return isinstance(parameter, Float) or parameter.high - parameter.low >= parameter.step


def _moved(parameter: Parameter, value: Value, belief: Belief | None, rng: random.Random) -> Value:
    if isinstance(parameter, Categorical):
        others = [
            (c, s) for c, s in zip(parameter.choices, _shares(parameter, belief), strict=True) if not _is(c, value)
        ]
        return rng.choices([c for c, _ in others], [s for _, s in others])[0]
    if belief is not None and rng.random() < 0.25:
        return draw_from(parameter, belief, rng)
    size = math.exp(rng.uniform(math.log(_LEAST_STEP), math.log(_LARGEST_STEP)))
    candidates = [_step(parameter, value, size, rng) for _ in range(_CANDIDATES)]
    return rng.choices(candidates, [weight(parameter, belief, c) for c in candidates])[0]


def _step(parameter: Float | Int, value: Value, size: float, rng: random.Random) -> float | int:
    """Returns a value about `size` of the range away to either side, reflected at the ends; never `value` itself."""
    step = max(size * abs(rng.gauss(0, 1)), _LEAST_STEP) * rng.choice((-1, 1))
    place = place_of(parameter, value) + step
    place = abs(place) if place < 0 else place
    place = 2 - place if place > 1 else place
    found = at(parameter, min(max(place, 0.0), 1.0))
    if isinstance(parameter, Int) and found == value:  # Less than a step of the grid: the next point of it.
        beside = [n for n in (found - parameter.step, found + parameter.step) if parameter.check(n) is None]
        return rng.choice(beside)
    return found


def _is(one: Value, other: Value) -> bool:
    return type(one) is type(other) and one == other
