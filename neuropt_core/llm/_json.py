"""A reply's text -> JSON, strictly: what JSON or the rules do not allow fails where it stands, not as a whole."""

from __future__ import annotations

import json
import math
from typing import Any

from neuropt_core.errors import LLMBadOutput

_CHARACTERS = 400_000
_DEPTH = 12
_DIGITS = 40

NOT_A_NUMBER = "must be a number"


class Rejected(Exception):
    """A part of a reply breaks a rule; the text is the rule, never the model's own words."""


class Unreadable:
    """Stands where a reply holds what JSON or the rules do not allow; it fails wherever it is used."""

    def __init__(self, rule: str) -> None:
        self.rule = rule


def load(text: str) -> Any:
    """Returns the JSON of a reply; what is wrong in one place becomes an `Unreadable` there.

    Raises:
        LLMBadOutput: The text is too long, nested too deeply, or not JSON.
    """
    if len(text) > _CHARACTERS:
        raise LLMBadOutput("reply", f"must have at most {_CHARACTERS} characters", got=len(text))
    if _depth(text) > _DEPTH:
        raise LLMBadOutput("reply", f"must not be nested deeper than {_DEPTH}")
    try:
        return json.loads(
            text,
            parse_constant=lambda _: Unreadable(NOT_A_NUMBER),
            parse_float=_parse_float,
            parse_int=_parse_int,
            object_pairs_hook=_pairs,
        )
    except (ValueError, RecursionError):
        raise LLMBadOutput("reply", "must be one JSON object and nothing else") from None


def as_object(given: object, rule: str) -> dict[str, Any]:
    """Returns what is an object, or raises `Rejected` with `rule`."""
    if isinstance(given, Unreadable):
        raise Rejected(given.rule)
    if not isinstance(given, dict):
        raise Rejected(rule)
    return given


def whole_number(given: object) -> int:
    """Returns a whole number, also one written 3.0, or raises `Rejected`."""
    number = _number(given)
    if number != int(number):
        raise Rejected(f"must be a whole number, got {number!r}")
    return int(number)


def real_number(given: object) -> float:
    """Returns a finite number, or raises `Rejected`."""
    try:
        return float(_number(given))
    except OverflowError:
        raise Rejected("must be a finite number") from None


def _number(given: object) -> int | float:
    if isinstance(given, Unreadable):
        raise Rejected(given.rule)
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        raise Rejected(NOT_A_NUMBER)
    return given


def _parse_float(digits: str) -> object:
    number = float(digits)
    return number if math.isfinite(number) else Unreadable("must be a finite number")


def _parse_int(digits: str) -> object:
    return int(digits) if len(digits) <= _DIGITS else Unreadable(f"must have at most {_DIGITS} digits")


def _pairs(pairs: list[tuple[str, Any]]) -> object:
    made = dict(pairs)
    return made if len(made) == len(pairs) else Unreadable("must not hold a key twice")


def _depth(text: str) -> int:
    """Returns how deep brackets are nested; counted first, as the parser's recursion can exhaust the stack."""
    depth = deepest = 0
    quoted = escaped = False
    for character in text:
        if quoted:
            quoted = escaped or character != '"'
            escaped = not escaped and character == "\\"
        elif character == '"':
            quoted = True
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest
