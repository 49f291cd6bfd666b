"""Who is to stop, and why: requests from outside, time-outs, and what becomes of trials that do not obey.

A trial is asked first: its stop file holds the reason, and its next report raises `TrialPruned`. After the grace it is
ended by the backend. What it is told as is read from the disk alone (`as_ordered`), so that the next sweeper says the
same of a trial that ended in between.
"""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from hydra_plugins.neuropt_sweeper._backend import Backend, Job
from hydra_plugins.neuropt_sweeper._beside import beside
from neuropt_core.budget import spoken
from neuropt_core.faults import STOPPED
from neuropt_core.files import write_whole
from neuropt_core.heartbeat import modified
from neuropt_core.stop_file import StopRequest, asked, forget
from neuropt_core.ticket import Ticket
from neuropt_core.trial import Failure, Outcome, TrialState

_log = logging.getLogger(__name__)
TIMED_OUT = "it ran longer than hydra.sweeper.trial_timeout"
"""How the reason begins of a trial that took too long."""
_FORCED = ", did not stop, and was ended by force"
"""How the reason ends of a trial that did not obey; in the stop file before it is ended, since it may say so itself."""
_HEARD = 15.0
"""Seconds after which each backend has heard of a job's death; SLURM is asked twice, every few seconds."""
_BEFORE = ", before it began"
"""How the reason ends of a trial that was still waiting for a machine."""
_LAST = 60.0
"""Seconds that a backend gets to end a job by force (SLURM: scancel, KillWait) before it is told again."""


