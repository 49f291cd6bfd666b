"""OpenAI's Responses API, and chat completions for compatible servers, by the SDK. The only importer of `openai`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import openai

from neuropt_core.llm import _wire
from neuropt_core.llm._call import persist, within
from neuropt_core.llm._faults import Asked, Fault, from_network, from_status
from neuropt_core.llm._http import http_client
from neuropt_core.llm.client import Completion, LLMSettings, Message

_HOME = "https://api.openai.com/v1"
_FORMAT = "proposals"


class OpenAIClient:
    """Asks a model for JSON by a strict schema.

    OpenAI itself is asked by the Responses API with ``store=False`` (it keeps replies for 30 days otherwise), any
    other server by chat completions. No sampling knobs: reasoning models refuse them.

    Args:
        settings: Checked settings with ``provider="openai"``.
        key: The API key.
        base_url: Another server, with ``/v1``.
        chat: Whether to use chat completions; None decides by the server.
    """

    def __init__(
        self, settings: LLMSettings, key: str, base_url: str | None = None, *, chat: bool | None = None
    ) -> None:
        self.name = settings.name
        self._settings = settings
        self._asked = Asked(settings.name, settings.key_name, key)
        self._base_url = base_url or _HOME
        self._chat = settings.speaks_chat(base_url) if chat is None else chat

    def complete(self, messages: Sequence[Message], *, schema: Mapping[str, Any]) -> Completion:
        """See `LLMClient.complete`."""
        plain = [{"role": m["role"], "content": m["content"]} for m in messages]
        body = self._chat_body(plain, schema) if self._chat else self._responses_body(plain, schema)
        seconds = self._settings.deadline
        start = time.monotonic()

        async def call() -> Completion:
            deadline = asyncio.get_running_loop().time() + seconds
            async with http_client(self._base_url, seconds) as http:
                sdk = openai.AsyncOpenAI(
                    api_key=self._asked.key,
                    base_url=self._base_url,
                    http_client=http,
                    max_retries=0,
                    timeout=seconds,
                )
                return await persist(lambda: self._attempt(sdk, body), deadline)

        done = within(seconds, self.name, call)
        return replace(done, seconds=time.monotonic() - start)

    def _responses_body(self, messages: list[dict[str, str]], schema: Mapping[str, Any]) -> dict[str, Any]:
        system = "\n\n".join(m["content"] for m in messages if m["role"] == "system")
        body: dict[str, Any] = {
            "model": self._settings.asked_model,
            "instructions": system,
            "input": [m for m in messages if m["role"] != "system"],
            "max_output_tokens": self._settings.max_tokens,
            "store": False,
            "text": {"format": {"type": "json_schema", "name": _FORMAT, "strict": True, "schema": dict(schema)}},
        }
        if self._settings.effort is not None:
            body["reasoning"] = {"effort": self._settings.effort}
        return body

    def _chat_body(self, messages: list[dict[str, str]], schema: Mapping[str, Any]) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._settings.asked_model,
            "messages": messages,
            # Not max_completion_tokens: most compatible servers know only the older name.
            "max_tokens": self._settings.max_tokens,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": _FORMAT, "strict": True, "schema": dict(schema)},
            },
        }
        if self._settings.effort is not None:
            body["reasoning_effort"] = self._settings.effort
        return body

    async def _attempt(self, sdk: openai.AsyncOpenAI, body: dict[str, Any]) -> Completion | Fault:
        try:
            if self._chat:
                chat = await sdk.chat.completions.with_raw_response.create(**body)
                return _wire.read(self._asked, chat.http_response.content, _wire.read_chat)
            raw = await sdk.responses.with_raw_response.create(**body)
            return _wire.read(self._asked, raw.http_response.content, _wire.read_responses)
        except openai.APIStatusError as error:
            return from_status(self._asked, error.status_code, error.response.headers, error.response.content)
        except openai.APIConnectionError as error:
            return from_network(self._asked, error)
