"""A model's reply -> proposals and complaints. The model chooses among the user's own values; it supplies no text.

Each candidate stands alone: one bad value costs that candidate, not the others. Nothing is clamped, coerced or dropped
without a complaint, but for two rules that the prompt states: the value of a parameter whose condition does not hold is
ignored, and a whole number written 3.0 is 3, and a real one written 3 is 3.0, since JSON has one type of number.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neuropt_core.errors import ConfigError, LLMBadOutput
from neuropt_core.llm._text import one_line
from neuropt_core.llm.schema import Slot, slots
from neuropt_core.space import Categorical, Int, SearchSpace, Value
from neuropt_core.trial import Predicted, Proposal

_CHARACTERS = 400_000
_DEPTH = 12
_DIGITS = 40
_LOOK_AT = 64
_WORDS, _LETTERS = 60, 600

_NOT_A_NUMBER = "must be a number"


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a reply came to.

    Attributes:
        proposals: The legal candidates, in the order of the reply.
        complaints: What was wrong with the rest: rules and numbers only, never the model's own words.
        diagnosis: The model's reading of the history, cleaned and capped; for people.
    """

    proposals: tuple[Proposal, ...]
    complaints: tuple[str, ...] = ()
    diagnosis: str = ""


class _Unreadable:
    """Stands where a reply holds what JSON or the rules do not allow; it fails wherever it is used."""

    def __init__(self, rule: str) -> None:
        self.rule = rule


class _Rejected(Exception):
    """A candidate, or a part of it, breaks a rule."""


def parse_reply(text: str, space: SearchSpace, count: int, known: Iterable[Mapping[str, Value]] = ()) -> Parsed:
    """Returns at most `count` proposals, and a complaint for everything in the reply that is not one of them.

    Args:
        text: The raw reply.
        space: Where the values must lie.
        count: How many proposals were asked for.
        known: Parameters of trials, finished or running, and of proposals accepted before; these are not repeated.

    Raises:
        LLMBadOutput: The reply as a whole cannot be read.
    """
    data = _load(text)
    candidates = data.get("candidates") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(candidates, list):
        raise LLMBadOutput("reply", "must be an object with a list of candidates")
    fields, seen = slots(space), list(known)
    proposals: list[Proposal] = []
    extra = len(data.keys() - {"diagnosis", "candidates"})
    complaints = [f"reply: {_unknown(extra)}"] if extra else []
    looked = 0
    for index, candidate in enumerate(candidates[: max(_LOOK_AT, 2 * count)], start=1):
        if len(proposals) == count:
            break
        looked = index
        try:
            proposal, doubt = _proposal(candidate, space, fields)
            if any(space.alike(proposal.params, params) for params in seen):
                raise _Rejected("repeats a trial or another candidate, or is nearer to it than training can show")
        except _Rejected as rejected:
            complaints.append(f"candidate {index}: {rejected}")
            continue
        seen.append(proposal.params)
        proposals.append(proposal)
        complaints += [f"candidate {index}: {doubt}"] if doubt else []
    if len(candidates) > looked:
        complaints.append(f"{count} asked for, so {len(candidates) - looked} further candidates were not looked at")
    diagnosis = data.get("diagnosis")
    return Parsed(tuple(proposals), tuple(complaints), clean(diagnosis) if isinstance(diagnosis, str) else "")


def clean(text: str) -> str:
    """Returns the model's words on one line, without control characters, at most 60 words and 600 characters."""
    words = one_line(text, _LETTERS).split(" ")
    return " ".join(words[:_WORDS]) + ("…" if len(words) > _WORDS else "")


def _proposal(candidate: object, space: SearchSpace, fields: Sequence[Slot]) -> tuple[Proposal, str]:
    """Returns the proposal and what is doubtful about it, or raises `_Rejected` with all rules that it breaks."""
    entry = _object(candidate, "must be an object")
    extra = len(entry.keys() - {"rationale", "values", "expected"})
    values = _object(entry.get("values"), "values must be an object")
    extra += len(values.keys() - {slot.alias for slot in fields})
    broken = [_unknown(extra)] if extra else []
    params, wrong = _params(values, space, fields)
    broken += wrong
    rationale = entry.get("rationale")
    words = clean(rationale) if isinstance(rationale, str) else ""
    if not words:
        broken.append("rationale must be a text that is not empty")
    if broken:
        raise _Rejected("; ".join(broken))
    violations = space.check(params)
    if violations:
        raise _Rejected("; ".join(f"{v.name} {v.rule}" for v in violations))
    predicted, doubt = _predicted(entry.get("expected"))
    return Proposal(params, words, "llm", predicted), doubt