class Orders:
    """Asks running trials to stop, and ends those that do not."""

    def __init__(
        self,
        sweep_dir: Path,
        backend: Backend,
        *,
        timeout: float | None = None,
        grace: float = 60.0,
        say: Callable[[str], None] = _log.info,
        every: float = 1.0,
    ) -> None:
        """Does nothing yet.

        Args:
            sweep_dir: Where requests are left.
            backend: Where the trials run.
            timeout: Seconds that a trial may run, counted from its start on its machine; None for any time.
            grace: Seconds that a trial which was asked to stop may take for it.
            say: Tells people.
            every: Seconds from one look at the jobs to the next, at least.
        """
        self._sweep_dir, self._backend, self._timeout = sweep_dir, backend, timeout
        self._grace, self._say, self._every = grace, say, every
        self._request: StopRequest | None = None
        self._ending = ""
        self._ending_grace = grace
        self._looked = -math.inf
        self._asked: dict[Path, float] = {}
        self._forced: dict[Path, float] = {}
        self._begun: dict[Path, tuple[int, float]] = {}
        self._complained = False

    @property
    def stopping(self) -> str:
        """Why no trial may begin, in words; "" while `neuropt stop` has not asked for it."""
        request = asked(self._sweep_dir)
        if request is not None and (self._request is None or self._request.how != "now"):
            self._request = request
        return "" if self._request is None else self._request.words

    def end_all(self, why: str, grace: float) -> None:
        """From the next look on, asks all trials to stop; those that do not within `grace` seconds are ended."""
        if grace and not self._ending:
            self._say(
                f"Asking what runs to stop; it is ended after {spoken(grace)}, and launched again by the next sweep"
            )
        self._ending, self._ending_grace = why, min(grace, self._ending_grace if self._ending else grace)
        self._looked = -math.inf

    def given_up(self, jobs: Sequence[Job]) -> bool:
        """Tells whether all was done to end these jobs, long ago, and none of them is known to have ended."""
        late = time.monotonic() - _LAST
        return bool(self._ending) and all(self._forced.get(job.ticket.path, math.inf) < late for job in jobs)

    @property
    def ending(self) -> bool:
        """Whether all trials are to end."""
        return bool(self._ending)

    def look(self, jobs: Sequence[Job], cancel: Callable[[Sequence[Job]], None], *, at_once: bool = False) -> bool:
        """Looks at requests and clocks, and acts; returns False if it is too early for another look.

        Args:
            jobs: Those that run, or wait for a machine.
            cancel: Ends jobs by force.
            at_once: Whether to look however short a time has passed.
        """
        now = time.monotonic()
        if now - self._looked < self._every and not at_once:
            return False
        self._looked = now
        if self.stopping and self._request is not None and self._request.how == "now" and not self._ending:
            self.end_all(f"{STOPPED} ({self._request.words})", self._grace)
            self._looked = now
        late = []
        for job in jobs:
            try:
                late += [job] if self._is_late(job, now) else []
            except OSError as error:  # A full disk, say: the sweep goes on, and the next look tries again.
                self._complain(error)
        if late:
            cancel(late)  # All at once: a backend may wait for each call.
        return True

    @contextmanager
    def beside(self, jobs: Sequence[Job]) -> Iterator[None]:
        """While entered, looks from a thread of its own, for a backend whose `poll` blocks.

        Of such a backend only this process's own machine can be asked to end a job by force.
        """

        def kill(jobs: Sequence[Job]) -> None:
            for job in jobs:
                job.ticket.kill()

        def watch(over: threading.Event) -> None:
            while not over.wait(min(self._every, 0.2)):
                try:
                    self.look(jobs, kill)
                except Exception as error:  # noqa: BLE001 - the sweep must not fall with this thread
                    self._complain(error)

        with beside("neuropt-orders", watch):
            yield

    def begun(self, jobs: Sequence[Job]) -> Mapping[int, float | None]:
        """Returns trial number -> when it began on its machine, as `time.monotonic` counts; None if it has not yet."""
        shift = time.monotonic() - time.time()
        moments = {job.trial.number: self._since(job.ticket) for job in jobs}
        return {number: None if at is None else at + shift for number, at in moments.items()}

    def _is_late(self, job: Job, now: float) -> bool:
        """Asks a job to stop if it has to; tells whether it was asked, has not stopped in time, and is to be ended."""
        ticket, number = job.ticket, job.trial.number
        if ticket.path not in self._asked:
            if (reason := self._reason(job)) is None:
                return False
            self._asked[ticket.path] = now
            if not ticket.stop_path.exists():
                write_whole(ticket.stop_path, reason)
            if not self._ending:
                self._say(f"Trial {number} is asked to stop: {reason}")
        grace = self._ending_grace if self._ending else self._grace
        if self._since(ticket) is None:
            grace = 0.0  # What has not begun needs no time to stop.
        forced = self._forced.get(ticket.path)
        if now - self._asked[ticket.path] < grace or (forced is not None and now - forced < _LAST):
            return False
        if ticket.result_path.exists():
            return False  # It has ended by itself; the next poll has it.
        self._forced[ticket.path] = now
        if forced is None and grace and not self._backend.apart:
            self._say(f"Trial {number} does not stop, and runs in the sweeper's own process: only Ctrl-C ends it")
        elif forced is None and self._backend.apart:
            waits = self._since(ticket) is None
            if waits or self._lives(ticket, now):
                how = _BEFORE if waits else _FORCED
                write_whole(ticket.stop_path, ticket.stop_path.read_text(encoding="utf-8").strip() + how)
            if grace:
                self._say(f"Trial {number} did not stop within {spoken(grace)}: it is ended by force")
        return self._backend.apart

    def _lives(self, ticket: Ticket, now: float) -> bool:
        """Tells whether a job that is to be ended is no dead one of which the backend has not heard yet."""
        return now - self._asked[ticket.path] > _HEARD or ticket.may_live()

    def _reason(self, job: Job) -> str | None:
        """Returns why a trial has to stop, the newest reason that is known first; None if it has not to."""
        ticket, number = job.ticket, job.trial.number
        if self._ending:
            return self._ending
        if (request := asked(self._sweep_dir, number)) is not None:
            if not ticket.stop_path.exists():
                write_whole(ticket.stop_path, request.words)
            forget(self._sweep_dir, number)
        if text := _text(ticket.stop_path):  # Also by hand, or by an earlier sweeper.
            return text
        began = None if self._timeout is None else self._since(ticket)
        if self._timeout is not None and began is not None and time.time() - began > self._timeout:
            return f"{TIMED_OUT}={spoken(self._timeout).replace(' ', '')}"
        return None

    def _since(self, ticket: Ticket) -> float | None:
        """Returns when the job began on its machine, in seconds since 1970; None if it has not yet."""
        try:
            stamp = ticket.started_path.stat().st_mtime_ns
            if self._begun.get(ticket.path, (0, 0.0))[0] != stamp:
                # The job's own word, since a network's disk may have another clock; a requeued job writes it again.
                said = json.loads(ticket.started_path.read_text(encoding="utf-8")).get("time")
                self._begun[ticket.path] = (stamp, stamp / 1e9 if said is None else float(said))
        except (OSError, ValueError):
            return None
        return self._begun[ticket.path][1]

    def _complain(self, error: Exception) -> None:
        if not self._complained:
            self._complained = True
            _log.warning("Trials cannot be asked to stop: %s: %s", type(error).__name__, error)


