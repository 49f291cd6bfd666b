"""Anthropic's Messages API, by its SDK. The only module that imports `anthropic`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import anthropic

from neuropt_core.llm import _wire
from neuropt_core.llm._call import persist, within
from neuropt_core.llm._faults import Asked, Fault, from_network, from_status
from neuropt_core.llm._http import http_client
from neuropt_core.llm.client import Completion, LLMSettings, Message

_HOME = "https://api.anthropic.com"


class AnthropicClient:
    """Asks a Claude model for JSON by ``output_config``.

    No sampling knobs (API version 2026-10-21 refuses them), no forced tool use (refused by some models), no prefill,
    no ``thinking`` (what is allowed differs from model to model; ``effort`` is the portable knob).

    Args:
        settings: Checked settings with ``provider="anthropic"``.
        key: The API key.
        base_url: Another server, without ``/v1``.
    """

    def __init__(self, settings: LLMSettings, key: str, base_url: str | None = None) -> None:
        self.name = settings.name
        self._settings = settings
        self._asked = Asked(settings.name, settings.key_name, key)
        self._base_url = base_url or _HOME

    def complete(self, messages: Sequence[Message], *, schema: Mapping[str, Any]) -> Completion:
        """See `LLMClient.complete`."""
        body, seconds = self._body(messages, schema), self._settings.deadline
        start = time.monotonic()

        async def call() -> Completion:
            deadline = asyncio.get_running_loop().time() + seconds
            async with http_client(self._base_url, seconds) as http:
                sdk = anthropic.AsyncAnthropic(
                    api_key=self._asked.key,
                    base_url=self._base_url,
                    http_client=http,
                    max_retries=0,
                    timeout=seconds,
                )
                return await persist(lambda: self._attempt(sdk, body), deadline)

        done = within(seconds, self.name, call)
        return replace(done, seconds=time.monotonic() - start)

    def _body(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> dict[str, Any]:
        system = "\n\n".join(m["content"] for m in messages if m["role"] == "system")
        output: dict[str, Any] = {"format": {"type": "json_schema", "schema": dict(schema)}}
        if self._settings.effort is not None:
            output["effort"] = self._settings.effort
        return {
            "model": self._settings.asked_model,
            "max_tokens": self._settings.max_tokens,
            # The system text is the same in all calls of a study; below the model's minimum the mark does nothing.
            "system": [{"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}] if system else [],
            "messages": [{"role": m["role"], "content": m["content"]} for m in messages if m["role"] != "system"],
            "output_config": output,
        }

    async def _attempt(self, sdk: anthropic.AsyncAnthropic, body: dict[str, Any]) -> Completion | Fault:
        try:
            raw = await sdk.messages.with_raw_response.create(**body)
            return _wire.read(self._asked, raw.http_response.content, _wire.read_messages)
        except anthropic.APIStatusError as error:
            return from_status(self._asked, error.status_code, error.response.headers, error.response.content)
        except anthropic.APIConnectionError as error:
            return from_network(self._asked, error)
