"""What a network and a server can do, for each of the three wire formats, with the real SDKs."""

from __future__ import annotations

import asyncio
import gzip
import re
import time
import traceback
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from llm_server import LLMServer, Step

from neuropt_core.errors import LLMBadOutput, LLMError, LLMFatal, LLMRefused, LLMTransient
from neuropt_core.llm.client import DeclinedReply, LLMClient, UnusableReply

Connect = Callable[..., LLMClient]

ASK = ({"role": "system", "content": "You answer."}, {"role": "user", "content": "Say a."})
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"a": {"type": "integer"}},
    "required": ["a"],
    "additionalProperties": False,
}


def _error(status: int, code: str | None = None, message: str = "no", **headers: str) -> Step:
    return Step(status=status, body={"error": {"message": message, "type": code, "code": code}}, headers=headers)


def _failure(client: LLMClient) -> LLMError:
    with pytest.raises(LLMError) as caught:
        client.complete(ASK, schema=SCHEMA)
    return caught.value


@pytest.fixture
def no_second_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait before another attempt is longer than any call."""
    monkeypatch.setattr("neuropt_core.llm._call._FIRST_WAIT", 1000.0)


def test_a_reply_comes_back_with_usage_model_and_seconds(connect: Connect) -> None:
    """All three formats come to the same completion."""
    with LLMServer([Step(text='{"a": 1}')]) as server:
        done = connect(server, model="some-model").complete(ASK, schema=SCHEMA)
    assert (done.text, done.model) == ('{"a": 1}', "some-model")
    assert done.usage == {"input_tokens": 100, "output_tokens": 20, "cached_tokens": 30}
    assert 0 < done.seconds < 60


HTML = {"content-type": "text/html"}
AT_ONCE = {"retry-after-ms": "1"}

FAULTS: dict[str, tuple[Step, type[LLMError], int, str]] = {
    "400 in words": (Step(status=400, body={"error": "no such knob"}), LLMFatal, 1, r"\(no such knob\)"),
    "400 detail": (Step(status=400, body={"detail": [3, {"msg": "bad knob"}]}), LLMFatal, 1, r"\(bad knob\)"),
    "400 message": (Step(status=400, body={"object": "error", "message": "odd"}), LLMFatal, 1, r"\(odd\)"),
    "400 null": (Step(status=400, body={"error": None, "detail": {}}), LLMFatal, 1, r"\(HTTP 400\)$"),
    "400 bad request": (_error(400, message="bad"), LLMFatal, 1, r"does not accept the request \(HTTP 400\) \(bad\)"),
    "401 auth": (_error(401), LLMFatal, 1, "does not accept the key"),
    "402 payment": (_error(402), LLMFatal, 1, "no credit or quota"),
    "403 permission": (_error(403), LLMFatal, 1, "does not accept the key"),
    "404 model": (_error(404, "not_found_error"), LLMFatal, 1, "knows no such model"),
    "404 page": (Step(status=404, body=b"<html>", headers=HTML), LLMFatal, 1, "knows no such model"),
    "413 too large": (_error(413), LLMFatal, 1, "HTTP 413"),
    "422": (_error(422), LLMFatal, 1, "HTTP 422"),
    "429 quota": (_error(429, "insufficient_quota"), LLMFatal, 1, "no credit or quota"),
    "429 billing": (_error(429, "billing_error", **AT_ONCE), LLMFatal, 1, "no credit or quota"),
    "408 timeout": (_error(408, **AT_ONCE), LLMTransient, 3, "HTTP 408"),
    "409 conflict": (_error(409, **AT_ONCE), LLMTransient, 3, "HTTP 409"),
    "429 rate": (_error(429, **AT_ONCE), LLMTransient, 3, "limits the rate"),
    "500": (_error(500, **AT_ONCE), LLMTransient, 3, "failed for now"),
    "502 page": (Step(status=502, body=b"<html>", headers={**HTML, **AT_ONCE}), LLMTransient, 3, "HTTP 502"),
    "503": (_error(503, **AT_ONCE), LLMTransient, 3, "HTTP 503"),
    "529 overloaded": (_error(529, **AT_ONCE), LLMTransient, 3, "is overloaded"),
    "cut in the body": (Step(cut=10), LLMTransient, 3, "broke off"),
    "cut before the body": (Step(cut=0), LLMTransient, 3, "broke off"),
    "web page": (Step(body=b"<html>Sign in</html>", headers=HTML), LLMBadOutput, 1, "web page"),
    "broken JSON": (Step(body=b'{"content": [{"type"'), LLMBadOutput, 1, "no JSON"),
    "no body": (Step(body=b""), LLMBadOutput, 1, "no JSON"),
    "a list": (Step(body=b"[1, 2]"), LLMBadOutput, 1, "no object"),
    "{}": (Step(body={}), LLMBadOutput, 1, "without text"),
    "other encoding": (Step(body=b"\xff\xfe"), LLMBadOutput, 1, "no JSON"),
    "deep nesting": (Step(body=b"[" * 100_000), LLMBadOutput, 1, "no JSON"),
    "5 MB": (Step(body=b"{" + b" " * 5_000_000 + b"}"), LLMBadOutput, 1, "longer than"),
    "5 MB error": (Step(status=400, body=b" " * 5_000_000), LLMBadOutput, 1, "longer than"),
    "gzip bomb": (
        Step(body=gzip.compress(b" " * 300_000_000, 1), headers={"content-encoding": "gzip"}),
        LLMBadOutput,
        1,
        "longer than",
    ),
    "no gzip": (Step(body=b"{}", headers={"content-encoding": "gzip"}), LLMBadOutput, 1, "cannot be unpacked"),
    "wrong types": (
        Step(body={"content": "x", "output": 3, "choices": [None], "usage": []}),
        LLMBadOutput,
        1,
        "without text",
    ),
    "empty": (Step(stop="empty"), LLMBadOutput, 1, "without text"),
    "truncated": (Step(text='{"a"', stop="length"), LLMBadOutput, 1, "reached max_tokens"),
    "refusal": (Step(stop="refusal"), LLMRefused, 1, "declined"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_has_one_kind_in_every_format(connect: Connect, name: str) -> None:
    """What happens is fatal, transient, bad output or refused, the same by all APIs; only the transient is repeated."""
    step, kind, requests, said = FAULTS[name]
    with LLMServer([step]) as server:
        error = _failure(connect(server))
    assert isinstance(error, kind)
    assert re.search(said, str(error)), str(error)
    assert len(server.requests) == requests


@pytest.mark.usefixtures("no_second_attempt")
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 401}, LLMFatal),
        ({"code": 429}, LLMTransient),
        ({"code": 502}, LLMTransient),
        ({"code": 7}, LLMTransient),
        ({"code": "odd"}, LLMTransient),
        ({"code": "invalid_api_key"}, LLMFatal),
        ({"code": "insufficient_quota"}, LLMFatal),
        ({"type": "authentication_error"}, LLMFatal),
        ({"type": "overloaded_error"}, LLMTransient),
        ({"type": ["x"], "code": {}}, LLMTransient),
        ("the worker has died", LLMTransient),
    ],
)
def test_an_error_with_status_200_is_an_error(connect: Connect, error: Any, kind: type[LLMError]) -> None:
    """Gateways answer 200 with the error of the server behind them."""
    told = {"message": "no", **error} if isinstance(error, dict) else error
    with LLMServer([Step(body={"error": told})]) as server:
        found = _failure(connect(server))
    assert isinstance(found, kind)


@pytest.mark.parametrize("status", [408, 429, 500, 529])
def test_a_passing_failure_is_tried_again(connect: Connect, status: int) -> None:
    """A rate limit, an overload or a server's failure is followed by another attempt, after the wait it asks for."""
    start = time.monotonic()
    with LLMServer([_error(status, **{"retry-after": "0.05"}), Step(text="fine")]) as server:
        assert connect(server).complete(ASK, schema=SCHEMA).text == "fine"
    assert len(server.requests) == 2
    assert time.monotonic() - start >= 0.05


