"""The backend for submitit's launchers, SLURM and local: jobs one by one, or in arrays, that outlive the sweeper."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

from hydra.plugins.launcher import Launcher

from hydra_plugins.neuropt_sweeper._backend import Handle, Job, hide_ticket, outcome_of
from hydra_plugins.neuropt_sweeper._children import is_alive, kill_tree
from hydra_plugins.neuropt_sweeper._slurm import Asking, Entry, Queue, cancel
from hydra_plugins.neuropt_sweeper._submission import SubmissionError, Submitted, find, submit
from neuropt_core.errors import ConfigError
from neuropt_core.trial import Failure, Outcome, TrialState

_log = logging.getLogger(__name__)
_SLURM_CAPACITY = 4
_FILES_A_SECOND = 100
"""How many result files are looked for in a second at most, for the sake of a shared file system."""
_SOONEST, _LATEST = 0.1, 5.0
"""Bounds on the seconds between two looks for results."""
_LONGEST_PAUSE = 60.0
_PATIENCE = 3600.0
"""Seconds for which a submission is tried again that the cluster could not take."""


@dataclass(slots=True, eq=False)
class _Flight:
    """A job that was submitted and has not been seen to end."""

    job: Job
    submitted: Submitted
    cancelled: bool = False
    seen: float | None = None


@dataclass(slots=True, eq=False)
class _Waiting:
    """Jobs that are still to be submitted, together."""

    jobs: list[Job]
    due: float
    since: float
    tries: int = 0
    probe: Asking | None = None


class SubmititBackend:
    """Submits through the launcher, reads the jobs' results from the disk, and asks SLURM what became of the others."""

    name = "submitit"
    apart = True
    blocks = False

    def __init__(
        self,
        launcher: Launcher,
        capacity: int | None,
        *,
        arrays: bool = False,
        around: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Submits nothing yet.

        Args:
            launcher: One of submitit's, or a subclass.
            capacity: How many trials may be in flight; None is 4 under SLURM, and 1 on this machine.
            arrays: Whether jobs that are to begin together become one SLURM array.
            around: Entered around each submission.

        Raises:
            ConfigError: The launcher submits to SLURM, whose commands are not on this machine.
        """
        self._launcher, self._arrays, self._around = launcher, arrays, around
        self._slurm = self.outlives = launcher._EXECUTOR == "slurm"  # type: ignore[attr-defined]
        if self._slurm and (missing := [c for c in ("sbatch", "squeue", "scancel", "srun") if not shutil.which(c)]):
            raise ConfigError(
                "hydra/launcher",
                f"submits to SLURM, whose commands are not on the PATH ({', '.join(missing)})",
                mend="Start the sweep on a machine of the cluster, or take another launcher.",
            )
        self.capacity = capacity or (_SLURM_CAPACITY if self._slurm else 1)
        place = "SLURM through submitit" if self._slurm else "submitit on this machine"
        shape = ", as arrays" if arrays and self._slurm else ""
        self.words = f"{place}, {self.capacity} at a time{shape}; jobs outlive the sweeper"
        self._flights: dict[int, _Flight] = {}
        self._waiting: list[_Waiting] = []
        self._refused: list[tuple[Job, Outcome]] = []
        self._queue = Queue()
        self._next_look = 0.0
        hide_ticket(launcher)
        logging.getLogger(type(launcher).__module__).addFilter(_Once("sweep output dir"))

    def submit(self, job: Job) -> Handle | None:
        """Submits a job; with arrays, at the next `poll` and with the others that came by then.

        What sbatch refuses comes with the next `poll`; what it cannot take now is tried again there.
        """
        now = time.monotonic()
        if self._arrays:
            if self._waiting and not self._waiting[-1].tries:
                self._waiting[-1].jobs.append(job)
            else:
                self._waiting.append(_Waiting([job], now, now))
            return None
        self._try(_Waiting([job], now, now))
        flight = self._flights.get(job.trial.number)
        return None if flight is None else flight.submitted.handle

    def poll(self) -> list[tuple[Job, Outcome]]:
        """Returns the jobs that have ended: those with a result at once, others when SLURM says so twice."""
        now = time.monotonic()
        due = [waiting for waiting in self._waiting if waiting.due <= now and self._may_try(waiting, now)]
        self._waiting = [waiting for waiting in self._waiting if waiting not in due]
        for waiting in due:
            self._try(waiting)
        ended, self._refused = self._refused, []
        if now >= self._next_look:
            pause = min(max(_SOONEST, len(self._flights) / _FILES_A_SECOND), _LATEST)
            self._next_look = now + pause
            ended += self._with_results()
            ended += self._dead_here()
        return ended + self._dead_in_slurm()

    def cancel(self, jobs: Sequence[Job]) -> None:
        """Ends jobs for good, and leaves word of it, so that the next sweeper launches their trials again."""
        numbers = {job.trial.number for job in jobs}
        for waiting in self._waiting:
            self._refused += [(j, _never_began("it was cancelled")) for j in waiting.jobs if j.trial.number in numbers]
            waiting.jobs = [j for j in waiting.jobs if j.trial.number not in numbers]
        self._waiting = [waiting for waiting in self._waiting if waiting.jobs]
        flights = [flight for number, flight in self._flights.items() if number in numbers]
        for flight in flights:
            flight.cancelled = True
            flight.submitted.cancelled_path.parent.mkdir(parents=True, exist_ok=True)
            flight.submitted.cancelled_path.touch()
        complaint = cancel(flight.submitted.job_id for flight in flights if flight.submitted.cluster == "slurm")
        if complaint:
            _log.warning("scancel: %s", complaint)
        for flight in flights:
            if flight.submitted.cluster == "local" and _lives(flight):
                kill_tree(int(flight.submitted.job_id))

    def reattach(self, job: Job, handle: Handle | None) -> bool:
        """Takes over what was submitted, by its handle or by submitit's own files, whatever has become of it since."""
        submitted = Submitted.of(handle)
        if submitted is None and handle is None:
            submitted = find(self._launcher, job.ticket)
        if submitted is None or submitted.cancelled_path.exists():
            return False
        if submitted.cluster == "slurm" and not shutil.which("squeue"):
            raise ConfigError(
                f"trial {job.trial.number}",
                f"was submitted to SLURM as job {submitted.job_id}, whose commands are not on the PATH",
                mend="Start the sweep on a machine of the cluster.",
            )
        self._flights[job.trial.number] = _Flight(job, submitted)
        return True

    def close(self) -> None:
        """Leaves the jobs alone, which go on, and asks SLURM nothing more."""
        self._queue.close()
        for waiting in self._waiting:
            if waiting.probe is not None:
                waiting.probe.end()

    def _may_try(self, waiting: _Waiting, now: float) -> bool:
        """Tells whether SLURM answers again; sbatch itself would keep the sweep waiting for 9 seconds to say no."""
        if not waiting.tries or not self._slurm or now - waiting.since >= _PATIENCE:
            return True
        waiting.probe = waiting.probe or Asking(["squeue", "--me", "-h"])
        answer = waiting.probe.answer()
        if answer is None:
            return False
        waiting.probe = None
        if answer.code:
            waiting.tries, waiting.due = waiting.tries + 1, now + _pause(waiting.tries)
        return not answer.code

    def _try(self, waiting: _Waiting) -> None:
        """Submits, or notes when to try again, or what was said of jobs that will never be taken."""
        try:
            with self._around():
                taken = submit(self._launcher, waiting.jobs)
        except SubmissionError as error:
            now = time.monotonic()
            if error.later and now - waiting.since < _PATIENCE:
                if not waiting.tries:
                    numbers = ", ".join(str(job.trial.number) for job in waiting.jobs)
                    _log.warning("SLURM cannot take trial %s now (%s); it is tried again.", numbers, error)
                waiting.tries, waiting.due = waiting.tries + 1, now + _pause(waiting.tries)
                self._waiting.append(waiting)
            else:
                self._refused += [(job, _never_began(str(error), "refused")) for job in waiting.jobs]
            return
        for job, submitted in zip(waiting.jobs, taken, strict=True):
            self._flights[job.trial.number] = _Flight(job, submitted)

    def _with_results(self) -> list[tuple[Job, Outcome]]:
        return [self._end(flight) for flight in list(self._flights.values()) if flight.job.ticket.result_path.exists()]

    def _dead_here(self) -> list[tuple[Job, Outcome]]:
        """Returns the jobs of this machine whose controller is gone; submitit itself cannot tell after a restart."""
        local = [flight for flight in self._flights.values() if flight.submitted.cluster == "local"]
        dead = [flight for flight in local if not _lives(flight)]
        for flight in local:
            flight.seen = flight.seen if flight in dead else time.time()
        return [self._end(flight, Entry("")) for flight in dead]

    def _dead_in_slurm(self) -> list[tuple[Job, Outcome]]:
        flights = {f.submitted.job_id: f for f in self._flights.values() if f.submitted.cluster == "slurm"}
        cancelled = [job_id for job_id, flight in flights.items() if flight.cancelled]
        ended = self._queue.poll(flights.keys(), cancelled)
        return [self._end(flights[job_id], entry) for job_id, entry in ended.items() if job_id in flights]

    def _end(self, flight: _Flight, entry: Entry | None = None) -> tuple[Job, Outcome]:
        """Returns what a job left; without an entry it is known to have left a result."""
        del self._flights[flight.job.trial.number]
        if entry is None:
            if flight.submitted.cluster == "slurm":
                self._queue.finished(flight.submitted.job_id)
            return flight.job, outcome_of(flight.job.ticket)
        if flight.job.ticket.folder.is_dir():
            os.listdir(flight.job.ticket.folder)  # Opening a folder makes NFS look again for a result that is late.
        logs, seen = flight.submitted.logs, flight.seen
        if flight.cancelled:
            return flight.job, outcome_of(flight.job.ticket, "it was cancelled by the sweep", logs=logs, seen=seen)
        words = entry.words if flight.submitted.cluster == "slurm" else ""
        began = flight.job.ticket.started_path.exists()
        outcome = outcome_of(flight.job.ticket, words, kind_of(entry, began), logs, seen)
        return flight.job, outcome if began else _explained(outcome)


class _Once(logging.Filter):
    """Lets a line pass that holds a text, and then no other one with it: launchers repeat it with every job."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text, self._passed = text, False

    def filter(self, record: logging.LogRecord) -> bool:
        """Tells whether the line passes."""
        if self._text not in str(record.msg):
            return True
        first, self._passed = not self._passed, True
        return first


def kind_of(entry: Entry, began: bool) -> str:
    """Returns the kind of failure of a job that left no result.

    One that was cancelled while it waited says nothing of its configuration, whoever cancelled it: its kind is left to
    `outcome_of`, which takes it for the machine's.
    """
    return "" if entry.kind == "lost" and not began else entry.kind


def _pause(tries: int) -> float:
    return float(min(2.0 * 2 ** min(tries, 8), _LONGEST_PAUSE))


def _lives(flight: _Flight) -> bool:
    # submitit's controller has the folder of its jobs in its command line.
    return is_alive(int(flight.submitted.job_id), str(flight.submitted.folder))


def _never_began(words: str, kind: str = "node_lost") -> Outcome:
    return Outcome(TrialState.FAIL, failure=Failure(kind, f"the job did not begin ({words})"))


def _explained(outcome: Outcome) -> Outcome:
    """Returns the outcome of a job that did not begin with the line that says why, e.g. a module that it lacks."""
    failure = outcome.failure
    if failure is None:
        return outcome
    said = [line for line in failure.log.splitlines() if not line.startswith(("srun", "slurmstepd", "submitit"))]
    if not said:
        return outcome
    lacks = said[-1].startswith(("ModuleNotFoundError", "ImportError"))
    message = f"{failure.message}; its log ends: {said[-1]}"
    return replace(outcome, failure=replace(failure, kind="import_error" if lacks else failure.kind, message=message))
