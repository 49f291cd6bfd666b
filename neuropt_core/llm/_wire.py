"""The bodies that the three APIs answer with -> `Completion`, or the error that they are.

The SDKs' own objects are not used: built without checks, they hold None where a server left something out, a page of
HTML is a plain `str`, and their parsing helpers lose the usage of a truncated reply.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from neuropt_core.errors import LLMTransient
from neuropt_core.llm._faults import Asked, Fault, from_status, unreadable
from neuropt_core.llm._text import one_line, whole
from neuropt_core.llm.client import Completion, DeclinedReply, ModelInfo, UnusableReply

_MOST_TOKENS = 10**9
"""A larger count is no count; it would overflow where costs are reckoned."""

T = TypeVar("T")
Reader = Callable[[Asked, Mapping[str, Any]], T | Fault]


_STATUS_OF = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "overloaded_error": 529,
}


def read(asked: Asked, body: bytes, reader: Reader[T]) -> T | Fault:
    """Returns what a body with status 200 says."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        html = body.lstrip()[:1] == b"<"
        return unreadable(asked, f"sent a reply that is {'a web page' if html else 'no JSON'}, with status 200")
    if not isinstance(data, dict):
        return unreadable(asked, "sent JSON that is no object, with status 200")
    error = data.get("error")
    if (
        error
        and isinstance(error, (dict, str))
        and not any(data.get(name) for name in ("content", "output", "choices"))
    ):
        # Gateways pass a failure of the server behind them on with status 200.
        return from_status(asked, _inner_status(error), {}, body)
    return reader(asked, data)


def _inner_status(error: Mapping[str, Any] | str) -> int:
    """Returns the status that an error without one stands for; what is not known may pass."""
    if isinstance(error, str):
        return 500
    code = error.get("code")
    if isinstance(code, int) and 400 <= code < 600:
        return code
    words = (error.get("type"), code)
    return next((_STATUS_OF[word] for word in words if isinstance(word, str) and word in _STATUS_OF), 500)


def read_messages(asked: Asked, data: Mapping[str, Any]) -> Completion | Fault:
    """Reads an answer of Anthropic's Messages API."""
    text = "".join(_texts(_items(data, "content"), "text"))
    counts = _part(data, "usage")
    fresh = _count(counts, "input_tokens")
    kept = [_count(counts, "cache_read_input_tokens"), _count(counts, "cache_creation_input_tokens")]
    total = None if fresh is None else fresh + sum(n or 0 for n in kept)
    done = _completion(asked, data, text, total, _count(counts, "output_tokens"), kept[0])
    stop = data.get("stop_reason")
    if stop == "refusal":
        category = _part(data, "stop_details").get("category")
        return declined(asked, done, str(category or ""))
    if stop in ("max_tokens", "model_context_window_exceeded"):
        return truncated(asked, done)
    return done if text else empty(asked, done)


def read_responses(asked: Asked, data: Mapping[str, Any]) -> Completion | Fault:
    """Reads an answer of OpenAI's Responses API."""
    said = [item for item in _items(data, "output") if item.get("type") == "message"]
    # Commentary comes before the answer in a message of its own.
    final = [item for item in said if item.get("phase") in (None, "final_answer")]
    parts = [part for item in final for part in _items(item, "content")]
    text = "".join(_texts(parts, "output_text"))
    counts = _part(data, "usage")
    cached = _count(_part(counts, "input_tokens_details"), "cached_tokens")
    done = _completion(asked, data, text, _count(counts, "input_tokens"), _count(counts, "output_tokens"), cached)
    if any(part.get("type") == "refusal" for part in parts):
        return declined(asked, done, "")
    if data.get("status") == "failed":
        return Fault(LLMTransient(asked.name, "failed while it was answering"))
    if data.get("status") == "incomplete":
        reason = _part(data, "incomplete_details").get("reason")
        return declined(asked, done, "content filter") if reason == "content_filter" else truncated(asked, done)
    if data.get("status") in ("cancelled", "in_progress", "queued"):
        return unusable(asked, done, f"sent a reply that is {data['status']}", "")
    return done if text else empty(asked, done)


