"""The shapes in which JSON is asked for, and the one object of a reply."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuropt_core.llm._structured import fits, only_object, question, refuses

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
ASK = ({"role": "user", "content": "Say a."},)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 1}', '{"a": 1}'),
        ('Sure!\n```json\n{"a": {"b": [{}]}}\n```\nBye.', '{"a": {"b": [{}]}}'),
        ('<think>{"a": 0}? or {x}</think>\n{"a": 1}', '{"a": 1}'),
        ('The reply: {"a": "}{ ```"} as [1] says', '{"a": "}{ ```"}'),
        ("{}", "{}"),
        ("", None),
        ("nothing", None),
        ("[1, 2]", None),
        ('{"a": 1} {"a": 2}', None),
        ('{"a": 1}\n```\n{"a": 2}\n```', None),
        ('[{"a": 1}]', None),
        ('```\n[\n  {"a": 1}\n]\n```', None),
        ('{"a": 1', None),
        ('{"a": {"b": 1}', None),
        ('a set {x}: {"a": 1}', None),
        ("{'a': 1}", None),
        ('{"a": 1} and }', '{"a": 1}'),
        ("{" * 100_000, None),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, None),
    ],
    ids=lambda value: str(value)[:24],
)
def test_there_is_one_object_or_none(text: str, found: str | None) -> None:
    """Words and a fence are taken off; two objects, a broken one or one within an array leave nothing."""
    assert only_object(text) == found


WORDS = st.text(st.characters(exclude_characters="{[", exclude_categories=["Cs"]), max_size=30)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(WORDS, st.dictionaries(st.text(max_size=5), VALUES, max_size=3), WORDS)
def test_an_object_survives_any_words_without_braces(before: str, data: dict[str, Any], after: str) -> None:
    """What is taken out of the words is the object, character for character."""
    text = json.dumps(data)
    assert only_object(f"{before}{text}{after.replace('</think>', '')}") == text


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        ('{"a": 1}', True),
        ('{"a": 1, "b": 2}', True),
        ("{}", False),
        ('[{"a": 1}]', False),
        ("1", False),
        ("prose", False),
        ("[" * 100_000, False),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_server_that_obeys_sends_the_required_keys(text: str, fine: bool) -> None:
    """Only an object with all required keys shows that a shape was obeyed."""
    assert fits(text, SCHEMA) is fine


@pytest.mark.parametrize(
    ("shape", "status", "said", "concerned"),
    [
        # llama-cpp-python, vLLM, LM Studio, Ollama, OpenRouter, FastAPI's own check, in their words.
        ("json_schema", 500, "[{'loc': ('body', 'response_format', 'type'), 'msg': \"Input should be 'text'\"}]", True),
        ("json_schema", 400, "'response_format.type' must be 'json_object' or 'text'", True),
        ("json_schema", 400, "Failed to compile the grammar", True),
        ("json_schema", 404, "No endpoints found that can handle the requested parameters.", True),
        ("json_schema", 422, '{"detail":[{"type":"extra_forbidden","loc":["body","response_format"]}]}', True),
        ("json_object", 400, "JSON mode is not enabled for this model", True),
        ("tool", 400, "registry/small:latest does not support tools", True),
        ("tool", 404, "No endpoints found that support tool use", True),
        ("tool", 400, "[{'type': 'extra_forbidden', 'loc': ('body', 'tool_choice'), 'msg': 'Extra inputs'}]", True),
        ("json_schema", 400, 'Either "json_schema" or "grammar" can be specified, but not both', True),
        ("json_schema", 400, "Invalid parameter: 'response_format' of type 'json_schema' is not supported", True),
        ("json_schema", 404, "No endpoints found for some/model:free.", False),
        ("json_schema", 404, "No endpoints found that support cache control", False),
        ("json_schema", 500, "Internal Server Error", False),
        ("json_schema", 429, "response_format", False),
        ("json_schema", 401, "response_format", False),
        ("json_schema", 503, "response_format", False),
        ("json_schema", 404, "model `toolbox/json_schema-7b` not found", False),
        ("tool", 404, "model `toolbox/json_schema-7b` not found", False),
        ("tool", 400, "maximum context length is 4096 tokens, 900 in the messages, 4000 in the functions", False),
        ("prompt", 400, "response_format json_schema tools", False),
    ],
)
def test_only_words_on_the_shape_concern_it(shape: str, status: int, said: str, concerned: bool) -> None:
    """What servers say of a shape that they do not know is told from their other errors."""
    assert refuses(shape, status, said.encode(), "toolbox/json_schema-7b") is concerned


def test_the_schema_is_told_without_a_system_message() -> None:
    """A question without a system message gets one, and the caller's messages stay as they are."""
    told = question("prompt", ASK, SCHEMA)["messages"]
    assert [m["role"] for m in told] == ["system", "user"]
    assert json.dumps(SCHEMA) in told[0]["content"]
    assert ASK == ({"role": "user", "content": "Say a."},)
