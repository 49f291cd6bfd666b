"""Who is to stop, how that is enforced, and what it is told as."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from hydra_plugins.neuropt_sweeper._backend import Handle, Job, outcome_of
from hydra_plugins.neuropt_sweeper._flight import Again
from hydra_plugins.neuropt_sweeper._limits import Rules
from hydra_plugins.neuropt_sweeper._orders import TIMED_OUT, Orders, as_ordered, waiting
from neuropt_core.curve import Point
from neuropt_core.faults import STOPPED, is_own
from neuropt_core.stop_file import StopRequest, ask, trials_asked
from neuropt_core.ticket import Ticket
from neuropt_core.trial import Failure, Outcome, Proposal, Trial, TrialState

FAR = 1e9


class Idle:
    """A backend that runs nothing, since only its description is looked at here."""

    name = words = "idle"
    apart = True
    capacity = 2
    outlives = blocks = False

    def submit(self, job: Job) -> Handle | None:
        """Takes it."""
        return None

    def poll(self) -> list[tuple[Job, Outcome]]:
        """Has none."""
        return []

    def cancel(self, jobs: Sequence[Job]) -> None:
        """Ends none."""

    def reattach(self, job: Job, handle: Handle | None) -> bool:
        """Knows none."""
        return False

    def close(self) -> None:
        """Has nothing to close."""


class Scene:
    """Orders over some jobs in a folder, what was said, and who was ended by force."""

    def __init__(self, folder: Path, *, timeout: float | None = None, grace: float = 60.0, begun: bool = True) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.ended: list[int] = []
        self.jobs = [self._job(number, begun) for number in range(2)]
        self.orders = Orders(folder, Idle(), timeout=timeout, grace=grace, say=self.said.append, every=0.0)

    def look(self) -> None:
        """Looks once."""
        self.orders.look(self.jobs, lambda jobs: self.ended.extend(job.trial.number for job in jobs))

    def asked(self, number: int) -> str | None:
        """Why a trial has to stop, as its job reads it."""
        path = self.jobs[number].ticket.stop_path
        return path.read_text() if path.exists() else None

    def _job(self, number: int, begun: bool) -> Job:
        ticket = Ticket(self.folder / str(number) / "neuropt", number)
        ticket.write()
        if begun:
            ticket.write_started()
        return Job(Trial(number, Proposal({"x": 0.5}, "why", "random")), ticket, ())


def _age(job: Job, seconds: float) -> None:
    data = json.loads(job.ticket.started_path.read_text()) | {"time": time.time() - seconds}
    job.ticket.started_path.write_text(json.dumps(data))
    stamp = job.ticket.started_path.stat().st_mtime_ns - 10**9  # A coarse clock would give both writings one time.
    os.utime(job.ticket.started_path, ns=(stamp, stamp))


def test_who_runs_too_long_is_asked_and_then_ended(tmp_path: Path) -> None:
    """A trial past its time is asked with the reason, ended once after the grace, and the others are left alone."""
    scene = Scene(tmp_path, timeout=3600, grace=0.05)
    scene.look()
    assert scene.said == []
    _age(scene.jobs[1], 3601)
    scene.look()
    assert (scene.asked(0), scene.asked(1)) == (None, f"{TIMED_OUT}=1h")
    assert scene.ended == []
    time.sleep(0.06)
    scene.look()
    scene.look()
    assert scene.ended == [1]
    first, second = scene.said
    assert first == f"Trial 1 is asked to stop: {TIMED_OUT}=1h"
    assert second == "Trial 1 did not stop within 0.05 s: it is ended by force"
    told = as_ordered(scene.jobs[1].ticket, outcome_of(scene.jobs[1].ticket))
    assert told.failure == Failure("timeout", f"{TIMED_OUT}=1h, did not stop, and was ended by force")


def test_time_in_a_queue_does_not_count(tmp_path: Path) -> None:
    """A trial that has not begun on its machine has all its time before it."""
    scene = Scene(tmp_path, timeout=1e-9, begun=False)
    scene.look()
    assert scene.said == []


def test_one_trial_is_stopped_for_a_person(tmp_path: Path) -> None:
    """The request for a trial reaches its job and is used up; ended by force it is PRUNED, with nothing against it."""
    scene = Scene(tmp_path, grace=0.0)
    ask(tmp_path, StopRequest(reason="looks flat", by="ada@login1"), trial=1)
    scene.look()
    assert trials_asked(tmp_path) == ()
    assert scene.ended == [1]
    ticket = scene.jobs[1].ticket
    ticket.append(Point(0, {"val_loss": 1.0}, 0.0))
    told = as_ordered(ticket, outcome_of(ticket))
    assert told.state is TrialState.PRUNED
    assert told.reason.startswith("neuropt stop by ada@login1: looks flat")
    assert len(told.curve) == 1


def test_who_waits_for_a_machine_is_ended_at_once(tmp_path: Path) -> None:
    """A trial that a person stops in the queue gets no time to stop, and is not said to have disobeyed."""
    scene = Scene(tmp_path, begun=False)
    ask(tmp_path, StopRequest(by="ada"), trial=1)
    scene.look()
    assert scene.ended == [1]
    told = as_ordered(scene.jobs[1].ticket, outcome_of(scene.jobs[1].ticket))
    assert (told.state, told.reason) == (TrialState.PRUNED, "neuropt stop by ada, before it began")


def test_finish_stops_no_trial_and_now_stops_all(tmp_path: Path) -> None:
    """`finish` only says that nothing more begins; `now`, which may come after it, asks all, and ends who has not."""
    scene = Scene(tmp_path, grace=0.05)
    assert scene.orders.stopping == ""
    ask(tmp_path, StopRequest(reason="enough", by="ada"))
    scene.look()
    assert scene.orders.stopping == "neuropt stop by ada: enough"
    assert scene.asked(0) is None
    ask(tmp_path, StopRequest("now", by="ada"))
    scene.look()
    assert scene.asked(0) == scene.asked(1) == f"{STOPPED} (neuropt stop by ada)"
    assert scene.ended == []
    time.sleep(0.06)
    scene.look()
    assert scene.ended == [0, 1]
    assert not scene.orders.given_up(scene.jobs)


def test_who_has_not_begun_gets_no_grace(tmp_path: Path) -> None:
    """A job in a queue is taken out of it at once."""
    scene = Scene(tmp_path, grace=FAR, begun=False)
    scene.orders.end_all("the sweep was stopped (test)", FAR)
    scene.look()
    assert scene.ended == [0, 1]


def test_who_ends_by_itself_is_not_ended(tmp_path: Path) -> None:
    """A job that has left its result by the end of the grace is left to the next poll."""
    scene = Scene(tmp_path, grace=0.0)
    scene.jobs[0].ticket.write_result(Outcome(TrialState.COMPLETE, 0.5))
    scene.orders.end_all(f"{STOPPED} (test)", 0.0)
    scene.look()
    assert scene.ended == [1]


def test_a_stop_file_by_hand_is_obeyed(tmp_path: Path) -> None:
    """Whoever leaves a stop file beside a job is taken at his word, and the job is ended if it hears nothing."""
    scene = Scene(tmp_path, grace=0.0)
    scene.jobs[0].ticket.stop_path.touch()
    scene.look()
    assert scene.ended == [0]
    assert scene.said == ["Trial 0 is asked to stop: the sweep asked it to stop"]


@pytest.mark.parametrize(
    ("left", "asked", "told"),
    [
        (Outcome(TrialState.COMPLETE, 0.5), f"{STOPPED} (x)", ("COMPLETE", "")),
        (Outcome(TrialState.PRUNED, reason=f"{STOPPED} (x)"), f"{STOPPED} (x)", ("FAIL", "preempted")),
        (Outcome(TrialState.PRUNED, reason=f"{TIMED_OUT}=1h"), f"{TIMED_OUT}=1h", ("PRUNED", "")),
        (Outcome(TrialState.PRUNED, reason="diverged"), f"{TIMED_OUT}=1h", ("PRUNED", "")),
        (Outcome(TrialState.FAIL, failure=Failure("exception", "x")), f"{STOPPED} (x)", ("FAIL", "exception")),
        (None, f"{STOPPED} (x)", ("FAIL", "preempted")),
        (None, f"{TIMED_OUT}=1h, did not stop, and was ended by force", ("FAIL", "timeout")),
        (None, "looks flat", ("PRUNED", "")),
        (None, None, ("FAIL", "lost")),
    ],
)
def test_what_a_trial_is_told_as(
    tmp_path: Path, left: Outcome | None, asked: str | None, told: tuple[str, str]
) -> None:
    """Our own order is never told as a lost job, and never covers what the job said itself."""
    ticket = Scene(tmp_path).jobs[0].ticket
    if left is not None:
        ticket.write_result(left)
    if asked is not None:
        ticket.stop_path.write_text(asked)
    outcome = as_ordered(ticket, outcome_of(ticket))
    assert (outcome.state.value, "" if outcome.failure is None else outcome.failure.kind) == told
    assert outcome.failure is None or is_own(outcome.failure) == (told[1] == "preempted")


@pytest.mark.parametrize(
    ("heard_after", "kind", "told"),
    [(-1.0, "", "lost"), (1.0, "", "timeout"), (1.0, "host_out_of_memory", "host_out_of_memory")],
)
def test_who_died_before_his_time_was_up_did_not_time_out(
    tmp_path: Path, heard_after: float, kind: str, told: str
) -> None:
    """Of a job that left nothing and was not ended by force, its last sign of life or the scheduler says why."""
    ticket = Scene(tmp_path).jobs[0].ticket
    ticket.stop_path.write_text(f"{TIMED_OUT}=1h")
    ordered = time.time()
    os.utime(ticket.stop_path, (ordered, ordered))
    os.utime(ticket.started_path, (ordered - 3600, ordered - 3600))
    ticket.heartbeat_path.touch()
    os.utime(ticket.heartbeat_path, (ordered + heard_after, ordered + heard_after))
    outcome = as_ordered(ticket, outcome_of(ticket, kind=kind))
    assert outcome.failure is not None
    assert outcome.failure.kind == told


def test_a_dead_process_is_not_said_to_have_been_ended(tmp_path: Path) -> None:
    """A time-out's force that finds the process dead, of which the backend has not heard yet, is not its cause."""
    scene = Scene(tmp_path, timeout=1e-9, grace=0.0, begun=False)
    ticket = scene.jobs[0].ticket
    code = f"from pathlib import Path; from neuropt_core.ticket import Ticket; Ticket(Path({str(ticket.folder)!r}), 0)"
    subprocess.run([sys.executable, "-c", f"{code}.write_started()"], check=True)
    began = ticket.started_path.stat().st_mtime - 1  # A fast machine would give its end and the order one time.
    os.utime(ticket.started_path, (began, began))
    scene.look()
    assert scene.ended == [0]
    assert str(scene.asked(0)).startswith(TIMED_OUT)
    outcome = as_ordered(ticket, outcome_of(ticket))
    assert outcome.failure is not None
    assert outcome.failure.kind == "lost"


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[tuple[Scene, subprocess.Popen[str]]]:
    """Orders over a real process that hears nothing."""
    scene = Scene(tmp_path, grace=0.1, begun=False)
    code = f"""
import signal, time
from pathlib import Path
from neuropt_core.ticket import Ticket
signal.signal(signal.SIGTERM, signal.SIG_IGN)
Ticket(Path({str(tmp_path)!r}) / "0" / "neuropt", 0).write_started()
print("begun", flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield scene, process
        process.kill()


def test_a_poll_that_blocks_keeps_nobody_alive(hanging: tuple[Scene, subprocess.Popen[str]]) -> None:
    """While the caller waits in a launcher, a thread hears the request and ends the process on this machine."""
    scene, process = hanging
    with scene.orders.beside(scene.jobs[:1]):
        ask(scene.folder, StopRequest("now"))
        assert process.wait(timeout=30) == -9
    assert scene.asked(1) is None


def test_what_is_launched_again_waits_for_its_pause() -> None:
    """The first whose pause is over comes first, and a trial in its pause holds up nobody behind it."""
    again = Again()
    first, second = (Trial(n, Proposal({}, "why", "random")) for n in (1, 2))
    again.append(first, FAR)
    assert not again.is_due()
    assert again.take() is None
    again.append(second)
    assert again.is_due()
    assert again.take() is second
    assert len(again) == 1


def test_pauses_grow() -> None:
    """The first launch again is at once, the second after the pause, each later one after four times as long."""
    assert [Rules(pause=30).pause_before(n) for n in (1, 2, 3, 4)] == [0, 30, 120, 480]


def test_what_is_waited_for_is_named() -> None:
    """The trials and how long they have run are told, those in a queue as such, and of many only some."""
    now = time.monotonic()
    assert waiting({7: now - 720, 9: None}) == "Waiting for trials 7 (running for 12 min), 9 (not begun)"
    assert waiting({7: now - 5}) == "Waiting for trial 7 (running for 5 s)"
    assert waiting(dict.fromkeys(range(10))).endswith("7 (not begun) and 2 more")
