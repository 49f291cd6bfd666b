"""The door to the clients."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from llm_server import LLMServer, Step

from neuropt_core.errors import ConfigError, LLMFatal, MissingExtraError
from neuropt_core.llm.client import NO_KEY, make_client
from neuropt_core.llm.settings import LLMSettings

ASK = ({"role": "user", "content": "Say a."},)
LOCAL: dict[str, Any] = {"provider": "openai_compatible", "base_url": "http://localhost:11434/v1", "model": "qwen3:8b"}


@pytest.mark.parametrize("key", [None, "", "   ", "two words", "ключ", "a\nb"])
def test_a_missing_or_impossible_key_names_its_variable(key: str | None) -> None:
    """The SDKs' own answers to this mislead, so it is said before they are asked; the value is not shown."""
    environ = {} if key is None else {"MY_KEY": key}
    with pytest.raises(ConfigError, match="MY_KEY: must hold the API key for openai") as caught:
        make_client(LLMSettings(provider="openai", api_key_env="MY_KEY"), environ)
    assert not (key or "").strip() or str(key) not in str(caught.value)


def test_a_wrong_url_in_the_environment_names_its_variable() -> None:
    """``OPENAI_BASE_URL`` is checked like the setting."""
    with pytest.raises(ConfigError, match=r"^OPENAI_BASE_URL: must be an http"):
        make_client(LLMSettings(provider="openai"), {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "nowhere"})


def test_clients_hide_their_key() -> None:
    """Neither the client nor what it keeps shows the key when it is printed."""
    client = make_client(LLMSettings(), {"ANTHROPIC_API_KEY": "canary-1"})
    assert client.name == "anthropic: claude-haiku-5-5"
    assert "canary-1" not in f"{client!r} {vars(client)}"


def _fake_sdk(folder: Path, name: str, version: str) -> None:
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


