"""The backend for any launcher: hands it a batch, waits for all of it, and reads the outcomes from the disk."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.plugins.launcher import Launcher

from hydra_plugins.neuropt_sweeper._backend import Handle, Job, hide_ticket, outcome_of, said_by
from neuropt_core.heartbeat import SILENCE_SECONDS
from neuropt_core.ticket import Ticket
from neuropt_core.trial import Outcome

_log = logging.getLogger(__name__)
_PAUSE = 0.05
"""Seconds between two looks at jobs that a launcher has let go of."""


class BatchBackend:
    """Plain `Launcher.launch(batch)`: an honest barrier, and the only thing that every launcher can do.

    One dead job makes some launchers raise and end the whole batch, and which of several jobs it was cannot be told
    then. Those are suspects: each is told as ``node_lost``, so that it is launched again, and then alone. Who dies
    alone is ``lost``.
    """

    name = "batch"
    outlives = False
    blocks = True

    def __init__(
        self,
        launcher: Launcher,
        capacity: int,
        around: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """`around` is entered around each launch."""
        self._launcher, self._around = launcher, around
        self._waiting: list[Job] = []
        self._suspects: set[int] = set()
        self._killed: set[int] = set()
        # The basic launcher runs its jobs here, one after another: what a job was launched with is all that it knows.
        self.apart = not isinstance(launcher, BasicLauncher)
        self.capacity = capacity if self.apart else 1
        self.words = f"{type(launcher).__name__}, {capacity} at a time, in batches: the next begins when all have ended"
        if self.capacity == 1:
            self.words = f"{type(launcher).__name__}, 1 at a time" + ("" if self.apart else ", in this process")
        hide_ticket(launcher)

    def submit(self, job: Job) -> Handle | None:
        """Takes a job; it starts at one of the next `poll`s, with all that were taken by then and may run with it."""
        self._waiting.append(job)
        return None

    def poll(self) -> list[tuple[Job, Outcome]]:
        """Launches a batch of what was submitted, waits until all of it has ended, and reads what it left on disk."""
        batch = self._next_batch()
        if not batch:
            return []
        error = self._launch(batch)
        while error and any(_lives(job.ticket) for job in batch):
            time.sleep(_PAUSE)  # The launcher has given up, and some of its jobs have not.
        left = [job for job in batch if job.ticket.started_path.exists() and job.ticket.result() is None]
        killed = [job for job in left if job.trial.number in self._killed]
        torn = [job for job in left if job not in killed] if error and len(left) > 1 else []
        numbers = {job.trial.number for job in batch}
        self._killed -= numbers
        self._suspects -= numbers
        if not killed:
            self._suspects |= {job.trial.number for job in torn}
        return [(job, self._outcome(job, error, torn, killed)) for job in batch]

    def cancel(self, jobs: Sequence[Job]) -> None:
        """Ends those that run on this machine, and forgets those that wait; while a launch blocks, nothing else can."""
        for job in jobs:
            self._killed.add(job.trial.number)  # If it takes others of its batch with it, these are no suspects.
            job.ticket.kill()
        self._waiting = [job for job in self._waiting if job not in jobs]

    def reattach(self, job: Job, handle: Handle | None) -> bool:
        """Returns False: what a launcher of an earlier process still runs, only the jobs' files tell."""
        return False

    def close(self) -> None:
        """Does nothing; there are no helpers."""

    def _next_batch(self) -> list[Job]:
        """Takes the jobs out of those that wait which may be launched together with the first of them.

        Hydra numbers the jobs of a batch from its first, and a trial's number is its job's: they must be consecutive.
        A suspect is launched alone.
        """
        batch: list[Job] = []
        for job in sorted(self._waiting, key=lambda job: job.trial.number):
            alone = job.trial.number in self._suspects or bool(batch and batch[-1].trial.number in self._suspects)
            if batch and (alone or job.trial.number != batch[-1].trial.number + 1):
                break
            batch.append(job)
        self._waiting = [job for job in self._waiting if job not in batch]
        return batch

    def _outcome(self, job: Job, error: str, torn: list[Job], killed: list[Job]) -> Outcome:
        if job not in torn:
            return outcome_of(job.ticket, error)
        numbers = [other.trial.number for other in killed or torn]
        said = f"it fell with trials {numbers}, which had to be ended"
        if not killed:
            said = f"it or another of trials {numbers} took the batch down, so it is tried again alone"
        return outcome_of(job.ticket, f"{said}; {error}", "node_lost")

    def _launch(self, batch: list[Job]) -> str:
        """Returns what the launcher raised, in words; "" if nothing."""
        try:
            # What it returns is not kept: with several launchers one dead job loses the results of the whole batch,
            # and a failed one would keep its model alive through its traceback.
            with self._around():
                self._launcher.launch([job.overrides for job in batch], initial_job_idx=batch[0].trial.number)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - told to the study as the failure of what it lost
            _log.debug("The launcher raised", exc_info=True)
            return said_by(error)
        return ""


def _lives(ticket: Ticket) -> bool:
    """Tells whether a job may still leave a result: here or, as its heartbeat shows, on another machine.

    Here, too, the heartbeat counts: a worker of joblib that is kept for other jobs outlives the one that it lost.
    """
    if ticket.may_run_on() is not None:
        return True
    return ticket.is_running() and ticket.silence() < SILENCE_SECONDS
