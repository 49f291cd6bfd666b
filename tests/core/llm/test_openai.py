"""What is sent to OpenAI's Responses API, and to servers that speak chat completions."""

from __future__ import annotations

import json
import logging
from typing import Any

import openai
import pytest
from llm_server import LLMServer, Received, Step
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from wire_contract import violations

from neuropt_core.errors import LLMError, LLMFatal, LLMTransient
from neuropt_core.llm.client import LLMClient, UnusableReply, make_client
from neuropt_core.llm.openai import CompatibleClient, OpenAIClient
from neuropt_core.llm.settings import SHAPES, LLMSettings

ASK = (
    {"role": "system", "content": "You answer."},
    {"role": "user", "content": "Say a."},
)
SCHEMA = {"type": "object", "properties": {}, "required": ["a"], "additionalProperties": False}
GOOD = '{"a": 1}'


def _compatible(server: LLMServer, **settings: Any) -> CompatibleClient:
    url = server.base_url("openai")
    given = {"deadline": 60.0, **settings}
    return CompatibleClient(LLMSettings(provider="openai_compatible", base_url=url, model="m", **given), "key", url)


def _responses(server: LLMServer, **settings: Any) -> OpenAIClient:
    return OpenAIClient(LLMSettings(provider="openai", **settings), "key", server.base_url("openai"))


def _sent(connect: Any, **settings: Any) -> Received:
    with LLMServer([Step(text=GOOD)]) as server:
        client: LLMClient = connect(server, **settings)
        assert client.complete(ASK, schema=SCHEMA).text == GOOD
    return server.requests[0]


def _shape(received: Received) -> str:
    body = received.body
    if "tools" in body:
        return "tool"
    return str(body["response_format"]["type"]) if "response_format" in body else "prompt"


def test_responses_are_strict_and_not_stored() -> None:
    """The body satisfies the SDK's own type, and asks OpenAI not to keep the reply."""
    received = _sent(_responses, effort="low", max_tokens=9000)
    body = dict(received.body)
    assert violations(body, ResponseCreateParamsNonStreaming) == []
    assert received.path == "/v1/responses"
    assert body == {
        "model": "gpt-6-luna",
        "instructions": "You answer.",
        "input": [{"role": "user", "content": "Say a."}],
        "max_output_tokens": 9000,
        "store": False,
        "text": {"format": {"type": "json_schema", "name": "proposals", "strict": True, "schema": SCHEMA}},
        "reasoning": {"effort": "low"},
    }


def test_the_responses_api_is_spoken_wherever_the_server_is() -> None:
    """The provider decides on the API, not the host."""
    with LLMServer([Step(text=GOOD)]) as server:
        made = LLMSettings(provider="openai", base_url=server.base_url("openai"), api_key_env="MY_KEY")
        make_client(made, {"MY_KEY": "k"}).complete(ASK, schema=SCHEMA)
    assert server.requests[0].path == "/v1/responses"


@pytest.mark.parametrize("shape", SHAPES)
def test_chat_completions_hold_to_the_contract_in_every_shape(shape: str) -> None:
    """The body satisfies the SDK's own type; the one key beyond it is the schema that llama.cpp's servers obey."""
    received = _sent(_compatible, structured=shape, effort="low")
    body = dict(received.body)
    beyond = [".response_format.schema"] if shape == "json_object" else []
    assert violations(body, CompletionCreateParamsNonStreaming) == beyond
    assert received.path == "/v1/chat/completions"
    assert (body["model"], body["max_tokens"], body["reasoning_effort"]) == ("m", 8192, "low")
    assert _shape(received) == shape
    assert received.schema == SCHEMA
    told = json.dumps(SCHEMA) in received.messages[0]["content"]
    assert told is (shape in ("json_object", "prompt"))


def test_the_contract_sees_a_strange_key() -> None:
    """The check of requests can fail: a key that no type knows is named with its path."""
    body = {"model": "m", "messages": [{"role": "user", "content": "x", "mood": 1}], "max_tokens": 5, "top_z": 1}
    found = violations(body, CompletionCreateParamsNonStreaming)
    assert sorted(found) == [".messages[0].mood", ".top_z"]


def _picky(*known: str, prose: str | None = None, status: int = 400) -> Any:
    """A server that knows some shapes, and refuses the others or answers them in prose."""

    def answer(received: Received) -> Step:
        if _shape(received) in known:
            return Step(text=GOOD)
        if prose is not None:
            plain = {"choices": [{"finish_reason": "stop", "message": {"content": prose}}]}
            return Step(body={**plain, "usage": {"prompt_tokens": 7, "completion_tokens": 3}})
        words = "tools are not supported" if _shape(received) == "tool" else "unknown response_format"
        return Step(status=status, body={"detail": [{"msg": words}]})

    return answer


class _Picky(LLMServer):
    def __init__(self, answer: Any) -> None:
        super().__init__([])
        self._picky = answer

    def answer(self, received: Received) -> Step:
        self.requests.append(received)
        step: Step = self._picky(received)
        return step