@pytest.mark.parametrize("wait", ["86400", "31", "inf", "1e300", "9" * 5000, "Wed, 21 Oct 2099 07:28:00 GMT"])
def test_a_hostile_wait_is_not_obeyed(connect: Connect, wait: str) -> None:
    """A server that asks for a day is not waited for: the call ends at once, and says so."""
    with LLMServer([_error(429, **{"retry-after": wait})]) as server:
        error = _failure(connect(server))
    assert isinstance(error, LLMTransient)
    assert "asks for a wait of" in str(error)
    assert len(server.requests) == 1


@pytest.mark.parametrize("wait", ["nonsense", "nan", "-1", "-inf", "", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_wait_that_is_none_is_ignored(connect: Connect, wait: str) -> None:
    """What cannot be read as a wait, or lies in the past, leaves the wait to us, and another attempt follows."""
    start = time.monotonic()
    with LLMServer([_error(500, **{"retry-after": wait}), Step(text="fine")]) as server:
        assert connect(server).complete(ASK, schema=SCHEMA).text == "fine"
    assert len(server.requests) == 2
    assert time.monotonic() - start > (0 if "GMT" in wait else 0.35)


@pytest.mark.parametrize("step", [Step(delay=60), Step(dribble=0.5), _error(500, **{"retry-after": "0.25"})])
def test_the_deadline_is_real(connect: Connect, step: Step) -> None:
    """Silence, a byte now and then, or one failure after another: the call ends when its time is over."""
    start = time.monotonic()
    with LLMServer([step]) as server:
        error = _failure(connect(server, deadline=0.4))
        took = time.monotonic() - start
    assert isinstance(error, LLMTransient)
    assert took < 20


def test_the_deadline_works_inside_a_running_loop(connect: Connect) -> None:
    """In a notebook a loop is running already; the call works there as well."""

    async def notebook() -> str:
        with LLMServer([Step(text="fine")]) as server:
            return connect(server).complete(ASK, schema=SCHEMA).text

    assert asyncio.run(notebook()) == "fine"


@pytest.mark.usefixtures("no_second_attempt")
def test_nobody_listening_is_transient(connect: Connect) -> None:
    """A server that is not there may come back."""
    with LLMServer([Step()]) as server:
        client = connect(server)
    error = _failure(client)
    assert isinstance(error, LLMTransient)
    assert "no time for another attempt" in str(error)


def test_a_truncated_reply_keeps_what_was_paid(connect: Connect) -> None:
    """A reply that reached max_tokens is bad output, with its text and usage."""
    with LLMServer([Step(text='{"a"', stop="length")]) as server:
        error = _failure(connect(server))
    assert isinstance(error, UnusableReply)
    assert "reached max_tokens" in str(error)
    assert error.completion is not None
    assert (error.completion.text, error.completion.usage["output_tokens"]) == ('{"a"', 20)


def test_a_refusal_is_its_own_kind(connect: Connect) -> None:
    """A model that declines is neither a failure of the server nor bad output."""
    with LLMServer([Step(text="", stop="refusal")]) as server:
        error = _failure(connect(server))
    assert isinstance(error, LLMRefused)
    assert isinstance(error, DeclinedReply)
    assert error.completion is not None
    assert error.completion.usage["input_tokens"] == 100


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_leads_nowhere(connect: Connect, status: int) -> None:
    """Neither the prompt nor the key follows a redirect to another origin."""
    with LLMServer([Step()]) as elsewhere:
        target = f"{elsewhere.origin}/v1/messages"
        with LLMServer([Step(status=status, headers={"location": target})]) as server:
            error = _failure(connect(server))
    assert isinstance(error, LLMFatal)
    assert "redirects" in str(error)
    assert elsewhere.requests == []
    assert elsewhere.origin not in str(error)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY"])
def test_a_loopback_server_is_not_reached_through_a_proxy(
    connect: Connect, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy in the environment does not get to see the key on its way to this machine."""
    with LLMServer([Step(text="from the proxy")]) as proxy, LLMServer([Step(text="direct")]) as server:
        monkeypatch.setenv(name, proxy.origin)
        assert connect(server).complete(ASK, schema=SCHEMA).text == "direct"
    assert proxy.requests == []


def test_another_host_is_reached_through_the_proxy(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a company's proxy there is no other way to a server elsewhere."""
    with LLMServer([Step(text="from the proxy")]) as proxy, LLMServer([Step()]) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.origin)
        client = connect(server)
        client._base_url = client._base_url.replace("127.0.0.1", "llm.invalid")  # type: ignore[attr-defined]
        assert client.complete(ASK, schema=SCHEMA).text == "from the proxy"
    assert proxy.requests[0].path.startswith("http://llm.invalid:")


def test_a_compressed_bomb_is_bounded(connect: Connect) -> None:
    """No compressed reply is asked for, and one that comes all the same is read up to a bound."""
    with LLMServer([FAULTS["gzip bomb"][0]]) as server:
        tracemalloc.start()
        _failure(connect(server))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert server.requests[0].headers["accept-encoding"] == "identity"
    assert peak < 60e6  # bytes; the body unpacks to 300 MB


def test_lone_surrogates_do_not_reach_the_journal(connect: Connect) -> None:
    """A reply's text can always be written as UTF-8."""
    with LLMServer([Step(text="a\ud800b")]) as server:
        text = connect(server).complete(ASK, schema=SCHEMA).text
    assert text.encode() == b"a?b"


@pytest.mark.parametrize("status", [400, 401, 429])
def test_the_key_is_in_no_text(connect: Connect, status: int, canary: str) -> None:
    """A server that echoes the key in its error does not bring it into ours, nor does the chain of exceptions."""
    step = _error(status, None, f"bad key {canary} in Bearer {canary}", **{"retry-after-ms": "1"})
    with LLMServer([step]) as server:
        error = _failure(connect(server))
    shown = "".join(traceback.format_exception(error)) + repr(error.args) + repr(vars(error))
    assert canary not in shown
    assert error.__cause__ is None
    assert error.__context__ is None
    assert server.requests[0].headers["authorization"] == f"Bearer {canary}"
    assert canary.encode() not in server.requests[0].raw
