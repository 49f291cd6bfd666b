"""Anthropic's Messages API, by its SDK. The only module that imports `anthropic`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import anthropic
import httpx2

from neuropt_core.llm import _wire
from neuropt_core.llm._faults import Fault
from neuropt_core.llm._sdk import Body, SDKClient, attempt, system_text, turns
from neuropt_core.llm.client import Completion, Message, ModelInfo


class AnthropicClient(SDKClient):
    """Asks a Claude model for JSON by ``output_config``.

    No sampling knobs (API version 2026-10-21 refuses them), no forced tool use (refused by some models), no prefill,
    no ``thinking`` (what is allowed differs from model to model; ``effort`` is the portable knob).
    """

    HOME = "https://api.anthropic.com"

    def _open(self, http: httpx2.AsyncClient) -> anthropic.AsyncAnthropic:
        seconds = self._settings.deadline
        return anthropic.AsyncAnthropic(
            api_key=self._asked.key, base_url=self._base_url, http_client=http, max_retries=0, timeout=seconds
        )

    def _body(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> Body:
        system = system_text(messages)
        output: dict[str, Any] = {"format": {"type": "json_schema", "schema": dict(schema)}}
        if self._settings.effort is not None:
            output["effort"] = self._settings.effort
        return {
            "model": self._settings.asked_model,
            "max_tokens": self._settings.max_tokens,
            # The system text is the same in all calls of a study; below the model's minimum the mark does nothing.
            "system": [{"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}] if system else [],
            "messages": turns(messages),
            "output_config": output,
        }

    async def _look(self, sdk: anthropic.AsyncAnthropic) -> ModelInfo | Fault:
        retrieve, model = sdk.models.with_raw_response.retrieve, self._settings.asked_model
        return await attempt(self._asked, anthropic, lambda: retrieve(model), _wire.read_model)

    async def _attempt(self, sdk: anthropic.AsyncAnthropic, body: Body) -> Completion | Fault:
        create = sdk.messages.with_raw_response.create
        return await attempt(self._asked, anthropic, lambda: create(**body), _wire.read_messages)
