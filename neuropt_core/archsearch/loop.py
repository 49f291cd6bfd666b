"""Ask, train, tell, one trial after another in this process, until the budget is spent."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from neuropt_core.advice import Consultation
from neuropt_core.advisors.replicates import replicates
from neuropt_core.archsearch.parts import Parts
from neuropt_core.archsearch.running import Returned, completed, run_trial
from neuropt_core.asking import advised
from neuropt_core.assemble import importances
from neuropt_core.endings import all_alike, how_to_mend, settled
from neuropt_core.errors import ConfigError
from neuropt_core.faults import is_the_users
from neuropt_core.pruning import make_rule
from neuropt_core.sinks.base import PYTHON_COMMAND, Scene, Sink
from neuropt_core.spending import spent
from neuropt_core.stop_file import asked
from neuropt_core.ticket import Ticket
from neuropt_core.trial import Failure, Outcome, Proposal, Trial, TrialState

_log = logging.getLogger(__name__)
_ATTEMPTS = 3
"""How often a trial is begun that takes the process with it."""
_WEIGHED_EVERY = 10
_NAMED = 6
_HORIZON = 50
"""Of a search without an end, as many trials are planned with, and twice as many once they are done."""


class Loop:
    """Runs a study to the first reason to stop."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._study = parts, parts.study
        self._ended: list[int] = []
        self._began: dict[int, float | None] = {}
        self._importance: Mapping[str, float] = {}
        self._reported = {name for trial in self._study.finished for name in self._reports(trial.number)}
        self._stopping = ""

    @property
    def ended(self) -> tuple[Trial, ...]:
        """The trials that ended while this process watched."""
        return tuple(self._study.trials[number] for number in self._ended)

    def run(self) -> str:
        """Returns why it ended, in words.

        Raises:
            ConfigError: Trial 0 shows that `train_fn` and the study do not fit together.
            KeyboardInterrupt: The trial that runs was interrupted; it stays open.
        """
        study = self._study
        self._tell_sinks(lambda sink, scene: sink.study_started(scene))
        if study.consulted and study.consulted[-1].kind == "resumed":
            self._show(study.consulted[-1])
        self._take_over()
        while (reason := self._reason_to_stop()) is None:
            waiting = [trial for trial in study.trials if trial.outcome is None] or self._ask()
            if not waiting and not self._parts.interrupted():
                return "the advisor has nothing more to propose"
            if waiting and not self._parts.interrupted():
                self._run(waiting[0])
        return reason

    def finish(self, reason: str) -> None:
        """Tells the sinks that no more trials begin."""
        self._stopping = reason
        with suppress(KeyboardInterrupt):
            self._weigh()
        self._tell_sinks(lambda sink, scene: sink.study_finished(scene, reason))

    def scene(self) -> Scene:
        """Returns the study as the sinks see it."""
        study, parts = self._study, self._parts
        running = [time.monotonic() - at for at in self._began.values() if at is not None]
        return Scene(
            spec=study.spec,
            trials=study.trials,
            n_trials=self._n_trials,
            folder=parts.folder,
            command=PYTHON_COMMAND,
            overrides={t.number: shown(t.params) for t in study.trials},
            advisor=parts.advisor.name,
            spent=spent(study.consulted, parts.price),
            importance=self._importance,
            limits=parts.limits,
            used=parts.limits.used(study.seconds, study.trials, study.retried, running),
            running=dict(self._began),
            stopping=self._stopping,
            left_out=frozenset({t.number for t in study.trials} - {t.number for t in study.current}),
            consulted=study.consulted,
            rejected=study.rejected,
            config=study.config,
            folders={number: parts.folder / place for number, place in study.folders.items()},
        )

    @property
    def _n_trials(self) -> int:
        if self._parts.goal is not None:
            return self._parts.goal
        horizon = _HORIZON
        while horizon <= len(self._study.finished):
            horizon *= 2
        return horizon

    def _take_over(self) -> None:
        """Tells what came of trials that an earlier process left running; what it did not finish is run again."""
        study = self._study
        for trial in study.trials:
            number = trial.number
            if trial.outcome is None and study.in_flight(number):
                ticket = self._ticket(number, study.attempts(number) - 1)
                if ticket.result() is not None:
                    self._end(trial, ticket, completed(ticket))
                elif study.crashes(number) >= _ATTEMPTS:
                    message = f"the process ended {_ATTEMPTS} times while it ran, and it left no result"
                    lost = Outcome(TrialState.FAIL, curve=ticket.curve(), failure=Failure("lost", message))
                    self._end(trial, ticket, lost)

    def _ask(self) -> list[Trial]:
        """Asks for the next trials and journals them; none if the advisor has nothing more to propose."""
        study, parts = self._study, self._parts
        if not study.trials:
            return [self._asked(parts.subject.first())]
        if len(study.trials) == 1 and parts.again is not None:
            return [self._asked(parts.again)]
        left = self._n_trials - len(study.trials)
        again = replicates(study.request(count=1, n_trials=self._n_trials), parts.replicates)
        if again:
            return [self._asked(proposal) for proposal in again]
        count = min(parts.batch_size, left)
        advice = advised(study, parts.advisor, count=count, n_trials=self._n_trials, show=self._show)
        if parts.interrupted():
            return []
        return [self._asked(proposal) for proposal in advice.proposals]

    def _asked(self, proposal: Proposal) -> Trial:
        trial = self._study.ask(proposal)
        self._tell_sinks(lambda sink, scene: sink.trial_asked(scene, trial))
        return trial

    def _run(self, trial: Trial) -> None:
        study, parts, number = self._study, self._parts, trial.number
        now = study.ask_again(number)
        if now is None:
            message = "it had not ended when the study was changed, and no longer fits it"
            self._tell(number, Outcome(TrialState.FAIL, failure=Failure("config", message)))
            return
        ticket = replace(self._ticket(number, study.attempts(number)), rule=self._rule(now))
        _set_aside(ticket)
        ticket.write()
        study.launch(number, PurePath(ticket.folder.relative_to(parts.folder)), shown(now.params))
        self._began[number] = time.monotonic()
        used: set[str] = set()
        left: list[str] = []

        def train() -> Any:
            result = parts.train_fn(parts.subject.config(now.params, parts.device, used.add))
            left.extend(Returned.of(result).left)  # Within the trial, whose failure it is if that cannot be read.
            return result

        try:
            outcome = run_trial(ticket, train, parts.timeout, now.params)
        finally:
            self._began.pop(number)
        self._end(now, ticket, outcome)
        if number == 0 and outcome.state is TrialState.COMPLETE:
            for line in (*parts.subject.unread(used), *_not_kept(left)):
                parts.say(line)

    def _end(self, trial: Trial, ticket: Ticket, outcome: Outcome) -> None:
        """Tells what came of a trial.

        Raises:
            ConfigError: It shows that no trial can run; it is run again by the next search.
        """
        number, failure = trial.number, outcome.failure
        self._reported |= set(ticket.curve().metrics)
        if failure is not None:
            failure = settled(failure, 1, trial, self._study.trials) if failure.says_nothing else failure
            outcome = replace(outcome, failure=failure)
            if is_the_users(number, failure):
                self._study.retry(number, outcome)
                raise ConfigError(f"trial {number}", failure.message, mend=how_to_mend(failure))
        self._tell(number, outcome)

    def _tell(self, number: int, outcome: Outcome) -> None:
        trial = self._study.tell(number, outcome)
        self._ended.append(number)
        if len(self._study.finished) % _WEIGHED_EVERY == 0:
            self._weigh()
        self._tell_sinks(lambda sink, scene: sink.trial_told(scene, trial))

    def _ticket(self, number: int, attempt: int) -> Ticket:
        return Ticket(self._parts.folder / "trials" / str(number), number, attempt)

    def _reports(self, number: int) -> tuple[str, ...]:
        try:
            return self._ticket(number, self._study.attempts(number) - 1).curve().metrics
        except (OSError, ValueError, KeyError):  # Deleted or damaged since: then it judges nobody.
            return ()

    def _rule(self, trial: Trial) -> Any:
        """Returns when the trial is stopped, judged by what training reports: what is returned comes too late."""
        trials = [self._as_reported(t) for t in self._study.current]
        return make_rule(self._study.spec, trials, self._parts.pruning, trial.number)

    def _as_reported(self, trial: Trial) -> Trial:
        if trial.outcome is None:
            return trial
        curve = trial.outcome.curve
        kept = [(p, {n: v for n, v in p.metrics.items() if n in self._reported}) for p in curve.points]
        points = tuple(replace(point, metrics=metrics) for point, metrics in kept if metrics)
        return replace(trial, outcome=replace(trial.outcome, curve=replace(curve, points=points)))

    def _reason_to_stop(self) -> str | None:
        parts, study = self._parts, self._study
        finished = study.finished
        failed = sum(trial.state is TrialState.FAIL for trial in finished)
        if parts.goal is not None and len(finished) >= parts.goal:
            return f"{len(finished)} trials are done"
        if study.best is None and (alike := all_alike(self.ended)):
            return alike
        if parts.goal is not None and failed > parts.max_failure_rate * parts.goal:
            return f"{failed} trials failed, more than max_failure_rate={parts.max_failure_rate:g} allows"
        if parts.interrupted():
            return "it was interrupted"
        if (request := asked(parts.folder)) is not None:
            return request.words
        return parts.limits.reached(self.scene().used) or None

    def _weigh(self) -> None:
        try:
            self._importance = importances(self._study.spec, self._study.current)
        except Exception as error:  # noqa: BLE001 - it is shown and nothing depends on it
            _log.warning("The parameters' importance is not known: %s: %s", type(error).__name__, error)

    def _show(self, consultation: Consultation) -> None:
        self._tell_sinks(lambda sink, scene: sink.consulted(scene, consultation))

    def _tell_sinks(self, event: Callable[[Sink, Scene], None]) -> None:
        scene = self.scene()
        for sink in self._parts.sinks:
            try:
                event(sink, scene)
            except Exception as error:  # noqa: BLE001 - a sink must not hurt the study
                _log.warning("%s failed: %s: %s", type(sink).__name__, type(error).__name__, error)


def shown(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns a configuration as short texts, e.g. ``lr=0.001``."""
    return tuple(f"{name}={value}" for name, value in params.items())


def _not_kept(left: Sequence[str]) -> list[str]:
    """Returns what to say of what `train_fn` returned and nobody will see."""
    names = ", ".join(left[:_NAMED]) + (f" and {len(left) - _NAMED} more" if len(left) > _NAMED else "")
    rule = "only numbers, text and lists of numbers, under names that are text, are"
    return [f"Not kept of what train_fn returned: {names}; {rule}."] if left else []


def _set_aside(ticket: Ticket) -> None:
    """Moves away what lies in the place of a new trial, as after the journal was deleted: it would be taken for his."""
    if ticket.attempt == 0 and ticket.folder.exists():
        beside = ticket.folder.parent
        count = sum(1 for _ in beside.glob(f"{ticket.folder.name}-before-*"))
        ticket.folder.rename(beside / f"{ticket.folder.name}-before-{count + 1}")
