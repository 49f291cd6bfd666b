"""Random search: the plainest advisor, and the ground of the others' chance."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping

from neuropt_core.advice import Advice, Request
from neuropt_core.figures import figure
from neuropt_core.space import Categorical, Float, Parameter, SearchSpace, Value
from neuropt_core.trial import Proposal


class RandomAdvisor:
    """Draws each active parameter uniformly on its own scale."""

    name = "random search (not an LLM)"

    def propose(self, request: Request) -> Advice:
        """Returns `request.count` draws; each is a function of (seed, trial number, parameter) alone."""
        numbers = range(request.number, request.number + request.count)
        proposals = (
            Proposal(draw(request.space, request.spec.seed, n), "Random draw from the search space.", "random")
            for n in numbers
        )
        return Advice(tuple(proposals))


def draw(space: SearchSpace, seed: int, number: int, salt: str = "") -> dict[str, Value]:
    """Returns a random configuration: a function of its arguments, so that a resumed study draws the same."""
    values: dict[str, Value] = {}
    for parameter in space.parameters:
        if space.is_active(parameter.name, values):
            values[parameter.name] = _draw(parameter, random.Random(f"{seed}/{number}/{parameter.name}/{salt}"))
    return values


def _draw(parameter: Parameter, rng: random.Random) -> Value:
    if isinstance(parameter, Categorical):
        return rng.choice(parameter.choices)
    low, high = parameter.low, parameter.high
    if isinstance(parameter, Float):
        if not parameter.log:
            return rng.uniform(low, high)
        # exp(log(x)) may step over a bound by a rounding error; that point is the bound itself.
        return min(max(math.exp(rng.uniform(math.log(low), math.log(high))), low), high)
    if parameter.log:
        exact = math.exp(rng.uniform(math.log(low - 0.5), math.log(high + 0.5)))
        return min(max(round(exact), parameter.low), parameter.high)
    return rng.randrange(parameter.low, parameter.high + 1, parameter.step)


def differences(new: Mapping[str, Value], old: Mapping[str, Value], space: SearchSpace) -> str:
    """Returns what `new` changes against `old`, in words: ``optimizer.lr 0.001 -> 0.0003``."""

    def shown(name: str, value: Value) -> str:
        return figure(value, space[name])

    changed = [
        f"{name} {shown(name, old[name])} -> {shown(name, value)}" if name in old else f"{name} {shown(name, value)}"
        for name, value in new.items()
        if name not in old or old[name] != value
    ]
    return ", ".join(changed) or "nothing"