def as_ordered(ticket: Ticket, outcome: Outcome) -> Outcome:
    """Returns what a trial is told as, given that it may have been asked to stop.

    - One that had to stop with its sweep counts as preempted, whether it obeyed or was ended: nothing is learnt of its
      configuration, and it is launched again.
    - One that took too long is PRUNED if it obeyed; if it had to be ended by force, or died after it was asked, it has
      failed (``timeout``). One that had died before by something else, of which the backend heard later, is told as
      what it died of; so is one of whose end the scheduler or its log knows the cause.
    - One that a person stopped is PRUNED with the person's reason also if it was ended by force: the person judged its
      curve, and nothing is wrong with the job.

    What a job left by itself holds otherwise, be it a score or a failure of its own.
    """
    reason = outcome.reason
    if outcome.failure is not None and not ticket.result_path.exists():
        reason = _text(ticket.stop_path)
    if not reason:
        return outcome
    died = outcome.failure is not None
    pruned = replace(outcome, state=TrialState.PRUNED, failure=None, reason=reason)
    failed = replace(pruned, state=TrialState.FAIL, reason="", failure=Failure("preempted", reason))
    if reason.startswith(STOPPED):
        return failed
    if reason.startswith(TIMED_OUT) and died and not _died_of_it(ticket, reason, outcome):
        return outcome
    if reason.startswith(TIMED_OUT) and (died or reason.endswith(_FORCED)):
        return replace(failed, failure=Failure("timeout", reason))
    return pruned


def _died_of_it(ticket: Ticket, reason: str, outcome: Outcome) -> bool:
    """Tells whether a job that left no result died of its time-out, or at least after it; both times are the disk's."""
    if outcome.failure is not None and outcome.failure.kind not in ("lost", "timeout"):
        return False
    return reason.endswith(_FORCED) or ticket.heard >= (modified(ticket.stop_path) or 0.0)


def _text(path: Path) -> str:
    """Returns the reason that a stop file holds, also if it is empty; "" if there is no such file."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or "the sweep asked it to stop"
    except FileNotFoundError:
        return ""


def waiting(begun: Mapping[int, float | None]) -> str:
    """Returns what a sweep that ends is waiting for, e.g. ``Waiting for trial 7 (running for 12 min)``."""
    now = time.monotonic()
    shown = [f"{n} ({'not begun' if at is None else 'running for ' + _roughly(now - at)})" for n, at in begun.items()]
    more = f" and {len(shown) - 8} more" if len(shown) > 8 else ""
    return f"Waiting for trial{'s' if len(shown) > 1 else ''} {', '.join(shown[:8])}{more}"


def _roughly(seconds: float) -> str:
    seconds = max(0.0, seconds)
    return spoken(round(seconds / 60) * 60) if seconds >= 90 else f"{seconds:.0f} s"
