"""What the user knows: beliefs of single parameters, and configurations to try first, checked against the space."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from hydra_plugins.neuropt_sweeper._roles import leaves, near
from neuropt_core.card import Belief
from neuropt_core.earlier import completed
from neuropt_core.errors import ConfigError
from neuropt_core.figures import figure
from neuropt_core.redact import redact
from neuropt_core.space import Categorical, Int, Parameter, SearchSpace, Value
from neuropt_core.trial import Proposal, Trial

PRIORS, ENQUEUE = "hydra.sweeper.priors", "hydra.sweeper.enqueue"
_WHY = "The user says so (hydra.sweeper.priors)."
_FORMS = "a value, {mode, low, high}, {likely: [...]}, or words"


def named(name: str, space: SearchSpace, where: str) -> Parameter:
    """Returns the parameter of a name, or of a role such as ``lr``.

    Raises:
        ConfigError: There is none.
    """
    if name in space:
        return space[name]
    by_role = space.by_role(name)
    if by_role is None:
        roles = {p.role for p in space.parameters if p.role}
        known = dict.fromkeys((*space.names, *sorted(roles)))
        mend = near(name, known)
        if not mend.startswith("Did you mean"):
            mend = f"Searched are {', '.join(space.names)}."
        raise ConfigError(where, "must name a parameter that is searched, or its role", got=name, mend=mend)
    return by_role


def read_priors(priors: object, space: SearchSpace, secrets: Sequence[str] = ()) -> dict[str, Belief]:
    """Returns the user's beliefs by parameter name.

    Args:
        priors: ``hydra.sweeper.priors``: name or role -> a value, ``{mode, low, high}``, ``{likely: [...]}`` or words.
            None for no beliefs.
        space: What is searched.
        secrets: What must not stand in the words, which go to a vendor and to files.

    Raises:
        ConfigError: A parameter is unknown or named twice, or a value is outside the space.
    """
    found: dict[str, Belief] = {}
    if priors is None:
        return found
    if not isinstance(priors, Mapping):
        raise ConfigError(PRIORS, f"must map parameters to {_FORMS}", got=priors)
    for name, said in priors.items():
        parameter = named(str(name), space, PRIORS)
        where = f"{PRIORS}.{name}"
        if parameter.name in found:
            raise ConfigError(where, f"is {parameter.name}, of which something is said already", mend="Say it once.")
        found[parameter.name] = _belief(parameter, said, where, secrets)
    return found


def _belief(parameter: Parameter, said: object, where: str, secrets: Sequence[str]) -> Belief:
    if isinstance(said, Mapping):
        return _distribution(parameter, {str(key): value for key, value in said.items()}, where, secrets)
    if isinstance(said, str) and len(said.split()) > 1 and parameter.check(said) is not None:
        return Belief(why=f"The user says: {redact(' '.join(said.split()), *secrets)}")
    value = _legal(parameter, said, where)
    return Belief(mode=value, likely=(value,) if isinstance(parameter, Categorical) else (), why=_WHY)


def _distribution(parameter: Parameter, said: dict[str, object], where: str, secrets: Sequence[str]) -> Belief:
    choice = isinstance(parameter, Categorical)
    legal = ("mode", "likely", "why") if choice else ("mode", "low", "high", "why")
    strange = [key for key in said if key not in legal]
    if strange or not set(said) - {"why"}:
        raise ConfigError(where, f"takes {', '.join(legal)}", got=strange or said, mend=f"Give {_FORMS}.")
    words = said.get("why", "")
    if not isinstance(words, str):
        raise ConfigError(f"{where}.why", "must be words", got=words)
    why = f"The user says: {redact(' '.join(words.split()), *secrets)}" if words.strip() else _WHY
    if isinstance(parameter, Categorical):
        given = said.get("likely", [])
        if not isinstance(given, (list, tuple)):
            raise ConfigError(f"{where}.likely", "must be a list, the likeliest first", got=given)
        likely = [_legal(parameter, value, f"{where}.likely") for value in given]
        mode = _legal(parameter, said["mode"], f"{where}.mode") if "mode" in said else None
        if "mode" in said:
            likely = [mode, *(v for v in likely if (type(v), v) != (type(mode), mode))]
        if not likely:
            raise ConfigError(f"{where}.likely", "must name at least one value", got=list(given))
        return Belief(mode=likely[0], likely=tuple(likely), why=why)
    ends = {key: _legal(parameter, said[key], f"{where}.{key}") for key in ("low", "mode", "high") if key in said}
    numbers: dict[str, float] = {key: value for key, value in ends.items() if isinstance(value, (int, float))}
    if "low" in numbers or "high" in numbers:
        numbers = {"low": parameter.low, "high": parameter.high} | numbers
    low, high = numbers.get("low"), numbers.get("high")
    if low is not None and high is not None:
        mode_of_numbers = numbers.get("mode", _middle(parameter, low, high))
        if not low <= mode_of_numbers <= high or low == high:
            raise ConfigError(where, "needs low <= mode <= high, and low below high", got=said)
        return Belief(float(low), float(high), mode_of_numbers, why=why)
    return Belief(mode=numbers["mode"], why=why)


def _middle(parameter: Parameter, low: float, high: float) -> float:
    """Returns the middle of an interval on the parameter's own scale, the nearest legal one of a whole number."""
    if isinstance(parameter, Categorical):
        raise TypeError(parameter.name)
    middle = math.sqrt(low * high) if parameter.log else (low + high) / 2
    if isinstance(parameter, Int):
        return parameter.low + parameter.step * round((middle - parameter.low) / parameter.step)
    return middle


