"""Sweeps that an LLM advises: the real SDKs against a loopback server, driven by the real command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from llm_server import ALWAYS, LLMServer, Step, any_legal_reply, envelope, wait_for
from sweeps import CANARY, Sweep, advised, command, environment, proposals, sources, sweep


@pytest.mark.parametrize("provider", ["anthropic", "openai", "openai_compatible"])
def test_the_llm_proposes_and_its_words_are_kept(tmp_path: Path, provider: str) -> None:
    """With a key, trials after the baseline come from the LLM, and each exchange is in the transcript, whole."""
    with LLMServer(any_legal_reply) as server:
        done = advised(tmp_path, server, provider)
    assert done.code == 0, done.stderr
    assert sources(done) == [("default", ""), ("llm", ""), ("llm", ""), ("llm", "")]
    transcript = done.folder / "neuropt" / "transcript.jsonl"
    assert transcript.stat().st_mode & 0o777 == 0o600
    consults = [json.loads(line) for line in transcript.read_text().splitlines()]
    assert len(consults) == 3
    assert all(c["prompt"] and c["reply"] and c["usage"] for c in consults)
    assert "optimizer.lr" in json.dumps(consults[-1]["prompt"])
    assert [r["key"] for r in done.journal if r["op"] == "consult"] == [c["key"] for c in consults]
    assert done.results["study"]["llm"]["calls"] == 3
    assert "3 LLM calls, " in done.stdout


@pytest.mark.parametrize("status", [401, 500])
def test_a_dead_llm_is_stood_in_for_and_named(tmp_path: Path, status: int) -> None:
    """Without an answer the sweep goes on with the prior, and every such trial says for whom it stands in."""
    with LLMServer([Step(status=status)]) as server:
        done = advised(tmp_path, server, "anthropic")
    assert done.code == 0, done.stderr
    assert [stood for _, stood in sources(done)] == ["", "llm", "llm", "llm"]
    assert {source for source, _ in sources(done)[1:]} <= {"prior", "filler"}
    assert "standing in for llm" in done.stdout


def test_the_key_is_written_nowhere(tmp_path: Path) -> None:
    """The key is in no file of the sweep and in no line that it prints."""
    with LLMServer(any_legal_reply) as server:
        done = advised(tmp_path, server, "anthropic")
    files = [p for p in done.folder.rglob("*") if p.is_file()]
    assert len(files) > 10
    assert [p for p in files if CANARY.encode() in p.read_bytes()] == []
    assert CANARY not in done.stdout + done.stderr
    assert any(CANARY in json.dumps(dict(r.headers)) for r in server.requests)  # it did reach the vendor


def test_a_replay_repeats_the_study_without_a_server(tmp_path: Path) -> None:
    """From its transcript a study runs again to the digit, without a key or a network; a call it lacks ends it."""
    with LLMServer(any_legal_reply) as server:
        first = advised(tmp_path / "a", server, "anthropic")
    assert first.code == 0, first.stderr
    replay = (
        *ALWAYS,
        "hydra.sweeper.advisor=llm",
        "hydra.sweeper.llm.provider=anthropic",
        "hydra.sweeper.llm.mode=replay",
        f"hydra.sweeper.llm.transcript={first.folder}",
    )
    again = sweep(tmp_path / "b" / "s", "hydra.sweeper.n_trials=4", *replay)
    assert again.code == 0, again.stderr
    assert proposals(again) == proposals(first)
    assert "replayed" in again.stdout
    longer = sweep(tmp_path / "c" / "s", "hydra.sweeper.n_trials=5", *replay)
    assert longer.code != 0
    assert "does not hold" in longer.stderr
    assert proposals(longer)[:1] == proposals(first)[:1]


def test_at_a_cap_the_sweep_goes_on_without_the_llm(tmp_path: Path) -> None:
    """After two calls no third is made; the rest is proposed in the LLM's stead, visibly, and the reason told once."""
    with LLMServer(any_legal_reply) as server:
        done = advised(tmp_path, server, "anthropic", "hydra.sweeper.llm.budget.calls=1")
        assert len(server.requests) == 1
    assert done.code == 0, done.stderr
    assert [stood for _, stood in sources(done)] == ["", "", "llm", "llm"]
    assert done.stdout.count("the cap of 1 LLM calls is reached") == 1


