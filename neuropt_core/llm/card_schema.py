"""The JSON schema of a space card: beliefs as two lists, so that its size does not grow with the space's.

A parameter of which nothing is known is left out, which a property for each parameter would not allow: all properties
are required. Numbers and choices are apart, since no type may be a union. The rules are those of `schema`.
"""

from __future__ import annotations

from typing import Any

from neuropt_core.llm.schema import a_number, a_string, an_array, an_object, expected_object, slots, values_object
from neuropt_core.space import Categorical, SearchSpace


def card_schema(space: SearchSpace) -> dict[str, Any]:
    """Returns the schema of a card; the lists of beliefs are those that the space has parameters for."""
    numbers = [slot.alias for slot in slots(space) if not isinstance(slot.parameter, Categorical)]
    choices = [slot.alias for slot in slots(space) if isinstance(slot.parameter, Categorical)]
    beliefs: dict[str, Any] = {}
    if numbers:
        beliefs["numbers"] = an_array(_number_belief(numbers), "Beliefs about numbers, each parameter at most once.")
    if choices:
        beliefs["choices"] = an_array(_choice_belief(choices), "Beliefs about choices, each parameter at most once.")
    return an_object(
        {
            "diagnosis": a_string("What model, task and space suggest for the search, in at most 80 words."),
            **beliefs,
            "portfolio": an_array(_configuration(space), "As many as were asked for, the most promising first."),
            "expected": an_array(
                expected_object("The score that a good configuration should reach"),
                "One entry, or none if nothing shown lets you tell.",
            ),
        }
    )


def _number_belief(aliases: list[str]) -> dict[str, Any]:
    return an_object(
        {
            "parameter": {**a_string("Its alias."), "enum": aliases},
            "why": _why(),
            "low": a_number("8 in 10 good values lie between low and high; within the bounds, low < high"),
            "high": a_number("The upper end, in the parameter's own units"),
            "mode": a_number("The likeliest good value; a legal one, low <= mode <= high"),
            "risk": _risk(),
        }
    )


def _choice_belief(aliases: list[str]) -> dict[str, Any]:
    return an_object(
        {
            "parameter": {**a_string("Its alias."), "enum": aliases},
            "why": _why(),
            "likely": an_array(a_string("One of its choices, as the space names it."), "The likeliest first."),
            "risk": _risk(),
        }
    )


def _why() -> dict[str, Any]:
    return a_string("The reason, in at most 20 words.")


def _risk() -> dict[str, Any]:
    return a_string('What may go wrong and where, e.g. "above 256 it may not fit into memory"; "" if nothing is known.')


def _configuration(space: SearchSpace) -> dict[str, Any]:
    return an_object(
        {
            "rationale": a_string("What this one is for beside the others, in at most 30 words."),
            "values": values_object(space),
        }
    )