def _legal(parameter: Parameter, value: object, where: str) -> Value:
    rule = parameter.check(value)
    if rule is not None or not isinstance(value, (bool, int, float, str, type(None))):
        mend = ""
        if isinstance(value, str) and isinstance(parameter, Categorical):
            hint = near(value, {str(choice): None for choice in parameter.choices})
            mend = hint if hint.startswith("Did you mean") else ""
        raise ConfigError(where, rule or f"must be {_FORMS}", got=value, mend=mend)
    return value


def read_enqueue(entries: Sequence[object], space: SearchSpace) -> tuple[Proposal, ...]:
    """Returns the configurations that the user wants tried first, in their order.

    Args:
        entries: ``hydra.sweeper.enqueue``: mappings of names or roles to values, which may be nested as the config is.
            What one leaves out is the user's own value.
        space: What is searched.

    Raises:
        ConfigError: A name is unknown, a value illegal or without effect, or one is missing that has no own value.
    """
    found = []
    for place, entry in enumerate(entries):
        where = f"{ENQUEUE}[{place}]"
        if not isinstance(entry, Mapping) or not entry:
            raise ConfigError(where, "must be a mapping of parameters to values, e.g. {optimizer.lr: 3e-4}", got=entry)
        found.append(_enqueued({str(key): value for key, value in entry.items()}, space, where))
    return tuple(found)


def _enqueued(entry: Mapping[str, object], space: SearchSpace, where: str) -> Proposal:
    given: dict[str, Value] = {}
    for name, value in leaves(entry):
        parameter = named(name, space, where)
        if parameter.name in given:
            raise ConfigError(where, f"names {parameter.name} twice", got=name)
        given[parameter.name] = _legal(parameter, value, f"{where}.{name}")
    params = completed(given, space)
    for name, value in given.items():
        if name not in params:
            conditions = " and ".join(f"{c.name} is {' or '.join(map(str, c.values))}" for c in space[name].when)
            rule = f"has no effect here: {name} counts only where {conditions}"
            raise ConfigError(where, rule, got=value, mend="Leave it out, or set what it depends on.")
    for violation in space.check(params):
        own = violation.name in params
        what = f"your own value {params[violation.name]!r} is not legal ({violation.rule})" if own else "is missing"
        raise ConfigError(f"{where}.{violation.name}", what, mend="Give it a value in the entry.")
    shown = ", ".join(f"{name}={_shown(value, space[name])}" for name, value in given.items())
    return Proposal(params, f"You asked for it in {where}: {shown}.", "user")


def _shown(value: Value, parameter: Parameter) -> str:
    return figure(value, parameter) if isinstance(value, float) else str(value)


def queued(enqueue: Sequence[Proposal], trials: Sequence[Trial]) -> list[Proposal]:
    """Returns the proposals of `enqueue` that no trial has been made of yet, in their order.

    A configuration that stands in it twice is tried twice; a resumed study does not repeat one.
    """
    asked = [_key(t.proposal) for t in trials if t.proposal.source == "user"]
    left = []
    for proposal in enqueue:
        if _key(proposal) in asked:
            asked.remove(_key(proposal))
        else:
            left.append(proposal)
    return left


def _key(proposal: Proposal) -> list[tuple[str, str, Value]]:
    # 1, 1.0 and True are different values.
    return sorted((name, type(value).__name__, value) for name, value in proposal.params.items())
