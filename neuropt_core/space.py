"""The search space: parameters, the conditions between them, and the check that never changes a value."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from neuropt_core.errors import ConfigError

Value = bool | int | float | str | None
"""What a parameter may hold: a JSON scalar."""


@dataclass(frozen=True, slots=True)
class When:
    """A condition: the parameter counts only if another one, `name`, holds one of `values`."""

    name: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Violation:
    """Why a set of values is not in a space: which parameter, which rule, what it got."""

    name: str
    rule: str
    got: object = None

    def __str__(self) -> str:
        return f"{self.name}: {self.rule}, got {self.got!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parameter:
    """What all parameters share.

    Attributes:
        name: The key in the user's config, in every prompt, override, journal line and report.
        default: The user's present value; trial 0 runs with it. May lie outside the bounds.
        has_default: False where the config holds no value yet.
        when: Conditions, all of which must hold for the parameter to be active.
        role: What the parameter means to a rule of thumb (``lr``, ``wd``, ``freeze_strategy`` ...), else "".
        note: One line for the reader and the advisor, e.g. ``12 layers``.
    """

    name: str
    default: Value = None
    has_default: bool = False
    when: tuple[When, ...] = ()
    role: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Float(_Parameter):
    """A real number in [low, high], on a log scale if `log`."""

    low: float
    high: float
    log: bool = False
    type: Literal["float"] = "float"

    def __post_init__(self) -> None:
        _check_bounds(self.name, self.low, self.high, self.log)

    def check(self, value: object) -> str | None:
        """Returns the rule that `value` breaks, or None."""
        # Only a float is asked whether it is finite: a whole number beyond a float's range would raise there.
        if isinstance(value, float) and not math.isfinite(value):
            return "must be a finite number"
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return "must be a finite number"
        return _check_range(value, self.low, self.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Int(_Parameter):
    """A whole number low, low + step, ... up to high, on a log scale if `log`."""

    low: int
    high: int
    log: bool = False
    step: int = 1
    type: Literal["int"] = "int"

    def __post_init__(self) -> None:
        _check_bounds(self.name, self.low, self.high, self.log)
        if self.step < 1 or (self.log and self.step != 1):
            raise ConfigError(self.name, "step must be 1 or more, and 1 on a log scale", got=self.step)

    def check(self, value: object) -> str | None:
        """Returns the rule that `value` breaks, or None."""
        if isinstance(value, bool) or not isinstance(value, int):
            return "must be a whole number"
        if (value - self.low) % self.step:
            return f"must be {self.low} plus a multiple of {self.step}"
        return _check_range(value, self.low, self.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Categorical(_Parameter):
    """One of `choices`; 1, 1.0 and True are different choices."""

    choices: tuple[Value, ...]
    type: Literal["categorical"] = "categorical"

    def __post_init__(self) -> None:
        keys = [_key(choice) for choice in self.choices]
        if not keys or len(set(keys)) != len(keys):
            raise ConfigError(self.name, "needs at least one choice, and each choice once", got=list(self.choices))

    def check(self, value: object) -> str | None:
        """Returns the rule that `value` breaks, or None."""
        if any(_key(value) == _key(choice) for choice in self.choices):
            return None
        return f"must be one of {list(self.choices)}"


Parameter = Float | Int | Categorical
_KINDS: dict[str, type[Float] | type[Int] | type[Categorical]] = {
    "float": Float,
    "int": Int,
    "categorical": Categorical,
}


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """The parameters of a study, in the order in which they are shown.

    Raises:
        ConfigError: Two parameters share a name, or a condition names an unknown or later parameter.
    """

    parameters: tuple[Parameter, ...]
    _by_name: dict[str, Parameter] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        known: dict[str, Parameter] = {}
        for parameter in self.parameters:
            if parameter.name in known:
                raise ConfigError(parameter.name, "is in the search space twice", mend="Leave one of them out.")
            for condition in parameter.when:
                if condition.name not in known:
                    raise ConfigError(
                        parameter.name, "depends on a parameter that must come before it", got=condition.name
                    )
            known[parameter.name] = parameter
        object.__setattr__(self, "_by_name", known)

    def __getitem__(self, name: str) -> Parameter:
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __len__(self) -> int:
        return len(self.parameters)

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters' names, in order."""
        return tuple(self._by_name)

    def by_role(self, role: str) -> Parameter | None:
        """Returns the parameter with a role, or None."""
        return next((p for p in self.parameters if p.role == role), None)

    def defaults(self) -> dict[str, Value]:
        """Returns the user's own configuration: the default of every parameter that is active under it."""
        values = {p.name: p.default for p in self.parameters if p.has_default}
        return {name: value for name, value in values.items() if self.is_active(name, values)}

    def is_active(self, name: str, values: Mapping[str, Value]) -> bool:
        """Tells whether a parameter counts beside `values`; one whose own condition is inactive does not."""
        return all(
            condition.name in values
            and any(_key(values[condition.name]) == _key(v) for v in condition.values)
            and self.is_active(condition.name, values)
            for condition in self._by_name[name].when
        )

    def alike(self, one: Mapping[str, Value], other: Mapping[str, Value]) -> bool:
        """Tells whether two configurations differ by less than training can show.

        Numbers are alike within a hundredth of their range, on their own scale; choices and whole numbers when equal.
        """
        if one.keys() != other.keys():
            return False
        return all(_alike(self._by_name.get(name), value, other[name]) for name, value in one.items())

    def check(self, values: Mapping[str, Value]) -> tuple[Violation, ...]:
        """Returns all that is wrong with `values`: unknown, missing, inactive or illegal. Changes nothing."""
        found = [Violation(name, "is not in the search space", values[name]) for name in values if name not in self]
        for parameter in self.parameters:
            active = self.is_active(parameter.name, values)
            if parameter.name in values:
                value = values[parameter.name]
                rule = parameter.check(value) if active else "must be left out, since its condition does not hold"
                if rule:
                    found.append(Violation(parameter.name, rule, value))
            elif active:
                found.append(Violation(parameter.name, "is missing"))
        return tuple(found)

    def to_json(self) -> list[dict[str, Any]]:
        """Returns plain data from which `from_json` makes an equal space."""
        return [_plain(p) for p in self.parameters]

    @classmethod
    def from_json(cls, data: Iterable[Mapping[str, Any]]) -> SearchSpace:
        """Makes the space that `to_json` described."""
        return cls(tuple(parameter_from_json(item) for item in data))


