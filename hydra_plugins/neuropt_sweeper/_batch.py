"""The backend for any launcher: hands it a batch, waits for all of it, and reads the outcomes from the disk."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.plugins.launcher import Launcher

from hydra_plugins.neuropt_sweeper._backend import Handle, Job, hide_ticket, outcome_of
from neuropt_core.trial import Outcome

_log = logging.getLogger(__name__)


class BatchBackend:
    """Plain `Launcher.launch(batch)`: an honest barrier, and the only thing that every launcher can do."""

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
        # The basic launcher runs its jobs here, one after another: what a job was launched with is all that it knows.
        self.apart = not isinstance(launcher, BasicLauncher)
        self.capacity = capacity if self.apart else 1
        self.words = f"{type(launcher).__name__}, {capacity} at a time, in batches: the next begins when all have ended"
        if self.capacity == 1:
            self.words = f"{type(launcher).__name__}, 1 at a time" + ("" if self.apart else ", in this process")
        hide_ticket(launcher)

    def submit(self, job: Job) -> Handle | None:
        """Takes a job; it starts at the next `poll`, with all that were taken by then."""
        self._waiting.append(job)
        return None

    def poll(self) -> list[tuple[Job, Outcome]]:
        """Launches what was submitted, waits until the launcher returns, and reads what the jobs left on disk."""
        waiting, self._waiting = self._waiting, []
        ended = []
        for batch in _consecutive(waiting):
            error = self._launch(batch)
            ended += [(job, outcome_of(job.ticket, error)) for job in batch]
        return ended

    def cancel(self, jobs: Sequence[Job]) -> None:
        """Ends those that run on this machine; while a launch blocks, nothing else can."""
        for job in jobs:
            job.ticket.kill()

    def reattach(self, job: Job, handle: Handle | None) -> bool:
        """Returns False: what a launcher of an earlier process still runs, only the jobs' files tell."""
        return False

    def close(self) -> None:
        """Does nothing; there are no helpers."""

    def _launch(self, batch: list[Job]) -> str:
        """Returns what the launcher raised, in words; "" if nothing."""
        try:
            # What it returns is not kept: with several launchers one dead job loses the results of the whole batch,
            # and a failed one would keep its model alive through its traceback.
            with self._around():
                self._launcher.launch([job.overrides for job in batch], initial_job_idx=batch[0].trial.number)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - told to the study as the failure of what it lost
            told = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            _log.debug("The launcher raised", exc_info=True)
            return told
        return ""


def _consecutive(jobs: list[Job]) -> Iterator[list[Job]]:
    # Hydra numbers the jobs of a batch from its first; a trial's number is its job's.
    batch: list[Job] = []
    for job in sorted(jobs, key=lambda job: job.trial.number):
        if batch and job.trial.number != batch[-1].trial.number + 1:
            yield batch
            batch = []
        batch.append(job)
    if batch:
        yield batch
