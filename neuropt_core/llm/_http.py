"""The HTTP client below both SDKs: no redirects, a bounded body, and proxies only for hosts elsewhere."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator

import httpx2

from neuropt_core.errors import LLMBadOutput
from neuropt_core.llm.client import is_loopback

_LIMIT = 4_000_000
_PACKED_LIMIT = 256_000


def http_client(base_url: str, seconds: float) -> httpx2.AsyncClient:
    """Returns a client for one call.

    - Redirects are not followed: a 307 would carry the prompt to another origin.
    - A loopback server is never reached through ``HTTP_PROXY``, which would hand it the key. Other hosts are: behind a
      company's proxy there is no other way, and ``NO_PROXY`` is honoured.
    - A body is read up to 4 MB, or 256 kB if it came compressed, since it may grow a thousandfold.
    """
    near = is_loopback(base_url)
    # No TLS is spoken to a plain local server: an empty trust store, which trusts nobody, is made in no time.
    verify: ssl.SSLContext | bool = (
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if near and base_url[:5] == "http:" else True
    )
    return httpx2.AsyncClient(
        timeout=httpx2.Timeout(seconds),
        follow_redirects=False,
        trust_env=not near,
        verify=verify,
        headers={"accept-encoding": "identity"},
        event_hooks={"response": [_bound]},
    )


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
