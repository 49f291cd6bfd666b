"""A clean environment, and the wire formats under one fixture."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from llm_server import LLMServer

from neuropt_core.llm.anthropic import AnthropicClient
from neuropt_core.llm.client import LLMClient
from neuropt_core.llm.openai import CompatibleClient, OpenAIClient
from neuropt_core.llm.settings import LLMSettings

CANARY = "sk-canary-0123456789abcdef"

Connect = Callable[..., LLMClient]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, key or base URL of the machine reaches a test."""
    for name in list(os.environ):
        if name.upper().endswith("_PROXY") or name.startswith(("ANTHROPIC_", "OPENAI_")):
            monkeypatch.delenv(name)


@pytest.fixture(params=["messages", "responses", "chat", "tool"])
def wire(request: pytest.FixtureRequest) -> str:
    """The wire format: Anthropic messages, OpenAI responses, chat completions by json_schema and by a forced tool."""
    return str(request.param)


@pytest.fixture
def connect(wire: str) -> Connect:
    """Makes a client of the present wire format for a server; its key is the canary."""

    def make(server: LLMServer, **settings: object) -> LLMClient:
        given = {"deadline": 60.0, **settings}
        if wire == "messages":
            return AnthropicClient(LLMSettings(**given), CANARY, server.origin)  # type: ignore[arg-type]
        url = server.base_url("openai")
        if wire == "responses":
            return OpenAIClient(LLMSettings(provider="openai", **given), CANARY, url)  # type: ignore[arg-type]
        shape = "tool" if wire == "tool" else "json_schema"
        chat = {"base_url": url, "model": "local", "api_key_env": "SOME_KEY", "structured": shape, **given}
        return CompatibleClient(LLMSettings(provider="openai_compatible", **chat), CANARY, url)  # type: ignore[arg-type]

    return make


@pytest.fixture
def canary() -> str:
    """The key that no text may ever hold."""
    return CANARY
