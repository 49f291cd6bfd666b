"""`neuropt results`: what it tells of a study, from its journal alone."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sink_scenes import BASE, SPACE, ended, scored
from typer.testing import CliRunner, Result

from neuropt_core.cli.app import app
from neuropt_core.journal import Journal
from neuropt_core.objectives import Constraint
from neuropt_core.spec import StudySpec
from neuropt_core.study import Study
from neuropt_core.trial import Outcome, Proposal

EVIL = "\x1b[31mBecause\x07 of\nit. [bold]x"


def _results(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["results", *map(str, arguments)])


def _study(folder: Path, outcomes: Sequence[Outcome | None], *, hold: bool = False, **spec: Any) -> Journal:
    """Begins a study of which some trials have ended; the first is the user's own, the others of prior and LLM."""
    journal = Journal(folder / "neuropt" / "journal.jsonl")
    about = {"n_trials": 9, "advisor": "prior (no LLM)", "command": "python train.py"}
    study = Study(StudySpec("told", SPACE, **spec), journal, about=about)
    for number, outcome in enumerate(outcomes):
        source = ("prior", "llm")[number % 2] if number else "default"
        rate = 10.0 ** -(1 + number % 4)
        study.ask(Proposal({**BASE, "optimizer.lr": rate, "optimizer": "sgd" if number else "adam"}, EVIL, source))
        study.launch(number, overrides=(f"optimizer.lr={rate}",))
        if outcome is not None:
            study.tell(number, outcome)
    if not hold:
        journal.close()
    return journal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sweep that nobody works on: seven trials of nine, two failed alike, one pruned, one without an outcome."""
    _study(
        tmp_path / "sweep",
        [ended(0.5), ended(0.6), ended(0.4), ended("out of memory"), ended("out of memory"), ended("pruned:bad"), None],
    )
    return tmp_path / "sweep"


def test_a_study_is_told_from_its_journal(folder: Path) -> None:
    """Status, the best with its command, the table, the way to the best, failures and proposers; nothing is written."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    done = _results(folder)
    assert done.exit_code == 0, done.output
    assert "Study told: not running: 6 of 9 trials ended" in done.output
    assert "3 with a score, 1 pruned, 2 failed, 1 without an outcome; minimize; prior (no LLM)" in done.output
    assert "Best: trial 2 with 0.4; better by 0.1 (20 %) than your own configuration." in done.output
    assert "Run it once: python train.py optimizer.lr=0.001" in done.output
    rows = [line.split() for line in done.output.splitlines()]
    table = [row[:3] for row in rows if len(row) > 4 and row[4] == "COMPLETE"]
    assert table == [["2", "0.4", "-0.1"], ["0", "0.5", "-"], ["1", "0.6", "+0.1"]]
    assert ["2", "0.4"] in rows
    assert next(row for row in rows if row[:2] == ["exception", "2"])[2:4] == ["3,", "4"]
    assert ["prior", "3", "1", "1", "0.4"] in rows
    assert ["llm", "3", "1", "0", "0.6"] in rows
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_untrusted_words_do_nothing_to_a_terminal(folder: Path) -> None:
    """What an LLM wrote reaches neither the page nor the JSON with its escape sequences."""
    for options in ((), ("--all",), ("--json",)):
        done = _results(folder, *options)
        assert "\x1b" not in done.output
        assert "\\u001b" not in done.output


def test_json_holds_what_the_page_shows(folder: Path) -> None:
    """The documented keys are there, numbers are numbers, and --top and --all choose the trials."""
    found = json.loads(_results(folder, "--json").output)
    assert found["version"] == 1
    assert found["best"]["values"] == [0.4]
    assert found["best"]["changed"] == ["optimizer", "optimizer.lr"]
    assert found["best"]["overrides"] == ["optimizer.lr=0.001"]
    assert [trial["number"] for trial in found["trials"]] == [2, 0, 1]
    assert found["improvements"] == [{"number": 0, "value": 0.5}, {"number": 2, "value": 0.4}]
    assert found["counts"] == {"running": 1, "complete": 3, "pruned": 1, "fail": 2}
    assert found["failures"][0] == {"kind": "exception", "trials": [3, 4], "reason": "exception: out of memory"}
    assert [t["number"] for t in json.loads(_results(folder, "--json", "--top", "1").output)["trials"]] == [2, 0]
    every = json.loads(_results(folder, "--json", "--all").output)["trials"]
    assert [trial["number"] for trial in every] == list(range(7))
    page = Path(__file__).parents[3] / "docs" / "cli.md"
    assert [key for key in found if f"`{key}`" not in page.read_text(encoding="utf-8")] == []


def test_csv_holds_every_trial(folder: Path, tmp_path: Path) -> None:
    """The table of all trials goes to a file, beside the page, or to stdout, alone."""
    done = _results(folder, "--csv", tmp_path / "new" / "all.csv")
    assert done.exit_code == 0, done.output
    assert "Study told" in done.output
    text = (tmp_path / "new" / "all.csv").read_text()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["number"] for row in rows] == [str(n) for n in range(7)]
    assert _results(folder, "--csv", "-").output == text
    assert _results(folder, "--csv", "-", "--json").exit_code == 2
    assert "cannot be written" in _results(folder, "--csv", folder / "neuropt" / "journal.jsonl" / "x").output


@pytest.mark.parametrize("place", [".", "neuropt", "neuropt/journal.jsonl", "report.html", "results.yaml"])
def test_a_study_is_found_by_what_lies_in_it(folder: Path, place: str) -> None:
    """The folder, the journal's folder, the journal and the report name the same study."""
    assert "Study told" in _results(folder / place).output


def test_exit_codes_tell_scores_from_none_and_from_no_study(tmp_path: Path, folder: Path) -> None:
    """A study without a score is no error of the command; a folder without a study is, in one sentence."""
    _study(tmp_path / "new", [None])
    assert _results(folder).exit_code == 0
    done = _results(tmp_path / "new")
    assert done.exit_code == 1
    assert "No trial has a score yet." in done.output
    assert json.loads(_results(tmp_path / "new", "--json").output)["best"] is None
    for wrong in ("absent", "new/neuropt/nothing", "."):
        done = _results(tmp_path / wrong)
        assert done.exit_code == 2, wrong
        assert "Traceback" not in done.output


def test_a_running_sweep_is_told(tmp_path: Path) -> None:
    """While a sweeper holds the journal, its process is named and its scores are told."""
    journal = _study(tmp_path, [ended(0.5), None], hold=True)
    done = _results(tmp_path)
    journal.close()
    assert done.exit_code == 0, done.output
    assert "Study told: running (process " in done.output


def test_several_objectives_have_a_front(tmp_path: Path) -> None:
    """The Pareto front is named, and a trial that breaks a constraint is not on it."""
    outcomes = [scored(0.5, 9.0, ms=1.0), scored(0.4, 8.0, ms=1.0), scored(0.6, 9.9, ms=1.0), scored(0.1, 9.9, ms=9.0)]
    more = {"further": ("maximize",), "constraints": (Constraint("ms", True, 5.0),)}
    _study(tmp_path, outcomes, **more)
    found = json.loads(_results(tmp_path, "--json").output)
    assert found["front"] == [0, 1, 2]
    assert found["improvements"] == []
    assert found["directions"] == ["minimize", "maximize"]
    page = _results(tmp_path).output
    assert "Pareto front" in page
    assert "breaks ms" in page
