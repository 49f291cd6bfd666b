"""What is sent to Anthropic's Messages API."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from llm_server import LLMServer, Received, Step, envelope
from wire_contract import violations

from neuropt_core.llm.anthropic import AnthropicClient
from neuropt_core.llm.settings import LLMSettings

ASK = (
    {"role": "system", "content": "You answer."},
    {"role": "user", "content": "Say a."},
)
SCHEMA = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}


def _sent(**settings: Any) -> Received:
    with LLMServer([Step()]) as server:
        AnthropicClient(LLMSettings(**settings), "key", server.origin).complete(ASK, schema=SCHEMA)
    return server.requests[0]


def test_the_request_is_what_the_api_documents() -> None:
    """The body satisfies the SDK's own type of a request, and holds no key that the type does not know."""
    body = dict(_sent(effort="low", max_tokens=9000).body)
    assert violations(body, MessageCreateParamsNonStreaming) == []
    assert body == {
        "model": "claude-haiku-5-5",
        "max_tokens": 9000,
        "system": [{"type": "text", "text": "You answer.", "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": "Say a."}],
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}, "effort": "low"},
    }


def test_effort_is_left_out_unless_asked_for() -> None:
    """Some models refuse the setting, so null sends nothing."""
    assert "effort" not in _sent().body["output_config"]


def test_one_request_with_the_key_as_bearer() -> None:
    """The SDK's retries are off: ours are the only ones."""
    received = _sent()
    assert received.path == "/v1/messages"
    assert received.headers["authorization"] == "Bearer key"
    assert received.headers["x-stainless-retry-count"] == "0"


@pytest.mark.parametrize("stop", ["end", "length", "refusal", "empty"])
def test_the_loopback_server_speaks_the_true_format(stop: str) -> None:
    """The SDK accepts the test server's replies under its strict validation, so the double cannot drift."""
    with LLMServer([Step(stop=stop)]) as server:
        strict = anthropic.Anthropic(api_key="k", base_url=server.origin, _strict_response_validation=True)
        with strict:
            strict.messages.create(model="m", max_tokens=10, messages=[{"role": "user", "content": "x"}])
    assert envelope("/v1/messages", "x")["usage"]["input_tokens"] == 70
