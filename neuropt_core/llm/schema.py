"""The reply's JSON schema, made from a search space, in the subset that both vendors and local grammars accept.

Measured limits that shape it: Anthropic allows 16 union types and 24 optional properties, OpenAI wants every property
required, neither bounds numbers reliably, and Anthropic may change the case of an enum's values. So every property is
required and no type is a union: a parameter whose condition does not hold is given all the same, and left out by rule.
Bounds stand in the descriptions and are checked here. The schema depends on the space alone, so its compiled form stays
in the vendor's cache; schemas are kept there for a day, which is why no default, score or other finding is part of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from neuropt_core.llm._text import discreet, tidy
from neuropt_core.space import Categorical, Float, Int, Parameter, SearchSpace, Value
from neuropt_core.trial import INTENTS

_ENUM_EACH = 200
_ENUM_ALL = 800  # OpenAI: 1000 values over all enums
_LABEL = 60
_VAGUE = ("name", "type", "kind", "target", "value", "id")


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a parameter stands in a reply.

    Attributes:
        alias: The property's name: short, ``[a-z0-9_]``, unique in the space.
        parameter: The parameter.
        labels: For a categorical one, the word for each of its choices, in order.
    """

    alias: str
    parameter: Parameter
    labels: tuple[str, ...] = ()

    @property
    def by_id(self) -> bool:
        """True if the labels are ids (``v0``, ``v1`` ...) that need a legend."""
        return self.labels[:1] == ("v0",)

    def label(self, value: Value) -> str:
        """Returns a value as a reply would write it; one that is no choice (a user's default may be none) as JSON.

        A text that is no choice is cleaned, as it may be anything that stands in a config.
        """
        if isinstance(self.parameter, Categorical):
            for choice, label in zip(self.parameter.choices, self.labels, strict=True):
                if type(choice) is type(value) and choice == value:
                    return json.dumps(label, ensure_ascii=False)
        if isinstance(value, float):
            return f"{value:.6g}"
        return json.dumps(tidy(value, _LABEL) if isinstance(value, str) else value, ensure_ascii=False)


def slots(space: SearchSpace) -> tuple[Slot, ...]:
    """Returns the slot of every parameter, in the space's order."""
    aliases = _aliases(space.names)
    return tuple(
        Slot(alias, p, _labels(p.choices) if isinstance(p, Categorical) else ())
        for alias, p in zip(aliases, space.parameters, strict=True)
    )


def reply_schema(space: SearchSpace) -> dict[str, Any]:
    """Returns the schema of a reply. Words come before values, so that the model reasons before it chooses."""
    return an_object(
        {
            "diagnosis": a_string("What the latest trials show beside the earlier ones, in at most 80 words."),
            "lessons_keep": an_array(
                _lesson(), "New lessons, or known ones with new evidence; empty if there are none."
            ),
            "lessons_retire": an_array(
                an_integer("The number of a known lesson that the trials refute, or that says nothing any more"),
                "Numbers of known lessons to take back; empty if there are none.",
            ),
            "candidates": an_array(_candidate(space), "As many as were asked for."),
        }
    )


def _lesson() -> dict[str, Any]:
    return an_object(
        {
            "lesson": a_string("One sentence that would help to choose, in at most 40 words."),
            "supports": an_array(an_integer("A trial's number"), "The trials that support it, at least one."),
            "contradicts": an_array(an_integer("A trial's number"), "The trials that speak against it."),
        }
    )


def _candidate(space: SearchSpace) -> dict[str, Any]:
    return an_object(
        {
            "intent": {**a_string("What this trial is for."), "enum": list(INTENTS)},
            "parent": an_integer("The number of the trial that this one builds on; -1 if it builds on none"),
            "hypothesis": a_string("What you believe and this trial tests: one sentence, at most 40 words."),
            "falsifier": a_string("Which result would speak against it: one sentence, at most 40 words."),
            "values": values_object(space),
            "expected": expected_object("The score that this candidate will reach"),
            "rationale": a_string("One or two sentences, at most 60 words, that cite observed results."),
        }
    )


