"""Ask, launch, collect, tell, until the budget is spent."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

from hydra_plugins.neuropt_sweeper._backend import Job, outcome_of
from hydra_plugins.neuropt_sweeper._begin import check_reported
from hydra_plugins.neuropt_sweeper._flight import Flight
from hydra_plugins.neuropt_sweeper._knowledge import queued
from hydra_plugins.neuropt_sweeper._logs import Logs
from hydra_plugins.neuropt_sweeper._orders import as_ordered
from hydra_plugins.neuropt_sweeper._overrides import override
from hydra_plugins.neuropt_sweeper._parts import Parts
from hydra_plugins.neuropt_sweeper._reasons import Reasons
from hydra_plugins.neuropt_sweeper._scene import scene_of
from hydra_plugins.neuropt_sweeper._tickets import kept_as, last_ticket, new_ticket
from hydra_plugins.neuropt_sweeper._warn import warn
from neuropt_core.advice import Consultation, own_configuration
from neuropt_core.advisors.replicates import owed, replicates
from neuropt_core.asking import advised
from neuropt_core.budget import Used, spoken
from neuropt_core.endings import discreet, how_to_mend, settled
from neuropt_core.errors import ConfigError, StudyError
from neuropt_core.faults import ends_at_once, faults, is_own, is_the_users, relaunched
from neuropt_core.sinks.base import Scene, Sink
from neuropt_core.ticket import VARIABLE
from neuropt_core.tracking import RunNote
from neuropt_core.trial import Failure, Outcome, Proposal, Trial, TrialState

_log = logging.getLogger(__name__)
_ATTEMPTS = 3
"""How often a trial is launched that takes the sweeper with it, or whose sweeper was killed."""
_WEIGHED_EVERY = 10
"""Ended trials between two reckonings of the parameters' importance."""