def read_chat(asked: Asked, data: Mapping[str, Any]) -> Completion | Fault:
    """Reads an answer of a chat completions API."""
    choice = next(iter(_items(data, "choices")), {})
    message = _part(choice, "message")
    calls = _items(message, "tool_calls")
    text = _arguments(calls[0]) if calls else _content(message)
    counts = _part(data, "usage")
    cached = _count(_part(counts, "prompt_tokens_details"), "cached_tokens")
    done = _completion(asked, data, text, _count(counts, "prompt_tokens"), _count(counts, "completion_tokens"), cached)
    if choice.get("finish_reason") == "content_filter" or message.get("refusal"):
        return declined(asked, done, "content filter" if not message.get("refusal") else "")
    if choice.get("finish_reason") == "length":
        return truncated(asked, done)
    if choice.get("finish_reason") == "error":
        return Fault(LLMTransient(asked.name, "failed while it was answering"))
    if len(calls) > 1:
        return unusable(asked, done, f"sent {len(calls)} calls of the tool where one was asked for", "")
    return done if text else empty(asked, done)


def truncated(asked: Asked, done: Completion) -> Fault:
    """The reply ended at the limit of tokens."""
    return unusable(asked, done, "reached max_tokens before the reply was whole", "A larger max_tokens may help.")


def empty(asked: Asked, done: Completion) -> Fault:
    """The reply holds no text."""
    return unusable(asked, done, "sent a reply without text", "")


def declined(asked: Asked, done: Completion, category: str) -> Fault:
    """The model refused, for a reason of a few words if the vendor gives one."""
    error = DeclinedReply(asked.name, "declined to answer" + (f" ({one_line(category, 60)})" if category else ""))
    error.completion = done
    return Fault(error)


def unusable(asked: Asked, done: Completion, rule: str, mend: str) -> Fault:
    """The reply came whole and is of no use; what was said and paid for is kept with the error."""
    error = UnusableReply(asked.name, rule, mend=mend)
    error.completion = done
    return Fault(error)


def _completion(
    asked: Asked, data: Mapping[str, Any], text: str, sent: int | None, got: int | None, cached: int | None
) -> Completion:
    counts = {"input_tokens": sent, "output_tokens": got, "cached_tokens": cached}
    model = data.get("model")
    name = one_line(model, 100) if isinstance(model, str) and model.strip() else asked.model or asked.name
    return Completion(whole(text), {k: v for k, v in counts.items() if v is not None}, name)


def _content(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else "".join(_texts(_items(message, "content"), "text"))


def _arguments(call: Mapping[str, Any]) -> str:
    """Returns the arguments of a tool call as text; some servers send them as an object."""
    arguments = _part(call, "function").get("arguments")
    return arguments if isinstance(arguments, str) else json.dumps(arguments) if isinstance(arguments, dict) else ""


def _texts(parts: list[Mapping[str, Any]], kind: str) -> Iterator[str]:
    for part in parts:
        if part.get("type") == kind and isinstance(part.get("text"), str):
            yield part["text"]


def _items(data: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = data.get(name)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _part(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = data.get(name)
    return found if isinstance(found, dict) else {}


def _count(data: Mapping[str, Any], name: str) -> int | None:
    found = data.get(name)
    return found if isinstance(found, int) and not isinstance(found, bool) and 0 <= found <= _MOST_TOKENS else None


def read_model(asked: Asked, data: Mapping[str, Any]) -> ModelInfo | Fault:
    """Reads what Anthropic's Models API says of one model."""
    able = _part(data, "capabilities")
    structured = _part(able, "structured_outputs").get("supported")
    effort = _part(able, "effort")
    efforts = tuple(name for name, value in effort.items() if isinstance(value, dict) and value.get("supported"))
    words = [one_line(str(data[name]), 40) for name in ("lifecycle", "retires_at") if data.get(name)]
    return ModelInfo(
        known=True,
        structured=structured if isinstance(structured, bool) else None,
        efforts=efforts if effort else None,
        lifecycle=", until ".join(words) or None,
    )


def read_list(model: str) -> Callable[[Asked, Mapping[str, Any]], ModelInfo | Fault]:
    """Returns a reader of the list of models of OpenAI, and of the servers that are like it."""

    def read_models(asked: Asked, data: Mapping[str, Any]) -> ModelInfo | Fault:
        ids = [one_line(item["id"], 100) for item in _items(data, "data") if isinstance(item.get("id"), str)]
        if not ids:
            return ModelInfo()
        return ModelInfo(known=True) if model in ids else ModelInfo(known=False, others=tuple(sorted(ids)))

    return read_models
