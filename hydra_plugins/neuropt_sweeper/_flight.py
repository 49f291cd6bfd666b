"""The trials in flight: waits for them, tells people about them, and ends them when the sweep is to end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress

from hydra_plugins.neuropt_sweeper._backend import Job, outcome_of
from hydra_plugins.neuropt_sweeper._orders import waiting
from hydra_plugins.neuropt_sweeper._parts import Parts
from hydra_plugins.neuropt_sweeper._warn import warn
from neuropt_core.faults import STOPPED
from neuropt_core.trial import Outcome, Trial

_log = logging.getLogger(__name__)
_PAUSE = 0.05
"""Seconds between two questions to a backend, which itself looks less often at what is dear to look at."""
_KILLED = 5.0
"""Seconds that a process which was killed may take to be gone."""


class Again:
    """Trials that wait to be launched again, each perhaps for a pause."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, Trial]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def append(self, trial: Trial, pause: float = 0.0) -> None:
        """Adds a trial, to be launched no sooner than in `pause` seconds."""
        self._waiting.append((time.monotonic() + pause, trial))

    def take(self) -> Trial | None:
        """Takes out the first whose pause is over, or returns None."""
        now = time.monotonic()
        for place, (at, trial) in enumerate(self._waiting):
            if at <= now:
                del self._waiting[place]
                return trial
        return None

    def is_due(self) -> bool:
        """Tells whether the pause of one is over."""
        now = time.monotonic()
        return any(at <= now for at, _ in self._waiting)


class Flight:
    """What runs, and the waiting for it.

    Attributes:
        running: Trial number -> the job that runs or waits for a machine.
        again: Trials to be launched again.
        begun: Trial number -> when it began on its machine, as `time.monotonic` counts; None if it has not.
        stopping: Why no more trials begin; "" while they do.
    """

    def __init__(
        self,
        parts: Parts,
        tell: Callable[[Job, Outcome], None],
        reason: Callable[[], str | None],
        changed: Callable[[], None],
    ) -> None:
        """Launches nothing.

        Args:
            parts: What the sweep works with.
            tell: Takes what came of a job.
            reason: Returns why no trial may begin.
            changed: Called when `begun` or `stopping` has changed.
        """
        self._parts, self._tell, self._reason, self._changed = parts, tell, reason, changed
        self.running: dict[int, Job] = {}
        self.again = Again()
        self.begun: Mapping[int, float | None] = {}
        self.stopping = ""
        self._ending = ""
        self._arrived: list[tuple[Job, Outcome]] = []

    def collect(self) -> None:
        """Waits until a trial has ended, one may be launched again, or there is nothing to wait for."""
        backend, watch, orders = self._parts.backend, self._parts.watch, self._parts.orders
        self._look(at_once=backend.blocks)
        with ExitStack() as beside:
            if watch is not None:
                beside.enter_context(watch.watching(self.running.values()))
            if backend.blocks:
                beside.enter_context(orders.beside(self._jobs))
            while not self._arrived:
                self._arrived += backend.poll()
                if self._arrived or self._is_idle() or orders.given_up(self._jobs):
                    break
                if not backend.blocks:
                    self._look()
                time.sleep(_PAUSE)
        self._tell_arrived()

    def drain(self) -> None:
        """Waits for what runs; nothing begins any more."""
        self._look(at_once=True)
        while self.running and not self._parts.orders.given_up(self._jobs):
            self.collect()

    def end(self, why: str, grace: float) -> None:
        """Asks the jobs that run to stop, and ends those that do not; the same command launches their trials again.

        Args:
            why: Why, for people.
            grace: Seconds that jobs get to stop by themselves; none where they run in this process, or their launcher
                was interrupted with this one. A further interrupt ends them, too.
        """
        orders, blocks = self._parts.orders, self._parts.backend.blocks
        self._ending = self.stopping = why
        orders.end_all(f"{STOPPED} ({why})", 0.0 if blocks else grace)
        try:
            self.drain()
        except KeyboardInterrupt:
            self.say("Ending what runs at once.")
            orders.end_all(f"{STOPPED} ({why})", 0.0)
            with suppress(KeyboardInterrupt):  # Who presses on and on gets out; the next sweeper finds what is left.
                self.drain()
        if self.running:
            self.say(f"{waiting(self.begun)} no longer; the next sweeper takes over.")

    def say(self, text: str) -> None:
        """Tells people, if they can be told."""
        self.guarded(lambda: self._parts.say(text), "The console")

    def guarded(self, call: Callable[[], None], who: str, skip: tuple[type[BaseException], ...] = (Exception,)) -> None:
        """Calls a listener; the study must not fall with it."""
        try:
            call()
        except skip as error:
            warn(_log, "%s: %s: %s", who, type(error).__name__, error)

    @property
    def places(self) -> int:
        """How many trials may run, as things stand: a total that was lowered counts those that run, too."""
        return min(self._parts.backend.capacity, self._parts.n_trials - len(self._parts.study.finished))

    @property
    def _jobs(self) -> list[Job]:
        return list(self.running.values())

    def _is_idle(self) -> bool:
        """Tells whether waiting longer is of no use: a trial may be launched, or nothing is left to wait for."""
        if self.stopping or not len(self.again):
            return not self.running
        return self.again.is_due() and len(self.running) < self.places

    def _look(self, *, at_once: bool = False) -> None:
        """Now and then looks at who is to stop, and tells people what has changed."""
        backend, orders = self._parts.backend, self._parts.orders
        if not orders.look(self._jobs, backend.cancel, at_once=at_once):
            return
        if backend.blocks and orders.ending:
            self._let_go()
        begun, reason = orders.begun(self._jobs), self._ending or self._reason() or ""
        if reason and not self.stopping and begun:
            self.say(f"No new trials: {reason}. {waiting(begun)}.")
        if begun != self.begun or reason != self.stopping:
            self.begun, self.stopping = begun, reason
            self.guarded(self._changed, "The bar")

    def _let_go(self) -> None:
        """Takes in what a launcher that blocks has let go of: its call is over, and so are its jobs on this machine."""
        until = time.monotonic() + _KILLED
        for job in self._jobs:
            while job.ticket.is_running() and time.monotonic() < until:
                time.sleep(_PAUSE)
            if not job.ticket.is_running() and job.ticket.may_run_on() is None:
                self._arrived.append((job, outcome_of(job.ticket)))
        self._tell_arrived()

    def _tell_arrived(self) -> None:
        while self._arrived:  # One by one: an interrupt in between must not lose the others.
            job, outcome = self._arrived.pop(0)
            self.running.pop(job.trial.number, None)
            self._tell(job, outcome)
