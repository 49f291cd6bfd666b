"""What the W&B child reads and writes beside its runs."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from neuropt_core.advice import Consultation
from neuropt_core.sinks._wandb_files import (
    absent_in,
    forget_sweep,
    is_old_stop,
    keep_sweep,
    known_sweep,
    pass_over_empty,
    transcript_lines,
    within,
)
from neuropt_core.transcript import write

SECRET = "hunter2-is-long"


def test_a_transcript_is_uploaded_without_secrets(tmp_path: Path) -> None:
    """Prompts, replies and complaints of the file are redacted, in all of their texts, and nothing else is lost."""
    path = tmp_path / "transcript.jsonl"
    prompt = ({"role": "user", "content": f"Look at {SECRET} and sk-0123456789abcdef."},)
    write(path, Consultation("m", prompt, f"reply {SECRET}", {"input_tokens": 3}, 1.5, (f"no {SECRET}",), number=4))
    lines = transcript_lines({"path": str(path)}, (SECRET,))
    assert len(lines) == 1
    assert SECRET not in lines[0]
    entry = json.loads(lines[0])
    assert entry["prompt"] == [{"role": "user", "content": "Look at [redacted] and [redacted]."}]
    assert (entry["reply"], entry["complaints"], entry["number"]) == ("reply [redacted]", ["no [redacted]"], 4)
    assert entry["usage"] == {"input_tokens": 3}


def test_a_name_that_is_in_a_runs_file_is_taken(tmp_path: Path) -> None:
    """Whole names count, whatever they name; of a file that cannot be read nothing is known to be absent."""
    file = tmp_path / "run.wandb"
    file.write_bytes(b":W&B\x0a\x05score\x0a\x0bscores/loss")
    assert absent_in(str(file), ["score", "loss", "scores/loss"]) == {"loss"}
    assert absent_in(str(tmp_path / "none"), ["score"]) == set()


def test_the_sweep_is_that_of_the_project(tmp_path: Path) -> None:
    """A study goes on in its W&B sweep, but not in one that lies in another project or with another entity."""
    (tmp_path / "wandb").mkdir()
    assert known_sweep(tmp_path, "p", None) is None
    keep_sweep(tmp_path, {"id": "abc", "project": "p", "entity": "me"})
    assert known_sweep(tmp_path, "p", None) == {"id": "abc", "project": "p", "entity": "me"}
    assert known_sweep(tmp_path, "p", "you") is None
    assert known_sweep(tmp_path, "q", None) is None
    forget_sweep(tmp_path)
    assert known_sweep(tmp_path, "p", None) is None


def test_work_that_hangs_is_left_to_itself() -> None:
    """What takes too long is a TimeoutError; what raises, raises; what returns is returned."""
    with pytest.raises(TimeoutError, match="no answer"):
        within(0.05, lambda: time.sleep(5))
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 / 0)
    assert within(5, lambda: 7) == 7


def test_a_stop_is_obeyed_once(tmp_path: Path) -> None:
    """A stop that is heard again when the study is gone on with is old; the next one, or a late one, is not."""
    (tmp_path / "wandb").mkdir()
    assert [is_old_stop(tmp_path, seconds) for seconds in (5, 5, 5, 70, 90, 5)] == [
        False,
        True,
        False,
        False,
        False,
        True,
    ]


def test_a_run_without_a_record_is_passed_over(tmp_path: Path) -> None:
    """Only a file that holds nothing, and will hold nothing, is marked as uploaded."""
    for name, size in (("empty", 7), ("full", 8)):
        (tmp_path / f"offline-run-{name}").mkdir()
        (tmp_path / f"offline-run-{name}" / "run.wandb").write_bytes(b"x" * size)
    pass_over_empty([str(tmp_path)])
    assert not list(tmp_path.glob("*/*.synced"))
    pass_over_empty([str(tmp_path)], age=0)
    assert [path.parent.name for path in tmp_path.glob("*/*.synced")] == ["offline-run-empty"]
