"""Sweeps that an LLM advises: the real SDKs against a loopback server, driven by the real command."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from llm_server import LLMServer, Step, any_legal_reply
from sweeps import Sweep, sweep

CANARY = "sk-canary-0123456789abcdef0123456789"


def _advised(tmp_path: Path, server: LLMServer, provider: str, *arguments: str) -> Sweep:
    env: Mapping[str, str] = server.environ(provider, key=CANARY)
    return sweep(
        tmp_path / "s",
        "hydra.sweeper.n_trials=4",
        "hydra.sweeper.advisor=llm",
        *server.arguments(provider),
        "hydra.sweeper.llm.deadline=20",
        *arguments,
        env=env,
    )


def _sources(done: Sweep) -> list[tuple[str, str]]:
    asked = [r["proposal"] for r in done.journal if r["op"] == "ask"]
    return [(p["source"], p["stands_in_for"]) for p in asked]


@pytest.mark.parametrize("provider", ["anthropic", "openai", "openai_compatible"])
def test_the_llm_proposes_and_its_words_are_kept(tmp_path: Path, provider: str) -> None:
    """With a key, trials after the baseline come from the LLM, and each consultation is in the journal, whole."""
    with LLMServer(any_legal_reply) as server:
        done = _advised(tmp_path, server, provider)
    assert done.code == 0, done.stderr
    assert _sources(done) == [("default", ""), ("llm", ""), ("llm", ""), ("llm", "")]
    consults = [r for r in done.journal if r["op"] == "consult"]
    assert len(consults) == 3
    assert all(c["prompt"] and c["reply"] and c["usage"] for c in consults)
    assert "optimizer.lr" in json.dumps(consults[-1]["prompt"])


@pytest.mark.parametrize("status", [401, 500])
def test_a_dead_llm_is_stood_in_for_and_named(tmp_path: Path, status: int) -> None:
    """Without an answer the sweep goes on with the prior, and every such trial says for whom it stands in."""
    with LLMServer([Step(status=status)]) as server:
        done = _advised(tmp_path, server, "anthropic")
    assert done.code == 0, done.stderr
    assert [stood for _, stood in _sources(done)] == ["", "llm", "llm", "llm"]
    assert {source for source, _ in _sources(done)[1:]} <= {"prior", "surrogate"}
    assert "standing in for llm" in done.stdout


def test_the_key_is_written_nowhere(tmp_path: Path) -> None:
    """The key is in no file of the sweep and in no line that it prints."""
    with LLMServer(any_legal_reply) as server:
        done = _advised(tmp_path, server, "anthropic")
    files = [p for p in done.folder.rglob("*") if p.is_file()]
    assert len(files) > 10
    assert [p for p in files if CANARY.encode() in p.read_bytes()] == []
    assert CANARY not in done.stdout + done.stderr
    assert any(CANARY in json.dumps(dict(r.headers)) for r in server.requests)  # it did reach the vendor


def test_a_script_drives_a_sweep_without_a_network(tmp_path: Path) -> None:
    """A dry run: a function makes the replies, no key is there, and proxies would lead nowhere."""
    done = sweep(
        tmp_path / "s",
        "hydra.sweeper.n_trials=3",
        "hydra.sweeper.llm.provider=scripted",
        "hydra.sweeper.llm.script=llm_server.any_legal_reply",
        env={"PYTHONPATH": os.pathsep.join(sys.path), "HTTPS_PROXY": "http://127.0.0.1:9"},
    )
    assert done.code == 0, done.stderr
    assert _sources(done) == [("default", ""), ("llm", ""), ("llm", "")]
    assert "scripted: llm_server.any_legal_reply" in done.stdout
