"""A job that begins more than once, and one that came too late."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import neuropt_core
from neuropt_core.curve import Point
from neuropt_core.heartbeat import Heartbeat
from neuropt_core.runtime import report as reporting
from neuropt_core.runtime.job import JobFailed, RecordedTask
from neuropt_core.ticket import VARIABLE, Ticket
from neuropt_core.trial import Failure, Outcome, TrialState


@pytest.fixture
def ticket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ticket:
    ticket = Ticket(tmp_path / "neuropt", 4)
    ticket.write()
    monkeypatch.setenv(VARIABLE, str(ticket.path))
    return ticket


class _Killed(BaseException):
    """Ends a job in this process as kill -9 would: nothing is written."""


def _start(steps: list[int], value: float, score: float | None = None) -> Callable[[Any], float]:
    def task(cfg: Any) -> float:
        for step in steps:
            neuropt_core.report(step, val_loss=value)
        if score is None:
            raise _Killed
        return score

    return task


def _killed(task: Callable[[Any], float]) -> None:
    with pytest.raises(_Killed):
        RecordedTask(task)(None)


def test_a_requeued_job_that_goes_on_continues_its_curve(ticket: Ticket) -> None:
    """The second start adds to the first one's curve in place of what it repeats, with seconds that never fall."""
    _killed(_start([0, 1, 2, 3], 0.9))
    assert RecordedTask(_start([2, 3, 4], 0.5, 0.4))(None) == 0.4
    outcome = ticket.result()
    assert outcome is not None
    assert outcome.curve.series("val_loss") == ((0, 0.9), (1, 0.9), (2, 0.5), (3, 0.5), (4, 0.5))
    seconds = [point.seconds for point in outcome.curve.points]
    assert seconds == sorted(seconds)
    started = json.loads(ticket.started_path.read_text())
    assert [sorted(start) for start in started["earlier"]] == [["born", "cwd", "host", "pid", "seconds", "time"]]
    assert outcome.seconds >= started["earlier"][0]["seconds"]


def test_a_requeued_job_that_begins_again_replaces_its_curve(ticket: Ticket) -> None:
    """Points of a start from step 0 are all that counts, in the third start as in the second."""
    _killed(_start([0, 1, 2], 0.9))
    _killed(_start([0, 1], 0.8))
    RecordedTask(_start([0], 0.7, 0.4))(None)
    assert ticket.curve().series("val_loss") == ((0, 0.7),)


