"""A model's reply -> proposals, lessons and complaints. The model chooses among the user's own values.

Each candidate stands alone: one bad value costs that candidate, not the others. Nothing is clamped, coerced or dropped
without a complaint, but for two rules that the prompt states: the value of a parameter whose condition does not hold is
ignored, and a whole number written 3.0 is 3, and a real one written 3 is 3.0, since JSON has one type of number.
What is said about a candidate (intent, parent, expected score) never costs it: it is left out, and the complaint says
so. Its words are kept on one line, without controls or keys; what is too long ends in an ellipsis.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neuropt_core.advice import Lesson
from neuropt_core.errors import ConfigError, LLMBadOutput
from neuropt_core.llm._json import Rejected, as_object, load, real_number, whole_number
from neuropt_core.llm._lessons import read_lessons
from neuropt_core.llm._text import clean
from neuropt_core.llm._values import read_values
from neuropt_core.llm.schema import Slot, slots
from neuropt_core.space import SearchSpace, Value
from neuropt_core.trial import INTENTS, Predicted, Proposal

_LOOK_AT = 64
_ROOT = {"diagnosis", "lessons_keep", "lessons_retire", "candidates"}
_CANDIDATE = {"intent", "parent", "hypothesis", "falsifier", "values", "expected", "rationale"}


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a reply came to.

    Attributes:
        proposals: The legal candidates, in the order of the reply.
        complaints: What was wrong with the rest: rules and numbers only, never the model's own words.
        diagnosis: The model's reading of the history, cleaned and capped; for people.
        learnt: Lessons to keep from now on.
        retired: Numbers of lessons that stood so far and do so no longer.
    """

    proposals: tuple[Proposal, ...]
    complaints: tuple[str, ...] = ()
    diagnosis: str = ""
    learnt: tuple[Lesson, ...] = ()
    retired: tuple[int, ...] = ()


def parse_reply(
    text: str,
    space: SearchSpace,
    count: int,
    known: Mapping[str, Mapping[str, Value]] | None = None,
    *,
    numbers: Collection[int] = (),
    standing: Mapping[int, Lesson] | None = None,
) -> Parsed:
    """Returns at most `count` proposals, and a complaint for everything in the reply that is not one of them.

    Args:
        text: The raw reply.
        space: Where the values must lie.
        count: How many proposals were asked for.
        known: Parameters of trials, finished or running, and of proposals accepted before, by the name that a
            complaint gives them, e.g. ``trial #3``; these are not repeated.
        numbers: The trials that there are: a parent or a lesson's evidence must be one of them.
        standing: The lessons that the prompt showed, by number.

    Raises:
        LLMBadOutput: The reply as a whole cannot be read.
    """
    data = load(text)
    candidates = data.get("candidates") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(candidates, list):
        raise LLMBadOutput("reply", "must be an object with a list of candidates")
    extra = len(data.keys() - _ROOT)
    complaints = [f"reply: {unknown_keys(extra)}"] if extra else []
    learnt, retired, doubts = read_lessons(
        data.get("lessons_keep"), data.get("lessons_retire"), numbers, standing or {}
    )
    proposals, wrong = read_candidates(candidates, space, count, dict(known or {}), numbers)
    return Parsed(
        proposals,
        (*complaints, *wrong, *doubts),
        read_diagnosis(data),
        learnt,
        retired,
    )


def read_diagnosis(data: Mapping[str, Any]) -> str:
    """Returns a reply's diagnosis, cleaned and capped; "" if it has none."""
    diagnosis = data.get("diagnosis")
    return clean(diagnosis, 80) if isinstance(diagnosis, str) else ""


