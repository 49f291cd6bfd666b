"""Simulated advisers in the place of an LLM: one that helps, one that climbs, one that harms, one that is silent.

None of them reads a table. They know what a prompt tells: names, roles, bounds, defaults, the grids in the notes, and
the history. Their proposals are signed ``llm``, so that whatever weighs an LLM's advice weighs theirs.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from _tables.tasks import GRID, nearest
from neuropt_core.advice import Advice, Request
from neuropt_core.card import SpaceCard
from neuropt_core.space import Categorical, Float, Int, Parameter, Value
from neuropt_core.trial import Proposal

_OPERATIONS: Mapping[Value, float] = {
    "nor_conv_3x3": 0.5,
    "skip_connect": 0.25,
    "nor_conv_1x1": 0.15,
    "avg_pool_3x3": 0.05,
    "none": 0.05,
}
_CHOICES: Mapping[str, Mapping[Value, float]] = {
    "operation": _OPERATIONS,
    "activation": {"relu": 0.7, "tanh": 0.3},
    "lr_schedule": {"cosine": 0.8, "const": 0.2},
}
_USUAL = {"lr": (1e-3, 0.7), "wd": (1e-4, 1.0), "dropout": (0.1, 0.2), "batch_size": (32, 0.8), "depth": (2, 0.7)}
"""Role -> where a textbook would begin and how far it would look: decades for a log scale, else the own unit."""

_WORST = {"lr": 1.0, "wd": 1.0, "dropout": 1.0, "batch_size": 1.0, "width": 0.0, "depth": 0.0}
"""Role -> the end of the grid, 0 lower and 1 upper, that is bad for most networks."""

_WORST_CHOICES = {"operation": "none", "activation": "tanh", "lr_schedule": "const"}


_TRIES = 20
Think = Callable[[Request, random.Random, int], dict[str, Value]]


@dataclass(slots=True)
class Adviser:
    """Proposes as many configurations as it is asked for, each from its own chance.

    Attributes:
        name: ``good``, ``local``, ``hostile`` or ``dead``.
        think: (request, chance, how many of its ideas were known already) -> one configuration; None says nothing.
        repeats: Whether it proposes again what was tried; else it thinks again, some times.
    """

    name: str
    think: Think | None
    repeats: bool = False

    def propose(self, request: Request) -> Advice:
        """Returns `request.count` proposals, or none where the adviser is dead."""
        if self.think is None:
            return Advice(())
        known = [_on_grid(request, trial.params) for trial in request.trials]
        proposals = []
        for place in range(request.count):
            params = self._idea(self.think, request, place, known)
            known.append(params)
            proposals.append(Proposal(params, f"The {self.name} adviser says so.", "llm"))
        return Advice(tuple(proposals))

    def card(self, request: Request) -> Advice:
        """Returns six proposals as the portfolio of a space card, without beliefs; nothing where it is dead."""
        portfolio = self.propose(replace(request, count=6)).proposals
        return Advice((), card=SpaceCard("llm", portfolio=portfolio) if portfolio else None)

    def _idea(self, think: Think, request: Request, place: int, known: list[dict[str, Value]]) -> dict[str, Value]:
        rng = random.Random(f"{request.spec.seed}/{request.number}/{place}/{self.name}")
        idea: dict[str, Value] = {}
        for again in range(_TRIES):
            idea = think(request, rng, again)
            if self.repeats or not any(request.space.alike(idea, params) for params in known):
                break
        return idea


def good() -> Adviser:
    """Returns one that draws from textbook priors, and ever more often varies the best so far by small steps."""
    return Adviser("good", _good)


def local() -> Adviser:
    """Returns one that moves one parameter of the best so far by one step; more where that was all tried."""
    return Adviser("local", lambda request, rng, again: _vary(request, _best(request), rng, changes=1 + again // 10))


def hostile() -> Adviser:
    """Returns one that stays at the corner which is bad for most networks, and mostly repeats itself."""
    return Adviser("hostile", _hostile, repeats=True)


def dead() -> Adviser:
    """Returns one that never says anything."""
    return Adviser("dead", None)


def _good(request: Request, rng: random.Random, again: int) -> dict[str, Value]:
    # The first few look around; later most proposals refine what is best, as a person would.
    if rng.random() < max(0.2, 1 - len(request.ranked) / 8):
        return {p.name: _textbook(p, rng) for p in request.space.parameters}
    return _vary(request, _best(request), rng, changes=rng.choice((1, 1, 2, 2, 3)))


def _hostile(request: Request, rng: random.Random, again: int) -> dict[str, Value]:
    corner: dict[str, Value] = {}
    for parameter in request.space.parameters:
        if isinstance(parameter, Categorical):
            corner[parameter.name] = _WORST_CHOICES[parameter.role]
        else:
            corner[parameter.name] = grid_of(parameter)[-int(_WORST[parameter.role])]
    return _vary(request, corner, rng, changes=1) if rng.random() < 0.4 else corner


def _best(request: Request) -> dict[str, Value]:
    best = next(iter(request.ranked), None)
    return _on_grid(request, request.space.defaults() if best is None else best.params)


def _on_grid(request: Request, params: Mapping[str, Value]) -> dict[str, Value]:
    grids = {p.name: (p, grid_of(p)) for p in request.space.parameters}
    return {name: grids[name][1][nearest(value, *grids[name])] for name, value in params.items()}


def _textbook(parameter: Parameter, rng: random.Random) -> Value:
    if isinstance(parameter, Categorical):
        weights = [_CHOICES[parameter.role].get(choice, 0.0) for choice in parameter.choices]
        return rng.choices(parameter.choices, weights)[0]
    grid = grid_of(parameter)
    if parameter.role == "width":  # Wide networks are seldom worse: the upper half of the grid.
        return rng.choice(grid[len(grid) // 2 :])
    centre, spread = _USUAL[parameter.role]
    value = centre * 10 ** rng.gauss(0, spread) if parameter.log else rng.gauss(centre, spread)
    inside = min(max(value, parameter.low), parameter.high)
    return grid[nearest(inside, parameter, grid)]


def _vary(request: Request, base: Mapping[str, Value], rng: random.Random, changes: int) -> dict[str, Value]:
    params = dict(base)
    for parameter in rng.sample(request.space.parameters, changes):
        params[parameter.name] = _step(parameter, base[parameter.name], rng)
    return params


def _step(parameter: Parameter, value: Value, rng: random.Random) -> Value:
    if isinstance(parameter, Categorical):
        return rng.choice([choice for choice in parameter.choices if choice != value])
    grid = grid_of(parameter)
    place = nearest(value, parameter, grid)
    return grid[rng.choice([i for i in (place - 1, place + 1) if 0 <= i < len(grid)])]


def grid_of(parameter: Parameter) -> tuple[Value, ...]:
    """Returns the values that the parameter's note lists; ten even steps on its scale where it lists none."""
    if isinstance(parameter, Categorical):
        return parameter.choices
    kind = float if isinstance(parameter, Float) else int
    if parameter.note.startswith(GRID):
        return tuple(kind(word) for word in parameter.note.removeprefix(GRID).split(", "))
    low, high = (math.log(b) if parameter.log else b for b in (parameter.low, parameter.high))
    steps = [low + (high - low) * i / 9 for i in range(10)]
    return _inside(parameter, [math.exp(s) if parameter.log else s for s in steps])


def _inside(parameter: Float | Int, values: Sequence[float]) -> tuple[Value, ...]:
    if isinstance(parameter, Float):
        return tuple(min(max(v, parameter.low), parameter.high) for v in values)
    return tuple(sorted({parameter.low + round((v - parameter.low) / parameter.step) * parameter.step for v in values}))
