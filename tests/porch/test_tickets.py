"""Where each attempt at a trial leaves its files."""

from __future__ import annotations

import json
from pathlib import Path

from histories import scored

from hydra_plugins.neuropt_sweeper._tickets import new_ticket
from neuropt_core.journal import Journal
from neuropt_core.space import Float, SearchSpace
from neuropt_core.spec import StudySpec
from neuropt_core.study import Study
from neuropt_core.ticket import Ticket
from neuropt_core.trial import Proposal


def _study(folder: Path) -> Study:
    spec = StudySpec("s", SearchSpace((Float(name="lr", low=0.0, high=1.0, default=0.5, has_default=True),)))
    study = Study(spec, Journal(folder / "journal.jsonl"))
    study.ask(Proposal({"lr": 0.5}, "Own.", "default"))
    return study


def test_what_an_unknown_job_has_left_is_not_taken_for_the_new_ones(tmp_path: Path) -> None:
    """Where the journal was put back to an earlier state, an old result and its checkpoints are moved aside, whole."""
    job = tmp_path / "0"
    old = Ticket(job / "neuropt", 0)
    old.write()
    old.write_started()
    old.write_result(scored(0.1))
    old.checkpoints.mkdir()
    (old.checkpoints / "last.pt").write_text("weights")
    study = _study(tmp_path)
    ticket = new_ticket(job, tmp_path, study, study.trials[0])
    assert ticket.result() is None
    assert not ticket.checkpoints.exists()
    aside = job / "neuropt" / "before-1"
    assert json.loads((aside / "result.json").read_text())["value"] == 0.1
    assert (aside / "checkpoints" / "last.pt").read_text() == "weights"


def test_an_earlier_attempt_keeps_its_files(tmp_path: Path) -> None:
    """The next attempt of the same trial goes on from the checkpoints and the curve of those before it."""
    job, study = tmp_path / "0", _study(tmp_path)
    first = new_ticket(job, tmp_path, study, study.trials[0])
    first.write()
    study.launch(0)
    first.write_started()
    first.checkpoints.mkdir()
    later = Ticket(first.folder, 0, 1)
    later.write_result(scored(0.2))
    again = new_ticket(job, tmp_path, study, study.trials[0])
    assert again.attempt == 1
    assert again.result() is None
    assert first.started_path.exists()
    assert first.checkpoints.is_dir()
