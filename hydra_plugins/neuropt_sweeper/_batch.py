"""The backend for any launcher: hands it a batch, waits for all of it, and reads the outcomes from the disk."""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from hydra.plugins.launcher import Launcher

from neuropt_core.ticket import VARIABLE, Ticket
from neuropt_core.trial import Failure, Outcome, Trial, TrialState

_log = logging.getLogger(__name__)
_LEAST_FREE = 64 * 1024
"""Bytes; a result with its curve takes a few thousand."""


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt at a trial, ready to be launched."""

    trial: Trial
    ticket: Ticket
    overrides: tuple[str, ...]


class Backend(Protocol):
    """How trials run under a launcher."""

    capacity: int
    """How many trials may be submitted before some must be polled."""

    def submit(self, job: Job) -> None:
        """Takes a job; it may start now or at the next `poll`."""
        ...

    def poll(self) -> list[tuple[Job, Outcome]]:
        """Returns the jobs that have ended since the last call; may wait for some."""
        ...


class _WithoutTicket(logging.Filter):
    """Takes the ticket's path out of the lines in which launchers list a job's overrides: it says nothing to people."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Shortens the line and lets it pass."""
        if isinstance(record.msg, str) and VARIABLE in record.msg:
            record.msg = re.sub(rf" ?\+\+hydra\.job\.env_set\.{VARIABLE}='(?:[^'\\]|\\.)*'", "", record.msg)
        return True


class BatchBackend:
    """Plain `Launcher.launch(batch)`: an honest barrier, and the only thing that every launcher can do."""

    def __init__(
        self,
        launcher: Launcher,
        capacity: int,
        around: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """`around` is entered around each launch."""
        self._launcher, self._around = launcher, around
        self._waiting: list[Job] = []
        self.capacity = capacity
        package = type(launcher).__module__.rpartition(".")[0]
        for module in (type(launcher).__module__, f"{package}._core"):  # Hydra's launchers log in one or the other.
            logging.getLogger(module).addFilter(_WithoutTicket())

    def submit(self, job: Job) -> None:
        """Takes a job; it starts at the next `poll`, with all that were taken by then."""
        self._waiting.append(job)

    def poll(self) -> list[tuple[Job, Outcome]]:
        """Launches what was submitted, waits until the launcher returns, and reads what the jobs left on disk."""
        waiting, self._waiting = self._waiting, []
        ended = []
        for batch in _consecutive(waiting):
            error = self._launch(batch)
            ended += [(job, outcome_of(job.ticket, error)) for job in batch]
        return ended

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


def outcome_of(ticket: Ticket, error: str = "") -> Outcome:
    """Returns what a job that has ended left on disk; a job that began and left nothing was killed.

    Of one that did not even begin, its launcher or the machine is at fault.

    Raises:
        OSError: It left nothing and the disk is full: then the trial is not at fault, and is launched again later.
    """
    outcome = ticket.result()
    if outcome is not None:
        return outcome
    if shutil.disk_usage(ticket.folder).free < _LEAST_FREE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(ticket.folder))
    began = ticket.started_path.exists()
    message = "the job left no result: it was killed" if began else "the job did not begin"
    if error:
        message += f" ({error})"
    return Outcome(TrialState.FAIL, curve=ticket.curve(), failure=Failure("lost" if began else "node_lost", message))


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
