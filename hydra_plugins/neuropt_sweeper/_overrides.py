"""Hydra's override grammar both ways: text -> parameter, and value -> text that means exactly that value."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    Glob,
    IntervalSweep,
    Override,
    OverrideType,
    Quote,
    QuotedString,
    RangeSweep,
)
from hydra.errors import HydraException

from neuropt_core.errors import ConfigError
from neuropt_core.space import Categorical, Float, Int, Parameter, Value, When

_PREFIX = {OverrideType.CHANGE: "", OverrideType.ADD: "+", OverrideType.FORCE_ADD: "++"}


@dataclass(frozen=True, slots=True)
class Written:
    """A parameter as the user wrote it: what it is, and with which prefix its overrides must be given."""

    parameter: Parameter
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Arguments:
    """The command line, taken apart: what every trial shares, and what is searched."""

    fixed: tuple[str, ...]
    fixed_names: frozenset[str]
    searched: tuple[Written, ...]


def parse_arguments(arguments: Sequence[str]) -> Arguments:
    """Takes a sweep's command line apart; fixed overrides are kept word for word.

    Raises:
        ConfigError: An override cannot be read, sweeps over what cannot be searched, or sweeps over what an earlier one
            fixes.
    """
    fixed, names, searched = [], set(), []
    for text, override in zip(arguments, _parse(arguments), strict=True):
        if override.is_sweep_override():
            # In Hydra the later wins; whether trial 0 is to take the value that stands before it is left open.
            if _name(override) in names:
                rule = "searches what an earlier override on the line fixes"
                raise ConfigError(f"command line, {text}", rule, mend="Leave one of the two out.")
            searched.append(_written(override, where=f"command line, {text}"))
        else:
            fixed.append(text)
            names.add(_name(override))
    return Arguments(tuple(fixed), frozenset(names), tuple(searched))


def parse_params(params: Iterable[tuple[str, object]]) -> Arguments:
    """Reads `hydra.sweeper.params`: key -> text in Hydra's grammar, or a plain value, which is fixed.

    A mapping ``{space: text, when: {name: values}}`` gives a searched parameter its conditions.

    Raises:
        ConfigError: A text cannot be read, or sweeps over what cannot be searched.
    """
    fixed, names, searched = [], set(), []
    for key, value in params:
        where = f"hydra.sweeper.params.{key}"
        when: tuple[When, ...] = ()
        if isinstance(value, Mapping):
            value, when = _conditional({str(name): item for name, item in value.items()}, where)
        if not isinstance(value, (str, bool, int, float, type(None))):
            raise ConfigError(
                where, "must be text in Hydra's override grammar", got=value, mend="For example choice(16,32)."
            )
        text = f"{key}={value}" if isinstance(value, str) else f"{key}={encode(value)}"
        (override,) = _parse([text], where=where)
        if override.is_sweep_override():
            written = _written(override, where=where)
            searched.append(replace(written, parameter=replace(written.parameter, when=when)))
        elif when:
            rule = "is a plain value, and only what is searched can have a condition"
            raise ConfigError(where, rule, got=value, mend="For example {space: 'interval(0, 1)', when: {...}}.")
        else:
            fixed.append(text)
            names.add(_name(override))
    return Arguments(tuple(fixed), frozenset(names), tuple(searched))


def _conditional(given: Mapping[str, object], where: str) -> tuple[object, tuple[When, ...]]:
    """Takes ``{space: ..., when: {name: value or list of values}}`` apart; the names are looked at later."""
    conditions = given.get("when")
    if given.keys() != {"space", "when"} or not isinstance(conditions, Mapping) or not conditions:
        rule = "must be text in Hydra's override grammar, or {space: that text, when: {parameter: value or list}}"
        raise ConfigError(where, rule, got=dict(given))
    when = []
    for name, values in conditions.items():
        several = tuple(values) if isinstance(values, (list, tuple)) else (values,)
        if not several or not all(isinstance(v, (str, bool, int, float, type(None))) for v in several):
            raise ConfigError(f"{where}.when.{name}", "must be a value or a list of values", got=values)
        when.append(When(str(name), several))
    return given["space"], tuple(when)


def encode(value: Value) -> str:
    """Returns text whose meaning in Hydra's grammar, and then in OmegaConf, is exactly `value`.

    Strings are always quoted, and `${` is escaped: a value such as ``${oc.env:HOME}`` stays text. Source: the
    grammar of Hydra's `override_parser` and OmegaConf's rules for escaped interpolations.

    Raises:
        ConfigError: The value has no such text: a number that is not finite, or the string ``???`` (missing).
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ConfigError("override", "must be a finite number", got=value)
        return repr(value)
    if value == "???":
        raise ConfigError("override", "must not be OmegaConf's mark for a missing value", got=value)
    escaped = re.sub(r"(\\*)\$\{", lambda match: match[1] * 2 + r"\${", value)
    return QuotedString(escaped, Quote.single).with_quotes()