@pytest.mark.parametrize("status", [400, 404, 415, 422, 500, 501])
@pytest.mark.parametrize("known", SHAPES)
def test_auto_finds_the_shape_that_a_server_knows(known: str, status: int, caplog: pytest.LogCaptureFixture) -> None:
    """Refused shapes are left behind after one request each, the one that works is kept, and the log says it once."""
    caplog.set_level(logging.INFO, logger="neuropt_core")
    tried = list(SHAPES[: SHAPES.index(known) + 1])
    with _Picky(_picky(known, status=status)) as server:
        client = _compatible(server)
        for _ in range(2):
            assert client.complete(ASK, schema=SCHEMA).text == GOOD
    assert [_shape(r) for r in server.requests] == [*tried, known]
    assert caplog.text.count(f"structured={known}") == 1
    assert caplog.text.count("structured=") == 1


@pytest.mark.parametrize("prose", ["Certainly!", "[1]", '{"b": 1}', '```json\n{"a": 1}\n```'])
def test_auto_leaves_a_shape_that_is_not_obeyed(prose: str) -> None:
    """A server that ignores what it does not know is noticed by its first reply, whose tokens are counted."""
    with _Picky(_picky("json_object", prose=prose)) as server:
        done = _compatible(server).complete(ASK, schema=SCHEMA)
    assert [_shape(r) for r in server.requests] == ["json_schema", "json_object"]
    assert (done.text, done.usage["input_tokens"], done.usage["output_tokens"]) == (GOOD, 107, 23)


def test_words_around_the_object_are_taken_off_at_the_end() -> None:
    """A server that obeys nothing ends at prompt, where the one object of its reply is taken."""
    with _Picky(_picky(prose='Sure:\n```json\n{"a": 1}\n```\nDone.')) as server:
        client = _compatible(server)
        assert client.complete(ASK, schema=SCHEMA).text == GOOD
        assert client.complete(ASK, schema=SCHEMA).usage == {"input_tokens": 7, "output_tokens": 3}
    assert [_shape(r) for r in server.requests] == [*SHAPES, "prompt"]


def test_prose_at_the_end_is_bad_output_with_all_that_was_paid() -> None:
    """A model that never answers in JSON costs four requests once, one from then on, and all tokens are counted."""
    with _Picky(_picky(prose="I would rather not use braces.")) as server:
        client = _compatible(server)
        errors = []
        for _ in range(2):
            with pytest.raises(UnusableReply, match="not exactly one JSON object") as caught:
                client.complete(ASK, schema=SCHEMA)
            errors.append(caught.value.completion)
    assert len(server.requests) == 5
    assert [done and done.usage for done in errors] == [
        {"input_tokens": 28, "output_tokens": 12, "requests": 4},
        {"input_tokens": 7, "output_tokens": 3},
    ]


@pytest.mark.parametrize(
    ("step", "kind", "requests"),
    [
        (Step(status=401, body={"error": {"message": "response_format"}}), LLMFatal, 1),
        (Step(status=429, body={"error": {"message": "json_schema"}}, headers={"retry-after": "0"}), LLMTransient, 3),
        (Step(status=503, body={"error": {"message": "json_schema"}}, headers={"retry-after": "0"}), LLMTransient, 3),
        (Step(status=500, body={"error": {"message": "boom"}}, headers={"retry-after": "0"}), LLMTransient, 3),
        (Step(status=400, body={"error": {"message": "bad temperature"}}), LLMFatal, 1),
        (Step(status=404, body={"error": {"message": "model json_schema-m not found"}}), LLMFatal, 1),
        (
            Step(status=400, body={"error": {"message": "maximum context length is 10: 5 in the json_schema"}}),
            LLMFatal,
            1,
        ),
        (Step(stop="length"), UnusableReply, 1),
        (Step(stop="empty"), UnusableReply, 1),
    ],
)
def test_other_failures_do_not_move_the_shape(step: Step, kind: type[LLMError], requests: int) -> None:
    """A wrong key, a limit of the rate, an overload or a long prompt says nothing about the shape."""
    with LLMServer([step]) as server:
        client = _compatible(server)
        client._settings = LLMSettings(
            provider="openai_compatible", base_url=server.base_url("openai"), model="json_schema-m"
        )
        with pytest.raises(kind):
            client.complete(ASK, schema=SCHEMA)
    assert [_shape(r) for r in server.requests] == ["json_schema"] * requests


def test_a_search_without_an_end_holds_no_key() -> None:
    """If every shape is refused, the last refusal is the error, with no other behind it and no key in it."""
    body = {"error": {"message": "response_format, tools: not for sk-canary-0123456789"}}
    with LLMServer([Step(status=400, body=body)]) as server:
        url = server.base_url("openai")
        made = LLMSettings(provider="openai_compatible", base_url=url, model="m", api_key_env="K")
        client = CompatibleClient(made, "sk-canary-0123456789", url)
        with pytest.raises(LLMFatal, match="HTTP 400") as caught:
            client.complete(ASK, schema=SCHEMA)
    assert len(server.requests) == 4
    assert type(caught.value) is LLMFatal
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert "canary" not in str(caught.value) + repr(caught.value.args)


