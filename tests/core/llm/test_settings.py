"""What a user can set, and the texts that say what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from neuropt_core.errors import ConfigError
from neuropt_core.llm.settings import DEFAULT_MODELS, LLMSettings, is_loopback, pick_provider

LOCAL: dict[str, Any] = {"provider": "openai_compatible", "base_url": "http://localhost:11434/v1", "model": "qwen3:8b"}


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
        ("structured", "yaml"),
        ("structured", "tool"),
        ("script", " "),
        ("script", "replies.jsonl"),
        ("proxy", "socks5://host:1"),
        ("proxy", "always"),
        ("proxy", None),
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


@pytest.mark.parametrize("url", ["http://me:hunter2@proxy:3128", "http://hunter2@proxy"])
def test_a_password_for_the_proxy_is_refused_and_not_echoed(url: str) -> None:
    """A proxy's password would be on disk with the config; HTTPS_PROXY in the environment may hold one."""
    with pytest.raises(ConfigError, match=r"^hydra\.sweeper\.llm\.proxy: must hold no user") as caught:
        LLMSettings(proxy=url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("missing", ["base_url", "model"])
def test_a_compatible_server_needs_an_address_and_a_model(missing: str) -> None:
    """Nobody but a compatible server knows its models, so there is no default for either."""
    with pytest.raises(ConfigError, match=rf"hydra\.sweeper\.llm\.{missing}: must be given"):
        LLMSettings(**{**LOCAL, missing: None})
    assert LLMSettings(**LOCAL).name == "openai_compatible: qwen3:8b"


def test_a_script_is_needed_by_scripted_alone() -> None:
    """A script that nobody reads, and a scripted provider without one, are told at once; the name hides the folders."""
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.llm\.script: must be given for scripted"):
        LLMSettings(provider="scripted")
    assert LLMSettings(provider="scripted", script="/home/me/replies.jsonl").name == "scripted: replies.jsonl"


@pytest.mark.parametrize(
    ("provider", "url", "foreign"),
    [
        ("openai", None, False),
        ("openai", "https://api.openai.com/v1", False),
        ("openai", "https://eu.api.openai.com/v1", False),
        ("openai", "http://api.openai.com/v1", True),
        ("openai", "https://openai.com.example.org/v1", True),
        ("openai", "https://notopenai.com/v1", True),
        ("openai", "http://localhost:8000/v1", True),
        ("openai", "https://api.anthropic.com/v1", True),
        ("anthropic", "https://api.anthropic.com", False),
        ("anthropic", "https://gateway.example.org", True),
        ("anthropic", "https://api.openai.com", True),
        ("openai_compatible", "https://api.openai.com/v1", True),
    ],
)
def test_a_vendors_key_is_for_its_own_hosts(provider: Any, url: str | None, foreign: bool) -> None:
    """A server that base_url names gets the vendor's usual key only where a setting beside it says so."""
    named = LLMSettings(provider=provider, base_url=url, model="m", api_key_env="MY_KEY")
    assert named.foreign is foreign
    if foreign and provider != "openai_compatible":
        with pytest.raises(
            ConfigError, match=r"hydra\.sweeper\.llm\.api_key_env: must be given together with base_url"
        ):
            LLMSettings(provider=provider, base_url=url, model="m")
    else:
        usual = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY", "openai_compatible": ""}[provider]
        assert LLMSettings(provider=provider, base_url=url, model="m").key_name == usual


@pytest.mark.parametrize(
    ("url", "near"),
    [
        ("http://127.0.0.1:1", True),
        ("http://127.9.9.9", True),
        ("http://[::1]:8000/v1", True),
        ("http://LOCALHOST/v1", True),
        ("http://a.localhost", True),
        ("http://localhost.example.org", False),
        ("http://10.0.0.1", False),
        ("http://127.0.0.1.example.org", False),
    ],
)
def test_this_machine_is_known_by_its_names(url: str, near: bool) -> None:
    """What looks like a loopback address at first sight may be a host elsewhere."""
    assert is_loopback(url) is near


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
