"""Ask, launch, collect, tell, until the budget is spent."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace

from hydra_plugins.neuropt_sweeper._batch import Backend, Job, outcome_of
from hydra_plugins.neuropt_sweeper._compose import Composer
from hydra_plugins.neuropt_sweeper._overrides import override
from hydra_plugins.neuropt_sweeper._space import Plan
from hydra_plugins.neuropt_sweeper._watch import Watch
from neuropt_core.advice import Advisor, Consultation, own_configuration
from neuropt_core.errors import ConfigError, StudyError
from neuropt_core.sinks.base import Scene, Sink
from neuropt_core.spending import Price, spent
from neuropt_core.study import Study
from neuropt_core.ticket import VARIABLE, Ticket
from neuropt_core.trial import Failure, Outcome, Proposal, Trial, TrialState

_log = logging.getLogger(__name__)
_ATTEMPTS = 3
"""How often a trial is launched that takes the sweeper with it, or whose sweeper was killed."""
_ALIKE = 3
"""A study whose first trials, this many, all die of the same thing is ended: the rest would too."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a loop works with; see each type."""

    study: Study
    advisor: Advisor
    backend: Backend
    composer: Composer
    plan: Plan
    sinks: Sequence[Sink]
    n_trials: int
    max_failures: float
    fixed: tuple[str, ...] = ()
    command: str = "python train.py"
    price: Price | None = None
    stop_requested: Callable[[], bool] = field(default=lambda: False)
    watch: Watch | None = None


