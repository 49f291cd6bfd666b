"""A client without a model: replies from a list or a function, for tests and dry runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from neuropt_core.errors import LLMError, LLMFatal
from neuropt_core.llm.client import Completion, Message

Reply = str | Mapping[str, Any] | Completion | LLMError
"""Text, data that is sent as JSON, a whole completion, or an error that is raised."""

ReplyFunction = Callable[[Sequence[Message], Mapping[str, Any]], Reply]
"""Makes a reply from the messages and the schema, e.g. a deterministic stand-in for a model."""


class ScriptedClient:
    """Answers from a script, and keeps what it was asked.

    Args:
        replies: Replies in order, or a function that makes each.
        name: Shown to people.

    Attributes:
        asked: The messages of all calls so far.
    """

    def __init__(self, replies: Sequence[Reply] | ReplyFunction, name: str = "scripted") -> None:
        self.name = name
        self.asked: list[tuple[Message, ...]] = []
        self._replies = replies

    def complete(self, messages: Sequence[Message], *, schema: Mapping[str, Any]) -> Completion:
        """See `LLMClient.complete`; a script that has ended is an `LLMFatal`."""
        self.asked.append(tuple(messages))
        reply = self._next(messages, schema)
        if isinstance(reply, LLMError):
            raise reply
        if isinstance(reply, Completion):
            return reply
        return Completion(reply if isinstance(reply, str) else json.dumps(reply), model=self.name)

    def _next(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> Reply:
        if callable(self._replies):
            return self._replies(messages, schema)
        if len(self.asked) > len(self._replies):
            return LLMFatal(self.name, f"has no reply left after {len(self._replies)}")
        return self._replies[len(self.asked) - 1]