@pytest.mark.parametrize(
    ("settings", "sdk", "version", "pin"),
    [
        ({"provider": "anthropic"}, "anthropic", "1.9.0", ">=2,<3"),
        ({"provider": "anthropic"}, "anthropic", "20.0", ">=2,<3"),
        ({"provider": "openai"}, "openai", "4.0.0", ">=3,<4"),
        (LOCAL, "openai", "2.30.1", ">=3,<4"),
    ],
)
def test_another_major_version_is_refused_with_the_right_one(
    settings: Any, sdk: str, version: str, pin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An SDK that is not known to work is named with its version, the pin and the command that mends it."""
    _fake_sdk(tmp_path, sdk, version)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtraError) as caught:
        make_client(LLMSettings(**settings), {f"{sdk.upper()}_API_KEY": "k"})
    assert str(caught.value) == (
        f"hydra.sweeper.llm.provider={settings['provider']}: needs {sdk}{pin}, and version {version} is installed. "
        f"Mend it with: pip install 'hydra-neuropt-sweeper[{sdk}]'"
    )


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
def test_a_missing_sdk_says_how_to_install_it(provider: str) -> None:
    """Without the SDK the text holds the command that installs it; seen in a process that cannot find packages."""
    code = (
        "import sys\n"
        "import neuropt_core.advisors.llm\n"
        "from neuropt_core.llm.client import make_client\n"
        "from neuropt_core.llm.settings import LLMSettings\n"
        "try:\n"
        f"    make_client(LLMSettings(provider={provider!r}), {{'{provider.upper()}_API_KEY': 'k'}})\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)\n"
        "print(sorted({'anthropic', 'openai', 'torch', 'hydra', 'httpx2'} & set(sys.modules)))\n"
    )
    root = str(Path(__file__).parents[3])
    environ = {**os.environ, "PYTHONPATH": root}
    run = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, env=environ, check=True)
    said, loaded = run.stdout.splitlines()
    assert said == (
        f"MissingExtraError hydra.sweeper.llm.provider={provider}: needs {provider}. "
        f"Mend it with: pip install 'hydra-neuropt-sweeper[{provider}]'"
    )
    assert loaded == "[]"


@pytest.mark.parametrize(
    ("url", "warned"),
    [("http://gpu-box:8000/v1", True), ("https://gpu-box/v1", False), ("http://localhost:1/v1", False)],
)
def test_an_open_line_to_another_host_is_warned_of(url: str, warned: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Without encryption the key can be read on the way; on this machine there is no way."""
    made = LLMSettings(provider="openai_compatible", base_url=url, model="m", api_key_env="MY_KEY")
    make_client(made, {"MY_KEY": "canary-2"})
    assert ("without encryption" in caplog.text) is warned
    assert "canary-2" not in caplog.text


def test_requests_are_not_logged_between_the_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    """The HTTP library's line per request is silenced, unless the user has set its level himself."""
    http_log = logging.getLogger("httpx2")
    for before, after in ((logging.NOTSET, logging.WARNING), (logging.DEBUG, logging.DEBUG)):
        monkeypatch.setattr(http_log, "level", before)
        make_client(LLMSettings(), {"ANTHROPIC_API_KEY": "k"})
        assert http_log.level == after


SECRETS = {
    "OPENAI_API_KEY": "canary-openai",
    "ANTHROPIC_API_KEY": "canary-anthropic",
    "OPENAI_ADMIN_KEY": "canary-admin",
    "OPENAI_ORG_ID": "canary-org",
    "OPENAI_PROJECT_ID": "canary-project",
    "OPENAI_CUSTOM_HEADERS": "Authorization: Bearer canary-custom\nX-Gateway: canary-gateway",
    "ANTHROPIC_CUSTOM_HEADERS": "authorization: Bearer canary-custom\nX-Gateway: canary-gateway",
    "ANTHROPIC_AUTH_TOKEN": "canary-token",
}


@pytest.mark.parametrize("provider", ["anthropic", "openai", "openai_compatible"])
@pytest.mark.parametrize("key", [None, "MY_KEY"])
def test_only_the_named_key_reaches_a_named_server(
    provider: Any, key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the machine's environment goes to a server of the config but the key that was named for it."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    if key is None and provider != "openai_compatible":
        return
    with LLMServer([Step()]) as server:
        made = LLMSettings(provider=provider, base_url=server.base_url(provider), model="m", api_key_env=key)
        make_client(made, {**SECRETS, "MY_KEY": "for-this-server"}).complete(ASK, schema={})
    sent = server.requests[0].headers
    assert "canary" not in str(sent) + server.requests[0].raw.decode()
    assert sent["authorization"] == ("Bearer for-this-server" if key else f"Bearer {NO_KEY}")


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
def test_the_environments_headers_go_to_the_environments_server(provider: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A company's gateway that is set up by the vendor's own variables works as it does with the SDK itself."""
    monkeypatch.setenv(f"{provider.upper()}_CUSTOM_HEADERS", "X-Gateway: mine")
    with LLMServer([Step()]) as server:
        client = make_client(LLMSettings(provider=provider), server.environ(provider, "usual-key"))
        client.complete(ASK, schema={})
    assert server.requests[0].headers["x-gateway"] == "mine"
    assert server.requests[0].headers["authorization"] == "Bearer usual-key"


def test_a_server_that_wants_a_key_says_where_to_name_it() -> None:
    """Without a key a compatible server gets a placeholder; if it refuses that, the text names the setting."""
    with LLMServer([Step(status=401)]) as server:
        made = LLMSettings(provider="openai_compatible", base_url=server.base_url("openai"), model="m")
        with pytest.raises(LLMFatal, match=r"wants a key \(HTTP 401\)\. Name its variable in .*api_key_env"):
            make_client(made, SECRETS).complete(ASK, schema={})
    assert len(server.requests) == 1


def test_a_script_needs_neither_key_nor_sdk(tmp_path: Path) -> None:
    """The scripted provider answers without a network."""
    file = tmp_path / "replies.jsonl"
    file.write_text('{"a": 1}\n"text"\n')
    client = make_client(LLMSettings(provider="scripted", script=str(file)), {})
    assert client.name == "scripted: replies.jsonl"
    assert [client.complete(ASK, schema={}).text for _ in range(2)] == ['{"a": 1}', "text"]
