"""How servers of chat completions are asked for JSON: four shapes, since no two servers know the same ones.

Measured: llama-cpp-python 0.3 answers 500 to ``json_schema`` and obeys ``json_object`` with a schema and forced tools;
others ignore what they do not know and answer in prose.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from neuropt_core.errors import LLMError, LLMFatal
from neuropt_core.llm.client import Message

FORMAT = "proposals"
"""The name that APIs want for a schema or a tool."""

_STATUSES = (400, 404, 415, 422, 500, 501)
_ABOUT_FORMAT = re.compile(
    r"response_?format|json[ _-]?(schema|object|mode)|\bschema\b|grammar|structured|guided|requested parameters", re.I
)
_ABOUT_TOOLS = re.compile(r"\btool|function|\bschema\b|grammar|guided|requested parameters", re.I)
# A prompt that is too long is so in every shape; vendors count "functions" and "schema" among its parts.
_ABOUT_LENGTH = re.compile(r"context[ _-]?(length|window|size)|maximum context|max_(completion_)?tokens", re.I)
_TOLD = "Reply with one JSON object that follows this JSON schema, and with nothing else:\n"


class ShapeRefused(LLMFatal):
    """A server does not know the shape in which it was asked; `original` is its answer as any other error."""

    def __init__(self, original: LLMError) -> None:
        super().__init__(original.where, original.rule, mend=original.mend)
        self.original = original


def question(shape: str, messages: Sequence[Message], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the part of a body that holds the messages and asks for JSON in one of `SHAPES`."""
    plain = [{"role": m["role"], "content": m["content"]} for m in messages]
    if shape == "json_schema":
        described = {"name": FORMAT, "strict": True, "schema": dict(schema)}
        return {"messages": plain, "response_format": {"type": "json_schema", "json_schema": described}}
    if shape == "tool":
        function = {"name": FORMAT, "description": "Takes the reply.", "strict": True, "parameters": dict(schema)}
        return {
            "messages": plain,
            "tools": [{"type": "function", "function": function}],
            "tool_choice": {"type": "function", "function": {"name": FORMAT}},
        }
    body: dict[str, Any] = {"messages": _with_schema(plain, schema)}
    if shape == "json_object":
        # The schema is an extension of llama.cpp's servers; the others ignore it, and have it in the text.
        body["response_format"] = {"type": "json_object", "schema": dict(schema)}
    return body


def _with_schema(messages: list[dict[str, str]], schema: Mapping[str, Any]) -> list[dict[str, str]]:
    # In the system text, which is the same in all calls of a study, so that a server's cache keeps it.
    told = _TOLD + json.dumps(schema, ensure_ascii=False)
    if messages and messages[0]["role"] == "system":
        return [{"role": "system", "content": f"{messages[0]['content']}\n\n{told}"}, *messages[1:]]
    return [{"role": "system", "content": told}, *messages]


def refuses(shape: str, status: int, body: bytes, model: str) -> bool:
    """Tells whether an answer with an error status concerns the shape, so that another one may be accepted.

    Args:
        shape: The shape that was asked in.
        status: The answer's status.
        body: The answer's body; servers phrase their errors in many ways, so it is searched for the words.
        model: The model's id, which may hold such a word itself.
    """
    if status not in _STATUSES or shape == "prompt":
        return False
    said = re.sub(rf"(?<!\w){re.escape(model)}(?!\w)", "", body[:20_000].decode(errors="replace"))
    words = _ABOUT_TOOLS if shape == "tool" else _ABOUT_FORMAT
    return bool(words.search(said)) and not _ABOUT_LENGTH.search(said)


def fits(text: str, schema: Mapping[str, Any]) -> bool:
    """Tells whether a text is a JSON object with the schema's required keys: a server that obeys makes nothing else."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(data, dict) and all(key in data for key in schema.get("required", ()))


def only_object(text: str) -> str | None:
    """Returns the one JSON object of a text with words or a fence around it; None unless there is exactly one.

    What a model thought before it answered (up to ``</think>``) is left out. Any brace that begins no JSON, and an
    object within an array, make the text unusable: which part was meant would be a guess.
    """
    text = text.rpartition("</think>")[2]
    decoder = json.JSONDecoder()
    found, at = "", text.find("{")
    while at >= 0:
        if found or text[:at].rstrip().endswith("["):
            return None
        try:
            end = decoder.raw_decode(text, at)[1]
        except (ValueError, RecursionError):
            return None
        found, at = text[at:end], text.find("{", end)
    return found or None
