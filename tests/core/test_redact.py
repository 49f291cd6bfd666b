"""Secrets taken out of text."""

from __future__ import annotations

import time

import pytest

from neuropt_core.redact import redact, secrets_of


@pytest.mark.parametrize(
    "secret",
    [
        "sk-ant-api03-AbCdEf123",
        "hf_AbCdEfGhIj",
        "ghp_0123456789abcdef",
        "AKIAIOSFODNN7EXAMPLE",
        "0123456789abcdef0123456789abcdef01234567",
    ],
)
def test_what_looks_like_a_key_is_redacted(secret: str) -> None:
    """Known shapes of keys are replaced wherever they stand."""
    for text in (f"key {secret}.", f"api_key={secret}", f"Bearer {secret}", f"https://me:{secret}@host/"):
        assert secret not in redact(text)
        assert "[redacted]" in redact(text)


def test_values_of_secret_names_are_redacted() -> None:
    """A value after a name such as password goes, whatever it looks like; so do named secrets."""
    assert redact("password: hunter2, lr=3") == "[redacted], lr=3"
    assert redact("so plain", "plain") == "so [redacted]"


@pytest.mark.parametrize("name", ["api_token", "wandb_api_key", "DB_PASSWORD", "client-secret", '"access_token"'])
def test_names_with_prefixes_count(name: str) -> None:
    """The secret's name may be longer than the word that tells it."""
    assert "hunter2" not in redact(f"{name}: hunter2")
    assert "hunter2" not in redact(f"{name}='hunter2'")


@pytest.mark.parametrize("text", ["max_tokens=4096", "pad_token=0", "tokenizer: bert", "key=value", "a secret recipe"])
def test_what_is_no_secret_stays(text: str) -> None:
    """Words of the trade that only look alike are left alone."""
    assert redact(text) == text


@pytest.mark.parametrize("piece", ["a-", "_a", "sk-", "token", "://a", "bearer ", "0f", "api_key-", "/a b", "\\"])
def test_long_text_takes_no_time(piece: str) -> None:
    """No text that a library or a server makes up keeps the patterns busy."""
    text = piece * (400_000 // len(piece))
    began = time.process_time()
    redact(text)
    assert time.process_time() - began < 2.0


def test_secret_variables_are_known_by_their_names() -> None:
    """Values of secret variables come longest first; values too short to be one are left out."""
    environ = {
        "MY_API_KEY": "a" * 9,
        "HF_TOKEN": "b" * 12,
        "DB_PASSWORD": "short",
        "HOME": "/home/someone",
        "KEYS": "c" * 20,
    }
    assert secrets_of(environ) == ("b" * 12, "a" * 9)