class Loop:
    """Runs a study to its end, or to the first reason to stop."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._study = parts.study
        self._flight = Flight(parts, self._end, self._reason_to_stop, lambda: parts.refresh(self.scene()))
        self._running, self._again = self._flight.running, self._flight.again
        self._reasons = Reasons(parts)
        self._logs = Logs() if parts.watch is None else parts.watch.logs
        self._ended: list[int] = []
        self._dry = False
        self._importance: Mapping[str, float] = {}

    def run(self) -> str:
        """Returns why it ended, in words.

        Raises:
            StudyError: A trial that was left running may still run on another machine.
            ConfigError: Trial 0 shows that the script and the study do not fit together.
        """
        self._tell_sinks(lambda sink, scene: sink.study_started(scene))
        if self._study.consulted and self._study.consulted[-1].kind == "resumed":
            self._show(self._study.consulted[-1])  # Written by the study itself, before there was a sink.
        self._adopt()
        check_reported(self._study.spec, self._study.current)
        while (reason := self._reason_to_stop()) is None:
            self._fill()
            self._flight.collect()
        self._flight.drain()
        return self._reason_to_stop() or reason

    def scene(self) -> Scene:
        """Returns the study as the sinks see it."""
        return scene_of(self._parts, self._flight, self._importance, self._relaunched(), self._used())

    @property
    def ended(self) -> tuple[Trial, ...]:
        """The trials that ended while this process watched, in the order in which they did."""
        return tuple(self._study.trials[number] for number in self._ended)

    def end(self, why: str, grace: float) -> None:
        """Ends the trials that run, which stay open for the next sweeper; see `Flight.end`."""
        self._flight.end(why, grace)

    def finish(self, reason: str) -> None:
        """Tells the sinks that this process launches no more trials; an interrupt only skips what takes its time."""
        with suppress(KeyboardInterrupt):
            self._weigh()
        self._tell_sinks(lambda sink, scene: sink.study_finished(scene, reason), skip=(Exception, KeyboardInterrupt))

    def _overrides(self, trial: Trial) -> tuple[str, ...]:
        return self._parts.plan.line(self._parts.fixed, trial.proposal)

    def _adopt(self) -> None:
        """Takes over trials that were asked before this process began, and have no outcome yet."""
        for trial in self._study.trials:
            if trial.outcome is None and not (self._study.in_flight(trial.number) and self._take_over(trial)):
                self._again.append(trial)

    def _take_over(self, trial: Trial) -> bool:
        """Tells whether a trial's last attempt has ended or may still run, so that it is not launched again.

        Raises:
            StudyError: It may still run on another machine.
        """
        study, number = self._study, trial.number
        overrides = self._overrides(trial)
        try:
            ticket = last_ticket(self._parts.composer, study, trial, overrides)
        except ConfigError as error:
            self._refused(trial, error)
            return True
        job = Job(trial, ticket, overrides)
        if ticket.result() is None:
            if self._parts.backend.reattach(job, study.handle(number)):
                self._running[number] = job  # It outlived its sweeper; it must not run twice.
                return True
            if host := ticket.may_run_on():
                mend = f"Run the same command when it has ended, or delete {ticket.started_path} if it is dead."
                rule = f"began on {host}, has left no result yet, and may still run there"
                raise StudyError(f"trial {number}", rule, mend=mend)
        # It may have ended meanwhile. In the sweeper's own process a job that kills it kills the sweeper: it must not
        # do so for ever; one that did not begin has killed nobody.
        began = [a for a in range(study.attempts(number)) if replace(ticket, attempt=a).started_path.exists()]
        if ticket.result() is None and min(len(began), study.crashes(number)) < _ATTEMPTS:
            return False
        self._end(job, outcome_of(ticket))
        return True

    def _launch_again(self, trial: Trial) -> None:
        now = self._study.ask_again(trial.number)
        if now is not None:
            self._launch(now)
            return
        message = "it had not ended when the study was changed (hydra.sweeper.resume=force), and no longer fits it"
        self._tell(trial.number, Outcome(TrialState.FAIL, failure=Failure("config", message)))

    def _fill(self) -> None:
        """Asks for as many trials as there are free workers, the user's own configuration first of all."""
        study, parts = self._study, self._parts
        known = len(study.trials)
        # What was asked under a larger budget stays open, and waits for it.
        while len(self._running) < self._flight.places and (trial := self._again.take()) is not None:
            self._launch_again(trial)
        if not study.has_own and (self._free() > 0 or not study.trials):
            self._ask([own_configuration(study.spec.space)])
        # What the user listed comes right after trial 0.
        self._ask(list(queued(parts.enqueue, study.current)[: max(0, self._free())]))
        self._repeat()
        if (free := self._free()) > 0:
            # Each proposal is to be run `seeds` times, and the runs behind it are filled in below.
            count = -(-free // parts.rules.seeds)
            advice = advised(study, parts.advisor, count=count, n_trials=parts.n_trials, show=self._show)
            if parts.stop_requested():  # Resumed, the study asks anew; what was said and paid for is kept.
                return
            self._ask(list(advice.proposals))
            self._repeat()
        self._dry = len(study.trials) == known and not self._running and not len(self._again)

    def _free(self) -> int:
        left = self._parts.n_trials - len(self._study.trials)
        # A trial that waits to be launched again keeps its place: whatever else began there would fail alike.
        return min(self._parts.backend.capacity - len(self._running) - len(self._again), left)

    def _repeat(self) -> None:
        """Asks for the runs that configurations are owed, each by `seeds` or the best ones by the reserve."""
        study, parts = self._study, self._parts
        if parts.rules.seeds > 1:
            self._ask(list(owed(study.current, parts.rules.seeds, self._free())))
        elif (free := self._free()) > 0:
            self._ask(list(replicates(study.request(count=free, n_trials=parts.n_trials), parts.rules.replicates)))

    def _show(self, consultation: Consultation) -> None:
        self._tell_sinks(lambda sink, scene: sink.consulted(scene, consultation))

    def _ask(self, proposals: list[Proposal]) -> None:
        for proposal in proposals:
            trial = self._study.ask(self._parts.plan.seeded(proposal, self._study.trials))
            self._tell_sinks(lambda sink, scene, t=trial: sink.trial_asked(scene, t))  # type: ignore[misc]
            self._launch(trial)

    def _launch(self, trial: Trial) -> None:
        overrides, composer = self._overrides(trial), self._parts.composer
        try:
            folder = composer.output_dir(composer.job(overrides, trial.number))
        except ConfigError as error:
            return self._refused(trial, error)
        ticket = new_ticket(folder, composer.sweep_dir, self._study, trial)
        if self._parts.watch is not None:
            ticket = replace(ticket, rule=self._parts.watch.rule_for(trial))
        ticket = replace(ticket, note=self._note(trial))
        ticket.write()
        kept = kept_as(composer.sweep_dir, ticket.folder)
        self._study.launch(trial.number, kept, self._parts.shown(trial.proposal))
        path = override(f"hydra.job.env_set.{VARIABLE}", str(ticket.path), "++")
        job = Job(trial, ticket, (*overrides, path))
        handle = self._parts.backend.submit(job)
        self._running[trial.number] = job  # Only now: of one whose submission is interrupted no backend tells the end.
        if handle:
            self._study.submitted(trial.number, {**handle, "backend": self._parts.backend.name})

    def _note(self, trial: Trial) -> RunNote | None:
        note: list[RunNote | None] = [None]
        self._flight.guarded(lambda: note.append(self._parts.note(self.scene(), trial)), "the trial's note for W&B")
        return note[-1]

    def _refused(self, trial: Trial, error: ConfigError) -> None:
        """Tells that Hydra refuses a configuration, but for the user's own, which is theirs to mend."""
        if trial.number == 0:
            raise error
        outcome = Outcome(TrialState.FAIL, failure=Failure("config", str(error)))
        self._tell(trial.number, discreet(outcome, self._parts.composer.secrets))

    def _end(self, job: Job, outcome: Outcome) -> None:
        """Tells what came of a trial, or launches it again if a machine was at fault.

        Raises:
            ConfigError: It shows that no trial can run; it is launched again by the next sweeper.
        """
        outcome = self._logs.completed(job.ticket, as_ordered(job.ticket, outcome))
        outcome = discreet(outcome, self._parts.composer.secrets)
        study, number, failure = self._study, job.trial.number, outcome.failure
        if failure is not None and is_own(failure):
            study.retry(number, outcome)  # The sweep ends, or did: the trial is open for whoever goes on.
            self._again.append(job.trial)
            return
        tries = faults(number, study.retried.get(number, ())) + 1
        again = failure is not None and failure.says_nothing and not ends_at_once(number, failure)
        if failure is not None and again and tries <= self._parts.rules.retries:
            study.retry(number, outcome)
            if self._reason_to_stop() is None:
                # What no trial could import yet is the user's to mend, who should hear of it soon.
                at_once = failure.kind == "preempted" or (failure.kind == "import_error" and study.best is None)
                pause = 0.0 if at_once else self._parts.rules.pause_before(tries)
                self._again.append(job.trial, pause)
                when = f"in {spoken(pause)} " if pause else ""
                self._flight.say(
                    f"Trial {number} is launched again {when}({tries}/{self._parts.rules.retries}): {failure.words}"
                )
            return
        if failure is not None:
            failure = settled(failure, tries, job.trial, study.trials) if failure.says_nothing else failure
            outcome = replace(outcome, failure=failure)
            if is_the_users(number, failure):
                study.retry(number, outcome)  # It stays open until this is mended.
                raise ConfigError(f"trial {number}", failure.message, mend=how_to_mend(failure))
        self._tell(number, outcome)
        if number == 0 and outcome.state is TrialState.COMPLETE:
            for warning in self._parts.plan.unread_warnings(job.ticket.called()):
                warn(_log, "%s", warning)

    def _tell(self, number: int, outcome: Outcome) -> None:
        trial = self._study.tell(number, outcome)
        self._ended.append(number)
        if len(self._study.finished) % _WEIGHED_EVERY == 0:
            self._weigh()
        self._tell_sinks(lambda sink, scene: sink.trial_told(scene, trial))
        check_reported(self._study.spec, self._study.current)

    def _weigh(self) -> None:
        """Reckons anew how much each parameter matters; seldom, since it takes a while."""
        try:
            self._importance = self._parts.importances(self._study.spec, self._study.current)
        except Exception as error:  # noqa: BLE001 - it is shown and nothing depends on it
            warn(_log, "The parameters' importance is not known: %s: %s", type(error).__name__, error)

    def _relaunched(self) -> Mapping[int, int]:
        return relaunched(self._study.retried, self._study.trials, self._study.in_flight)

    def _used(self) -> Used:
        now, study = time.monotonic(), self._study
        running = [max(0.0, now - at) for at in self._flight.begun.values() if at is not None]
        return self._parts.rules.limits.used(study.seconds, study.trials, study.retried, running)

    def _reason_to_stop(self) -> str | None:
        return self._reasons.to_stop(self.ended, self._used(), self._dry)

    def _tell_sinks(
        self, event: Callable[[Sink, Scene], None], skip: tuple[type[BaseException], ...] = (Exception,)
    ) -> None:
        scene = self.scene()
        for sink in self._parts.sinks:
            self._flight.guarded(lambda sink=sink: event(sink, scene), type(sink).__name__, skip)  # type: ignore[misc]
