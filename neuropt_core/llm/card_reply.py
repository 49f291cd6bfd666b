"""A reply -> a space card: each belief and each configuration stands alone, and what breaks a rule is left out.

Nothing is clamped: a belief that leaves the parameter's bounds is none. As in `reply`, complaints hold rules and
numbers, never the model's own words, and its texts are kept on one line, without controls or keys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from neuropt_core.card import Belief, SpaceCard
from neuropt_core.errors import LLMBadOutput
from neuropt_core.llm._json import Rejected, as_object, load, real_number
from neuropt_core.llm._text import clean
from neuropt_core.llm._values import read_choice, read_value
from neuropt_core.llm.reply import read_candidates, read_diagnosis, read_expected, unknown_keys
from neuropt_core.llm.schema import Slot, slots
from neuropt_core.space import Categorical, SearchSpace, Value
from neuropt_core.trial import Predicted, Proposal

_ROOT = {"diagnosis", "numbers", "choices", "portfolio", "expected"}
_WHY, _RISK = 20, 20
_LOOK_AT = 200


@dataclass(frozen=True, slots=True)
class Draft:
    """What the replies of at most two turns have come to.

    Attributes:
        beliefs: By parameter name.
        portfolio: Legal configurations, in the order of the replies.
        expected: The score that a good configuration should reach.
        complaints: What was wrong with the rest of the last reply.
        diagnosis: What model, task and space suggest, cleaned and capped; for people.
    """

    beliefs: Mapping[str, Belief] = field(default_factory=dict)
    portfolio: tuple[Proposal, ...] = ()
    expected: Predicted | None = None
    complaints: tuple[str, ...] = ()
    diagnosis: str = ""

    @property
    def size(self) -> int:
        """How many beliefs and configurations it holds."""
        return len(self.beliefs) + len(self.portfolio)

    def card(self) -> SpaceCard | None:
        """Returns the card, or None where nothing of the replies was of use."""
        return SpaceCard("llm", self.beliefs, self.portfolio, self.expected) if self.size else None


def read_card(
    text: str,
    space: SearchSpace,
    count: int,
    known: Mapping[str, Mapping[str, Value]] | None = None,
    before: Draft | None = None,
) -> Draft:
    """Returns `before` with what a reply adds to it: at most `count` configurations in all.

    Args:
        text: The raw reply.
        space: Where the values must lie.
        count: How many configurations were asked for.
        known: Parameters of trials, by the name that a complaint gives them; these are not repeated.
        before: What the first turn came to; its beliefs stand.

    Raises:
        LLMBadOutput: The reply as a whole cannot be read.
    """
    before = before or Draft()
    data = load(text)
    portfolio = data.get("portfolio") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(portfolio, list):
        raise LLMBadOutput("reply", "must be an object with a list named portfolio")
    extra = len(data.keys() - _ROOT)
    complaints = [f"reply: {unknown_keys(extra)}"] if extra else []
    beliefs = dict(before.beliefs)
    fields = slots(space)
    numbers = {s.alias: s for s in fields if not isinstance(s.parameter, Categorical)}
    choices = {s.alias: s for s in fields if isinstance(s.parameter, Categorical)}
    complaints += _beliefs(data, "numbers", numbers, _numbers, beliefs)
    complaints += _beliefs(data, "choices", choices, _choices, beliefs)
    seen = dict(known or {})
    seen |= {f"accepted configuration {n}": p.params for n, p in enumerate(before.portfolio, start=1)}
    wanted = count - len(before.portfolio)
    found, wrong = read_candidates(portfolio, space, wanted, seen, word="configuration", keys=("rationale", "values"))
    if len(found) < wanted:
        wrong.append(f"{wanted} configuration{'' if wanted == 1 else 's'} asked for, {len(found)} legal")
    expected, doubts = _expected(data)
    return Draft(
        beliefs,
        before.portfolio + found,
        expected or before.expected,
        (*complaints, *wrong, *doubts),
        read_diagnosis(data) or before.diagnosis,
    )


def _beliefs(
    data: Mapping[str, Any],
    name: str,
    fields: Mapping[str, Slot],
    read: Callable[[Mapping[str, Any], Slot], Belief],
    beliefs: dict[str, Belief],
) -> list[str]:
    """Adds the legal beliefs of one list to `beliefs`; returns the complaints about the others."""
    given = data.get(name, [])
    if not isinstance(given, list):
        return [f"{name} must be a list"]
    complaints = []
    said: set[str] = set()
    for index, item in enumerate(given[:_LOOK_AT], start=1):
        try:
            entry = as_object(item, "must be an object")
            alias = entry.get("parameter")
            slot = fields.get(alias.casefold()) if isinstance(alias, str) else None
            if slot is None:
                raise Rejected(f"parameter must be the alias of one of the {len(fields)} {name} of the space")
            if slot.alias in said:
                raise Rejected(f"says something of {slot.parameter.name} again")
            said.add(slot.alias)
            belief = read(entry, slot)
            beliefs.setdefault(slot.parameter.name, belief)
        except Rejected as rejected:
            complaints.append(f"{name} {index}: {rejected}; the belief is left out")
    if len(given) > _LOOK_AT:
        complaints.append(f"{name}: {len(given) - _LOOK_AT} more than {_LOOK_AT} were not looked at")
    return complaints


def _numbers(entry: Mapping[str, Any], slot: Slot) -> Belief:
    name = slot.parameter.name
    _only(entry, {"parameter", "why", "low", "high", "mode", "risk"})
    p = slot.parameter
    assert not isinstance(p, Categorical)
    ends = [_field(entry, word, name, lambda given: real_number(given)) for word in ("low", "high")]
    mode = _field(entry, "mode", name, lambda given: read_value(given, slot))
    low, high = ends
    if not p.low <= low < high <= p.high:
        raise Rejected(f"{name} must satisfy {p.low!r} <= low < high <= {p.high!r}, got {low!r} and {high!r}")
    if not isinstance(mode, (int, float)) or not low <= mode <= high:
        raise Rejected(f"{name} must satisfy low <= mode <= high, got {low!r}, {mode!r} and {high!r}")
    return Belief(low, high, mode, risk=_words(entry, "risk", _RISK), why=_words(entry, "why", _WHY))


def _choices(entry: Mapping[str, Any], slot: Slot) -> Belief:
    name = slot.parameter.name
    _only(entry, {"parameter", "why", "likely", "risk"})
    given = entry.get("likely")
    p = slot.parameter
    assert isinstance(p, Categorical)
    if not isinstance(given, list) or not 0 < len(given) <= len(p.choices):
        raise Rejected(f"{name} needs a list of its {len(p.choices)} choices or fewer, and at least one, as likely")
    likely: list[Value] = []
    for item in given:
        try:
            value = read_choice(item, p, slot.labels)
        except Rejected as rejected:
            raise Rejected(f"{name} {rejected}") from None
        if any(type(value) is type(other) and value == other for other in likely):
            raise Rejected(f"{name} names a choice twice")
        likely.append(value)
    return Belief(
        mode=likely[0], likely=tuple(likely), risk=_words(entry, "risk", _RISK), why=_words(entry, "why", _WHY)
    )


def _only(entry: Mapping[str, Any], keys: set[str]) -> None:
    if extra := len(entry.keys() - keys):
        raise Rejected(unknown_keys(extra))


def _field(entry: Mapping[str, Any], word: str, name: str, read: Callable[[object], Any]) -> Any:
    if word not in entry:
        raise Rejected(f"{name} {word} is missing")
    try:
        return read(entry[word])
    except Rejected as rejected:
        raise Rejected(f"{name} {word} {rejected}") from None


def _words(entry: Mapping[str, Any], name: str, words: int) -> str:
    given = entry.get(name, "")
    if not isinstance(given, str):
        raise Rejected(f"{name} must be a text")
    return clean(given, words)


def _expected(data: Mapping[str, Any]) -> tuple[Predicted | None, list[str]]:
    given: Sequence[object] = data.get("expected", [])
    if not isinstance(given, list) or len(given) > 1:
        return None, ["expected must be a list of one entry, or of none; it is left out"]
    doubts: list[str] = []
    return (read_expected(given[0], doubts) if given else None), doubts
