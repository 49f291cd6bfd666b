"""A clean environment, and the three wire formats under one fixture."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from llm_server import LLMServer

from neuropt_core.llm.anthropic import AnthropicClient
from neuropt_core.llm.client import LLMClient, LLMSettings
from neuropt_core.llm.openai import OpenAIClient

CANARY = "sk-canary-0123456789abcdef"

Connect = Callable[..., LLMClient]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, key or base URL of the machine reaches a test."""
    for name in list(os.environ):
        if name.upper().endswith("_PROXY") or name.startswith(("ANTHROPIC_", "OPENAI_")):
            monkeypatch.delenv(name)


@pytest.fixture(params=["messages", "responses", "chat"])
def wire(request: pytest.FixtureRequest) -> str:
    """The wire format: Anthropic messages, OpenAI responses, chat completions."""
    return str(request.param)


@pytest.fixture
def connect(wire: str) -> Connect:
    """Makes a client of the present wire format for a server; its key is the canary."""

    def make(server: LLMServer, **settings: object) -> LLMClient:
        provider = "anthropic" if wire == "messages" else "openai"
        made = LLMSettings(provider=provider, **{"deadline": 10.0, **settings})  # type: ignore[arg-type]
        if provider == "anthropic":
            return AnthropicClient(made, CANARY, server.base_url(provider))
        return OpenAIClient(made, CANARY, server.base_url(provider), chat=wire == "chat")

    return make


@pytest.fixture
def canary() -> str:
    """The key that no text may ever hold."""
    return CANARY
