"""Following the logs of one trial."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest
from log_files import event, event_bytes, history, wandb_bytes, write_events

from neuropt_core.logged.follow import Follower
from neuropt_core.ticket import Ticket
from neuropt_core.tracking import RunRecord, record
from neuropt_core.trial import Outcome, TrialState

EXIT = b"\x92\x01\x00"
"""A record that says that the run has ended."""


def _ticket(folder: Path, pid: int = 0) -> Ticket:
    ticket = Ticket(folder / "job" / "neuropt", 0)
    ticket.write()
    told = {"host": "h", "pid": pid or os.getpid(), "time": 1000.5, "cwd": str(folder)}
    ticket.started_path.write_text(json.dumps(told))
    return ticket


def _run(ticket: Ticket, name: str, *records: bytes) -> Path:
    path = ticket.folder.parent / f"{name}.wandb"
    path.write_bytes(wandb_bytes(records))
    record(ticket.runs_path, RunRecord(name, file=str(path)))
    return path


def test_a_run_is_followed_as_it_grows(tmp_path: Path) -> None:
    """Each look takes in what is new and says whether there was any; a file that is not there yet is waited for."""
    ticket, follower = _ticket(tmp_path), Follower(_ticket(tmp_path))
    assert not follower.look()
    assert len(follower.curve) == 0
    path = _run(ticket, "a")
    path.unlink()
    assert not follower.look()
    rows = [history({"loss": 3.0 - n, "epoch": n}, 9 * n, 1001.0 + n) for n in range(3)]
    path.write_bytes(wandb_bytes(rows[:2]))
    assert follower.look()
    assert follower.curve.series("loss") == ((0, 3.0), (1, 2.0))
    assert not follower.look()
    path.write_bytes(wandb_bytes(rows))
    assert follower.look()
    assert follower.curve.series("loss") == ((0, 3.0), (1, 2.0), (2, 1.0))
    assert [point.seconds for point in follower.curve.points] == [0.0, 1.0, 2.0]
    assert follower.said == ()


def test_wandb_comes_before_tensorboard(tmp_path: Path) -> None:
    """A job that logs to both has one curve, W&B's; without a number there, TensorBoard's."""
    ticket = _ticket(tmp_path)
    write_events(tmp_path / "runs" / f"events.out.tfevents.1001.h.{os.getpid()}.0", [event({"tb": 1.0}, 5, 1001.0)])
    path = _run(ticket, "a", history({"text": "x"}))
    follower = Follower(ticket)
    follower.look()
    assert follower.curve.metrics == ("tb",)
    path.write_bytes(wandb_bytes([history({"text": "x"}), history({"wandb": 1.0}, 1, 1002.0)]))
    follower.look()
    assert follower.curve.metrics == ("wandb",)


def test_the_time_of_the_first_event_decides_within_a_second(tmp_path: Path) -> None:
    """A file of the same process and second that was opened before the job began, or after its end, is another's."""
    ticket = _ticket(tmp_path)
    ticket.write_result(Outcome(TrialState.COMPLETE, 1.0, seconds=0.3))
    for number, began in enumerate((1000.4, 1000.6, 1000.9)):
        name = f"events.out.tfevents.1000.h.{os.getpid()}.{number}"
        write_events(tmp_path / "runs" / name, [event({}, 0, began), event({f"n{number}": 1.0}, 0, began)])
    assert Follower(ticket).finish().metrics == ("n1",)


def test_a_file_is_given_up_when_the_jobs_end_becomes_known(tmp_path: Path) -> None:
    """What a worker's next trial opens before this one's result was seen is not this one's when it is."""
    ticket = _ticket(tmp_path)
    names = [tmp_path / "runs" / f"events.out.tfevents.{1000 + 9 * n}.h.{os.getpid()}.{n}" for n in range(2)]
    for name, began in zip(names, (1000.6, 1009.6), strict=True):
        write_events(name, [event({}, 0, began), event({name.name[-1]: 1.0}, 0, began)])
    follower = Follower(ticket)
    follower.look()
    assert set(follower.curve.metrics) == {"0", "1"}
    ticket.write_result(Outcome(TrialState.COMPLETE, 1.0, seconds=3.0))
    assert follower.finish().metrics == ("0",)


