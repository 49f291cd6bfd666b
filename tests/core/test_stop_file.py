"""Requests to a sweep that runs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from neuropt_core.errors import ConfigError
from neuropt_core.journal import Journal
from neuropt_core.stop_file import StopRequest, announce, ask, asked, forget, forget_all, sweeper, trials_asked


def test_a_request_is_read_as_it_was_left(tmp_path: Path) -> None:
    """What is asked of the sweep and of its trials lies side by side, and each is forgotten by itself."""
    all_, one = StopRequest("now", "enough", "ada@login1", 1.0), StopRequest(reason="flat")
    ask(tmp_path, all_)
    ask(tmp_path, one, trial=12)
    ask(tmp_path, one, trial=3)
    assert asked(tmp_path) == all_
    assert asked(tmp_path, 12) == one
    assert asked(tmp_path, 1) is None
    assert trials_asked(tmp_path) == (3, 12)
    forget(tmp_path, 3)
    forget(tmp_path, 3)
    assert trials_asked(tmp_path) == (12,)
    forget_all(tmp_path)
    assert asked(tmp_path) is None
    assert trials_asked(tmp_path) == ()


@pytest.mark.parametrize("text", ["", "please", "{}", "[1]", '{"how": 3}'])
def test_whatever_lies_there_asks_to_stop(tmp_path: Path, text: str) -> None:
    """A file that somebody has made by hand is a request to finish, with its text as the reason."""
    (tmp_path / "neuropt").mkdir()
    (tmp_path / "neuropt" / "stop").write_text(text)
    request = asked(tmp_path)
    assert request is not None
    assert (request.how, request.reason, request.by) == ("finish", text, "hand")


def test_a_request_has_a_known_way() -> None:
    """A request that is neither to finish nor to stop now is refused."""
    with pytest.raises(ConfigError, match="must be one of"):
        StopRequest("later")


def test_a_sweeper_lives_as_long_as_its_lock(tmp_path: Path) -> None:
    """Who works on a study is told while the journal is held, and nobody once it is not, whatever the file says."""
    assert sweeper(tmp_path) is None
    journal = Journal(tmp_path / "neuropt" / "journal.jsonl")
    assert sweeper(tmp_path) == {}
    announce(tmp_path)
    live = sweeper(tmp_path)
    assert live is not None
    assert (live["pid"], live["host"]) == (os.getpid(), os.uname().nodename)
    journal.close()
    assert json.loads((tmp_path / "neuropt" / "sweeper.json").read_text())["pid"] == os.getpid()
    assert sweeper(tmp_path) is None