def test_a_refused_shape_that_was_asked_for_is_fatal() -> None:
    """Whoever names the shape is told that the server does not take it."""
    with _Picky(_picky("prompt")) as server, pytest.raises(LLMFatal, match="HTTP 400"):
        _compatible(server, structured="json_schema").complete(ASK, schema=SCHEMA)
    assert len(server.requests) == 1


def test_what_was_refused_is_remembered_over_a_failure() -> None:
    """A search that a failure of the network interrupts goes on where it was."""
    steps = [
        Step(status=400, body={"error": {"message": "response_format"}}),
        *[Step(status=503, headers={"retry-after": "0"})] * 3,
        Step(text=GOOD),
    ]
    with LLMServer(steps) as server:
        client = _compatible(server)
        with pytest.raises(LLMTransient):
            client.complete(ASK, schema=SCHEMA)
        client.complete(ASK, schema=SCHEMA)
    assert [_shape(r) for r in server.requests] == ["json_schema", *["json_object"] * 4]


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"tool_calls": [{"function": {"arguments": GOOD}}]}, GOOD),
        ({"tool_calls": [{"function": {"arguments": {"a": 1}}}], "content": "Calling."}, GOOD),
        ({"content": GOOD}, GOOD),
        ({"content": [{"type": "text", "text": GOOD}]}, GOOD),
        ({"tool_calls": [{"function": {"arguments": GOOD}}] * 2}, "2 calls of the tool"),
        ({"tool_calls": [{"function": None}]}, "without text"),
        ({"tool_calls": [{"function": {"arguments": 7}}]}, "without text"),
    ],
)
def test_the_arguments_of_the_one_call_are_the_reply(message: dict[str, Any], said: str) -> None:
    """Servers send a call's arguments as text or as an object, or answer in the content after all."""
    with LLMServer([Step(body={"choices": [{"finish_reason": "tool_calls", "message": message}]})]) as server:
        client = _compatible(server, structured="tool")
        if said == GOOD:
            assert client.complete(ASK, schema=SCHEMA).text == GOOD
        else:
            with pytest.raises(UnusableReply, match=said):
                client.complete(ASK, schema=SCHEMA)


def test_the_environment_names_openais_server_only() -> None:
    """``OPENAI_BASE_URL`` is honoured as the SDK would, and the setting goes before it."""
    with LLMServer([Step(text="environment")]) as one, LLMServer([Step(text=GOOD)]) as two:
        client = make_client(LLMSettings(provider="openai"), one.environ("openai"))
        assert client.complete(ASK, schema=SCHEMA).text == "environment"
        made = LLMSettings(provider="openai_compatible", base_url=two.base_url("openai"), model="m")
        assert make_client(made, one.environ("openai")).complete(ASK, schema=SCHEMA).text == GOOD


@pytest.mark.parametrize("reason", ["max_output_tokens", "content_filter"])
def test_an_incomplete_response_says_why(reason: str) -> None:
    """An incomplete response is truncated or filtered, also when it holds no message at all."""
    body = {"status": "incomplete", "incomplete_details": {"reason": reason}, "output": []}
    with LLMServer([Step(body=body)]) as server:
        client = _responses(server)
        said = "max_tokens" if reason == "max_output_tokens" else "content filter"
        with pytest.raises(Exception, match=said):
            client.complete(ASK, schema=SCHEMA)


def test_commentary_is_not_part_of_the_answer() -> None:
    """A response may begin with commentary; only the final answer is read."""
    parts = [
        {"type": "reasoning", "summary": []},
        {"type": "message", "phase": "commentary", "content": [{"type": "output_text", "text": "Well."}]},
        {"type": "message", "phase": "final_answer", "content": [{"type": "output_text", "text": "{}"}]},
    ]
    with LLMServer([Step(body={"status": "completed", "output": parts})]) as server:
        client = _responses(server)
        done = client.complete(ASK, schema=SCHEMA)
    assert (done.text, done.usage) == ("{}", {})


@pytest.mark.parametrize("status", ["cancelled", "in_progress", "queued"])
def test_a_response_that_did_not_end_is_bad_output(status: str) -> None:
    """Half a response is not read as a whole one."""
    parts = [{"type": "message", "content": [{"type": "output_text", "text": GOOD}]}]
    step = Step(body={"status": status, "output": parts})
    with LLMServer([step]) as server, pytest.raises(UnusableReply, match=f"is {status}"):
        _responses(server).complete(ASK, schema=SCHEMA)


@pytest.mark.parametrize("stop", ["end", "length", "refusal", "empty"])
def test_the_loopback_server_speaks_the_true_formats(stop: str) -> None:
    """The SDK accepts the test server's replies under its strict validation, so the double cannot drift."""
    with LLMServer([Step(stop=stop)]) as server:
        strict = openai.OpenAI(api_key="k", base_url=server.base_url("openai"), _strict_response_validation=True)
        with strict:
            strict.responses.create(model="m", input="x")
            strict.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
            tool: Any = {"type": "function", "function": {"name": "f", "parameters": {}}}
            strict.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}], tools=[tool])