def _plain(parameter: Parameter) -> dict[str, Any]:
    # Not dataclasses.asdict: it would deep-copy, and shows fields at their defaults, which only make noise.
    data: dict[str, Any] = {}
    for name in parameter.__dataclass_fields__:
        value = getattr(parameter, name)
        if name == "when":
            value = [{"name": c.name, "values": list(c.values)} for c in value]
        data[name] = list(value) if isinstance(value, tuple) else value
    silent: dict[str, object] = {"role": "", "note": "", "when": [], "default": None}
    return {key: value for key, value in data.items() if key not in silent or value != silent[key]}


def parameter_from_json(data: Mapping[str, Any]) -> Parameter:
    """Makes the parameter that one item of `SearchSpace.to_json` described."""
    fields = dict(data)
    fields["when"] = tuple(When(c["name"], tuple(c["values"])) for c in fields.get("when", ()))
    if "choices" in fields:
        fields["choices"] = tuple(fields["choices"])
    return _KINDS[fields["type"]](**fields)


def _key(value: object) -> tuple[str, object]:
    return type(value).__name__, value


def _alike(parameter: Parameter | None, one: Value, other: Value) -> bool:
    numbers = [v for v in (one, other) if isinstance(v, (int, float)) and not isinstance(v, bool)]
    if not isinstance(parameter, Float) or len(numbers) < 2:
        return _key(one) == _key(other)
    if parameter.log and min(numbers) > 0:
        return abs(math.log(numbers[0] / numbers[1])) < 0.01 * math.log(parameter.high / parameter.low)
    return abs(numbers[0] - numbers[1]) < 0.01 * (parameter.high - parameter.low)


def _check_bounds(name: str, low: float, high: float, log: bool) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(name, "needs two finite bounds, the lower one first", got=(low, high))
    if log and low <= 0:
        raise ConfigError(name, "needs a lower bound above 0 on a log scale", got=low, mend="Write 1e-6, for example.")


def _check_range(value: float, low: float, high: float) -> str | None:
    return None if low <= value <= high else f"must satisfy {low} <= value <= {high}"
