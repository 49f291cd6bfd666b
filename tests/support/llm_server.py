"""A loopback server that speaks Anthropic messages, OpenAI responses and chat completions, for the real SDKs.

    with LLMServer([Step(status=429, headers={"retry-after": "1"}), Step(text='{"a": 1}')]) as server:
        ...                       # point base_url, or the environment of server.environ("anthropic"), at it
    server.requests               # what arrived

Steps are played in order and the last one is repeated. Instead of steps, a function (messages, schema) -> reply makes a
deterministic stand-in for a model; `any_legal_reply` is one that works for every search space.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ReplyFunction = Callable[[Sequence[Mapping[str, str]], Mapping[str, Any]], "str | Mapping[str, Any]"]


ALWAYS = (
    "hydra.sweeper.gate.warmup=1",
    "hydra.sweeper.gate.least_share=1",
    "hydra.sweeper.gate.most_share=1",
    "hydra.sweeper.gate.slate=1",
    "hydra.sweeper.gate.distance=0",
    "hydra.sweeper.gate.veto=false",
)
"""The LLM proposes every trial but the user's own, whatever it proposes: for tests of the way to it and back."""


@dataclass(frozen=True)
class Step:
    """One answer.

    Attributes:
        text: The model's text, wrapped as the API that was asked would send it.
        stop: ``end``, ``length``, ``refusal`` or ``empty``, in the API's own words.
        status: HTTP status.
        body: Sent as it is instead of `text`: an object as JSON, or bytes.
        headers: Added to the answer, or replacing it.
        delay: Seconds before the answer.
        dribble: Seconds between single bytes of the body.
        cut: Close the connection after so many bytes of the body.
    """

    text: str = "{}"
    stop: str = "end"
    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    dribble: float = 0.0
    cut: int | None = None


@dataclass(frozen=True)
class Received:
    """One request: path, headers in lower case, decoded body, and the body as it came."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    raw: bytes

    @property
    def messages(self) -> list[dict[str, str]]:
        """The messages, system first, in one form for all three APIs."""
        body = self.body
        system = body.get("instructions") or "".join(part["text"] for part in body.get("system") or [])
        first = [{"role": "system", "content": system}] if system else []
        return first + [dict(m) for m in body.get("messages", body.get("input", []))]

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema that the reply should follow."""
        body = self.body
        if "output_config" in body:
            return body["output_config"]["format"]["schema"]
        if "text" in body:
            return body["text"]["format"]["schema"]
        if "tools" in body:
            return body["tools"][0]["function"]["parameters"]
        asked = body.get("response_format", {})
        if "schema" in asked.get("json_schema", asked):
            return asked.get("json_schema", asked)["schema"]
        told = (
            self.messages[0]["content"].rpartition("JSON schema, and with nothing else:\n")[2] if self.messages else ""
        )
        return json.loads(told) if told.startswith("{") else {}