class Loop:
    """Runs a study to its end, or to the first reason to stop."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._study = parts.study
        self._running: dict[int, Job] = {}
        self._dry = False

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
        while (reason := self._reason_to_stop()) is None:
            self._fill()
            self._collect()
        while self._running:
            self._collect()
        return self._reason_to_stop() or reason

    def scene(self) -> Scene:
        """Returns the study as the sinks see it."""
        parts = self._parts
        return Scene(
            spec=self._study.spec,
            trials=self._study.trials,
            n_trials=parts.n_trials,
            folder=parts.composer.sweep_dir,
            command=parts.command,
            overrides={t.number: self._overrides(t) for t in self._study.trials},
            advisor=parts.advisor.name,
            spent=spent(self._study.consulted, parts.price),
        )

    def cancel(self) -> None:
        """Ends the jobs that run on this machine; the same command launches their trials again."""
        for job in self._running.values():
            job.ticket.kill()

    def finish(self, reason: str) -> None:
        """Tells the sinks that this process launches no more trials."""
        self._tell_sinks(lambda sink, scene: sink.study_finished(scene, reason))

    def _overrides(self, trial: Trial) -> tuple[str, ...]:
        return (*self._parts.fixed, *self._parts.plan.of(trial.proposal))

    def _adopt(self) -> None:
        """Takes over trials that were asked before this process began, and have no outcome yet."""
        for trial in self._study.trials:
            if trial.outcome is not None:
                continue
            attempts = self._study.attempts(trial.number)
            ticket = self._ticket(trial, max(attempts - 1, 0))
            if ticket is None:  # Hydra refuses the configuration by now, and that was told.
                continue
            if attempts:
                while ticket.is_running():  # It outlived the sweeper that launched it; it must not run twice.
                    time.sleep(1)
                if host := ticket.may_run_on():
                    raise StudyError(
                        f"trial {trial.number}",
                        f"began on {host}, has left no result yet, and may still run there",
                        mend=f"Run the same command when it has ended, or delete {ticket.started_path} if it is dead.",
                    )
                # Under the basic launcher a job that kills its process kills the sweeper: it must not do so for ever.
                if ticket.result() is not None or attempts >= _ATTEMPTS:
                    self._tell(trial.number, outcome_of(ticket))
                    continue
            self._launch(trial)
        while self._running:
            self._collect()

    def _fill(self) -> None:
        """Asks for as many trials as there are free workers, the user's own configuration first of all."""
        study, parts = self._study, self._parts
        if not study.trials:
            self._ask([own_configuration(study.spec.space)])
        asked = len(study.trials)
        count = min(parts.backend.capacity - len(self._running), parts.n_trials - asked)
        if count <= 0:
            return
        advice = parts.advisor.propose(study.request(count=count, n_trials=parts.n_trials))
        for consultation in advice.consultations:
            # The transcript comes first: what the journal has and it lacks could never be replayed.
            self._show(consultation)
            study.consult(consultation)
        study.note(advice)
        if parts.stop_requested():  # Resumed, the study asks anew; what was said and paid for is kept.
            return
        self._ask(list(advice.proposals))
        self._dry = not advice.proposals and not self._running

    def _show(self, consultation: Consultation) -> None:
        self._tell_sinks(lambda sink, scene: sink.consulted(scene, consultation))

    def _ask(self, proposals: list[Proposal]) -> None:
        for proposal in proposals:
            trial = self._study.ask(proposal)
            self._tell_sinks(lambda sink, scene, t=trial: sink.trial_asked(scene, t))  # type: ignore[misc]
            self._launch(trial)

    def _launch(self, trial: Trial) -> None:
        ticket = self._ticket(trial, self._study.attempts(trial.number))
        if ticket is None:
            return
        if self._parts.watch is not None:
            ticket = replace(ticket, rule=self._parts.watch.rule_for(trial))
        ticket.write()
        self._study.launch(trial.number)
        path = override(f"hydra.job.env_set.{VARIABLE}", str(ticket.path), "++")
        job = Job(trial, ticket, (*self._overrides(trial), path))
        self._running[trial.number] = job
        self._parts.backend.submit(job)

    def _ticket(self, trial: Trial, attempt: int) -> Ticket | None:
        """Returns the ticket, or None after telling that Hydra refuses the configuration."""
        composer = self._parts.composer
        try:
            folder = composer.output_dir(composer.job(self._overrides(trial), trial.number))
        except ConfigError as error:
            if trial.number == 0:
                raise
            self._tell(trial.number, Outcome(TrialState.FAIL, failure=Failure("config", str(error))))
            return None
        ticket = Ticket(folder / "neuropt", trial.number, attempt)
        if ticket.path.exists() and (other := Ticket.read(ticket.path).number) != trial.number:
            raise ConfigError(
                "hydra.sweep.subdir",
                f"must give every job a folder of its own, got {folder} for trials {other} and {trial.number}",
                mend="Add ${hydra.job.num} to it.",
            )
        return ticket

    def _collect(self) -> None:
        watch = self._parts.watch
        with nullcontext() if watch is None else watch.watching(self._running.values()):
            ended = self._parts.backend.poll()
        for job, outcome in ended:
            del self._running[job.trial.number]
            self._tell(job.trial.number, outcome)
            if job.trial.number == 0 and outcome.state is TrialState.COMPLETE:
                self._check_readers(job.ticket)

    def _check_readers(self, ticket: Ticket) -> None:
        """Looks whether trial 0 read what is searched: hours of varying what nothing reads teach nothing.

        Raises:
            ConfigError: It did not call `neuropt_core.build`, though the space counts on it.
        """
        unread = self._parts.plan.unread(ticket.called())
        if "build" in unread:
            raise ConfigError(
                "trial 0",
                f"did not call neuropt_core.build, so nothing reads {', '.join(unread['build'])}",
                mend="Build the model with it (README, step 2), or set hydra.sweeper.introspect=false.",
            )
        for helper, names in unread.items():
            _log.warning("Trial 0 did not call tuning.%s, so nothing reads %s.", helper, ", ".join(names))

    def _tell(self, number: int, outcome: Outcome) -> None:
        trial = self._study.tell(number, outcome)
        self._tell_sinks(lambda sink, scene: sink.trial_told(scene, trial))
        if number == 0 and outcome.failure is not None and outcome.failure.kind == "no_number":
            raise ConfigError("trial 0", outcome.failure.message, mend="Return the score from the task function.")

    def _reason_to_stop(self) -> str | None:
        finished, parts = self._study.finished, self._parts
        failed = [t for t in finished if t.state is TrialState.FAIL]
        if len(finished) >= parts.n_trials:
            return f"all {parts.n_trials} trials are done"
        alike = {t.outcome.ended_because for t in finished if t.outcome is not None}
        if len(finished) == _ALIKE and len(alike) == 1 and all(alike):
            return f"the first {_ALIKE} trials all ended alike: {alike.pop()}"
        if len(failed) > parts.max_failures:
            return f"{len(failed)} trials failed, more than hydra.sweeper.max_failure_rate allows"
        if parts.stop_requested():
            return "it was interrupted"
        return "the advisor has nothing more to propose" if self._dry else None

    def _tell_sinks(self, event: Callable[[Sink, Scene], None]) -> None:
        scene = self.scene()
        for sink in self._parts.sinks:
            try:
                event(sink, scene)
            except Exception as error:  # noqa: BLE001 - a sink is a listener; the study must not fall with it
                _log.warning("%s: %s: %s", type(sink).__name__, type(error).__name__, error)
