"""What a scheduler's signals make of a job, in real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest

from neuropt_core.runtime.failures import failure_of
from neuropt_core.runtime.job import JobFailed, RecordedTask
from neuropt_core.ticket import VARIABLE, Ticket
from neuropt_core.trial import Outcome, TrialState

_HEAD = """
import os, signal, sys, time
import neuropt_core
from neuropt_core.runtime.job import RecordedTask
"""
_TRAINS = """
def task(cfg):
    neuropt_core.report(0, val_loss=0.5)
    print("up", flush=True)
    time.sleep(60)
"""
_RUN = "RecordedTask(task)(None)\n"


def _job(ticket: Ticket, code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _HEAD + code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, VARIABLE: str(ticket.path)},
    )


def _ended(ticket: Ticket, code: str, number: int = signal.SIGTERM) -> tuple[int, Outcome | None, str]:
    ticket.write()
    with _job(ticket, code) as job:
        assert job.stdout is not None
        said = job.stdout.readline()
        job.send_signal(number)
        said += job.stdout.read()
        return job.wait(30), ticket.result(), said


def test_sigterm_is_told_as_preempted(tmp_path: Path) -> None:
    """A job that the machine asks to end leaves its outcome with the curve, and the default handler is there again."""
    code, outcome, said = _ended(
        Ticket(tmp_path, 0),
        f"{_TRAINS}\ntry:\n    {_RUN}except Exception:\n    print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)",
    )
    assert (code, said) == (0, "up\nTrue\n")
    assert outcome is not None
    assert outcome.failure is not None
    assert outcome.failure.kind == "preempted"
    assert outcome.failure.message == "the machine asked the job to end (SIGTERM)"
    assert len(outcome.curve) == 1
    assert outcome.seconds > 0


def test_the_reason_is_the_sweeps_own_if_it_ended_the_job(tmp_path: Path) -> None:
    """Where a stop was asked for, SIGTERM is how a backend enforces it."""
    ticket = Ticket(tmp_path, 0)
    ticket.stop_path.write_text("it took longer than 60 s\n")
    code, outcome, _ = _ended(ticket, _TRAINS.replace("    neuropt_core.report(0, val_loss=0.5)\n", "") + _RUN)
    assert code == 0
    assert outcome == Outcome(
        TrialState.PRUNED, seconds=outcome.seconds if outcome else 0, reason="it took longer than 60 s"
    )


def test_a_handler_of_the_users_own_is_left_alone(tmp_path: Path) -> None:
    """Who handles SIGTERM, be it submitit or the script, keeps it."""
    own = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
    code, outcome, _ = _ended(Ticket(tmp_path, 0), own + _TRAINS + _RUN)
    assert code == 1
    assert outcome is not None
    assert outcome.failure is not None
    assert outcome.failure.message == "SystemExit: 7"


def test_a_forked_worker_dies_of_the_signal(tmp_path: Path) -> None:
    """A process that the job forks is ended by SIGTERM as it would be without us, and the job goes on."""
    task = """
def task(cfg):
    child = os.fork()
    if child == 0:
        print("up", flush=True)
        while True:
            time.sleep(0.1)
    time.sleep(0.3)
    os.kill(child, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
    return 0.25
"""
    code, outcome, _ = _ended(Ticket(tmp_path, 0), task + _RUN, number=signal.SIGCONT)
    assert code == 0
    assert outcome is not None
    assert outcome.value == 0.25


def test_in_the_sweepers_own_process_no_handler_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There SIGTERM is the sweeper's."""
    ticket = Ticket(tmp_path, 0)
    ticket.write()
    monkeypatch.setenv(VARIABLE, str(ticket.path))
    before = signal.getsignal(signal.SIGTERM)
    seen: list[Any] = []

    def task(cfg: Any) -> float:
        seen.append(signal.getsignal(signal.SIGTERM))
        return 0.5

    RecordedTask(task)(None)
    assert seen == [before]


def _submitit_handler(monkeypatch: pytest.MonkeyPatch, *, timeout_min: int, countdown: int, checkpoint: bool) -> Any:
    """Returns submitit's own handler of SLURM's signal, whose call of scontrol alone is left out."""
    job_environment = pytest.importorskip("submitit.core.job_environment")
    utils = pytest.importorskip("submitit.core.utils")

    class Function:
        def __call__(self) -> None: ...

    class Checkpointable(Function):
        def checkpoint(self) -> Any:
            return utils.DelayedSubmission(self)

    delayed = utils.DelayedSubmission(Checkpointable() if checkpoint else Function())
    delayed.set_timeout(timeout_min, countdown)

    class Environment(job_environment.JobEnvironment):  # type: ignore[misc,name-defined]
        _env: ClassVar[dict[str, str]] = {"job_id": "SLURM_JOB_ID", "global_rank": "SLURM_PROCID"}

        def __new__(cls) -> Any:
            return object.__new__(cls)

        def _requeue(self, countdown: int) -> None: ...

    class Paths:
        submitted_pickle = Path(os.environ["NEUROPT_TEST_PICKLE"])

    return job_environment.SignalHandler(Environment(), Paths(), delayed)


def test_a_job_that_submitit_requeues_leaves_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Submitit exits from within the training code once it has requeued the job: that is no failure of the trial."""
    monkeypatch.setenv("NEUROPT_TEST_PICKLE", str(tmp_path / "job.pkl"))
    handler = _submitit_handler(monkeypatch, timeout_min=60, countdown=3, checkpoint=True)
    ticket = Ticket(tmp_path, 0)
    ticket.write()
    monkeypatch.setenv(VARIABLE, str(ticket.path))
    for wraps in (False, True):

        def task(cfg: Any, wraps: bool = wraps) -> float:
            try:
                handler.checkpoint_and_try_requeue(signal.SIGUSR2, None)
            except BaseException as error:
                if wraps:
                    raise RuntimeError("the trainer was interrupted") from error
                raise
            return 0.5

        with pytest.raises(SystemExit):
            RecordedTask(task)(None)
        assert ticket.result() is None
    with pytest.raises(JobFailed, match="SystemExit: 3"):
        RecordedTask(lambda cfg: sys.exit(3))(None)
    assert ticket.result() is not None


@pytest.mark.parametrize(
    ("timeout_min", "countdown", "checkpoint", "kind"), [(0, 0, True, "timeout"), (0, 0, False, "timeout")]
)
def test_a_job_that_submitit_does_not_requeue_was_timed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, timeout_min: int, countdown: int, checkpoint: bool, kind: str
) -> None:
    """Submitit's error says that the time was up; it is told by its name, without importing submitit."""
    monkeypatch.setenv("NEUROPT_TEST_PICKLE", str(tmp_path / "job.pkl"))
    handler = _submitit_handler(monkeypatch, timeout_min=timeout_min, countdown=countdown, checkpoint=checkpoint)
    with pytest.raises(RuntimeError) as raised:
        handler.checkpoint_and_try_requeue(signal.SIGUSR2, None)
    assert failure_of(raised.value).kind == kind


def test_submitits_other_words_are_a_preemption() -> None:
    """A job that was preempted and could not be requeued says nothing of its configuration; a stand-in of the name."""
    error = type("UncompletedJobError", (RuntimeError,), {})(
        "Job not requeued because: checkpoint function returned None."
    )
    assert failure_of(error).kind == "preempted"