def _unknown(count: int) -> str:
    return "holds a key that is not in the schema" if count == 1 else f"holds {count} keys that are not in the schema"


def _params(
    values: Mapping[str, object], space: SearchSpace, fields: Sequence[Slot]
) -> tuple[dict[str, Value], list[str]]:
    """Returns the legal values of active parameters, and the rules that the others break."""
    params: dict[str, Value] = {}
    broken: list[str] = []
    failed: set[str] = set()
    for slot in fields:
        p = slot.parameter
        # Whether it counts is not known when the parameter that it depends on was rejected; one complaint is enough.
        if any(condition.name in failed for condition in p.when):
            failed.add(p.name)
            continue
        if not space.is_active(p.name, params):
            continue
        try:
            if slot.alias not in values:
                raise _Rejected("is missing")
            params[p.name] = _value(values[slot.alias], slot)
        except _Rejected as rejected:
            failed.add(p.name)
            broken.append(f"{p.name} {rejected}")
    return params, broken


def _value(given: object, slot: Slot) -> Value:
    p = slot.parameter
    if isinstance(given, _Unreadable):
        raise _Rejected(given.rule)
    value: Value
    if isinstance(p, Categorical):
        value = _choice(given, p, slot.labels)
    elif isinstance(p, Int):
        value = _whole(given)
    else:
        value = _real(given)
    rule = p.check(value)
    if rule is not None:
        raise _Rejected(f"{rule}, got {value!r}")
    return value


def _choice(given: object, p: Categorical, labels: Sequence[str]) -> Value:
    """Returns the user's own choice for a label; the case may differ, as Anthropic does not keep an enum's case."""
    if not isinstance(given, str):
        raise _Rejected(f"must be one of the {len(labels)} labels of its choices, as a string")
    for choice, label in zip(p.choices, labels, strict=True):
        if label.casefold() == given.casefold():  # labels stay different without their case: see schema._labels
            return choice
    shown = ", ".join(json.dumps(label, ensure_ascii=False) for label in labels[:20])
    raise _Rejected(f"must be one of {shown}" + (" ..." if len(labels) > 20 else ""))


def _whole(given: object) -> int:
    number = _number(given)
    if number != int(number):
        raise _Rejected(f"must be a whole number, got {number!r}")
    return int(number)


def _real(given: object) -> float:
    try:
        return float(_number(given))
    except OverflowError:
        raise _Rejected("must be a finite number") from None


def _number(given: object) -> int | float:
    if isinstance(given, _Unreadable):
        raise _Rejected(given.rule)
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        raise _Rejected(_NOT_A_NUMBER)
    return given


def _predicted(given: object) -> tuple[Predicted | None, str]:
    try:
        entry = _object(given, "must be an object")
        return Predicted(*(_real(entry.get(name)) for name in ("p10", "p50", "p90"))), ""
    except (_Rejected, ConfigError):
        return None, "expected must hold finite p10 <= p50 <= p90; it is left out"


def _object(given: object, rule: str) -> dict[str, Any]:
    if isinstance(given, _Unreadable):
        raise _Rejected(given.rule)
    if not isinstance(given, dict):
        raise _Rejected(rule)
    return given


def _load(text: str) -> Any:
    """Returns the JSON of a reply; what is wrong in one place becomes an `_Unreadable` there."""
    if len(text) > _CHARACTERS:
        raise LLMBadOutput("reply", f"must have at most {_CHARACTERS} characters", got=len(text))
    if _depth(text) > _DEPTH:
        raise LLMBadOutput("reply", f"must not be nested deeper than {_DEPTH}")
    try:
        return json.loads(
            text,
            parse_constant=lambda _: _Unreadable(_NOT_A_NUMBER),
            parse_float=_parse_float,
            parse_int=_parse_int,
            object_pairs_hook=_pairs,
        )
    except (ValueError, RecursionError):
        raise LLMBadOutput("reply", "must be one JSON object and nothing else") from None


def _parse_float(digits: str) -> object:
    number = float(digits)
    return number if math.isfinite(number) else _Unreadable("must be a finite number")


def _parse_int(digits: str) -> object:
    return int(digits) if len(digits) <= _DIGITS else _Unreadable(f"must have at most {_DIGITS} digits")


def _pairs(pairs: list[tuple[str, Any]]) -> object:
    made = dict(pairs)
    return made if len(made) == len(pairs) else _Unreadable("must not hold a key twice")


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
