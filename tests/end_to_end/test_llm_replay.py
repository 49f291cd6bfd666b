"""Studies that are replayed from their transcript, and recorded on from it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from llm_server import ALWAYS, LLMServer, Step, any_legal_reply
from sweeps import Sweep, advised, proposals, sources, sweep


def _again(first: Sweep, mode: str = "replay") -> tuple[str, ...]:
    return (
        *ALWAYS,
        "hydra.sweeper.advisor=llm",
        "hydra.sweeper.llm.provider=anthropic",
        f"hydra.sweeper.llm.mode={mode}",
        f"hydra.sweeper.llm.transcript={first.folder}",
    )


@pytest.mark.parametrize("status", [401, 500])
def test_a_study_that_was_resumed_after_a_failure_is_replayed(tmp_path: Path, status: int) -> None:
    """A replay knows where the study was resumed, and so asks again where the study did."""
    with LLMServer([Step(status=status)]) as server:
        advised(tmp_path / "a", server, "anthropic", "hydra.sweeper.n_trials=3")
    with LLMServer(any_legal_reply) as server:
        first = advised(tmp_path / "a", server, "anthropic", "hydra.sweeper.n_trials=5")
    assert sources(first)[3:] == [("llm", "")] * 2
    again = sweep(tmp_path / "b" / "s", "hydra.sweeper.n_trials=5", *_again(first))
    assert again.code == 0, again.stderr
    assert proposals(again)[1:] != []
    assert [p["source"] for p in proposals(again)] == [p["source"] for p in proposals(first)]
    assert proposals(again)[3:] == proposals(first)[3:]


def test_an_exchange_that_was_left_is_replayed(tmp_path: Path) -> None:
    """A study that ended between a reply and its trial is replayed: what was said counts, and is asked again."""
    with LLMServer(any_legal_reply) as server:
        first = advised(tmp_path / "a", server, "anthropic", "hydra.sweeper.n_trials=3")
        journal = first.folder / "neuropt" / "journal.jsonl"
        lines = journal.read_text().splitlines(keepends=True)
        last = max(i for i, line in enumerate(lines) if '"consult"' in line)
        journal.write_text("".join(lines[: last + 1]))
    reply = any_legal_reply([{"content": "Propose exactly 1 other"}], server.requests[0].schema)
    with LLMServer([Step(text=json.dumps(reply))]) as server:
        first = advised(tmp_path / "a", server, "anthropic", "hydra.sweeper.n_trials=3")
    assert len(server.requests) == 1
    again = sweep(tmp_path / "b" / "s", "hydra.sweeper.n_trials=3", *_again(first))
    assert again.code == 0, again.stderr
    assert proposals(again) == proposals(first)


def test_an_exchange_that_the_journal_lacks_is_not_replayed(tmp_path: Path) -> None:
    """A study that was killed before a reply was in its journal asks again, and a replay takes the second reply."""
    with LLMServer(any_legal_reply) as server:
        first = advised(tmp_path / "a", server, "anthropic", "hydra.sweeper.n_trials=3")
        journal = first.folder / "neuropt" / "journal.jsonl"
        lines = journal.read_text().splitlines(keepends=True)
        last = max(i for i, line in enumerate(lines) if '"consult"' in line)
        journal.write_text("".join(lines[:last]))
    text = json.dumps(any_legal_reply(server.requests[0].messages, server.requests[0].schema))
    with LLMServer([Step(text=text)]) as server:
        first = advised(tmp_path / "a", server, "anthropic", "hydra.sweeper.n_trials=3")
    again = sweep(tmp_path / "b" / "s", "hydra.sweeper.n_trials=3", *_again(first))
    assert again.code == 0, again.stderr
    assert proposals(again) == proposals(first)


def test_a_study_that_was_extended_is_replayed(tmp_path: Path) -> None:
    """How many trials a study has is no part of what is asked; a record pays, and shows, only what it asks itself."""
    with LLMServer(any_legal_reply) as server:
        advised(tmp_path / "a", server, "anthropic", "hydra.sweeper.n_trials=3")
        first = advised(tmp_path / "a", server, "anthropic", "hydra.sweeper.n_trials=5")
        assert len(server.requests) == 4
        again = sweep(tmp_path / "b" / "s", "hydra.sweeper.n_trials=5", *_again(first))
        more = advised(
            tmp_path / "c", server, "anthropic", "hydra.sweeper.n_trials=7", *_again(first, "record"),
            "hydra.sweeper.llm.budget.calls=2",
        )  # fmt: skip
        assert len(server.requests) == 6
    assert again.code == more.code == 0, again.stderr + more.stderr
    assert proposals(again) == proposals(more)[:5] == proposals(first)
    assert "llm" not in again.results["study"]
    assert more.results["study"]["llm"]["calls"] == 2
    assert sources(more)[1:] == [("llm", "")] * 6


def test_a_replay_that_misses_says_what_differs(tmp_path: Path) -> None:
    """The first line of the prompt that is another one is quoted, as it was and as it is."""
    with LLMServer(any_legal_reply) as server:
        first = advised(tmp_path / "a", server, "anthropic", "hydra.sweeper.n_trials=2")
    other = sweep(tmp_path / "b" / "s", "hydra.sweeper.n_trials=2", "hydra.sweeper.task=cats", *_again(first))
    assert other.code != 0
    assert 'where this one says "The task, in the user' in other.stderr
    longer = sweep(tmp_path / "c" / "s", "hydra.sweeper.n_trials=3", *_again(first))
    assert "it holds none for this trial" in longer.stderr


def test_a_slate_that_was_left_is_replayed(tmp_path: Path) -> None:
    """A study that ended between a slate's rejections and its trial goes on as if they were not, and is replayed."""
    gate = [f"hydra.sweeper.gate.{name}" for name in ("slate=3", "veto=true", "distance=0.02")]
    with LLMServer(any_legal_reply) as server:
        first = advised(tmp_path / "a", server, "anthropic", *gate)
        journal = first.folder / "neuropt" / "journal.jsonl"
        lines = journal.read_text().splitlines(keepends=True)
        last = max(i for i, line in enumerate(lines) if '"reject"' in line)
        journal.write_text("".join(lines[: last + 1]))
        first = advised(tmp_path / "a", server, "anthropic", "hydra.sweeper.n_trials=6", *gate)
    again = sweep(tmp_path / "b" / "s", "hydra.sweeper.n_trials=6", *_again(first), *gate)
    assert again.code == 0, again.stderr
    assert proposals(again) == proposals(first)