def values_object(space: SearchSpace) -> dict[str, Any]:
    """Returns the schema of one configuration."""
    return an_object(dict(_properties(slots(space))))


def expected_object(description: str) -> dict[str, Any]:
    """Returns the schema of a score that is expected, as quantiles."""
    return an_object(
        {
            "p10": a_number("The score that 1 in 10 such trials stays below"),
            "p50": a_number("The score in the middle; p10 <= p50 <= p90"),
            "p90": a_number("The score that 9 in 10 such trials stay below"),
        },
        description,
    )


def _properties(fields: tuple[Slot, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    listed = 0
    for slot in fields:
        p = slot.parameter
        rest = "; ignored while its condition does not hold, but give a value" if p.when else ""
        if isinstance(p, Float):
            scale = ", log scale" if p.log else ""
            yield slot.alias, a_number(f"{p.low!r} <= value <= {p.high!r}{scale}{rest}")
        elif isinstance(p, Int):
            scale = ", log scale" if p.log else f", in steps of {p.step} from {p.low}" if p.step > 1 else ""
            yield slot.alias, an_integer(f"{p.low} <= value <= {p.high}{scale}{rest}")
        elif len(slot.labels) <= _ENUM_EACH and listed + len(slot.labels) <= _ENUM_ALL:
            listed += len(slot.labels)
            yield slot.alias, {**a_string(f"one of the choices{rest}"), "enum": list(slot.labels)}
        else:
            yield slot.alias, a_string(f"one of the {len(slot.labels)} choices named in the space{rest}")


def an_object(properties: dict[str, Any], description: str = "") -> dict[str, Any]:
    """Returns an object whose properties are all required, and which holds no other."""
    made = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {**made, "description": description} if description else made


def a_string(description: str) -> dict[str, Any]:
    """Returns a text."""
    return {"type": "string", "description": description}


def an_array(items: dict[str, Any], description: str) -> dict[str, Any]:
    """Returns a list."""
    return {"type": "array", "items": items, "description": description}


def an_integer(description: str) -> dict[str, Any]:
    """Returns a whole number."""
    return {"type": "integer", "description": description}


def a_number(description: str) -> dict[str, Any]:
    """Returns a number."""
    return {"type": "number", "description": description}


def _aliases(names: tuple[str, ...]) -> list[str]:
    """Returns the shortest telling endings of dotted names: ``optimizer.lr`` -> ``lr``, ``norm.name`` -> ``norm_name``.

    An ending tells if no other name shares it and it is more than a word such as ``name``.
    """
    paths = [[re.sub(r"[^a-z0-9_]", "_", part).strip("_") for part in name.lower().split(".")] for name in names]
    made: list[str] = []
    for path in paths:
        least = 2 if path[-1] in _VAGUE else 1
        lengths = range(least, len(path) + 1)
        alone = (n for n in lengths if sum(other[-n:] == path[-n:] for other in paths) == 1)
        alias = "_".join(path[-next(alone, len(path)) :])
        if alias in made or not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", alias):
            alias = next(a for a in (f"p{i}" for i in range(len(names) + 1)) if a not in made)
        made.append(alias)
    return made


def _labels(choices: tuple[Value, ...]) -> tuple[str, ...]:
    labels = tuple(c if isinstance(c, str) else json.dumps(c) for c in choices)
    # A choice with a password or somebody's folder in it is not told; its id and what is left of it are enough.
    plain = all(0 < len(text) <= _LABEL and text.isprintable() and discreet(text) == text for text in labels)
    if plain and len({text.casefold() for text in labels}) == len(labels) and labels[0] != "v0":
        return labels
    return tuple(f"v{i}" for i in range(len(choices)))
