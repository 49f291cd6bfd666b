"""The reply's schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from neuropt_core.llm.schema import reply_schema, slots
from neuropt_core.space import Categorical, Float, Int, Parameter, SearchSpace, Value, When


def _space(*parameters: Parameter) -> SearchSpace:
    return SearchSpace(parameters)


def _aliases(*names: str) -> list[str]:
    return [s.alias for s in slots(_space(*(Float(name=n, low=0, high=1) for n in names)))]


def _labels(*choices: Value) -> tuple[str, ...]:
    return slots(_space(Categorical(name="c", choices=choices)))[0].labels


def _schemas(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        if "type" in schema and not isinstance(schema["type"], dict):
            yield schema
        for part in schema.values():
            yield from _schemas(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _schemas(part)


def _wide(n: int = 60) -> SearchSpace:
    made: list[Parameter] = [Categorical(name="gate", choices=("on", "off"))]
    for i in range(n):
        made.append(Float(name=f"block{i}.lr", low=1e-5, high=1e-1, log=True, when=(When("gate", ("on",)),)))
    made.append(Categorical(name="many", choices=tuple(range(2000))))
    made.append(Int(name="model.depth", low=2, high=10, step=2))
    return _space(*made)


def test_the_schema_stays_in_the_subset_of_both_vendors() -> None:
    """60 conditional parameters need no union, no optional property, no bound; enums stay under OpenAI's limits."""
    schema = reply_schema(_wide())
    for part in _schemas(schema):
        assert isinstance(part["type"], str)
        assert set(part) <= {"type", "properties", "required", "additionalProperties", "items", "enum", "description"}
        if part["type"] == "object":
            assert part["additionalProperties"] is False
            assert part["required"] == list(part["properties"])
    assert sum(len(part.get("enum", ())) for part in _schemas(schema)) <= 1000
    assert schema["type"] == "object"


def test_words_come_before_values() -> None:
    """Required properties are written in the schema's order, so the model reasons before it chooses."""
    schema = reply_schema(_space(Float(name="lr", low=0, high=1)))
    assert schema["required"] == ["diagnosis", "lessons_keep", "lessons_retire", "candidates"]
    candidate = schema["properties"]["candidates"]["items"]
    words = ["intent", "parent", "hypothesis", "falsifier"]
    assert candidate["required"] == [*words, "values", "expected", "rationale"]
    assert candidate["properties"]["intent"]["enum"] == ["exploit", "repair", "explore", "ablate"]


def test_bounds_and_conditions_stand_in_descriptions() -> None:
    """What a grammar cannot hold is said in words."""
    values = reply_schema(_wide())["properties"]["candidates"]["items"]["properties"]["values"]["properties"]
    assert values["block0_lr"] == {
        "type": "number",
        "description": "1e-05 <= value <= 0.1, log scale; ignored while its condition does not hold, but give a value",
    }
    assert values["depth"] == {"type": "integer", "description": "2 <= value <= 10, in steps of 2 from 2"}
    assert values["gate"]["enum"] == ["on", "off"]
    assert "enum" not in values["many"]


def test_the_schema_holds_no_default() -> None:
    """Vendors keep schemas for a day: the user's present values are none of their business there."""
    space = _space(Float(name="lr", low=0, high=1, default=0.123, has_default=True, note="secret note"))
    assert "0.123" not in json.dumps(reply_schema(space))
    assert "note" not in json.dumps(reply_schema(space))


@pytest.mark.parametrize(
    ("names", "aliases"),
    [
        (("optimizer.lr", "model.depth"), ["lr", "depth"]),
        (("a.lr", "b.lr"), ["a_lr", "b_lr"]),
        (("lr", "b.lr"), ["lr", "b_lr"]),
        (("a.lr", "a_lr"), ["lr", "a_lr"]),
        (("neuropt.lr_layer_decay",), ["lr_layer_decay"]),
        (("a.LR-1",), ["lr_1"]),
        (("größe", "x.0", "k" * 60), ["gr__e", "p0", "p1"]),
        (("p1", "x.0"), ["p1", "p0"]),
        (("__proto__", "hydra/launcher"), ["proto", "hydra_launcher"]),
        (("optimizer.name", "name"), ["optimizer_name", "name"]),
        (("optimizer._target_", "a.b.type"), ["optimizer_target", "b_type"]),
    ],
)
def test_aliases_are_short_and_unique(names: tuple[str, ...], aliases: list[str]) -> None:
    """An alias is the shortest ending of a name that no other name shares, or a number."""
    assert _aliases(*names) == aliases


@pytest.mark.parametrize(
    ("choices", "labels"),
    [
        (("SGD", "adamw"), ("SGD", "adamw")),
        ((True, False, None), ("true", "false", "null")),
        ((1, 2.5, "x"), ("1", "2.5", "x")),
        ((1, "1", True), ("v0", "v1", "v2")),
        (("a", "A"), ("v0", "v1")),
        (("true", True), ("v0", "v1")),
        (("", "a"), ("v0", "v1")),
        (("a\nb", "c"), ("v0", "v1")),
        (("x" * 61, "c"), ("v0", "v1")),
        (("v0", "other"), ("v0", "v1")),
    ],
)
def test_labels_tell_choices_apart_without_their_case(choices: tuple[Value, ...], labels: tuple[str, ...]) -> None:
    """An enum's case is not kept by every vendor, so choices that differ in case or type alone go by ids."""
    assert _labels(*choices) == labels
