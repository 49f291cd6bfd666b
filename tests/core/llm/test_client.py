"""Settings and the door to the clients."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from neuropt_core.errors import ConfigError, MissingExtraError
from neuropt_core.llm.client import DEFAULT_MODELS, LLMSettings, make_client, pick_provider


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("provider", "gemini"),
        ("provider", None),
        ("model", ""),
        ("model", "two words"),
        ("model", "x" * 300),
        ("base_url", "ftp://host"),
        ("base_url", "localhost:8000"),
        ("base_url", "http://"),
        ("base_url", "http://host:99999"),
        ("base_url", "http://host/\n"),
        ("base_url", 3),
        ("base_url", "https://gateway/v1"),
        ("model", 5),
        ("effort", "enormous"),
        ("effort", "minimal"),
        ("max_tokens", 0),
        ("max_tokens", True),
        ("max_tokens", 1000.0),
        ("deadline", 0),
        ("deadline", -1.0),
        ("deadline", float("nan")),
        ("deadline", float("inf")),
        ("deadline", 1e6),
        ("deadline", "60"),
    ],
)
def test_a_wrong_setting_names_its_key_and_value(field: str, value: Any) -> None:
    """Every field is checked where it is set, and the text names the key of the config."""
    with pytest.raises(ConfigError) as caught:
        LLMSettings(**{field: value})
    assert str(caught.value).startswith(f"hydra.sweeper.llm.{field}: must")
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    "literal",
    [
        "sk-ant-api03-abcdefghijklmnop",
        "sk_live_abcdefghijkl",
        "hf_abcdefghijklmnop",
        "AKIAIOSFODNN7EXAMPLE",
        "Zx81kq02Lm93ndA77bQp41",
        "0123456789abcdef",
        "with space",
        "",
        7,
    ],
)
def test_a_literal_key_is_refused_and_not_echoed(literal: Any) -> None:
    """Only the name of a variable is accepted, and what was given instead is not repeated."""
    with pytest.raises(ConfigError, match="NAME of") as caught:
        LLMSettings(api_key_env=literal)
    assert not literal or str(literal) not in f"{caught.value!s} {caught.value!r}"


@pytest.mark.parametrize("name", ["ANTHROPIC_API_KEY", "MY_KEY_2", "_k", "TEAM42_LLM_GATEWAY_KEY_2026"])
def test_names_of_variables_are_accepted(name: str) -> None:
    """What people call their variables is no key."""
    assert LLMSettings(api_key_env=name).key_name == name


def test_a_password_in_the_url_is_refused_and_not_echoed() -> None:
    """A URL with a user or a password is refused without being shown."""
    with pytest.raises(ConfigError, match="api_key_env") as caught:
        LLMSettings(base_url="https://me:hunter2@host/v1")
    assert "hunter2" not in str(caught.value)


def test_a_compatible_server_needs_a_model() -> None:
    """Nobody but a compatible server knows its models, so there is no default for it."""
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.llm\.model: must be given together with base_url"):
        LLMSettings(provider="openai", base_url="http://localhost:11434/v1")
    assert LLMSettings(provider="openai", base_url="http://localhost:11434/v1", model="qwen3:8b").name == (
        "openai: qwen3:8b"
    )


def test_defaults_are_the_cheap_models() -> None:
    """Without a model the documented one of the provider is asked."""
    assert LLMSettings().asked_model == DEFAULT_MODELS["anthropic"]
    assert LLMSettings(provider="openai").asked_model == DEFAULT_MODELS["openai"]


def test_auto_looks_for_anthropic_first() -> None:
    """`pick_provider` takes the first key that is set and not empty."""
    both = {"ANTHROPIC_API_KEY": "a", "OPENAI_API_KEY": "b"}
    assert pick_provider(both) == "anthropic"
    assert pick_provider({**both, "ANTHROPIC_API_KEY": " "}) == "openai"
    assert pick_provider({}) is None


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


@pytest.mark.parametrize(("provider", "version"), [("anthropic", "1.9.0"), ("openai", "4.0.0")])
def test_another_major_version_is_refused_with_the_right_one(
    provider: Any, version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An SDK that is not known to work is named with its version and the pin."""
    _fake_sdk(tmp_path, provider, version)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtraError) as caught:
        make_client(LLMSettings(provider=provider), {f"{provider.upper()}_API_KEY": "k"})
    assert f"version {version} is installed" in str(caught.value)
    assert f"pip install 'hydra-neuropt-sweeper[{provider}]'" in str(caught.value)


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
def test_a_missing_sdk_says_how_to_install_it(provider: str) -> None:
    """Without the SDK the text holds the command that installs it; seen in a process that cannot find packages."""
    code = (
        "import sys\n"
        "import neuropt_core.advisors.llm\n"
        "from neuropt_core.llm.client import LLMSettings, make_client\n"
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
    made = LLMSettings(provider="openai", base_url=url, model="m")
    make_client(made, {"OPENAI_API_KEY": "canary-2"})
    assert ("without encryption" in caplog.text) is warned
    assert "canary-2" not in caplog.text


def test_requests_are_not_logged_between_the_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    """The HTTP library's line per request is silenced, unless the user has set its level himself."""
    http_log = logging.getLogger("httpx2")
    for before, after in ((logging.NOTSET, logging.WARNING), (logging.DEBUG, logging.DEBUG)):
        monkeypatch.setattr(http_log, "level", before)
        make_client(LLMSettings(), {"ANTHROPIC_API_KEY": "k"})
        assert http_log.level == after
