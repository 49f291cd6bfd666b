"""A search space in plain Python: tuples, lists and four types become the engine's parameters, or one sentence."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from neuropt_core import space
from neuropt_core.errors import ConfigError
from neuropt_core.space import Parameter, SearchSpace, Value


class _Nothing:
    """No default: None is a value that a choice may have."""

    def __repr__(self) -> str:
        return "none"


_NOTHING: Any = _Nothing()

_LOG = re.compile(r"((base|init|initial|max|min|peak)_)?(lr|learning_rate)|wd|weight_decay|l1|l2|l[12]_reg|eps|epsilon")
"""Names of what spans orders of magnitude."""

_REAL = re.compile(r"(.*_)?(dropout|drop_rate|rate|ratio|fraction|share|momentum|smoothing|prob|p|beta_?[12])(_\w+)?")
"""Names of what is a real number though its bounds be written as whole ones, e.g. ``"dropout": (0, 1)``."""

_RATIO = 100.0
"""A range whose upper bound is more than so many times the lower one is searched on a log scale."""


@dataclass(frozen=True, slots=True)
class LogUniform:
    """A real number in [low, high] on a log scale, `low` above 0; `default` is what trial 0 runs with."""

    low: float
    high: float
    default: Any = _NOTHING


@dataclass(frozen=True, slots=True)
class Uniform:
    """A real number in [low, high]; `default` is what trial 0 runs with."""

    low: float
    high: float
    default: Any = _NOTHING


@dataclass(frozen=True, slots=True)
class IntUniform:
    """A whole number low, low + step, ... up to high; on a log scale if `log`, where `step` is 1."""

    low: int
    high: int
    default: Any = _NOTHING
    log: bool = False
    step: int = 1


@dataclass(frozen=True, slots=True)
class Categorical:
    """One of `choices`, each a number, text, True, False or None; `default` is what trial 0 runs with."""

    choices: Sequence[Any]
    default: Any = _NOTHING


def read_space(given: Mapping[str, Any]) -> SearchSpace:
    """Returns the search space that a dictionary describes.

    Args:
        given: Name -> a tuple of two bounds, a list of choices, one of this module's types, or a `Parameter` of
            `neuropt_core.space`, whose name must be the same.

    Raises:
        ConfigError: It is no such dictionary, it is empty, or an entry is none of these; the text names it.
    """
    if not isinstance(given, Mapping) or not given:
        mend = 'Give one, e.g. {"lr": (1e-4, 1e-1), "activation": ["relu", "gelu"]}.'
        raise ConfigError("search_space", "must be a dictionary with an entry for each parameter", got=given, mend=mend)
    return SearchSpace(tuple(dimension(name, value) for name, value in given.items()))


def dimension(name: Any, given: Any) -> Parameter:
    """Returns the parameter that one entry describes.

    Two bounds are a range of whole numbers where both are whole, unless the name is that of a rate (``lr``,
    ``dropout``, ``momentum``); the scale is a log one where the name (``lr``, ``weight_decay``) or the bounds, more
    than a factor of 100 apart, ask for it, and the lower bound is above 0.

    Raises:
        ConfigError: It describes none.
    """
    if not isinstance(name, str) or not name.strip():
        raise ConfigError("search_space", "needs names that are text", got=name)
    where = f"search_space[{name!r}]"
    if isinstance(given, (space.Float, space.Int, space.Categorical)):
        if given.name != name:
            raise ConfigError(where, "must have the name under which it stands", got=given.name)
        return given
    if isinstance(given, list):
        return _choices(name, given, where)
    if isinstance(given, Categorical):
        return _with_default(_choices(name, given.choices, where), given.default, where)
    if isinstance(given, tuple):
        return _inferred(name, given, where)
    if isinstance(given, (LogUniform, Uniform, IntUniform)):
        return _with_default(_explicit(name, given, where), given.default, where)
    mend = "Write (low, high) for a range, a list for choices, or LogUniform, Uniform, IntUniform or Categorical."
    raise ConfigError(where, "is neither a range nor a list of choices", got=given, mend=mend)


def _choices(name: str, given: Sequence[Any], where: str) -> Parameter:
    if isinstance(given, (str, bytes)) or not isinstance(given, Sequence):
        raise ConfigError(where, "needs a list of choices", got=given)
    choices = tuple(_plain(choice) for choice in given)
    for choice in choices:
        finite = not isinstance(choice, float) or math.isfinite(choice)
        if not (choice is None or isinstance(choice, (bool, int, float, str))) or not finite:
            mend = "Name what is none of these, and look it up by its name in train_fn."
            raise ConfigError(
                where, "needs choices that are finite numbers, text, True, False or None", got=choice, mend=mend
            )
    return space.Categorical(name=name, choices=choices)


def _inferred(name: str, given: tuple[Any, ...], where: str) -> Parameter:
    bounds = tuple(_plain(bound) for bound in given)
    if len(bounds) != 2 or not all(map(_is_number, bounds)):
        mend = "Write choices as a list, e.g. ['relu', 'gelu']."
        raise ConfigError(where, "needs two numbers as a range (low, high)", got=given, mend=mend)
    low, high = bounds
    key = name.lower().rpartition(".")[2]
    log = low > 0 and (bool(_LOG.fullmatch(key)) or high / low > _RATIO)
    if all(isinstance(bound, int) for bound in bounds) and not _LOG.fullmatch(key) and not _REAL.fullmatch(key):
        return space.Int(name=name, low=low, high=high, log=log)
    return space.Float(name=name, low=float(low), high=float(high), log=log)


def _explicit(name: str, given: LogUniform | Uniform | IntUniform, where: str) -> Parameter:
    low, high = _plain(given.low), _plain(given.high)
    if not _is_number(low) or not _is_number(high):
        raise ConfigError(where, "needs two numbers as its bounds", got=(given.low, given.high))
    if not isinstance(given, IntUniform):
        return space.Float(name=name, low=float(low), high=float(high), log=isinstance(given, LogUniform))
    if not isinstance(low, int) or not isinstance(high, int):
        raise ConfigError(where, "needs whole numbers as its bounds", got=(given.low, given.high), mend="Or Uniform.")
    return space.Int(name=name, low=low, high=high, log=given.log, step=given.step)


def _with_default(parameter: Parameter, default: Any, where: str) -> Parameter:
    if default is _NOTHING:
        return parameter
    value = _plain(default)
    if rule := parameter.check(value):
        raise ConfigError(f"{where}: default", rule, got=default)
    return replace(parameter, default=value, has_default=True)


def middle(parameter: Parameter) -> Value:
    """Returns what a parameter without a default begins with: the middle of its range, or its first choice."""
    if isinstance(parameter, space.Categorical):
        return parameter.choices[0]
    log = parameter.log and parameter.low > 0
    value = math.sqrt(parameter.low * parameter.high) if log else (parameter.low + parameter.high) / 2
    if isinstance(parameter, space.Float):
        return min(max(value, parameter.low), parameter.high)
    return parameter.low + int((value - parameter.low) // parameter.step) * parameter.step


def _plain(value: Any) -> Any:
    """Returns the plain number of a numpy scalar, whose type no journal could keep."""
    odd = not isinstance(value, (bool, int, float, str)) or type(value).__module__ == "numpy"
    return value.item() if odd and getattr(value, "shape", None) == () and hasattr(value, "item") else value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
