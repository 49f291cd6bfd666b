"""Logs of loevlie/neuropt: lines as it writes them, read as trials."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuropt_core.earlier_log import is_log, read_log
from neuropt_core.trial import TrialState

KEY = "sk-abcdefghijklmnopqrstuvwxyz123456"


def _line(number: int, **changes: Any) -> dict[str, Any]:
    row = {
        "id": number,
        "timestamp": "2026-11-23 10:54:11",
        "iteration": 0,
        "source": "llm",
        "config": {"lr": 0.001, "activation": "gelu"},
        "score": 0.25,
        "scalars": {"accuracy": 0.9},
        "curves": {"val_losses": [1.0, 0.5, 0.25], "train_losses": [0.9, 0.4]},
        "elapsed": 2.5,
        "status": "ok",
        "error": "",
    }
    return row | changes


def _write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_lines_become_trials(tmp_path: Path) -> None:
    """A score is one with its curves; what the original logs as infinite, as an error or a time-out is a failure."""
    path = _write(
        tmp_path / "search.jsonl",
        _line(1),
        _line(2, score=float("inf")),
        _line(3, score=float("inf"), status="error", error=f"RuntimeError: no\nkey {KEY}", curves={}),
        _line(4, score=float("-inf"), status="timeout", error=">600s"),
    )
    assert is_log(path)
    first, *others = read_log(path)
    assert (first.number, dict(first.params), first.value) == (1, {"lr": 0.001, "activation": "gelu"}, 0.25)
    assert first.curve.series("val_losses") == ((0, 1.0), (1, 0.5), (2, 0.25))
    assert first.curve.series("train_losses") == ((0, 0.9), (1, 0.4))
    assert first.outcome is not None
    assert first.outcome.seconds == 2.5
    failures = [trial.outcome.failure for trial in others if trial.outcome is not None]
    assert [(f.kind, f.message) for f in failures if f is not None] == [
        ("non_finite", "its score was not finite"),
        ("exception", "RuntimeError: no key [redacted]"),
        ("timeout", ">600s"),
    ]
    assert all(trial.teaches for trial in (first, *others))


def test_the_first_versions_lines_are_read(tmp_path: Path) -> None:
    """There the score was val_loss, and the curves stood beside it."""
    row = {"id": 1, "config": {"lr": 0.1}, "val_loss": 0.5, "val_losses": [0.75, 0.5], "status": "ok"}
    (trial,) = read_log(_write(tmp_path / "log", row))
    assert (trial.value, trial.curve.series("val_losses")) == (0.5, ((0, 0.75), (1, 0.5)))


def test_our_own_lines_keep_their_numbers(tmp_path: Path) -> None:
    """A line of ArchSearch's has the trial's number, from 0; a pruned one stays so, and no value is no point."""
    row = _line(1, trial=0, status="pruned", score=None, error="val_loss is nan", curves={"val_loss": [1.0, None]})
    (trial,) = read_log(_write(tmp_path / "log", row))
    assert (trial.number, trial.state, trial.curve.series("val_loss")) == (0, TrialState.PRUNED, ((0, 1.0),))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ([1], "line 2: has no config"),
        ({"config": 3}, "line 2: has no config"),
        (_line(1, id="a"), "line 2: has no number, but 'a'"),
    ],
)
def test_another_line_is_told(tmp_path: Path, row: Any, words: str) -> None:
    """What is no line of such a log is named by its place."""
    with pytest.raises(ValueError, match=words):
        read_log(_write(tmp_path / "log", _line(1), row))


def test_a_journal_is_no_log(tmp_path: Path) -> None:
    """The file is known by its first line; a folder, a file that is not there and a journal are none."""
    journal = _write(tmp_path / "journal.jsonl", {"op": "study", "config": {"lr": 0.1}})
    assert [is_log(path) for path in (journal, tmp_path, tmp_path / "none")] == [False, False, False]


_KEYS = st.sampled_from(("score", "status", "error", "curves", "elapsed", "val_loss"))
_VALUES = st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.lists(st.none() | st.floats(), max_size=3)


@given(st.dictionaries(_KEYS, _VALUES))
def test_any_value_makes_a_trial(tmp_path_factory: pytest.TempPathFactory, changes: dict[str, Any]) -> None:
    """Whatever stands where a number or a list should, the line is a trial that can be kept."""
    (trial,) = read_log(_write(tmp_path_factory.mktemp("log") / "log", _line(1, **changes)))
    assert trial.outcome is not None
    json.dumps(trial.outcome.to_json(), allow_nan=False)
