"""What a backend is: how trials run under a launcher, one by one, and how they are found again."""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from neuropt_core.runtime.last_lines import kind_by_log, last_lines
from neuropt_core.ticket import VARIABLE, Ticket
from neuropt_core.trial import Failure, Outcome, Trial, TrialState

_LEAST_FREE = 64 * 1024
"""Bytes; a result with its curve takes a few thousand."""
Handle = Mapping[str, Any]
"""Plain data from which another process finds a job again, e.g. ``{"job_id": "1234"}``; kept in the journal."""


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt at one trial, ready to be launched."""

    trial: Trial
    ticket: Ticket
    overrides: tuple[str, ...]


class _WithoutTicket(logging.Filter):
    """Takes the ticket's path out of the lines in which launchers list a job's overrides: it says nothing to people."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Shortens the line and lets it pass."""
        if isinstance(record.msg, str) and VARIABLE in record.msg:
            record.msg = re.sub(rf" ?\+\+hydra\.job\.env_set\.{VARIABLE}='(?:[^'\\]|\\.)*'", "", record.msg)
        return True


def hide_ticket(launcher: object) -> None:
    """Takes the ticket's path out of the lines that a launcher logs."""
    package = type(launcher).__module__.rpartition(".")[0]
    for module in (type(launcher).__module__, f"{package}._core"):  # Hydra's launchers log in one or the other.
        logging.getLogger(module).addFilter(_WithoutTicket())


class Backend(Protocol):
    """How trials run. All calls come from one thread."""

    name: str
    """As in ``hydra.sweeper.backend``."""
    apart: bool
    """Whether jobs run in other processes than the sweeper's, so that they can be spoken to while they run."""
    capacity: int
    """How many trials may be in flight."""
    outlives: bool
    """Whether jobs go on when the sweeper is told to end, for the next one to take over: SLURM's do."""
    blocks: bool
    """Whether `poll` waits until jobs have ended, so that nothing can be said to the backend meanwhile."""
    words: str
    """For people, e.g. ``SLURM through submitit, 4 at a time; jobs outlive the sweeper``."""

    def submit(self, job: Job) -> Handle | None:
        """Takes a job; returns how another process finds it again, None if only its files tell.

        It may start now, or at the next `poll` together with others. A launcher that refuses it is no exception but
        an outcome (``refused``) of the next `poll`.
        """
        ...

    def poll(self) -> list[tuple[Job, Outcome]]:
        """Returns the jobs that have ended since the last call; does not wait, unless the launcher can only wait."""
        ...

    def cancel(self, jobs: Sequence[Job]) -> None:
        """Ends jobs for good, if need be by force; what they leave comes with the next `poll`."""
        ...

    def reattach(self, job: Job, handle: Handle | None) -> bool:
        """Takes over a job that an earlier sweeper submitted and that has left no result.

        Args:
            job: The job; its ticket is the attempt's.
            handle: What `submit` returned then; None if the sweeper died before it was journaled.

        Returns:
            True if it may still run or be waiting: `poll` then returns it. False if it is known to be gone, or if this
            backend cannot tell.
        """
        ...

    def close(self) -> None:
        """Lets go of helpers; jobs that can outlive the sweeper go on."""
        ...


def said_by(error: BaseException) -> str:
    """Returns what an exception says, its class first, in one line of at most 300 characters."""
    return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")[:300]


def outcome_of(
    ticket: Ticket, error: str = "", kind: str = "", logs: Sequence[Path] = (), seen: float | None = None
) -> Outcome:
    """Returns what a job that has ended left on disk; a job that began and left nothing was killed.

    Of one that did not even begin, its launcher or the machine is at fault.

    Args:
        ticket: The attempt's.
        error: What the launcher or the scheduler said of it.
        kind: What kind of failure that makes it, if it left no result.
        logs: Files with what the job printed, beside those that the ticket knows.
        seen: When its process was last seen alive, by the clock of this machine, on which it then ran.

    Raises:
        OSError: It left nothing and the disk is full: then the trial is not at fault, and is launched again later.
    """
    outcome = ticket.result()
    if outcome is not None:
        return outcome
    there = next(place for place in (ticket.folder, *ticket.folder.parents) if place.is_dir())  # It may be deleted.
    if shutil.disk_usage(there).free < _LEAST_FREE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(ticket.folder))
    began = ticket.started_path.exists()
    if began:
        message = f"the job left no result: {error or 'it was killed'}"
    else:
        message = "the job did not begin" + (f" ({error})" if error else "")
    log = last_lines(ticket, logs)
    failure = Failure(kind or kind_by_log(log) or ("lost" if began else "node_lost"), message, log=log)
    return Outcome(TrialState.FAIL, curve=ticket.curve(), failure=failure, seconds=ticket.seconds(seen))
