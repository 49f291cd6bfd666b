"""`neuropt stop`: what it asks, and whom it finds."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from neuropt_core.cli.app import app
from neuropt_core.journal import Journal
from neuropt_core.stop_file import announce, asked


def _stop(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["stop", *arguments])


def _study(folder: Path) -> Journal:
    """A study whose trial 0 has ended, and whose trials 1 and 2 run."""
    journal = Journal(folder / "neuropt" / "journal.jsonl")
    journal.append({"op": "study", "version": 1})
    for number in range(3):
        journal.append({"op": "ask", "number": number})
        journal.append({"op": "launch", "number": number, "attempt": 0})
    journal.append({"op": "tell", "number": 0})
    return journal


@pytest.mark.parametrize(
    ("options", "how", "words"),
    [
        ((), "finish", "begins no more trials, and waits for 1, 2."),
        (("--now", "--reason", "enough"), "now", "is to stop; trials 1, 2 are asked to stop, and then ended."),
    ],
)
def test_a_sweep_is_asked(tmp_path: Path, options: tuple[str, ...], how: str, words: str) -> None:
    """The request lies in the folder, and the answer names the process and the trials."""
    journal = _study(tmp_path)
    announce(tmp_path)
    done = _stop(str(tmp_path), *options)
    journal.close()
    assert done.exit_code == 0, done.output
    assert words in done.output
    assert "process " in done.output
    request = asked(tmp_path)
    assert request is not None
    assert request.how == how
    assert request.reason == ("enough" if options else "")


def test_one_trial_is_asked_if_it_runs(tmp_path: Path) -> None:
    """A running trial's request names it alone; one that has ended, or was never asked, leaves none."""
    journal = _study(tmp_path)
    done = [_stop(str(tmp_path), "--trial", str(number)) for number in (1, 0, 7)]
    journal.close()
    assert [d.exit_code for d in done] == [0, 1, 1]
    assert "Trial 1 is to stop at its next report (a process that is still starting)." in done[0].output
    assert "Trial 0 has ended; running: 1, 2." in done[1].output
    assert "Trial 7 does not run; running: 1, 2." in done[2].output
    assert sorted(path.name for path in (tmp_path / "neuropt").glob("stop*")) == ["stop-1"]


@pytest.mark.parametrize("options", [(), ("--trial", "1")])
def test_without_a_sweeper_nothing_is_asked(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Where no process holds the study, the command says so and leaves nothing that would stop the next one."""
    _study(tmp_path).close()
    done = _stop(str(tmp_path), *options)
    assert done.exit_code == 1
    assert f"No sweep works in {tmp_path}. Trials 1, 2 have no outcome yet" in done.output
    assert list((tmp_path / "neuropt").glob("stop*")) == []


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    """A wrong folder, and options that contradict each other, end with exit code 2 and a sentence."""
    done = _stop(str(tmp_path))
    assert done.exit_code == 2
    assert "holds no neuropt study" in done.output
    assert list(tmp_path.iterdir()) == []
    assert _stop(str(tmp_path), "--now", "--trial", "1").exit_code == 2
