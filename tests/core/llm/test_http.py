"""Ways to a server: proxies and certificates."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx2
import pytest
from llm_server import LLMServer, Step

from neuropt_core.llm._http import http_client

HOST = "http://llm.invalid"


def _asked(base_url: str, proxy: str) -> str:
    async def ask() -> str:
        async with http_client(base_url, 30.0, proxy=proxy) as http:
            return (await http.get(f"{base_url}/v1/x", headers={"authorization": "Bearer key"})).text

    return asyncio.run(ask())


@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY"])
def test_env_obeys_the_environment_for_other_hosts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a company's proxy there is no other way, and NO_PROXY says what needs none."""
    with LLMServer([Step(body=b"from the proxy")]) as proxy:
        monkeypatch.setenv(name, proxy.origin)
        assert _asked(HOST, "env") == "from the proxy"
        monkeypatch.setenv("NO_PROXY", "llm.invalid")
        with pytest.raises((httpx2.ConnectError, httpx2.ConnectTimeout)):
            _asked(HOST, "env")
    assert len(proxy.requests) == 1


def test_none_goes_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    """With none the environment's proxies are not looked at, be they as broken as they like."""
    with LLMServer([Step(body=b"from the proxy")]) as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.origin if name == "HTTP_PROXY" else "gopher://nobody")
        with pytest.raises((httpx2.ConnectError, httpx2.ConnectTimeout)):
            _asked(HOST, "none")
    assert proxy.requests == []


def test_a_named_proxy_is_used_instead_of_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting goes before the environment, and NO_PROXY belongs to the latter."""
    with LLMServer([Step(body=b"named")]) as named, LLMServer([Step(body=b"env")]) as other:
        monkeypatch.setenv("HTTP_PROXY", other.origin)
        monkeypatch.setenv("NO_PROXY", "*")
        assert _asked(HOST, named.origin) == "named"
    assert other.requests == []


@pytest.mark.parametrize("setting", ["env", "none", "named"])
def test_this_machine_is_reached_directly(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy gets to see the key on its way to this machine."""
    with LLMServer([Step(body=b"from the proxy")]) as proxy, LLMServer([Step(body=b"direct")]) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.origin)
        assert _asked(server.origin, proxy.origin if setting == "named" else setting) == "direct"
    assert proxy.requests == []


@pytest.mark.parametrize("proxy", ["env", "none"])
def test_the_companys_certificates_are_honoured(proxy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SSL_CERT_FILE is read whatever is said of proxies: a missing file shows that it was looked for."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    with pytest.raises(FileNotFoundError):
        http_client("https://llm.invalid", 1.0, proxy=proxy)
