"""Judges running trials by each other while the launcher blocks: their curves come in, their rules go out."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from hydra_plugins.neuropt_sweeper._backend import Job
from hydra_plugins.neuropt_sweeper._beside import beside
from hydra_plugins.neuropt_sweeper._logs import Logs
from neuropt_core.curve import Curve, Point
from neuropt_core.files import whole_lines
from neuropt_core.pruning import Pruning, make_rule, remark
from neuropt_core.spec import StudySpec
from neuropt_core.stopping import StopRule
from neuropt_core.ticket import Ticket
from neuropt_core.trial import Outcome, Trial

_log = logging.getLogger(__name__)
_SHARE = 0.05
"""The most of its time that the thread spends at work; with many jobs it looks less often."""


class Watch:
    """Gives each trial its rule at launch, and, where jobs run apart from the sweeper, newer ones while it runs.

    Nothing here can hurt the study: what goes wrong is logged once, and trials then run on under the rules they have.

    Attributes:
        logs: Where the curves of trials come from that report none.
    """

    def __init__(
        self,
        spec: StudySpec,
        trials: Callable[[], tuple[Trial, ...]],
        settings: Pruning,
        *,
        live: bool = True,
        every: float = 1.0,
        heard: Callable[[Trial, Curve], None] | None = None,
    ) -> None:
        """Starts nothing yet.

        Args:
            spec: What defines the study.
            trials: Returns the study's trials as they are.
            settings: When trials are stopped.
            live: Whether rules are refreshed; of no use where one job at a time runs in the sweeper's own process.
            every: Seconds from one look at the jobs to the next, at least.
            heard: Told, from a thread of its own, what a running trial has reported so far, whenever that has grown.
        """
        self._spec, self._trials, self._settings, self._every = spec, trials, settings, every
        self._heard, self.logs = heard, Logs()
        self._live = live and (settings.mode != "off" or heard is not None)
        self._complained = self._remarked = False

    def rule_for(self, trial: Trial) -> StopRule:
        """Returns the rule under which a trial is launched; the bare guard if none can be made."""
        try:
            trials = self._trials()
            if not self._remarked and (said := remark(self._spec, trials, self._settings)):
                self._remarked = True
                _log.warning("%s", said)
            return make_rule(self._spec, trials, self._settings, trial.number)
        except Exception as error:  # noqa: BLE001 - a trial without a rule is worth more than none
            self._complain(error)
            return StopRule(non_finite=self._settings.mode != "off")

    @contextmanager
    def watching(self, jobs: Iterable[Job]) -> Iterator[None]:
        """While entered, refreshes the rules of the jobs in a thread of its own."""
        running = [_Running(job, self.logs) for job in jobs] if self._live else []
        if not running:
            yield
            return
        with beside("neuropt-watch", lambda over: self._watch(running, over)):
            yield

    def _watch(self, running: list[_Running], over: threading.Event) -> None:
        pause = self._every
        while not over.wait(pause):
            began = time.monotonic()
            try:
                self._look(running)
            except Exception as error:  # noqa: BLE001 - the sweep must not fall with its listener
                self._complain(error)
            pause = max(self._every, (time.monotonic() - began) / _SHARE)

    def _look(self, running: list[_Running]) -> None:
        news = [job.look() for job in running]  # All of them, before any is judged.
        if not any(news):
            return
        if self._heard is not None:
            for job, new in zip(running, news, strict=True):
                if new and job.outcome is None:
                    self._heard(job.trial, job.curve)
        if self._settings.mode == "off":
            return
        ended = {job.trial.number: job.outcome for job in running if job.outcome is not None}
        trials = [replace(t, outcome=ended.get(t.number, t.outcome)) for t in self._trials()]
        curves = {job.trial.number: job.curve for job in running if job.outcome is None}
        for job in running:
            if job.outcome is None:
                job.hand(make_rule(self._spec, trials, self._settings, job.trial.number, curves))

    def _complain(self, error: Exception) -> None:
        if not self._complained:
            self._complained = True
            _log.warning("Pruning cannot judge running trials: %s: %s", type(error).__name__, error)


class _Running:
    """What is known of a job that may still run."""

    def __init__(self, job: Job, logs: Logs) -> None:
        self._logs = logs
        self.trial: Trial = job.trial
        self.outcome: Outcome | None = None
        self._ticket: Ticket = job.ticket
        self._rule = job.ticket.rule
        self._joining = job.ticket.joining(own=False)
        self._read = 0

    @property
    def curve(self) -> Curve:
        """What it has reported so far, or logged for itself if it reports nothing."""
        reported = self._joining.curve
        return reported if reported.points else self._logs.curve(self._ticket)

    def look(self) -> bool:
        """Reads what is new on the disk; tells whether anything was."""
        if self.outcome is not None:
            return False
        outcome = self._ticket.result()
        news = self._read_on()
        if not self._joining.curve.points:
            news |= self._logs.look(self._ticket)
        if outcome is not None:
            self.outcome = outcome if outcome.curve.points else replace(outcome, curve=self.curve)
        return news or outcome is not None

    def hand(self, rule: StopRule) -> None:
        """Refreshes the job's rule, if it differs from what the job has."""
        if rule != self._rule:
            self._ticket.refresh(rule)
            self._rule = rule

    def _read_on(self) -> bool:
        records, self._read = whole_lines(self._ticket.curve_path, self._read)
        for record in records:
            self._joining.add((self._ticket.attempt, record.get("start", 0)), Point.from_json(record))
        return bool(records)
