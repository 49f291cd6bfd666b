"""Replays studies on recorded curves in which a rule may stop a trial after each epoch."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Protocol

import optuna
from _curves import Task

from neuropt_core.advice import Advisor, Request, own_configuration
from neuropt_core.curve import Curve
from neuropt_core.pruning import Pruning, make_rule
from neuropt_core.spec import StudySpec
from neuropt_core.stopping import StopRule
from neuropt_core.trial import Failure, Outcome, Proposal, Trial, TrialState


class Judge(Protocol):
    """What is asked after each epoch."""

    def judge(self, curve: Curve) -> str | None:
        """Returns the reason to stop, or None to go on."""


Rule = Callable[[StudySpec, Sequence[Trial], int], Judge]
"""(study, trials so far, number of the trial that begins) -> who judges it."""


def ours(settings: Pruning) -> Rule:
    """Returns the sweeper's own rule under these settings."""
    return lambda spec, trials, number: make_rule(spec, trials, settings, number)


@dataclass(frozen=True, slots=True)
class _Optuna:
    """Optuna's own pruner, which sees what ended and the present curve; it spares trial 0, as the sweeper does."""

    pruner: optuna.pruners.BasePruner
    study: optuna.Study
    number: int

    def judge(self, curve: Curve) -> str | None:
        """Returns the reason to stop, or None to go on."""
        now = optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING, intermediate_values=_losses(curve))
        return type(self.pruner).__name__ if self.number and self.pruner.prune(self.study, now) else None


def optunas(pruner: optuna.pruners.BasePruner) -> Rule:
    """Returns one of Optuna's pruners as a rule."""

    def rule(spec: StudySpec, trials: Sequence[Trial], number: int) -> Judge:
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(direction=spec.direction)
        optuna.logging.set_verbosity(verbosity)
        for trial in trials:
            if trial.value is not None:
                study.add_trial(optuna.trial.create_trial(value=trial.value, intermediate_values=_losses(trial.curve)))
        return _Optuna(pruner, study, number)

    return rule


def _losses(curve: Curve) -> dict[int, float]:
    return dict(curve.series("val_loss"))


RULES: Mapping[str, Rule] = MappingProxyType({
    "none": lambda spec, trials, number: StopRule(non_finite=False),
    "guard": ours(Pruning(mode="guard")),
    "auto": ours(Pruning()),
    "percentile alone": ours(Pruning(chance=0.0)),
    "extrapolation alone": ours(Pruning(percentile=0.0)),
    "Optuna's median": optunas(optuna.pruners.MedianPruner(n_warmup_steps=2)),
})  # fmt: skip
"""``auto`` is the default of ``hydra.sweeper.pruning``; two warm-up steps are its grace, a fifth of the epochs."""


@dataclass(frozen=True, slots=True)
class Counted:
    """The numbers of a replayed study.

    Attributes:
        trials: How many there were.
        pruned: How many of them were stopped.
        epochs: How many were trained.
        regret: Normalised, of the best trial that ran to its end.
    """

    trials: int
    pruned: int
    epochs: int
    regret: float


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of a study.

    Attributes:
        trials: All trials, the last one perhaps cut off by the budget of epochs.
        epochs: How many were trained.
        regret: Normalised, of the best trial that ran to its end.
    """

    trials: tuple[Trial, ...]
    epochs: int
    regret: float

    @property
    def pruned(self) -> int:
        """How many trials were stopped."""
        return sum(trial.state is TrialState.PRUNED for trial in self.trials)

    def counted(self) -> Counted:
        """Returns the numbers alone."""
        return Counted(len(self.trials), self.pruned, self.epochs, self.regret)


def replay(
    task: Task, advisor: Advisor, rule: Rule, *, seed: int, n_trials: int, epochs: int | None = None
) -> Replayed:
    """Runs a study one trial after the other; trial 0 is the user's own configuration.

    Args:
        task: The recorded task.
        advisor: Proposes; it is told of stopped trials with the part of the curve that was trained.
        rule: Who may stop a trial.
        seed: Of the study.
        n_trials: The budget that the advisor knows.
        epochs: Where given, the study goes on until so many epochs were trained, however many trials these are; a
            trial that does not end within them has no score.
    """
    spec = StudySpec(task.name, task.space, seed=random.Random(f"{task.name}/{seed}").getrandbits(31))
    trials: list[Trial] = []
    spent = 0
    while len(trials) < n_trials if epochs is None else spent < epochs:
        number = len(trials)
        proposal = own_configuration(task.space) if number == 0 else _ask(advisor, spec, trials, n_trials)
        running = Trial(number, proposal)
        left = math.inf if epochs is None else epochs - spent
        outcome = train(task, proposal, rule(spec, (*trials, running), number), left)
        trials.append(replace(running, outcome=outcome))
        spent += len(outcome.curve)
    values = [(trial.value, trial.number) for trial in trials if trial.value is not None]
    best = trials[min(values)[1]]
    return Replayed(tuple(trials), spent, task.regret(best.params))


def _ask(advisor: Advisor, spec: StudySpec, trials: Sequence[Trial], n_trials: int) -> Proposal:
    request = Request(spec, tuple(trials), len(trials), 1, max(n_trials, len(trials) + 1))
    return advisor.propose(request).proposals[0]


def train(task: Task, proposal: Proposal, judge: Judge, epochs: float = math.inf) -> Outcome:
    """Plays a curve point by point, at most `epochs` of them, and returns what the study would be told."""
    whole = task.curve(proposal.params)
    for count in range(1, len(whole) + 1):
        curve = Curve(whole.points[:count])
        seconds = curve.points[-1].seconds
        reason = stops(judge, curve)
        if reason is not None and count < len(whole):
            return Outcome(TrialState.PRUNED, curve=curve, reason=reason, seconds=seconds)
        if count >= epochs and count < len(whole):
            return Outcome(TrialState.PRUNED, curve=curve, reason="The budget of epochs is spent.", seconds=seconds)
    score = task.scores[task.place(proposal.params)]
    if not math.isfinite(score):
        failure = Failure("non_finite", "the score is not finite")
        return Outcome(TrialState.FAIL, curve=whole, failure=failure, seconds=whole.points[-1].seconds)
    return Outcome(TrialState.COMPLETE, score, whole, seconds=whole.points[-1].seconds)


def stops(judge: Judge, curve: Curve) -> str | None:
    """Returns the reason to stop after the curve's last point, or None to go on."""
    return judge.judge(curve)
