"""A client without a model: replies from a list, a file or a function, for tests and dry runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from neuropt_core.errors import ConfigError, LLMError, LLMFatal
from neuropt_core.llm.client import Completion, Message

Reply = str | Mapping[str, Any] | Completion | LLMError
"""Text, data that is sent as JSON, a whole completion, or an error that is raised."""

ReplyFunction = Callable[[Sequence[Message], Mapping[str, Any]], Reply]
"""Makes a reply from the messages and the schema, e.g. a deterministic stand-in for a model."""

_WHERE = "hydra.sweeper.llm.script"


class ScriptedClient:
    """Answers from a script, and keeps what it was asked.

    Args:
        replies: Replies in order, or a function that makes each.
        name: Shown to people.

    Attributes:
        asked: The messages of all calls so far.
        writes_cards: Whether it is asked for a space card when a study begins. A list does if its first reply is an
            object with a ``portfolio``, a function if it has an attribute ``writes_cards`` that is true; others keep
            their replies for the trials.
    """

    def __init__(self, replies: Sequence[Reply] | ReplyFunction, name: str = "scripted") -> None:
        self.name = name
        self.asked: list[tuple[Message, ...]] = []
        self.writes_cards = _writes_cards(replies)
        self._replies = replies
        self._played = 0

    def seek(self, played: int) -> None:
        """Goes on after the first `played` replies: a resumed study has had them. A function needs none of this."""
        self._played = played

    def complete(self, messages: Sequence[Message], *, schema: Mapping[str, Any]) -> Completion:
        """See `LLMClient.complete`; a script that has ended is an `LLMFatal`, and its errors are raised."""
        self.asked.append(tuple(messages))
        self._played += 1
        reply = self._next(messages, schema)
        if isinstance(reply, LLMError):
            raise reply
        if isinstance(reply, Completion):
            return reply
        return Completion(self._text(reply), model=self.name)

    def _next(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> Reply:
        if callable(self._replies):
            return self._replies(messages, schema)
        if self._played > len(self._replies):
            return LLMFatal(self.name, f"has no reply left after {len(self._replies)}")
        return self._replies[self._played - 1]

    def _text(self, reply: object) -> str:
        if isinstance(reply, str):
            return reply
        if isinstance(reply, Mapping):
            try:
                return json.dumps(reply)
            except (TypeError, ValueError, RecursionError) as error:
                raise LLMFatal(self.name, f"made a reply that cannot be written as JSON ({error})") from error
        raise LLMFatal(self.name, f"made a reply that is neither text nor a mapping ({type(reply).__name__})")


def _writes_cards(replies: Sequence[Reply] | ReplyFunction) -> bool:
    if callable(replies):
        return bool(getattr(replies, "writes_cards", False))
    return bool(replies) and isinstance(replies[0], Mapping) and "portfolio" in replies[0]


def load_script(script: str) -> tuple[Reply, ...] | ReplyFunction:
    """Returns the replies of a .json or .jsonl file, or the function at a dotted path.

    A .json file holds a list, a .jsonl file one reply a line; a reply is a text, or an object that is sent as JSON. A
    relative path starts at the working directory.

    Raises:
        ConfigError: There is no such file or function, or the file holds something else.
    """
    path = Path(script)
    if path.suffix not in (".json", ".jsonl"):
        return _function(script)
    try:
        text = path.read_text(encoding="utf-8")
        replies = (
            json.loads(text) if path.suffix == ".json" else [json.loads(x) for x in text.splitlines() if x.strip()]
        )
    except OSError as error:
        raise ConfigError(_WHERE, f"must be a file that can be read ({error.strerror})", got=script) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(_WHERE, f"must hold JSON ({error})", got=script) from error
    if not isinstance(replies, list) or not replies or not all(isinstance(x, (str, dict)) for x in replies):
        raise ConfigError(_WHERE, "must hold a list of replies, each a text or an object", got=script)
    return tuple(replies)


def _function(script: str) -> ReplyFunction:
    module, _, name = script.rpartition(".")
    mend = "Files of replies end in .json or .jsonl."
    if not module or not all(part.isidentifier() for part in script.split(".")):
        raise ConfigError(_WHERE, "must be the dotted path of a function", got=script, mend=mend)
    try:
        found = getattr(import_module(module), name, None)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # something that the user's own module imports is missing
        raise ConfigError(_WHERE, f"names the module {module}, which is not found", got=script, mend=mend) from error
    if not callable(found):
        raise ConfigError(_WHERE, f"names no function of the module {module}", got=script)
    function: ReplyFunction = found
    return function