class LLMServer:
    """Listens on 127.0.0.1 while its ``with`` block runs.

    Args:
        answers: Steps, or a function that makes each reply.

    Attributes:
        requests: All requests so far.
    """

    def __init__(self, answers: Sequence[Step] | ReplyFunction) -> None:
        self.requests: list[Received] = []
        self._answers = answers
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._http = _Listener(self)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> LLMServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def origin(self) -> str:
        """The base URL for Anthropic's SDK; OpenAI's wants ``/v1`` after it."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def base_url(self, provider: str) -> str:
        """The base URL as a provider's SDK wants it."""
        return self.origin if provider == "anthropic" else f"{self.origin}/v1"

    def arguments(self, provider: str) -> list[str]:
        """The overrides that point a sweep at this server, and have it asked for each trial.

        The key of a compatible server is named in them.
        """
        llm = "hydra.sweeper.llm"
        if provider != "openai_compatible":
            return [f"{llm}.provider={provider}", *ALWAYS]
        return [
            *ALWAYS,
            f"{llm}.provider={provider}",
            f"{llm}.base_url={self.base_url(provider)}",
            f"{llm}.model=local",
            f"{llm}.api_key_env=OPENAI_COMPATIBLE_API_KEY",
        ]

    def environ(self, provider: str, key: str = "test-key") -> dict[str, str]:
        """The variables that point a provider's client at this server."""
        name = provider.upper()
        return {f"{name}_API_KEY": key, f"{name}_BASE_URL": self.base_url(provider)}

    def answer(self, received: Received) -> Step:
        """Keeps a request and returns the answer to it."""
        with self._lock:
            self.requests.append(received)
            turn = len(self.requests)
            if not callable(self._answers):
                return self._answers[min(turn, len(self._answers)) - 1]
            reply = self._answers(received.messages, received.schema)
        return Step(text=reply if isinstance(reply, str) else json.dumps(reply))

    def sleep(self, seconds: float) -> bool:
        """Sleeps; returns True if the server is being closed."""
        return self._stop.wait(seconds)


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, llm: LLMServer) -> None:
        self.llm = llm
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("content-length", 0))))

    def _answer(self, raw: bytes) -> None:
        headers = {k.lower(): v for k, v in self.headers.items()}
        received = Received(self.path, headers, json.loads(raw) if raw else {}, raw)
        step = self.server.llm.answer(received)
        if step.delay and self.server.llm.sleep(step.delay):
            return
        with contextlib.suppress(OSError):  # the client has gone, as tests of deadlines want
            self._send(step, _body(step, received))

    def _send(self, step: Step, body: bytes) -> None:
        self.send_response(step.status)
        for name, value in {"content-type": "application/json", **step.headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        sent = body if step.cut is None else body[: step.cut]
        if step.dribble:
            self._dribble(sent, step.dribble)
        else:
            self.wfile.write(sent)
        self.wfile.flush()
        self.close_connection = self.close_connection or step.cut is not None or bool(step.dribble)

    def _dribble(self, sent: bytes, pause: float) -> None:
        for i in range(len(sent)):
            self.wfile.write(sent[i : i + 1])
            self.wfile.flush()
            if self.server.llm.sleep(pause):
                return


def _body(step: Step, received: Received) -> bytes:
    if isinstance(step.body, bytes):
        return step.body
    if step.body is not None:
        return json.dumps(step.body).encode()
    model, tool = str(received.body.get("model")), "tools" in received.body
    return json.dumps(envelope(received.path, step.text, step.stop, model, tool=tool)).encode()


def envelope(
    path: str, text: str, stop: str = "end", model: str = "test-model", *, tool: bool = False
) -> dict[str, Any]:
    """Returns a reply's whole body as the API at `path` sends it, with 100 tokens in (30 cached) and 20 out.

    With `tool`, chat completions send the text as the arguments of a call, as they do where a tool is forced.
    """
    if path.endswith("/messages"):
        return _messages(text, stop, model)
    return _responses(text, stop, model) if path.endswith("/responses") else _chat(text, stop, model, tool)


def _messages(text: str, stop: str, model: str) -> dict[str, Any]:
    reasons = {"length": "max_tokens", "refusal": "refusal"}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [] if stop == "empty" else [{"type": "text", "text": text}],
        "stop_reason": reasons.get(stop, "end_turn"),
        "stop_sequence": None,
        "stop_details": {"type": "refusal", "category": "cyber", "explanation": "no"} if stop == "refusal" else None,
        "usage": {
            "input_tokens": 70,
            "cache_read_input_tokens": 30,
            "cache_creation_input_tokens": 0,
            "output_tokens": 20,
        },
    }


def _responses(text: str, stop: str, model: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    if stop == "refusal":
        part = {"type": "refusal", "refusal": "I cannot help with that."}
    message = {"type": "message", "id": "m", "status": "completed", "role": "assistant", "content": [part]}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 0,
        "model": model,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "status": "incomplete" if stop == "length" else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if stop == "length" else None,
        "output": [] if stop == "empty" else [message],
        "usage": {
            "input_tokens": 100,
            "input_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 0},
            "output_tokens": 20,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 120,
        },
    }


