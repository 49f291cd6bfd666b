"""What a move may do to a configuration: scale, set or choose values by role, and complete what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from neuropt_core.advisors.beliefs import at, place_of
from neuropt_core.advisors.rules_base import role_of, with_role, word
from neuropt_core.card import Belief
from neuropt_core.space import Categorical, Float, Int, Parameter, SearchSpace, Value

Base = Mapping[str, Value]
Beliefs = Mapping[str, Belief]
Change = Callable[[SearchSpace, Beliefs, Base], dict[str, Value]]
"""(space, beliefs, best configuration so far) -> new values by name; empty where the move says nothing."""

_EVERYWHERE = ("lr", "wd", "batch_size", "dropout", "momentum", "width")
"""Roles that nearly every training has: their textbook values are tried together once."""


def legal_part(space: SearchSpace, values: Base) -> dict[str, Value]:
    """Returns the legal ones of `values`: the user's own may be out of bounds, and no rule can move from there."""
    return {name: value for name, value in values.items() if name in space and space[name].check(value) is None}


def complete(space: SearchSpace, wanted: Base) -> dict[str, Value] | None:
    """Returns `wanted` with newly active parameters at their defaults and inactive ones left out; None if illegal."""
    params: dict[str, Value] = {}
    for parameter in space.parameters:
        if not space.is_active(parameter.name, params):
            continue
        if parameter.name in wanted:
            params[parameter.name] = wanted[parameter.name]
        elif parameter.has_default and parameter.check(parameter.default) is None:
            params[parameter.name] = parameter.default
        elif isinstance(parameter, Categorical):
            params[parameter.name] = parameter.choices[0]
        else:
            params[parameter.name] = at(parameter, 0.5)
    return None if space.check(params) else params


def scaled(role: str, factor: float, own: bool = False) -> Change:
    """Multiplies a role's value of the best so far, or the user's own."""

    def change(space: SearchSpace, beliefs: Beliefs, base: Base) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for parameter in with_role(space, role):
            value = parameter.default if own and parameter.has_default else base.get(parameter.name)
            if (
                isinstance(parameter, Float)
                and isinstance(value, (int, float))
                and value
                and not isinstance(value, bool)
            ):
                found[parameter.name] = float(f"{value * factor:.3g}")
        return found

    return change


def multiplied(role: str, factor: float) -> Change:
    """Multiplies whole numbers, as far as the space goes; says nothing where that leaves them all as they are."""

    def change(space: SearchSpace, beliefs: Beliefs, base: Base) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for parameter in with_role(space, role):
            value = base.get(parameter.name)
            if isinstance(parameter, Int) and isinstance(value, int):
                found[parameter.name] = at(parameter, place_of(parameter, value * factor))
            elif isinstance(parameter, Categorical) and type(value) is int:
                found[parameter.name] = _nearest(parameter, value * factor, value)
        return {} if all(base[name] == value for name, value in found.items()) else found

    return change


def _nearest(parameter: Categorical, wanted: float, present: int) -> Value:
    """Returns the choice nearest to `wanted` on its side of `present`; `present` where there is none."""
    numbers = [c for c in parameter.choices if type(c) is int and (c > present) == (wanted > present) and c != present]
    return min(numbers, key=lambda c: abs(c - wanted), default=present)


def onward(space: SearchSpace, beliefs: Beliefs, base: Base) -> dict[str, Value]:
    """Moves the rate by another factor of 3 away from the user's own, if the best so far has left that."""
    found: dict[str, Value] = {}
    for parameter in with_role(space, "lr"):
        value, own = base.get(parameter.name), parameter.default
        if isinstance(parameter, Float) and isinstance(own, float) and isinstance(value, float) and value != own:
            found[parameter.name] = float(f"{value * (3 if value > own else 1 / 3):.3g}")
    return found


def put(**values: Value) -> Change:
    """Sets roles; says nothing where the first role is absent or cannot take its value."""

    def change(space: SearchSpace, beliefs: Beliefs, base: Base) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for place, (role, value) in enumerate(values.items()):
            able = [p for p in with_role(space, role) if p.check(value) is None]
            if not able and place == 0:
                return {}
            found.update(dict.fromkeys((p.name for p in able), value))
        return found

    return change


def chosen(role: str, *words: str) -> Change:
    """Sets a choice that goes by one of several names, if another one is there; all parameters of the role at once."""

    def change(space: SearchSpace, beliefs: Beliefs, base: Base) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for parameter in with_role(space, role):
            if isinstance(parameter, Categorical) and word(base.get(parameter.name)) not in words:
                named = {word(choice): choice for choice in reversed(parameter.choices)}
                first = next((named[w] for w in words if w in named), None)
                if first is not None:
                    found[parameter.name] = first
        return found

    return change


def together(*changes: Change) -> Change:
    """Joins changes; says nothing unless the first one speaks."""

    def change(space: SearchSpace, beliefs: Beliefs, base: Base) -> dict[str, Value]:
        if not changes[0](space, beliefs, base):
            return {}
        return {name: value for part in changes for name, value in part(space, beliefs, base).items()}

    return change


def textbook(space: SearchSpace, beliefs: Beliefs, base: Base) -> dict[str, Value]:
    """Sets the numbers that every training has to their modes; says nothing where that changes fewer than two."""
    found: dict[str, Value] = {}
    for parameter in space.parameters:
        belief = beliefs.get(parameter.name)
        if belief is None or not _is_number(parameter) or role_of(parameter) not in _EVERYWHERE:
            continue
        if parameter.name in base and base[parameter.name] != belief.mode:
            found[parameter.name] = belief.mode
    return found if len(found) > 1 else {}


def _is_number(parameter: Parameter) -> bool:
    return isinstance(parameter, (Float, Int))
