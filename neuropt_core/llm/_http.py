"""The HTTP client below both SDKs: no redirects, a bounded body, proxies only as asked, no headers that strayed in."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx2

from neuropt_core.errors import LLMBadOutput
from neuropt_core.llm.settings import is_loopback

_LIMIT = 4_000_000
_PACKED_LIMIT = 256_000
_OURS = (
    *("host", "accept", "accept-encoding", "connection", "content-length", "content-type", "transfer-encoding"),
    *("user-agent", "anthropic-version"),
)


def http_client(
    base_url: str, seconds: float, *, proxy: str = "env", only_key: str | None = None
) -> httpx2.AsyncClient:
    """Returns a client for one call.

    - Redirects are not followed: a 307 would carry the prompt to another origin.
    - A loopback server is never reached through a proxy, which would get to see the key.
    - A body is read up to 4 MB, or 256 kB if it came compressed, since it may grow a thousandfold.

    Args:
        base_url: The server.
        seconds: The time limit of each read; the call's own deadline is kept elsewhere.
        proxy: ``env``, ``none`` or an address; see `LLMSettings`.
        only_key: If given, this key and the headers of the request itself are all that is sent. The SDKs add what
            ``OPENAI_ORG_ID``, ``OPENAI_PROJECT_ID`` and the ``*_CUSTOM_HEADERS`` variables hold, which is meant for
            the vendor, and may hold another key.
    """
    near = is_loopback(base_url)
    # No TLS is spoken to a plain local server: an empty trust store, which trusts nobody, is made in no time.
    verify: ssl.SSLContext | bool = (
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if near and base_url[:5] == "http:" else True
    )
    # With a transport of its own the client looks for no proxy; trust_env=False would forget SSL_CERT_FILE as well.
    direct = httpx2.AsyncHTTPTransport(verify=verify) if near or proxy == "none" else None
    return httpx2.AsyncClient(
        timeout=httpx2.Timeout(seconds),
        follow_redirects=False,
        transport=direct,
        proxy=None if direct or proxy == "env" else proxy,
        verify=verify,
        headers={"accept-encoding": "identity"},
        event_hooks={"response": [_bound], "request": [] if only_key is None else [_only(only_key)]},
    )


def _only(key: str) -> Callable[[httpx2.Request], Awaitable[None]]:
    async def strip(request: httpx2.Request) -> None:
        for name in list(request.headers):
            if name.lower() not in _OURS and not name.lower().startswith("x-stainless-"):
                del request.headers[name]
        request.headers["authorization"] = f"Bearer {key}"

    return strip


async def _bound(response: httpx2.Response) -> None:
    packed = response.headers.get("content-encoding", "identity") != "identity"
    response.stream = _Bounded(response.stream, _PACKED_LIMIT if packed else _LIMIT)


class _Bounded(httpx2.AsyncByteStream):
    """A body that breaks off with `LLMBadOutput` after `limit` bytes."""

    def __init__(self, stream: object, limit: int) -> None:
        self._stream, self._limit = stream, limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = 0
        if not isinstance(self._stream, httpx2.AsyncByteStream):
            raise LLMBadOutput("the server's reply", "is no stream of bytes")
        async for chunk in self._stream:
            read += len(chunk)
            if read > self._limit:
                raise LLMBadOutput("the server's reply", f"is longer than {self._limit} bytes")
            yield chunk

    async def aclose(self) -> None:
        if isinstance(self._stream, httpx2.AsyncByteStream):
            await self._stream.aclose()