def _chat(text: str, stop: str, model: str, tool: bool) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    if tool:
        call = {"id": "call_1", "type": "function", "function": {"name": "proposals", "arguments": text}}
        message = {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}
    if stop == "refusal":
        message = {"role": "assistant", "content": None, "refusal": "I cannot help with that."}
    choice = {"index": 0, "finish_reason": "length" if stop == "length" else "stop", "message": message}
    return {
        "id": "chat_1",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [] if stop == "empty" else [choice],
        "usage": {
            "prompt_tokens": 100,
            "completion_tokens": 20,
            "total_tokens": 120,
            "prompt_tokens_details": {"cached_tokens": 30},
        },
    }


def any_legal_reply(messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Answers a neuropt prompt with as many legal, different candidates as it asks for; the same for the same prompt.

    It reads the schema alone, so it works for every search space; it knows nothing and is no good at the search.
    """
    ask = messages[-1]["content"]
    if "portfolio" in schema["properties"]:
        return _any_legal_card(ask, schema)
    wanted = int(re.findall(r"Propose exactly (\d+)", ask)[-1])
    values = schema["properties"]["candidates"]["items"]["properties"]["values"]["properties"]
    seed = hashlib.sha256(ask.encode()).hexdigest()
    return {
        "diagnosis": "A scripted reply.",
        "lessons_keep": [],
        "lessons_retire": [],
        "candidates": [
            {
                "intent": "explore",
                "parent": -1,
                "hypothesis": f"Candidate {i} is as good as any.",
                "falsifier": "Another one does better.",
                "rationale": f"Scripted candidate {i} of {wanted}, as the history stands.",
                "values": {name: _pick(part, f"{seed}/{i}/{name}") for name, part in values.items()},
                "expected": {"p10": 0.1, "p50": 0.5, "p90": 1.0},
            }
            for i in range(1, wanted + 1)
        ],
    }


any_legal_reply.writes_cards = True  # type: ignore[attr-defined]


def _any_legal_card(ask: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a space card that believes nothing of any number, and the first label of every choice."""
    wanted = int(re.findall(r"exactly (\d+) configuration", ask)[-1])
    parts = schema["properties"]["portfolio"]["items"]["properties"]["values"]["properties"]
    seed = hashlib.sha256(ask.encode()).hexdigest()
    labels = {name: part["enum"][0] for name, part in parts.items() if "enum" in part}
    card = {
        "diagnosis": "A scripted card.",
        "numbers": [],
        "choices": [{"parameter": n, "why": "Scripted.", "likely": [x], "risk": ""} for n, x in labels.items()],
        "portfolio": [
            {
                "rationale": f"Scripted configuration {i} of {wanted}.",
                "values": {name: _pick(part, f"{seed}/card/{i}/{name}") for name, part in parts.items()},
            }
            for i in range(1, wanted + 1)
        ],
        "expected": [],
    }
    return {key: value for key, value in card.items() if key in schema["properties"]}


def _pick(part: Mapping[str, Any], seed: str) -> Any:
    """Returns a legal value for one property, chosen by a hash; log scales are honoured."""
    share = int(hashlib.sha256(seed.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF
    if "enum" in part:
        return part["enum"][min(int(share * len(part["enum"])), len(part["enum"]) - 1)]
    found = re.match(r"(\S+) <= value <= ([^\s,;]+)", part["description"])
    if found is None:
        return "v0"
    low, high = float(found[1]), float(found[2])
    value = low * (high / low) ** share if "log scale" in part["description"] else low + (high - low) * share
    value = min(max(value, low), high)
    if part["type"] == "number":
        return float(f"{value:.4g}") if low <= float(f"{value:.4g}") <= high else value
    step = re.search(r"in steps of (\d+)", part["description"])
    width = int(step[1]) if step else 1
    return int(low) + (int(value) - int(low)) // width * width


def wait_for(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Waits until a condition holds; returns whether it does."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()
