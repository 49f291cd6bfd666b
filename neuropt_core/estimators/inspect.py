"""Looks into an estimator: which of its arguments are searched, where, and why the others are not."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal

from neuropt_core.errors import IntrospectionError
from neuropt_core.estimators.known import STRANGER, family_of, library_of
from neuropt_core.estimators.rows import REASONS, Family, Row
from neuropt_core.profile import EstimatorFacts, ModelProfile
from neuropt_core.space import Categorical, Float, Int, Parameter, Value, When

Preset = Literal["seed", "standard", "wide"]
_MOST = 80
"""Letters of a present value that are kept."""


def is_estimator(obj: object) -> bool:
    """Tells whether an object follows scikit-learn's protocol: it has ``get_params`` and ``set_params``.

    A class is none, nor is a torch module, which is looked into otherwise.
    """
    if isinstance(obj, type) or any(kind.__module__.partition(".")[0] == "torch" for kind in type(obj).__mro__):
        return False
    try:
        return callable(getattr(obj, "get_params", None)) and callable(getattr(obj, "set_params", None))
    except Exception:  # noqa: BLE001 - an object whose `__getattr__` raises anything has no such method
        return False


def inspect_estimator(
    estimator: Any, *, target: str, prefix: str = "", space: Preset = "standard", searched: Collection[str] = ()
) -> ModelProfile:
    """Returns the profile of an estimator; nothing is fitted, and the estimator stays as it is.

    Args:
        estimator: Anything that `is_estimator`; a pipeline's or meta-estimator's parts are looked into too, under
            names such as ``svc__C``.
        target: What the profile is to call it, e.g. its ``_target_``.
        prefix: Put before each argument's name; with ``model.`` it is a key of a Hydra config.
        space: ``wide`` adds what pays off only with a large budget; ``seed`` is as ``standard``.
        searched: Names, with their prefix, that are searched in any case and that others may depend on.

    Raises:
        IntrospectionError: ``get_params`` fails, or returns no mapping of names.
    """
    try:
        params = dict(estimator.get_params(deep=True))
    except Exception as error:  # noqa: BLE001 - it is the library's or the user's code
        rule = f"get_params() fails ({type(error).__name__}: {error})"
        raise IntrospectionError(target, " ".join(rule.split())[:300]) from None
    if strange := [name for name in params if not isinstance(name, str)]:
        rule = f"get_params() names an argument by a {type(strange[0]).__name__}, not by text"
        raise IntrospectionError(target, rule)
    offered: list[Parameter] = []
    left_out: dict[str, str] = {}
    shown: dict[str, str] = {}
    for inner, part in _parts(estimator, params):
        start = f"{inner}__" if inner else ""
        own = {
            name.removeprefix(start): _plain(value)
            for name, value in params.items()
            if name.startswith(start) and "__" not in name.removeprefix(start)
        }
        found, reasons = _offer(part, own, f"{prefix}{start}", space, searched)
        known = family_of(part) is not STRANGER
        shown |= {start + name: _shown(value, words=known) for name, value in own.items()}
        offered += found
        left_out |= reasons
    facts = EstimatorFacts(
        name=type(estimator).__name__,
        library=library_of(estimator),
        arguments={name: shown.get(name, type(params[name]).__name__) for name in params},
    )
    return ModelProfile(target=target, parameters=0, offered=tuple(offered), left_out=left_out, estimator=facts)


def _parts(estimator: Any, params: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yields the estimator, and each one within it with its name, e.g. ``bag__estimator``."""
    yield "", estimator
    if any(kind.__name__ == "BaseSearchCV" for kind in type(estimator).__mro__):
        return  # It searches its own estimator's arguments.
    for name, value in params.items():
        if is_estimator(value):
            yield name, value


def _offer(
    estimator: object, params: Mapping[str, Any], prefix: str, space: Preset, searched: Collection[str]
) -> tuple[list[Parameter], dict[str, str]]:
    family = family_of(estimator)
    offered: dict[str, Parameter] = {}
    reasons: dict[str, str] = {}
    rows = {row.argument: row for row in family.rows}
    present = {name: _present(rows.get(name), value) for name, value in params.items()}
    renamed: dict[str, str] = {}
    free = {name.removeprefix(prefix) for name in searched}
    for row in family.rows:
        name = next((a for a in row.aliases if params.get(a) is not None), row.argument)
        renamed[row.argument] = name
        if name != row.argument:
            reasons[prefix + row.argument] = f"it is given as {name}"
        if name not in params:
            continue
        full = prefix + name
        if row.wide and space != "wide" and full not in searched:
            reasons[full] = row.why_not if row.why_not and not row.never else "only with space=wide"
            continue
        when, reason = _conditions(row, params, present, offered, renamed, free)
        found = reason or _parameter(row, full, params[name], tuple(When(prefix + n, v) for n, v in when))
        if isinstance(found, str):
            reasons[full] = found
        else:
            offered[name] = found
    for name, value in params.items():
        if name not in offered and prefix + name not in reasons and not is_estimator(value):
            reasons[prefix + name] = _why_not(name, family, type(estimator).__name__)
    return list(offered.values()), reasons


