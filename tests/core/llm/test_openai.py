"""What is sent to OpenAI's Responses API, and to servers that speak chat completions."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from llm_server import LLMServer, Received, Step
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from pydantic import TypeAdapter

from neuropt_core.errors import LLMError, LLMFatal, LLMTransient
from neuropt_core.llm.client import LLMSettings, make_client
from neuropt_core.llm.openai import OpenAIClient

ASK = (
    {"role": "system", "content": "You answer."},
    {"role": "user", "content": "Say a."},
)
SCHEMA = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}


def _sent(chat: bool, **settings: Any) -> Received:
    with LLMServer([Step()]) as server:
        made = LLMSettings(provider="openai", **settings)
        OpenAIClient(made, "key", server.base_url("openai"), chat=chat).complete(ASK, schema=SCHEMA)
    return server.requests[0]


def test_responses_are_strict_and_not_stored() -> None:
    """The body satisfies the SDK's own type, and asks OpenAI not to keep the reply."""
    received = _sent(False, effort="low", max_tokens=9000)
    body = dict(received.body)
    TypeAdapter(ResponseCreateParamsNonStreaming).validate_python(body)
    assert received.path == "/v1/responses"
    assert body == {
        "model": "gpt-6-luna",
        "instructions": "You answer.",
        "input": [{"role": "user", "content": "Say a."}],
        "max_output_tokens": 9000,
        "store": False,
        "text": {"format": {"type": "json_schema", "name": "proposals", "strict": True, "schema": SCHEMA}},
        "reasoning": {"effort": "low"},
    }


def test_chat_completions_carry_the_schema() -> None:
    """Compatible servers get the older API with the same schema."""
    received = _sent(True, model="qwen3:8b")
    body = dict(received.body)
    TypeAdapter(CompletionCreateParamsNonStreaming).validate_python(body)
    assert received.path == "/v1/chat/completions"
    assert body == {
        "model": "qwen3:8b",
        "messages": list(ASK),
        "max_tokens": 8192,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "proposals", "strict": True, "schema": SCHEMA},
        },
    }


@pytest.mark.parametrize(
    ("url", "chat"),
    [
        (None, False),
        ("https://api.openai.com/v1", False),
        ("https://eu.api.openai.com/v1", False),
        ("https://openai.com.example.org/v1", True),
        ("https://notopenai.com/v1", True),
        ("http://localhost:8000/v1", True),
    ],
)
def test_the_server_decides_on_the_api(url: str | None, chat: bool) -> None:
    """Only OpenAI's own hosts are asked by the Responses API."""
    assert LLMSettings(provider="openai").speaks_chat(url) is chat


def test_the_environment_names_the_server() -> None:
    """``OPENAI_BASE_URL`` is honoured as the SDK would, and the setting goes before it."""
    with LLMServer([Step(text="environment")]) as one, LLMServer([Step(text="setting")]) as two:
        client = make_client(LLMSettings(provider="openai"), one.environ("openai"))
        assert client.complete(ASK, schema=SCHEMA).text == "environment"
        made = LLMSettings(provider="openai", base_url=two.base_url("openai"), model="m")
        assert make_client(made, one.environ("openai")).complete(ASK, schema=SCHEMA).text == "setting"


@pytest.mark.parametrize("reason", ["max_output_tokens", "content_filter"])
def test_an_incomplete_response_says_why(reason: str) -> None:
    """An incomplete response is truncated or filtered, also when it holds no message at all."""
    body = {"status": "incomplete", "incomplete_details": {"reason": reason}, "output": []}
    with LLMServer([Step(body=body)]) as server:
        client = OpenAIClient(LLMSettings(provider="openai"), "key", server.base_url("openai"), chat=False)
        said = "max_tokens" if reason == "max_output_tokens" else "content filter"
        with pytest.raises(Exception, match=said):
            client.complete(ASK, schema=SCHEMA)


def test_commentary_is_not_part_of_the_answer() -> None:
    """A response may begin with commentary; only the final answer is read."""
    parts = [
        {"type": "reasoning", "summary": []},
        {"type": "message", "phase": "commentary", "content": [{"type": "output_text", "text": "Well."}]},
        {"type": "message", "phase": "final_answer", "content": [{"type": "output_text", "text": "{}"}]},
    ]
    with LLMServer([Step(body={"status": "completed", "output": parts})]) as server:
        client = OpenAIClient(LLMSettings(provider="openai"), "key", server.base_url("openai"), chat=False)
        done = client.complete(ASK, schema=SCHEMA)
    assert (done.text, done.usage) == ("{}", {})


@pytest.mark.parametrize(
    ("code", "kind"), [(401, LLMFatal), (429, LLMTransient), (502, LLMTransient), ("odd", LLMTransient)]
)
def test_an_error_with_status_200_is_an_error(code: object, kind: type[LLMError]) -> None:
    """Gateways answer 200 with the error of the server behind them."""
    step = Step(body={"error": {"message": "no", "code": code}})
    with LLMServer([step]) as server:
        made = LLMSettings(provider="openai", deadline=0.4)
        with pytest.raises(kind):
            OpenAIClient(made, "key", server.base_url("openai")).complete(ASK, schema=SCHEMA)


@pytest.mark.parametrize("stop", ["end", "length", "refusal", "empty"])
def test_the_loopback_server_speaks_the_true_formats(stop: str) -> None:
    """The SDK accepts the test server's replies under its strict validation, so the double cannot drift."""
    with LLMServer([Step(stop=stop)]) as server:
        strict = openai.OpenAI(api_key="k", base_url=server.base_url("openai"), _strict_response_validation=True)
        with strict:
            strict.responses.create(model="m", input="x")
            strict.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
