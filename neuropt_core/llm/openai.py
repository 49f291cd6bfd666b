"""OpenAI's Responses API, and chat completions for compatible servers, by the SDK. The only importer of `openai`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx2
import openai

from neuropt_core.llm import _wire
from neuropt_core.llm._faults import Fault, from_status
from neuropt_core.llm._sdk import Body, SDKClient, Tally, attempt, system_text, turns
from neuropt_core.llm._structured import FORMAT, ShapeRefused, fits, only_object, question, refuses
from neuropt_core.llm.client import Completion, DeclinedReply, Message, ModelInfo, UnusableReply, never
from neuropt_core.llm.settings import SHAPES, LLMSettings

_log = logging.getLogger(__name__)


class _SDK(SDKClient):
    HOME = "https://api.openai.com/v1"

    def _open(self, http: httpx2.AsyncClient) -> openai.AsyncOpenAI:
        seconds = self._settings.deadline
        return openai.AsyncOpenAI(
            api_key=self._asked.key, base_url=self._base_url, http_client=http, max_retries=0, timeout=seconds
        )

    async def _look(self, sdk: openai.AsyncOpenAI) -> ModelInfo | Fault:
        listed, reader = sdk.models.with_raw_response.list, _wire.read_list(self._settings.asked_model)
        return await attempt(self._asked, openai, lambda: listed(), reader, self._no_list)

    def _no_list(self, status: int, body: bytes) -> ModelInfo | Fault | None:
        # Some compatible servers have no list; that says nothing of the model.
        return ModelInfo() if status in (404, 405, 501) and self._settings.provider == "openai_compatible" else None


class OpenAIClient(_SDK):
    """Asks a model for JSON by a strict schema, by the Responses API, wherever the server is.

    With ``store=False``, since OpenAI keeps replies for 30 days otherwise. No sampling knobs: reasoning models refuse
    them.
    """

    def _body(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> Body:
        body: Body = {
            "model": self._settings.asked_model,
            "instructions": system_text(messages),
            "input": turns(messages),
            "max_output_tokens": self._settings.max_tokens,
            "store": False,
            "text": {"format": {"type": "json_schema", "name": FORMAT, "strict": True, "schema": dict(schema)}},
        }
        if self._settings.effort is not None:
            body["reasoning"] = {"effort": self._settings.effort}
        return body

    async def _attempt(self, sdk: openai.AsyncOpenAI, body: Body) -> Completion | Fault:
        create = sdk.responses.with_raw_response.create
        return await attempt(self._asked, openai, lambda: create(**body), _wire.read_responses)


class CompatibleClient(_SDK):
    """Asks a server that speaks chat completions: vLLM, Ollama, llama.cpp, LM Studio, OpenRouter and their like.

    With ``structured=auto`` the first question finds out in which of `SHAPES` the server can be asked for JSON: the
    next one is tried if it refuses the present one in so many words, or obeys it so little that the reply is not JSON
    with the required keys. What worked is kept for the life of the client. All replies count in the usage.
    """

    def __init__(
        self, settings: LLMSettings, key: str, base_url: str | None = None, stop: Callable[[], bool] = never
    ) -> None:
        super().__init__(settings, key, base_url, stop)
        self._settled = settings.structured != "auto"
        self._shapes: tuple[str, ...] = (settings.structured,) if self._settled else SHAPES

    def _body(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> Body:
        body: Body = {
            "model": self._settings.asked_model,
            # Not max_completion_tokens: most compatible servers know only the older name.
            "max_tokens": self._settings.max_tokens,
            **question(self._shapes[0], messages, schema),
        }
        if self._settings.effort is not None:
            body["reasoning_effort"] = self._settings.effort
        return body

    async def _converse(
        self,
        sdk: openai.AsyncOpenAI,
        messages: Sequence[Message],
        schema: Mapping[str, Any],
        deadline: float,
        tally: Tally,
    ) -> Completion:
        spent: dict[str, int] = {}
        while True:
            last = self._settled or len(self._shapes) == 1
            try:
                done = _charged(await super()._converse(sdk, messages, schema, deadline, tally), spent)
            except ShapeRefused as error:
                _log.debug("%s: %s", self.name, error)
            except (UnusableReply, DeclinedReply) as error:
                error.completion = error.completion and _charged(error.completion, spent)
                raise
            else:
                if last or fits(done.text, schema):
                    self._settle()
                    return done
                spent = dict(done.usage)
            self._shapes = self._shapes[1:]

    @property
    def most_replies(self) -> int:
        """How many replies the next call may have to be paid for: one for each shape that it may still try."""
        return 1 if self._settled else len(self._shapes)

    def _settle(self) -> None:
        if not self._settled:
            _log.info("%s is asked for JSON by structured=%s", self.name, self._shapes[0])
        self._settled, self._shapes = True, self._shapes[:1]

    async def _attempt(self, sdk: openai.AsyncOpenAI, body: Body) -> Completion | Fault:
        create, shape = sdk.chat.completions.with_raw_response.create, self._shapes[0]
        outcome = await attempt(self._asked, openai, lambda: create(**body), _wire.read_chat, self._shape_refused)
        if shape != "prompt" or isinstance(outcome, Fault):
            return outcome
        found = only_object(outcome.text)
        if found is None:
            return _wire.unusable(self._asked, outcome, "sent a reply that holds not exactly one JSON object", "")
        return replace(outcome, text=found)

    def _shape_refused(self, status: int, body: bytes) -> Fault | None:
        if self._settled or not refuses(self._shapes[0], status, body, self._settings.asked_model):
            return None
        return Fault(ShapeRefused(from_status(self._asked, status, {}, body).error))


def _charged(done: Completion, spent: Mapping[str, int]) -> Completion:
    """Returns a completion that also counts the tokens of replies that came before it."""
    counts = {name: done.usage.get(name, 0) + spent.get(name, 0) for name in {**done.usage, **spent}}
    return replace(done, usage=counts)