def _present(row: Row | None, value: Any) -> Any:
    return row.unset if row is not None and value is None else value


def _conditions(
    row: Row,
    params: Mapping[str, Any],
    present: Mapping[str, Any],
    offered: Mapping[str, Parameter],
    renamed: Mapping[str, str],
    free: Collection[str],
) -> tuple[list[tuple[str, tuple[Value, ...]]], str]:
    """Returns the conditions on what is searched, and why the row cannot be searched as things stand, or "".

    An argument in `free` has choices of the user's own, which are not known here.
    """
    for name, values in row.needs:
        if name in params and not _among(params[name], values):
            return [], row.why_not or f"has no effect, or is not allowed, with {name}={_shown(params[name])}"
    when = []
    for argument, values in row.when:
        name = renamed.get(argument, argument)
        if name in offered:
            held = tuple(v for v in values if name in free or offered[name].check(v) is None)
            when.append((name, held))
        elif name in present and not _among(present[name], values):
            return [], f"has no effect with {name}={_shown(present[name])}"
    return when, ""


def _parameter(row: Row, name: str, value: Any, when: tuple[When, ...]) -> Parameter | str:
    """Returns the parameter of a row for its present value, or why there is none."""
    value = row.unset if value is None else value
    common: dict[str, Any] = {
        "name": name, "default": value, "has_default": True, "when": when, "role": row.role, "note": row.note,
    }  # fmt: skip
    if _among(value, row.never):
        return row.why_not
    if row.low is not None and row.high is not None and _on_scale(row, value):
        low, high = min(row.low, value), max(row.high, value)
        if row.whole:
            return Int(low=int(low), high=int(high), log=row.log, **common)
        return Float(low=float(low), high=float(high), log=row.log, **common)
    if not row.words and not row.points:
        return f"its present value {_told(value)} is no {_kind(row)}"
    if not isinstance(value, (bool, int, float, str, type(None))) or (
        isinstance(value, float) and not math.isfinite(value)
    ):
        return f"its present value {_told(value)} is no single finite value"
    choices = (*row.words, *row.points)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if number and row.low is not None and not _among(value, choices):
        return f"its present value {_told(value)} is no {_kind(row)}"
    return Categorical(choices=choices if _among(value, choices) else (value, *choices), **common)


def _on_scale(row: Row, value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return False
    if (row.whole and not isinstance(value, int)) or (row.share and not isinstance(value, float)):
        return False
    # Below zero, or at zero on a log scale, a number is a word of its own: LightGBM's max_depth=-1 is no limit.
    return not _among(value, row.words) and (value > 0 or (value == 0 and not row.log))


def _kind(row: Row) -> str:
    if row.whole:
        return "whole number above 0"
    if row.share:
        return "share (a real number such as 0.5; a whole number is a count, which depends on the data)"
    return "finite number above 0" if row.log else "finite number from 0 on"


def _why_not(name: str, family: Family, kind: str) -> str:
    if name in family.reasons:
        return family.reasons[name]
    if name in REASONS:
        return REASONS[name]
    if family is STRANGER:
        return f"its range for {kind} is not known, and none is guessed"
    return "it is not among what is usually tuned; give it a range of your own to search it"


def _among(value: Any, values: tuple[Value, ...]) -> bool:
    return any(type(value) is type(v) and value == v for v in values)


def _plain(value: Any) -> Any:
    """Returns a number of numpy's as Python's own; anything else as it is."""
    # Of the class, since an object of the user's may raise whatever it is asked for.
    return value.item() if type(value).__module__ == "numpy" and value.shape == () else value


def _shown(value: Any, *, words: bool = True) -> str:
    """Returns a scalar as text, of anything else its class: what an object says of itself may be data or a secret.

    So may a text be, where it is no word of a library that is known.
    """
    if not isinstance(value, (bool, int, float, str, type(None))) or (isinstance(value, str) and not words):
        return type(value).__name__
    text = " ".join(repr(value).split())
    return text if len(text) <= _MOST else f"{text[:_MOST]}…"


def _told(value: Any) -> str:
    scalar = isinstance(value, (bool, int, float, str, type(None)))
    return _shown(value) if scalar else f"of class {_shown(value)}"