def override(name: str, value: Value | Sequence[str], prefix: str = "") -> str:
    """Returns the override that sets `name`; a sequence of strings becomes a list."""
    text = encode(value) if isinstance(value, (str, bool, int, float, type(None))) else _encode_list(value)
    return f"{prefix}{name}={text}"


def _encode_list(values: Sequence[str]) -> str:
    return "[" + ",".join(encode(value) for value in values) + "]"


def _parse(texts: Sequence[str], where: str = "command line") -> list[Override]:
    try:
        return OverridesParser.create().parse_overrides(list(texts))
    except HydraException as error:
        raise ConfigError(where, f"is not in Hydra's override grammar ({' '.join(str(error).split())})") from None


def _name(override: Override) -> str:
    return override.key_or_group if override.package is None else f"{override.key_or_group}@{override.package}"


def _written(override: Override, where: str) -> Written:
    if override.type not in _PREFIX:
        raise ConfigError(where, "cannot sweep over a deletion", mend="Write key=..., +key=... or ++key=...")
    name, value = _name(override), override.value()
    if isinstance(value, IntervalSweep):
        return Written(_interval(name, value, where), _PREFIX[override.type])
    if isinstance(value, (ChoiceSweep, RangeSweep)):
        # A choice is read as written: iterating over shuffle(...) would give another order, and space, every time.
        items = value.list if isinstance(value, ChoiceSweep) else override.sweep_iterator()
        choices = tuple(_scalar(item, where) for item in items)
        return Written(_choices(name, value, choices, where), _PREFIX[override.type])
    kind = "glob(...)" if isinstance(value, Glob) else type(value).__name__
    raise ConfigError(where, "must be choice(), range() or interval()", got=kind, mend="Name the choices one by one.")


def _interval(name: str, sweep: IntervalSweep, where: str) -> Parameter:
    if sweep.start is None or sweep.end is None:
        raise ConfigError(where, "needs a lower and an upper bound")
    log = "log" in sweep.tags
    if isinstance(sweep.start, int) and isinstance(sweep.end, int):
        # Hydra makes the bounds of interval(1,5) real; only int(interval(1,5)) leaves whole ones.
        return Int(name=name, low=sweep.start, high=sweep.end, log=log)
    return Float(name=name, low=float(sweep.start), high=float(sweep.end), log=log)


def _choices(name: str, sweep: ChoiceSweep | RangeSweep, choices: tuple[Value, ...], where: str) -> Parameter:
    whole = isinstance(sweep, RangeSweep) and all(type(choice) is int for choice in choices)
    if not choices:
        raise ConfigError(where, "is empty", mend="In Hydra's grammar range(a,b) stops before b.")
    if whole and len(choices) > 1:
        numbers = sorted(c for c in choices if isinstance(c, int))
        return Int(name=name, low=numbers[0], high=numbers[-1], step=numbers[1] - numbers[0])
    return Categorical(name=name, choices=choices)


def _scalar(item: object, where: str) -> Value:
    if isinstance(item, QuotedString):
        return item.text
    if item is None or isinstance(item, (bool, int, float, str)):
        return item
    rule = "must choose among numbers, strings, true, false and null"
    raise ConfigError(where, rule, got=item, mend="Put lists into a config group.")
