"""The backend for Hydra's basic launcher: each trial in a process of its own, forked with torch already imported."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from hydra.plugins.launcher import Launcher

from hydra_plugins.neuropt_sweeper._backend import Handle, Job, outcome_of, said_by
from hydra_plugins.neuropt_sweeper._child import POISONED, Order, preloaded
from hydra_plugins.neuropt_sweeper._forks import Forked, Forks
from hydra_plugins.neuropt_sweeper._gpus import visible_gpus
from hydra_plugins.neuropt_sweeper._isolation import modules_in, parcel, preparation, resolvers
from hydra_plugins.neuropt_sweeper._isolation import why_not as why_not
from hydra_plugins.neuropt_sweeper._output import Follower
from hydra_plugins.neuropt_sweeper._slots import Slots
from hydra_plugins.neuropt_sweeper._victims import Victims
from neuropt_core.processes import born
from neuropt_core.trial import Outcome

_log = logging.getLogger(__name__)
_GRACE = 3.0
"""Seconds between asking a cancelled trial to end and ending it."""
_PAUSE = 0.05


@dataclass(frozen=True)
class _Running:
    """A job, where it runs, and what had happened on the machine when it began."""

    job: Job
    slot: int
    process: Forked
    victims: Victims
    follower: Follower | None = None


class ProcessBackend:
    """One child process for each trial, in a slot of its own; what it held is free when it ends.

    Trials run in sessions of their own, so that they outlive a sweeper that is killed; the next one takes them over.
    """

    name = "process"
    apart = True
    outlives = False
    blocks = False

    def __init__(
        self,
        launcher: Launcher,
        capacity: int | None,
        *,
        gpus_per_trial: int | None = None,
        around: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Starts the fork server, which imports in the background.

        Args:
            launcher: The basic launcher, set up; `why_not` has nothing against it.
            capacity: How many trials run at a time, at least 1; None is one for each GPU, or group of GPUs.
            gpus_per_trial: How many GPUs each trial gets; None is one, on a machine that has any.
            around: Entered around what starts processes.

        Raises:
            ConfigError: A trial needs more GPUs than there are.
        """
        self._around = around
        self._slots = Slots.of(capacity, visible_gpus(os.environ), gpus_per_trial)
        self.capacity, self.words = self._slots.count, self._slots.words
        if self.capacity > 1:
            self.words += "; what they print is in neuropt/output.log of each job's folder"
        self._running: list[_Running] = []
        self._failed: list[tuple[Job, Outcome]] = []
        self._parcel, self._resolvers = parcel(launcher), resolvers()
        self._needed = modules_in(self._parcel)
        self._retired: list[Forks] = []
        self._shunned: set[str] = set()
        self._unshown = 0
        with around():
            self._forks = Forks(preloaded(sys.modules), self._needed)

    def submit(self, job: Job) -> Handle | None:
        """Starts the job's process; it begins with the task at the next `poll`, when its handle is in the journal."""
        slot = self._free_slot()
        try:
            process = self._fork(self._order(job, slot))
        except (OSError, EOFError) as error:
            told = f"no process could be started: {said_by(error)}"
            self._failed.append((job, outcome_of(job.ticket, told)))
            return None
        follower = Follower(job.ticket.output_path, unshown=self._unshown) if self.capacity == 1 else None
        self._running.append(_Running(job, slot, process, Victims.now(), follower))
        return {"pid": process.pid, "born": process.born, "host": os.uname().nodename, "slot": slot}

    def poll(self) -> list[tuple[Job, Outcome]]:
        """Returns the jobs whose processes have ended; shows meanwhile what the only one prints."""
        for running in self._running:
            running.process.release()
            if running.follower is not None:
                running.follower.show()
        failed, self._failed = self._failed, []
        return [*failed, *(pair for running in [*self._running] if (pair := self._ended(running)) is not None)]

    def cancel(self, jobs: Sequence[Job]) -> None:
        """Asks the jobs' processes to end, with all that they started, and ends them after three seconds."""
        chosen = [running for running in self._running if running.job in jobs]
        for number in (signal.SIGTERM, signal.SIGKILL):
            end = time.monotonic() + _GRACE
            for running in chosen:
                running.process.signal(number)
            while (chosen := [r for r in chosen if not r.process.is_over()]) and time.monotonic() < end:
                time.sleep(_PAUSE)

    def reattach(self, job: Job, handle: Handle | None) -> bool:
        """Takes over a process that still lives, be it before its job has said that it began."""
        if handle is None or handle.get("host") != os.uname().nodename or job.ticket.result() is not None:
            return False
        if handle["born"] is None or born(handle["pid"]) != handle["born"]:
            return False
        follower = Follower(job.ticket.output_path, at_end=True) if self.capacity == 1 else None
        process = Forked(handle["pid"], handle["born"])
        self._running.append(_Running(job, handle["slot"], process, Victims.now(), follower))
        return True

    def close(self) -> None:
        """Ends the fork server; where trials run on, it ends with the last of them."""
        if not self._running:
            for forks in (*self._retired, self._forks):
                forks.close()

    def _order(self, job: Job, slot: int) -> Order:
        environ = self._slots.environment(slot, os.environ)
        return Order(
            number=job.trial.number,
            overrides=tuple(job.overrides),
            environ=environ,
            output=str(job.ticket.output_path),
            threads=int(environ["OMP_NUM_THREADS"]) if self._sets_threads() else None,
            main=preparation(),
            start_method=multiprocessing.get_start_method(allow_none=True),
            parcel=self._parcel,
            resolvers=self._resolvers,
        )

    def _sets_threads(self) -> bool:
        return self.capacity > 1 and "OMP_NUM_THREADS" not in os.environ

    def _fork(self, order: Order) -> Forked:
        try:
            with self._around():
                return self._forks.fork(order)
        except (OSError, EOFError) as error:
            if not self._forks.preload:
                raise
            _log.warning("The fork server ended (%r); it begins again without the libraries it had.", error)
        self._begin_again(())
        with self._around():
            return self._forks.fork(order)

    def _free_slot(self) -> int:
        # A sweep that goes on with fewer places finds trials in places that it has no more.
        taken = [running.slot for running in self._running]
        return min(range(self.capacity), key=lambda slot: (taken.count(slot), slot))

    def _ended(self, running: _Running) -> tuple[Job, Outcome] | None:
        process, job = running.process, running.job
        if not process.is_over():
            return None
        self._running.remove(running)
        process.forget()
        if running.follower is not None:
            self._unshown = running.follower.close()
        if process.code == POISONED:
            _log.warning("A library initialised CUDA when it was imported: trials begin without it being imported.")
            self._begin_again(())
            self.submit(job)
            return None
        if not process.loaded <= {*self._forks.preload, *self._shunned}:
            # What a trial had to import by itself the next ones find done; seldom more than once in a sweep.
            self._begin_again(preloaded({*process.loaded, *self._forks.preload} - self._shunned))
        kind = "host_out_of_memory" if process.code == -signal.SIGKILL and running.victims.grew() else ""
        kind = kind if process.prepared else "import_error"
        return job, outcome_of(job.ticket, _told(process), kind, seen=process.seen)

    def _begin_again(self, preload: Sequence[str]) -> None:
        """Takes a server that has imported these; the one before ends with the trials that came from it."""
        self._shunned |= {*self._forks.preload} - {*preload}
        self._retired.append(self._forks)
        if not self._running:
            while self._retired:
                self._retired.pop().close()
        with self._around():
            self._forks = Forks(preload, self._needed)


def _told(process: Forked) -> str:
    if process.error:
        return process.error if process.prepared else f"its process could not import the script: {process.error}"
    if process.code is None or process.code >= 0:
        return "" if not process.code else f"its process exited with code {process.code}"
    try:
        return f"it was killed by {signal.Signals(-process.code).name}"
    except ValueError:
        return f"it was killed by signal {-process.code}"
