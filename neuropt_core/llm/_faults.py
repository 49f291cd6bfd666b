"""What went wrong with one HTTP request, as one of the four errors of a consultation; never with a key in its text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time

import httpx2

from neuropt_core.errors import LLMBadOutput, LLMError, LLMFatal, LLMTransient
from neuropt_core.llm._text import tidy
from neuropt_core.llm.client import NoWholeReply

_NO_QUOTA = ("insufficient_quota", "billing_error", "billing_hard_limit_reached", "credit_balance_too_low")
_LATER = (408, 409, 425, 429)


@dataclass(frozen=True, slots=True)
class Fault:
    """A failed attempt.

    Attributes:
        error: What to raise if no further attempt is made.
        retry_after: Seconds that the server asked to wait, if it did.
    """

    error: LLMError
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom the attempt was made with, for the text of an error, and what that text must not hold.

    Attributes:
        name: Provider and model.
        key_name: The variable that holds the key; "" where none is sent.
        key: The key itself; only ever searched for.
        model: The id of the model.
    """

    name: str
    key_name: str
    key: str
    model: str = ""

    def __repr__(self) -> str:
        return f"Asked({self.name!r}, {self.key_name!r})"


def from_status(asked: Asked, status: int, headers: Mapping[str, str], body: bytes) -> Fault:
    """Classifies an HTTP answer that is not 2xx."""
    code, said = _details(body)
    # A server may echo the key, in part or whole; vendors' words on a bad key are left out altogether.
    quoted = f" ({tidy(said, 300, asked.key)})" if said and status not in (401, 403) else ""
    where = asked.name
    if code in _NO_QUOTA or status == 402:
        return Fault(LLMFatal(where, f"has no credit or quota left (HTTP {status})", mend="Look at the account."))
    if status in _LATER or status >= 500:
        words = {429: "limits the rate of requests", 529: "is overloaded"}.get(status, "failed for now")
        return Fault(LLMTransient(where, f"{words} (HTTP {status}){quoted}"), _retry_after(headers))
    if status in (401, 403):
        rule = f"does not accept the key (HTTP {status})"
        mend = f"Check {asked.key_name} and what it is allowed to use."
        if not asked.key_name:
            rule, mend = f"wants a key (HTTP {status})", "Name its variable in hydra.sweeper.llm.api_key_env."
        return Fault(LLMFatal(where, rule, mend=mend))
    if 300 <= status < 400:
        rule = f"redirects to another address (HTTP {status}), which is not followed"
        return Fault(LLMFatal(where, rule, mend="Check hydra.sweeper.llm.base_url."))
    if status == 404:
        mend = "Check hydra.sweeper.llm.model, base_url and provider."
        return Fault(LLMFatal(where, f"knows no such model or address (HTTP 404){quoted}", mend=mend))
    return Fault(LLMFatal(where, f"does not accept the request (HTTP {status}){quoted}"))


def from_network(asked: Asked, error: BaseException) -> Fault:
    """Classifies an SDK's connection error: what our own checks raised below the SDK, or a failure of the network."""
    cause: BaseException | None = error
    for _ in range(8):
        if cause is None:
            break
        if isinstance(cause, LLMError):
            return Fault(cause)
        if isinstance(cause, httpx2.DecodingError):
            return unreadable(asked, "sent a reply that cannot be unpacked")
        deepest, cause = cause, cause.__cause__
    # Only the kind: messages of the network layers quote header values.
    if isinstance(deepest, (httpx2.ConnectError, httpx2.ConnectTimeout)):
        return Fault(LLMTransient(asked.name, f"could not be reached ({type(deepest).__name__})"))
    return Fault(NoWholeReply(asked.name, f"could not be reached, or broke off ({type(deepest).__name__})"))


def unreadable(asked: Asked, what: str) -> Fault:
    """A reply with status 200 that is not what the API sends."""
    return Fault(LLMBadOutput(asked.name, what, mend="Check hydra.sweeper.llm.base_url and any proxy on the way."))


def _details(body: bytes) -> tuple[str, str]:
    """Returns the vendor's error code (or type) and message, as far as the body has them."""
    try:
        data = json.loads(body[:20_000])
    except (ValueError, RecursionError):
        return "", ""
    if not isinstance(data, dict):
        return "", ""
    error = data.get("error")
    if not isinstance(error, dict):
        # Local servers: {"error": text}, {"message": text}, {"detail": text}, {"detail": [{"msg": text, ...}]}.
        detail = data.get("detail")
        parts = [p.get("msg") for p in detail if isinstance(p, dict)] if isinstance(detail, list) else [detail]
        said = (error, data.get("message"), *parts)
        return "", next((text for text in said if isinstance(text, str) and text), "")
    words = [error.get("code"), error.get("type")]
    code = next((w for w in words if isinstance(w, str) and w in _NO_QUOTA), "")
    message = error.get("message")
    return code, message if isinstance(message, str) else ""


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Returns the wait in seconds that headers ask for (RFC 9110 10.2.3, and the vendors' own retry-after-ms)."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            wait = float(headers.get(name, "")) * scale
        except ValueError:
            continue
        if wait >= 0:  # also false for nan
            return wait
    try:
        return max(0.0, parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - time())
    except (ValueError, TypeError, OverflowError):
        return None