def test_a_wrong_key_is_tried_once(tmp_path: Path) -> None:
    """What will fail again is not asked again before every trial, but after a pause, and at once after a resume."""
    with LLMServer([Step(status=401)]) as server:
        done = advised(tmp_path, server, "anthropic")
        assert len(server.requests) == 1
        again = advised(tmp_path, server, "anthropic", "hydra.sweeper.n_trials=5")
        assert len(server.requests) == 2
    assert (done.code, again.code) == (0, 0)
    assert done.stdout.count("left alone until trial 5") == 1


def test_a_script_drives_a_sweep_without_a_network(tmp_path: Path) -> None:
    """A dry run: a function makes the replies, no key is there, and proxies would lead nowhere."""
    done = sweep(
        tmp_path / "s",
        "hydra.sweeper.n_trials=3",
        *ALWAYS,
        "hydra.sweeper.llm.provider=scripted",
        "hydra.sweeper.llm.script=llm_server.any_legal_reply",
        env={"PYTHONPATH": os.pathsep.join(sys.path), "HTTPS_PROXY": "http://127.0.0.1:9"},
    )
    assert done.code == 0, done.stderr
    assert sources(done) == [("default", ""), ("llm", ""), ("llm", "")]
    assert "scripted: llm_server.any_legal_reply" in done.stdout


def test_a_price_is_given_on_the_command_line(tmp_path: Path) -> None:
    """The user's own price counts what was spent; half a price ends the sweep in a sentence, before any trial."""
    price = "hydra.sweeper.llm.price={input:1000,output:10000}"
    with LLMServer(any_legal_reply) as server:
        done = advised(tmp_path / "a", server, "openai_compatible", price, "hydra.sweeper.n_trials=2")
        half = advised(tmp_path / "b", server, "openai_compatible", "hydra.sweeper.llm.price={input:1}")
    assert done.code == 0, done.stderr
    assert done.results["study"]["llm"]["usd"] == pytest.approx(0.3)
    assert half.code != 0
    assert "hydra.sweeper.llm.price: must also say output" in half.stderr
    assert "Traceback" not in half.stderr


@pytest.mark.parametrize("named", ["claude-haiku-alias", ""])
def test_a_reply_by_another_name_does_not_end_the_llm(tmp_path: Path, named: str) -> None:
    """Under a cap in dollars a reply that names another model, or none, is charged as the model that was asked."""
    text = json.dumps({"diagnosis": "", "lessons_keep": [], "lessons_retire": [], "candidates": []})
    cap = "hydra.sweeper.llm.budget.usd=1"
    with LLMServer([Step(body=envelope("/v1/messages", text, model=named))]) as server:
        done = advised(tmp_path, server, "anthropic", cap, "hydra.sweeper.n_trials=2")
    assert done.code == 0, done.stderr
    assert len(server.requests) == 2
    assert "price is not known" not in done.stdout
    assert done.results["study"]["llm"]["usd"] > 0