def test_another_attempt_goes_on_with_the_curve_of_the_one_before(
    ticket: Ticket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attempts share their checkpoints, so the later one's curve continues the earlier one's, whose own stays."""
    _killed(_start([0, 1, 2], 0.9))
    again = replace(ticket, attempt=1)
    again.write()
    monkeypatch.setenv(VARIABLE, str(again.path))
    assert again.curve() == ticket.curve()
    RecordedTask(_start([2, 3], 0.5, 0.4))(None)
    assert again.curve().series("val_loss") == ((0, 0.9), (1, 0.9), (2, 0.5), (3, 0.5))
    assert len(ticket.curve()) == 3


def test_half_a_line_of_the_killed_start_is_taken_away(ticket: Ticket) -> None:
    """What the next start appends is not glued to the half line that a kill left."""
    _killed(_start([0, 1], 0.9))
    with ticket.curve_path.open("a") as file:
        file.write('{"step": 2, "met')
    RecordedTask(_start([2], 0.5, 0.4))(None)
    assert ticket.curve().series("val_loss") == ((0, 0.9), (1, 0.9), (2, 0.5))


_STARTS = st.lists(
    st.tuples(st.booleans(), st.booleans(), st.lists(st.integers(0, 5), min_size=1, max_size=6)), min_size=1, max_size=5
)


@settings(max_examples=30, deadline=None)
@given(starts=_STARTS)
def test_the_job_remembers_what_the_disk_holds(
    starts: list[tuple[bool, bool, list[int]]], tmp_path_factory: Any
) -> None:
    """Through any starts, attempts, processes and steps, the curve that is judged is the one that the sweeper reads."""
    ticket = Ticket(tmp_path_factory.mktemp("job"), 0)
    with pytest.MonkeyPatch.context() as patch:
        for place, (new_attempt, new_process, steps) in enumerate(starts):
            if new_attempt and place:
                ticket = replace(ticket, attempt=ticket.attempt + 1)
            ticket.write()
            patch.setenv(VARIABLE, str(ticket.path))
            ticket.write_started()
            reporting.forget()
            for step in steps:
                if new_process:
                    reporting.forget()
                neuropt_core.report(step, val_loss=step / 2)
                remembered = reporting._job(ticket.path, ticket.attempt).joining.curve
                assert remembered == ticket.curve()
            # Within one start nothing is superseded, in however many processes it reports.
            assert [point.step for point in ticket.curve().points][-len(steps) :] == steps


def test_a_late_process_of_an_earlier_start_is_not_listened_to(tmp_path: Path) -> None:
    """A point of a start that was given up, written after the newer one began to report, is no part of the curve."""
    ticket = Ticket(tmp_path, 0)
    ticket.append(Point(0, {"a": 1.0}))
    ticket.append(Point(0, {"a": 2.0}), start=1)
    ticket.append(Point(1, {"a": 1.0}))
    assert ticket.curve().series("a") == ((0, 2.0),)


@pytest.mark.parametrize(
    ("outcome", "returned"),
    [
        (Outcome(TrialState.COMPLETE, 0.5), 0.5),
        (Outcome(TrialState.COMPLETE, 0.5, further=(2.0,)), (0.5, 2.0)),
        (Outcome(TrialState.PRUNED, reason="bad"), None),
    ],
)
def test_a_finished_job_does_not_train_again(ticket: Ticket, outcome: Outcome, returned: Any) -> None:
    """SLURM runs a job anew that ended in its grace time: it returns what it had returned."""
    ticket.write_result(outcome)
    assert RecordedTask(lambda cfg: pytest.fail("it trained again"))(None) == returned
    assert ticket.result() == outcome
    assert not ticket.started_path.exists()


def test_a_failed_job_fails_again_without_training(ticket: Ticket) -> None:
    """The recorded failure is what Hydra is told."""
    ticket.write_result(Outcome(TrialState.FAIL, failure=Failure("lost", "it was killed")))
    with pytest.raises(JobFailed, match="it was killed"):
        RecordedTask(lambda cfg: pytest.fail("it trained again"))(None)


def test_an_attempt_that_comes_too_late_ends(ticket: Ticket) -> None:
    """Once a newer attempt is launched an older one neither trains nor writes."""
    replace(ticket, attempt=1).write()
    with pytest.raises(JobFailed, match="this is attempt 0, superseded by a newer one"):
        RecordedTask(lambda cfg: pytest.fail("it trained"))(None)
    assert ticket.result() is None
    assert not ticket.started_path.exists()


def test_an_attempt_that_is_superseded_while_it_runs_ends_at_its_next_report(ticket: Ticket) -> None:
    """A job that was suspended, taken for dead and woken leaves the checkpoints to its successor."""

    def task(cfg: Any) -> float:
        neuropt_core.report(0, val_loss=1.0)
        replace(ticket, attempt=1).write()
        neuropt_core.report(1, val_loss=1.0)
        return 0.5

    RecordedTask(task)(None)
    outcome = ticket.result()
    assert outcome is not None
    assert outcome.reason == "attempt 1 at this trial was launched meanwhile"


def test_a_job_that_was_stopped_and_requeued_stays_stopped(ticket: Ticket) -> None:
    """Between the order to stop and the result the job was requeued: it does not train again."""
    ticket.write_started()
    ticket.stop("val_loss is nan")
    RecordedTask(lambda cfg: pytest.fail("it trained again"))(None)
    outcome = ticket.result()
    assert outcome is not None
    assert (outcome.state, outcome.reason) == (TrialState.PRUNED, "val_loss is nan")


def test_a_full_disk_does_not_hide_the_users_own_error(ticket: Ticket) -> None:
    """Where the result cannot be written, what is raised says both; a folder in its place stands for the disk."""

    def task(cfg: Any) -> float:
        ticket.result_path.with_name("result.json").mkdir()
        raise ValueError("the user's own")

    with pytest.raises(
        JobFailed, match=r"ValueError: the user's own \(its result could not be written: .*Errno"
    ) as told:
        RecordedTask(task)(None)
    assert told.value.__context__ is None


def test_a_heart_beats_while_the_task_runs(ticket: Ticket) -> None:
    """The file is touched in the job and no thread is left behind; a killed job's seconds count to the last beat."""
    seen = []

    def task(cfg: Any) -> float:
        until = time.monotonic() + 10
        while not ticket.heartbeat_path.exists() and time.monotonic() < until:
            time.sleep(0.01)
        seen.append(ticket.heartbeat_path.exists())
        return 0.5

    RecordedTask(task)(None)
    assert seen == [True]
    assert "neuropt-heartbeat" not in [thread.name for thread in threading.enumerate()]
    began = ticket.started_path.stat().st_mtime
    os.utime(ticket.heartbeat_path, (began + 30, began + 30))
    assert ticket.seconds() == pytest.approx(30, abs=0.01)
    ticket.write_started()
    assert ticket.seconds() == pytest.approx(30, abs=0.01)


def test_a_heart_that_cannot_beat_hurts_nobody(tmp_path: Path) -> None:
    """A disk error is no failure of the job: here the folder is a file."""
    (tmp_path / "file").touch()
    with Heartbeat(tmp_path / "file" / "heartbeat", every=0.01):
        time.sleep(0.05)