def test_two_runs_of_a_job_are_one_curve(tmp_path: Path) -> None:
    """A second run, for testing, counts on from the first one's last step."""
    ticket = _ticket(tmp_path)
    _run(ticket, "train", *(history({"loss": n, "epoch": n}, n, 1001.0 + n) for n in range(3)), EXIT)
    _run(ticket, "test", history({"acc": 0.5}, 0, 1009.0), EXIT)
    curve = Follower(ticket).finish()
    assert curve.series("acc") == ((3, 0.5),)
    assert curve.points[-1].seconds == 8.0


def test_a_run_that_is_being_closed_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job has left its result, and W&B's helper still writes: the last look waits for the end of the file."""
    ticket = _ticket(tmp_path)
    path = _run(ticket, "a", history({"loss": 1.0}, 0, 1001.0))
    ticket.write_result(Outcome(TrialState.COMPLETE, 1.0))
    whole = wandb_bytes([history({"loss": 1.0}, 0, 1001.0), history({"loss": 0.5}, 1, 1002.0), EXIT])
    monkeypatch.setattr("neuropt_core.logged.follow._SETTLING", 120.0)
    later = threading.Timer(0.3, path.write_bytes, [whole])
    later.start()
    assert Follower(ticket).finish().series("loss") == ((0, 1.0), (1, 0.5))
    later.join()


def test_a_job_that_was_killed_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a result nobody completes the file: what is there is the curve, at once."""
    ticket = _ticket(tmp_path)
    _run(ticket, "a", history({"loss": 1.0}, 0, 1001.0))
    monkeypatch.setattr("neuropt_core.logged.follow._SETTLING", 120.0)
    began = time.monotonic()
    assert Follower(ticket).finish().series("loss") == ((0, 1.0),)
    assert time.monotonic() - began < 60


def test_damage_is_said_and_the_rest_counts(tmp_path: Path) -> None:
    """A damaged file, one that is no log and a record that is no JSON end in words, never in an exception."""
    ticket = _ticket(tmp_path)
    path = _run(ticket, "a", history({"loss": 1.0}, 0, 1001.0), history({"loss": 2.0}, 1, 1002.0))
    damaged = bytearray(path.read_bytes())
    damaged[-3] ^= 1
    path.write_bytes(damaged)
    _run(ticket, "b").write_text("no log at all")
    follower = Follower(ticket)
    assert follower.finish().series("loss") == ((0, 1.0),)
    assert ["is damaged at byte" in follower.said[0], "is not a file of W&B" in follower.said[1]] == [True, True]
    ticket.runs_path.write_text("no JSON\n")
    again = Follower(ticket)
    assert len(again.finish()) == 0
    assert "cannot be found" in again.said[0]


def test_what_was_left_out_is_said_once(tmp_path: Path) -> None:
    """Thousands of rows are thinned, hundreds of metrics cut, and both are said."""
    ticket = _ticket(tmp_path)
    _run(ticket, "a", *(history({"loss": 1.0}, n, 1001.0) for n in range(3000)))
    follower = Follower(ticket)
    follower.finish()
    assert follower.said == ("of the values that it logs, at most 1000 of a metric are kept, evenly chosen",)
    _run(ticket, "b", *(history({f"n{m}": 1.0 for m in range(300)}, n, 1001.0) for n in range(2)))
    follower.finish()
    assert "the first 200 are kept" in follower.said[0]


def test_a_look_is_short(tmp_path: Path) -> None:
    """A long file is read in several looks, each for no longer than it may; none is lost on the way."""
    ticket = _ticket(tmp_path)
    name = f"events.out.tfevents.1001.h.{os.getpid()}.0"
    events = [event({"loss": float(n)}, n, 1001.0 + n) for n in range(20_000)]
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / name).write_bytes(event_bytes(events))
    follower, looks = Follower(ticket), 0
    while follower.look(0.0):
        looks += 1
    assert looks > 1
    assert follower.curve.series("loss")[-1] == (19_999, 19_999.0)