def test_ctrl_c_ends_the_wait_for_a_reply(tmp_path: Path) -> None:
    """Ctrl-C during a call launches no trial and waits for no reply; the same command goes on and asks again."""
    folder = tmp_path / "s"
    folder.mkdir()
    words = (*ALWAYS, "hydra.sweeper.n_trials=3", "hydra.sweeper.advisor=llm", "hydra.sweeper.llm.provider=anthropic")
    with LLMServer([Step(delay=100.0)]) as server:
        env = environment(**server.environ("anthropic"))
        with subprocess.Popen(
            command(folder, *words), env=env, cwd=folder, stdout=subprocess.PIPE, text=True, start_new_session=True
        ) as running:
            assert wait_for(lambda: len(server.requests) == 1, 180)
            start = time.monotonic()
            os.killpg(running.pid, signal.SIGINT)
            stdout, _ = running.communicate(timeout=90)
    assert running.returncode == 130
    assert time.monotonic() - start < 60
    done = Sweep(folder, 130, stdout, "")
    assert list(done.told()) == done.ran() == [0]
    (kept,) = [r for r in done.journal if r["op"] == "consult"]
    assert kept["kind"] == "transient"
    with LLMServer(any_legal_reply) as server:
        again = sweep(folder, *words, env=server.environ("anthropic"))
    assert again.code == 0, again.stderr
    assert sources(again) == [("default", ""), ("llm", ""), ("llm", "")]


def test_a_model_without_a_legal_candidate_is_left_alone(tmp_path: Path) -> None:
    """Three answers without a legal candidate suspend calls; the trials go on with the prior."""
    text = json.dumps({"diagnosis": "", "lessons_keep": [], "lessons_retire": [], "candidates": []})
    with LLMServer([Step(text=text)]) as server:
        done = advised(tmp_path, server, "anthropic", "hydra.sweeper.n_trials=5")
    assert done.code == 0, done.stderr
    assert len(server.requests) == 3
    assert "left alone until trial 6 after a call that failed (no legal candidate)" in done.stdout
    assert [r["accepted"] for r in done.journal if r["op"] == "consult"] == [0, 0, 0, None]


def test_a_dry_run_says_that_the_budget_forbids_every_call(tmp_path: Path) -> None:
    """A cap below the worst case of the first call is told before the sweep, in the words of the sweep itself."""
    words = ("hydra.sweeper.dry_run=true", "hydra.sweeper.llm.budget.usd=0.001")
    done = sweep(tmp_path / "s", *words, env={"ANTHROPIC_API_KEY": CANARY})
    assert done.code == 0, done.stderr
    assert "would not be asked at all: the first call could pass the cap of $0.001" in done.stdout
    enough = sweep(tmp_path / "t", *words[:1], "hydra.sweeper.llm.budget.usd=1", env={"ANTHROPIC_API_KEY": CANARY})
    assert "would not be asked" not in enough.stdout


@pytest.mark.parametrize("step", [Step(delay=20.0), Step(text="x" * 500, cut=100)])
def test_a_call_without_a_whole_answer_is_charged(tmp_path: Path, step: Step) -> None:
    """A deadline, or a connection that breaks off, costs the worst case: the vendor may charge for its answer."""
    words = ("hydra.sweeper.llm.deadline=8", "hydra.sweeper.n_trials=2")
    with LLMServer([step]) as server:
        done = advised(tmp_path, server, "anthropic", *words)
    assert done.code == 0, done.stderr
    (kept,) = [r for r in done.journal if r["op"] == "consult"]
    told = done.results["study"]["llm"]
    assert told["calls"] == len(server.requests) == kept["usage"]["lost"]
    assert told["tokens"] > 8192 * len(server.requests)


def test_a_probe_of_shapes_is_checked_and_counted_whole(tmp_path: Path) -> None:
    """While a server's ways are found out, one call may be four requests: all fit the cap, and all are counted."""
    words = ("hydra.sweeper.n_trials=2", "hydra.sweeper.llm.budget.tokens=30000")
    with LLMServer([Step(text="prose")]) as server:
        tight = advised(tmp_path / "a", server, "openai_compatible", *words)
        assert len(server.requests) == 0
        done = advised(tmp_path / "b", server, "openai_compatible", *words[:1])
        assert done.results["study"]["llm"]["calls"] == len(server.requests) >= 4
    assert "could pass the cap of 30,000 tokens" in tight.stdout