def read_candidates(
    candidates: Sequence[object],
    space: SearchSpace,
    count: int,
    seen: dict[str, Mapping[str, Value]],
    numbers: Collection[int] = (),
    word: str = "candidate",
    keys: Collection[str] = _CANDIDATE,
) -> tuple[tuple[Proposal, ...], list[str]]:
    """Returns the first `count` legal and new candidates, and the complaints about the others.

    Args:
        candidates: A list of the reply.
        space: Where the values must lie.
        count: How many are wanted.
        seen: Parameters that are not repeated, by the name that a complaint gives them; those taken are added.
        numbers: The trials that there are.
        word: What complaints call a candidate.
        keys: What a candidate may hold.
    """
    fields = slots(space)
    proposals: list[Proposal] = []
    complaints: list[str] = []
    looked = 0
    for index, candidate in enumerate(candidates[: max(_LOOK_AT, 2 * count)], start=1):
        if len(proposals) == count:
            break
        looked = index
        try:
            proposal, doubts = _proposal(candidate, space, fields, numbers, keys)
            same = next((name for name, params in seen.items() if space.alike(proposal.params, params)), None)
            if same is not None:
                raise Rejected(f"repeats {same}, or is nearer to it than training can show")
        except Rejected as rejected:
            complaints.append(f"{word} {index}: {rejected}")
            continue
        seen[f"{word} {index}"] = proposal.params
        proposals.append(proposal)
        complaints += [f"{word} {index}: {'; '.join(doubts)}"] if doubts else []
    if len(candidates) > looked:
        rest = len(candidates) - looked
        words = f"1 further {word} was" if rest == 1 else f"{rest} further {word}s were"
        complaints.append(f"{count} asked for, so {words} not looked at")
    return tuple(proposals), complaints


def _proposal(
    candidate: object, space: SearchSpace, fields: Sequence[Slot], numbers: Collection[int], keys: Collection[str]
) -> tuple[Proposal, list[str]]:
    """Returns the proposal and what is doubtful about it, or raises `Rejected` with all rules that it breaks."""
    entry = as_object(candidate, "must be an object")
    extra = len(entry.keys() - set(keys))
    values = as_object(entry.get("values"), "values must be an object")
    extra += len(values.keys() - {slot.alias for slot in fields})
    broken = [unknown_keys(extra)] if extra else []
    params, wrong = read_values(values, space, fields)
    broken += wrong
    rationale = entry.get("rationale")
    words = clean(rationale) if isinstance(rationale, str) else ""
    if not words:
        broken.append("rationale must be a text that is not empty")
    if broken:
        raise Rejected("; ".join(broken))
    violations = space.check(params)
    if violations:
        raise Rejected("; ".join(f"{v.name} {v.rule}" for v in violations))
    doubts: list[str] = []
    proposal = Proposal(
        params,
        words,
        "llm",
        predicted=read_expected(entry.get("expected"), doubts) if "expected" in keys else None,
        intent=_intent(entry, doubts),
        parent=_parent(entry, numbers, doubts),
        hypothesis=_sentence(entry, "hypothesis", doubts),
        falsifier=_sentence(entry, "falsifier", doubts),
    )
    return proposal, doubts


def unknown_keys(count: int) -> str:
    """Returns the complaint about so many keys; never the keys, which are the model's own words."""
    return "holds a key that is not in the schema" if count == 1 else f"holds {count} keys that are not in the schema"


def read_expected(given: object, doubts: list[str]) -> Predicted | None:
    """Returns the score that a model expects; None, and a doubt, where that is no p10 <= p50 <= p90."""
    try:
        entry = as_object(given, "must be an object")
        return Predicted(*(real_number(entry.get(name)) for name in ("p10", "p50", "p90")))
    except (Rejected, ConfigError):
        doubts.append("expected must hold finite p10 <= p50 <= p90; it is left out")
        return None


def _intent(entry: Mapping[str, Any], doubts: list[str]) -> str:
    """Returns the intent, "" where none is stated; the case may differ, as with the labels of choices."""
    if "intent" not in entry:
        return ""
    given = entry["intent"]
    word = given.casefold() if isinstance(given, str) else ""
    if word in INTENTS:
        return word
    doubts.append(f"intent must be one of {', '.join(INTENTS)}; it is left out")
    return ""


def _parent(entry: Mapping[str, Any], numbers: Collection[int], doubts: list[str]) -> int | None:
    if "parent" not in entry:
        return None
    try:
        number = whole_number(entry["parent"])
    except Rejected:
        number = -2
    if number == -1 or number in numbers:
        return None if number == -1 else number
    doubts.append("parent must be the number of a trial, or -1; it is left out")
    return None


def _sentence(entry: Mapping[str, Any], name: str, doubts: list[str]) -> str:
    given = entry.get(name, "")
    if isinstance(given, str):
        return clean(given, 40)
    doubts.append(f"{name} must be a text; it is left out")
    return ""
