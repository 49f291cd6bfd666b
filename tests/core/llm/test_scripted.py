"""The client without a model."""

from __future__ import annotations

import pytest

from neuropt_core.errors import LLMFatal, LLMTransient
from neuropt_core.llm.client import Completion
from neuropt_core.llm.scripted import ScriptedClient

ASK = ({"role": "user", "content": "hello"},)


def test_a_list_is_played_in_order_and_ends() -> None:
    """Texts, data, completions and errors come in turn; after the last one the client says so."""
    client = ScriptedClient(["a", {"b": 1}, Completion("c", {"input_tokens": 3}), LLMTransient("net", "broke off")])
    assert client.complete(ASK, schema={}).text == "a"
    assert client.complete(ASK, schema={}).text == '{"b": 1}'
    assert client.complete(ASK, schema={}).usage == {"input_tokens": 3}
    with pytest.raises(LLMTransient):
        client.complete(ASK, schema={})
    with pytest.raises(LLMFatal, match="has no reply left after 4"):
        client.complete(ASK, schema={})
    assert client.asked == [ASK] * 5


def test_a_function_sees_messages_and_schema() -> None:
    """A function makes a deterministic stand-in for a model."""
    client = ScriptedClient(lambda messages, schema: f"{messages[0]['content']} {schema['type']}")
    assert client.complete(ASK, schema={"type": "object"}).text == "hello object"
