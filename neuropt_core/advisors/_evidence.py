"""What a surrogate learns from: one entry for each configuration that was tried, kept up with a study that grows."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from neuropt_core.advisors._tried import Tried, key_of
from neuropt_core.objectives import Constraint, losses
from neuropt_core.space import Value
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Trial, TrialState

_LOOKED_AT = 20
"""Scored trials that are asked which of their metrics the score is: jobs of one study report alike."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What came of one configuration, of all its trials together.

    Attributes:
        number: The number of its first trial that says something.
        params: The configuration.
        state: COMPLETE if any of its trials has a score, else PRUNED if one was stopped, else FAIL.
        values: The mean of each objective over its scored trials; empty unless COMPLETE.
        margins: By how much each constraint of the study is broken, in shares of its bound (negative: kept).
        trial: The trial whose curve stands for it: the one that got furthest.
    """

    number: int
    params: Mapping[str, Value]
    state: TrialState
    values: tuple[float, ...]
    margins: tuple[float, ...]
    trial: Trial


def evidence(trials: Sequence[Trial], constraints: Sequence[Constraint]) -> Evidence:
    """Returns what the trials of one configuration came to; each of them teaches, and there is at least one.

    The mean is taken over the trials that have a score: with another seed the same configuration scores a little
    differently, and a surrogate that is told each of them would count one place several times.
    """
    scored = [t for t in trials if t.value is not None]
    stopped = [t for t in trials if t.state is TrialState.PRUNED]
    kept = scored or stopped or list(trials)
    values = tuple(fmean(column) for column in zip(*(t.values for t in scored), strict=True))
    failed = not scored and not stopped
    columns = zip(*(_margins(t, constraints, unknown=0.0 if failed else 1.0) for t in kept), strict=True)
    furthest = max(kept, key=lambda t: (len(t.curve), -t.number))
    state = TrialState.COMPLETE if scored else TrialState.PRUNED if stopped else TrialState.FAIL
    number = min(t.number for t in trials)
    return Evidence(number, trials[0].params, state, values, tuple(map(fmean, columns)), furthest)


def _margins(trial: Trial, constraints: Sequence[Constraint], unknown: float) -> list[float]:
    found = []
    for constraint in constraints:
        series = trial.curve.series(constraint.metric)
        value = series[-1][1] if series else math.nan
        share = (value - constraint.bound) / (abs(constraint.bound) or 1.0)
        share = share if constraint.at_most else -share
        # A value without end is as good, or as bad, as a whole bound; one that is not known, as the caller says.
        found.append(share if math.isfinite(share) else unknown if math.isnan(share) else math.copysign(1.0, share))
    return found


def score_metric(scored: Iterable[Evidence]) -> str | None:
    """Returns the reported metric that the score is (its last, least or greatest value), or None if none is.

    The metric that fits most of the trials wins, the first reported of equals.
    """
    hits: dict[str, int] = {}
    for entry in scored:
        trial = entry.trial
        for name in trial.curve.metrics:
            series = [value for _, value in trial.curve.series(name)]
            if any(math.isclose(trial.values[0], v, rel_tol=1e-6) for v in (series[-1], min(series), max(series))):
                hits[name] = hits.get(name, 0) + 1
    return max(hits, key=lambda name: hits[name]) if hits else None


class Ledger:
    """The evidence of a study, kept up: what is new is added, and anything but growth makes it begin anew.

    It holds no more than a function of (spec, trials) would return: `update` with the same trials leaves the same
    entries, whatever was seen before.
    """

    def __init__(self, spec: StudySpec) -> None:
        self._spec = spec
        self._clear()

    def _clear(self) -> None:
        self._seen: dict[int, Trial] = {}
        self._alike: dict[object, list[Trial]] = {}
        self._columns: list[list[float]] = [[] for _ in self._spec.directions]
        self._best: tuple[tuple[float, float, int], Trial] | None = None
        self.entries: dict[int, Evidence] = {}
        self.tried = Tried(self._spec.space)

    def update(self, trials: Sequence[Trial]) -> tuple[bool, list[Evidence]]:
        """Takes in a study's trials; returns whether it began anew, and the entries that are new or have changed."""
        told = [t for t in trials if t.outcome is not None]
        seen = self._seen
        fresh = [t for t in told if seen.get(t.number) is not t]
        anew = len(told) != len(seen) + len(fresh) or any(t.number in seen or self._comes_before(t) for t in fresh)
        if anew:
            self._clear()
            fresh = told
        changed: dict[int, Evidence] = {}
        for trial in fresh:
            entry = self._add(trial)
            if entry is not None:
                changed[entry.number] = entry
        return anew, list(changed.values())

    def _comes_before(self, trial: Trial) -> bool:
        group = self._alike.get(key_of(trial.params), ())
        return bool(group) and trial.number < min(t.number for t in group)

    def _add(self, trial: Trial) -> Evidence | None:
        self._seen[trial.number] = trial
        self.tried.add(trial.params)
        self._rank(trial)
        # The user's own configuration may lie outside the space, or lack a parameter: no surrogate can hold that.
        if not trial.teaches or self._spec.space.check(trial.params):
            return None
        group = self._alike.setdefault(key_of(trial.params), [])
        group.append(trial)
        group.sort(key=lambda t: t.number)
        entry = evidence(group, self._spec.constraints)
        before = self.entries.get(entry.number)
        self.entries[entry.number] = entry
        for d, column in enumerate(self._columns):
            if before is not None and before.values:
                column.pop(bisect.bisect_left(column, before.values[d]))
            if entry.values:
                bisect.insort(column, entry.values[d])
        return entry

    def _rank(self, trial: Trial) -> None:
        point = losses(trial, self._spec.directions)
        if point is None:
            return
        broken = sum(c.violation(trial) / (abs(c.bound) or 1.0) for c in self._spec.constraints)
        place = (broken, point[0], trial.number)
        if self._best is None or place < self._best[0]:
            self._best = (place, trial)

    @property
    def best(self) -> Trial | None:
        """The best trial, as `objectives.order` has it with one objective; of several, the best in the first."""
        return None if self._best is None else self._best[1]

    @property
    def scored(self) -> int:
        """How many configurations have a score."""
        return len(self._columns[0])

    @property
    def bad(self) -> tuple[float, ...]:
        """The 90th percentile of badness of the scores so far, for each objective; empty before the first score."""
        if not self.scored:
            return ()
        sides = zip(self._columns, self._spec.directions, strict=True)
        return tuple(quantile(column, 0.9 if d == "minimize" else 0.1) for column, d in sides)

    @property
    def middle(self) -> tuple[float, ...]:
        """The median score, for each objective; empty before the first score."""
        return tuple(quantile(column, 0.5) for column in self._columns) if self.scored else ()

    def in_order(self) -> list[Evidence]:
        """Returns all entries by number."""
        return [self.entries[number] for number in sorted(self.entries)]

    def metric(self) -> str | None:
        """Returns the metric that the score is, as the first scored trials show it."""
        scored = [entry for entry in self.in_order() if entry.values][:_LOOKED_AT]
        return score_metric(scored)


def quantile(ordered: Sequence[float], share: float) -> float:
    """Returns a quantile of sorted numbers, linear between neighbours (`statistics.quantiles`, inclusive)."""
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    if place == below:  # Else a difference that is too great for a float would make it nan.
        return ordered[below]
    return ordered[below] + (place - below) * (ordered[below + 1] - ordered[below])


def estimate(entry: Evidence, peers: Iterable[Evidence], metric: str, direction: str) -> float | None:
    """Returns what score a trial that was stopped would have had, or None where nothing compares with it.

    That is its last value of `metric` plus the median of what `peers`, which ran on, gained from that step to their
    score. It is no better than their median score: a trial that was stopped had been found wanting.
    """
    series = dict(entry.trial.curve.series(metric))
    finite = [step for step, value in series.items() if math.isfinite(value)]
    if not finite:
        return None
    step = max(finite)
    there = [(e.values[0], dict(e.trial.curve.series(metric)).get(step)) for e in peers if e.values]
    gains = [score - value for score, value in there if value is not None and math.isfinite(value)]
    if not gains:
        return None
    middle = median(score for score, _ in there)
    worse = max if direction == "minimize" else min
    return worse(series[step] + median(gains), middle)
