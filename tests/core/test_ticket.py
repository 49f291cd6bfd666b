"""The ticket: what crosses the process border, down and up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from neuropt_core.curve import Point
from neuropt_core.errors import StudyError
from neuropt_core.heartbeat import Start
from neuropt_core.stopping import StopRule
from neuropt_core.ticket import VARIABLE, Ticket
from neuropt_core.trial import Outcome, TrialState


def test_the_job_reads_what_the_sweeper_wrote(tmp_path: Path) -> None:
    """A ticket found by its environment variable equals the one that was written."""
    ticket = Ticket(tmp_path / "a b", 7, attempt=2, rule=StopRule(non_finite=False), objectives=3)
    ticket.write()
    assert Ticket.current({VARIABLE: str(ticket.path)}) == ticket
    assert Ticket.current({}) is None
    with pytest.raises(StudyError, match="cannot be read as a ticket"):
        Ticket.current({VARIABLE: str(tmp_path / "nowhere.json")})


def test_the_curve_grows_and_a_torn_line_is_left_out(tmp_path: Path) -> None:
    """Points come back in order, nan included; half a line, as a killed job leaves it, is no point."""
    ticket = Ticket(tmp_path, 0)
    assert len(ticket.curve()) == 0
    ticket.append(Point(0, {"val_loss": 0.5}, 1.0))
    ticket.append(Point(1, {"val_loss": float("nan"), "lr": float("inf")}, 2.0))
    with ticket.curve_path.open("a") as file:
        file.write('{"step": 2, "met')
    assert [p.step for p in ticket.curve().points] == [0, 1]
    assert repr(ticket.curve().points[1].metrics["lr"]) == "inf"


def test_attempts_do_not_share_files(tmp_path: Path) -> None:
    """The result of an earlier attempt is not taken for the later one's."""
    Ticket(tmp_path, 0).write_result(Outcome(TrialState.COMPLETE, 0.5))
    assert Ticket(tmp_path, 0).result() == Outcome(TrialState.COMPLETE, 0.5)
    assert Ticket(tmp_path, 0, attempt=1).result() is None


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to tell processes apart")
def test_a_living_job_is_told_from_a_dead_one_and_from_its_number(tmp_path: Path) -> None:
    """A job is running while its very process lives and has left no result; a reused process id is not it."""
    ticket = Ticket(tmp_path, 0)
    assert not ticket.is_running()
    code = f"import time; from pathlib import Path; from neuropt_core.ticket import Ticket\n\
Ticket(Path({str(tmp_path)!r}), 0).write_started(); print('up', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None
        job.stdout.readline()
        assert ticket.is_running()
        started = json.loads(ticket.started_path.read_text())
        ticket.started_path.write_text(json.dumps({**started, "born": "1"}))
        assert not ticket.is_running()
        ticket.kill()  # Spares a process that merely has the number.
        assert job.poll() is None
        ticket.started_path.write_text(json.dumps(started))
        ticket.kill()
        assert job.wait(10) == -signal.SIGKILL
    assert not ticket.is_running()
    ticket.started_path.write_text(json.dumps({**started, "pid": os.getpid()}))
    assert not ticket.is_running()


def test_a_job_on_another_machine_is_not_taken_for_dead(tmp_path: Path) -> None:
    """What began elsewhere may run there, unless it shared the sweeper's process or has left its result."""
    ticket = Ticket(tmp_path, 0, sweeper=41)
    ticket.write()
    assert ticket.may_run_on() is None
    ticket.started_path.write_text(json.dumps({"pid": 42, "host": "far-away", "born": "1"}))
    assert ticket.may_run_on() == "far-away"
    ticket.started_path.write_text(json.dumps({"pid": 41, "host": "far-away", "born": "1"}))
    assert ticket.may_run_on() is None
    ticket.started_path.write_text(json.dumps({"pid": 42, "host": "far-away", "born": "1"}))
    ticket.write_result(Outcome(TrialState.COMPLETE, 0.5))
    assert ticket.may_run_on() is None


def test_a_job_on_another_machine_that_has_long_been_silent_is_dead(tmp_path: Path) -> None:
    """Without a heartbeat for minutes it is dead; by the times of the files, so that no machine's clock matters."""
    ticket = Ticket(tmp_path, 0, sweeper=41)
    ticket.write()
    assert ticket.silence() == float("inf")
    ticket.started_path.write_text(json.dumps({"pid": 42, "host": "far-away", "born": "1"}))
    past = ticket.started_path.stat().st_mtime - 200
    os.utime(ticket.started_path, (past, past))
    assert ticket.may_run_on() is None
    assert 199 <= ticket.silence() < 260
    ticket.heartbeat_path.touch()
    assert ticket.may_run_on() == "far-away"
    os.utime(ticket.heartbeat_path, (past, past))
    assert ticket.may_run_on() is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["heartbeat", "started.json", "ticket.json"]


def test_a_start_is_known_by_its_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under SLURM the job's id, an array's in its own form, and the count of requeues are kept; earlier starts too."""
    ticket = Ticket(tmp_path, 0)
    assert ticket.start() is None
    for name in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SLURM_JOB_ID", "71")
    monkeypatch.setenv("SUBMITIT_FOLDER", "/logs/%j")
    ticket.write_started()
    first = json.loads(ticket.started_path.read_text())
    assert (first["job_id"], first["restart"]) == ("71", 0)
    assert ticket.submitit_folder() == Path("/logs/71")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "70")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    ticket.write_started()
    second = json.loads(ticket.started_path.read_text())
    assert (second["job_id"], second["restart"]) == ("70_1", 2)
    assert second["earlier"] == [{**first, "seconds": 0.0}]
    assert ticket.start() == Start(1, 2, second["time"])


@pytest.mark.parametrize("sign", ["heartbeat", "curve", "output"])
def test_the_seconds_of_an_attempt_reach_to_its_last_sign(tmp_path: Path, sign: str) -> None:
    """Killed between two beats, a job has run to the last file that it wrote, or until it was last seen alive."""
    ticket = Ticket(tmp_path, 0, attempt=1)
    assert ticket.seconds() == 0
    assert ticket.seconds(seen=time.time()) == 0
    ticket.write_started()
    began = json.loads(ticket.started_path.read_text())["time"]
    os.utime(ticket.started_path, (began, began))
    assert ticket.seconds() == 0
    path: Path = getattr(ticket, f"{sign}_path")
    path.touch()
    os.utime(path, (began + 3, began + 3))
    assert ticket.seconds() == pytest.approx(3, abs=0.01)
    assert ticket.seconds(seen=began + 2) == pytest.approx(3, abs=0.01)
    assert ticket.seconds(seen=began + 5) == pytest.approx(5, abs=0.01)
