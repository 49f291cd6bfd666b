"""Curves from logs, in the porch: at a trial's end, and while others are judged by it."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

import pytest
from histories import curve_of, scored, trial
from log_files import history, wandb_bytes

from hydra_plugins.neuropt_sweeper._backend import Job
from hydra_plugins.neuropt_sweeper._logs import Logs
from hydra_plugins.neuropt_sweeper._watch import Watch
from neuropt_core.curve import Curve
from neuropt_core.pruning import Pruning
from neuropt_core.space import Float, SearchSpace
from neuropt_core.spec import StudySpec
from neuropt_core.stopping import StopRule
from neuropt_core.ticket import Ticket
from neuropt_core.tracking import RunRecord, record
from neuropt_core.trial import Failure, Outcome, Trial, TrialState

SPEC = StudySpec("s", SearchSpace((Float(name="lr", low=1e-4, high=1.0, default=1e-3),)))
KILLED = Outcome(TrialState.FAIL, failure=Failure("lost", "it was killed"))


def _job(folder: Path, number: int, values: list[float] | None = None) -> Job:
    ticket = Ticket(folder / str(number) / "neuropt", number)
    ticket.write()
    ticket.write_started()
    if values is not None:
        _log(ticket, values)
    return Job(trial(number, {"lr": 0.1}), ticket, ())


def _log(ticket: Ticket, values: list[float]) -> None:
    path, now = ticket.folder.parent / "run.wandb", time.time()
    path.write_bytes(wandb_bytes(history({"val_loss": v}, step, now + step) for step, v in enumerate(values)))
    record(ticket.runs_path, RunRecord("a", file=str(path)))


def test_an_outcome_without_a_curve_gets_what_was_logged(tmp_path: Path) -> None:
    """A killed job's outcome is told with the curve of its logs; one that has reported keeps its own."""
    job = _job(tmp_path, 0, [3.0, 2.0])
    done = Logs().completed(job.ticket, KILLED)
    assert done.curve.series("val_loss") == ((0, 3.0), (1, 2.0))
    assert done.failure == KILLED.failure
    own = scored(0.2, curve_of([1.0]))
    assert Logs().completed(job.ticket, own) is own
    assert Logs().completed(_job(tmp_path, 1).ticket, KILLED) is KILLED


def test_what_is_wrong_is_said_once_and_hurts_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Logs that are damaged, or told by a file that is, leave the outcome as it is, with a warning for each trial."""
    logs, jobs = Logs(), [_job(tmp_path, number, [1.0]) for number in range(2)]
    (jobs[0].ticket.folder.parent / "run.wandb").write_text("no log at all")
    jobs[1].ticket.started_path.write_text("no JSON")
    for job in jobs:
        assert logs.completed(job.ticket, KILLED).failure == KILLED.failure
    assert [r.levelno for r in caplog.records] == [logging.WARNING] * 2
    assert "which does not call neuropt_core.report" in caplog.text


def test_running_trials_are_heard_and_judged_by_what_is_logged(tmp_path: Path) -> None:
    """The curve of a trial that only logs reaches the sinks while it runs, and is a bar for one that reports."""
    jobs = [_job(tmp_path, number) for number in range(2)]
    heard: dict[int, Curve] = {}

    def hear(told: Trial, curve: Curve) -> None:
        heard[told.number] = curve

    watch = Watch(SPEC, lambda: tuple(j.trial for j in jobs), Pruning(), every=0.01, heard=hear)
    falling = [0.1 + 1 / (step + 1) for step in range(10)]
    with watch.watching(jobs):
        _log(jobs[0].ticket, falling)
        _wait(lambda: len(heard.get(0, Curve())) == 10)
        jobs[0].ticket.write_result(scored(0.2, Curve()))
        _wait(jobs[1].ticket.rule_path.exists)
    race = StopRule.from_json(json.loads(jobs[1].ticket.rule_path.read_text())).race
    assert race is not None
    assert (race.number, race.value) == (0, pytest.approx(0.2))


def _wait(true: object, seconds: float = 120) -> None:
    over = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < over, "it took too long"
        time.sleep(0.01)
