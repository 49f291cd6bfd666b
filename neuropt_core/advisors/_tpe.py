"""What TPE is told of a study: Optuna's trials, kept in step with ours."""

from __future__ import annotations

import bisect
from collections.abc import Sequence

from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from neuropt_core.advisors._evidence import Evidence, Ledger
from neuropt_core.advisors._optuna import distributions, frozen
from neuropt_core.advisors.warm_start import WarmStart, shift, shifted
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Trial, TrialState

FAILED = "failed"
"""The name of the constraint that a trial without a score breaks."""


class TpeTrials:
    """The trials that TPE sees. What is new in a study is added; the rest is not touched unless a number moved.

    - A score is told as it is, the mean of several trials of one configuration once.
    - A failure is told as COMPLETE with the 90th percentile of the scores so far, and a broken constraint: TPE then
      takes it for bad wherever it stands among the scores. Told as FAIL it would be forgotten (measured: with a wall
      of out-of-memory, 28 of 40 trials failed so, and 10 with the constraint). Before the first score it is told as
      a trial that runs, which the sampler keeps away from.
    - A trial that was stopped is told as PRUNED with the last value of the metric that the score is. TPE puts those
      behind all scored ones, and among themselves by how far they got, then by that value.
    - What breaks a constraint of the study is told with it.
    """

    def __init__(self, spec: StudySpec, earlier: Sequence[Trial]) -> None:
        self.spec = spec
        self.earlier = earlier
        self.ledger = Ledger(spec)
        self.warm = WarmStart.of(spec, earlier)
        self._known = distributions(spec.space)
        self._begin()

    def _begin(self) -> None:
        self._numbers: list[int] = []
        self._told: list[FrozenTrial] = []
        self._failed: dict[int, FrozenTrial] = {}
        self._stopped: dict[int, tuple[Evidence, FrozenTrial]] = {}
        self._bad: tuple[float, ...] = ()
        self._metric: str | None = None
        self._pairs: dict[int, list[tuple[float, ...]]] = {}
        self._by: tuple[float, ...] | None = None
        self._old: list[FrozenTrial] = []

    def update(self, trials: Sequence[Trial]) -> None:
        """Takes in a study's trials; afterwards everything is a function of them, whatever was seen before."""
        anew, changed = self.ledger.update(trials)
        if anew:
            self._begin()
        for entry in changed:
            self._place(entry, self._trial(entry))
            self._pairs[entry.number] = self.warm.differences(entry, self.spec.space) if self.warm.entries else []
        self._settle_failures(changed)
        self._settle_stopped(changed)
        self._settle_earlier(trials)

    def view(self, trials: Sequence[Trial]) -> list[FrozenTrial]:
        """Returns all that is told, those that run at the end."""
        running = [t for t in trials if t.outcome is None and not self.spec.space.check(t.params)]
        return [*self._old, *self._told, *(self.running(t) for t in running)]

    def running(self, trial: Trial) -> FrozenTrial:
        """Returns a trial that runs."""
        return frozen(trial.number, trial.params, self._known)

    @property
    def earlier_told(self) -> tuple[Evidence, ...]:
        """The earlier study's entries with their scores shifted; empty while the shift is not known."""
        by = self._by
        return () if by is None else tuple(shifted(e, by) for e in self.warm.entries)

    def _trial(self, entry: Evidence) -> FrozenTrial:
        broken = {str(c): m for c, m in zip(self.spec.constraints, entry.margins, strict=True)}
        state, values = OptunaState.COMPLETE, entry.values or None
        if entry.state is TrialState.PRUNED:
            state = OptunaState.PRUNED
        elif entry.state is TrialState.FAIL:
            state, broken = OptunaState.RUNNING, {**broken, FAILED: 1.0}
        return frozen(entry.number, entry.params, self._known, state, values, broken)

    def _place(self, entry: Evidence, trial: FrozenTrial) -> None:
        at = bisect.bisect_left(self._numbers, entry.number)
        if at < len(self._numbers) and self._numbers[at] == entry.number:
            self._told[at] = trial
        else:
            self._numbers.insert(at, entry.number)
            self._told.insert(at, trial)
        self._failed.pop(entry.number, None)
        self._stopped.pop(entry.number, None)
        if entry.state is TrialState.FAIL:
            self._failed[entry.number] = trial
        elif entry.state is TrialState.PRUNED:
            self._stopped[entry.number] = entry, trial

    def _settle_failures(self, changed: Sequence[Evidence]) -> None:
        bad = self.ledger.bad
        if bad != self._bad:
            self._bad = bad
            touched = list(self._failed.values())
        else:
            touched = [self._failed[e.number] for e in changed if e.number in self._failed]
        for trial in touched:
            _tell_failure(trial, bad)

    def _settle_stopped(self, changed: Sequence[Evidence]) -> None:
        # Optuna reads intermediate values of a study with one objective alone.
        if not self._stopped or len(self.spec.directions) > 1:
            return
        metric = self.ledger.metric()
        if metric != self._metric:
            self._metric = metric
            touched = list(self._stopped.values())
        else:
            touched = [self._stopped[e.number] for e in changed if e.number in self._stopped]
        for entry, trial in touched:
            # TPE reads the last one alone, so the others need not be copied.
            trial.intermediate_values = dict(entry.trial.curve.series(metric)[-1:]) if metric else {}

    def _settle_earlier(self, trials: Sequence[Trial]) -> None:
        if not self.warm.entries:
            return
        baseline = trials[0].values if trials and trials[0].number == 0 else ()
        by = shift((p for n in sorted(self._pairs) for p in self._pairs[n]), self.warm.baseline, baseline)
        if by != self._by:
            self._by = by
            self._old = [self._trial(entry) for entry in self.earlier_told]
        for trial in self._old:
            if FAILED in trial.constraints:
                _tell_failure(trial, self._bad)


def _tell_failure(trial: FrozenTrial, bad: tuple[float, ...]) -> None:
    trial.state = OptunaState.COMPLETE if bad else OptunaState.RUNNING
    trial.values = list(bad) or None
