"""Which configuration to take at the end, when scores are noisy: the best posterior mean, and which are as good."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from neuropt_core.objectives import order
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Trial, TrialState

_SURELY = 2.0
"""A configuration that was run once is put before the repeated ones only if it leads by so many standard errors."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One configuration and what is known of its score.

    Attributes:
        runs: Its trials that have a score, the earliest first; at least one.
        mean: The posterior mean of its score, of several objectives of the first; with no noise known, the score.
        sd: The posterior standard deviation; None where the noise is not known.
        failed: How many of its trials ended without a score.
        running: How many still run.
    """

    runs: tuple[Trial, ...]
    mean: float
    sd: float | None = None
    failed: int = 0
    running: int = 0

    @property
    def trial(self) -> Trial:
        """The first of its trials that has a score, by which it is named."""
        return self.runs[0]

    def error(self, other: Standing) -> float:
        """Returns the standard error of the difference to another one; 0 where the noise is not known."""
        return math.hypot(self.sd or 0.0, other.sd or 0.0)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What to take.

    Attributes:
        trial: The first trial of the recommended configuration.
        mean: The posterior mean of its score.
        sd: Its posterior standard deviation; None where the noise is not known.
        n: How many of its runs have a score.
        ties: The first trials of the configurations that are as good, as far as can be told.
        noise: The standard deviation between runs of one configuration; None where none was run twice.
        words: One sentence without a full stop.
    """

    trial: Trial
    mean: float
    sd: float | None
    n: int
    ties: tuple[Trial, ...]
    noise: float | None
    words: str


def configurations(trials: Iterable[Trial]) -> tuple[tuple[Trial, ...], ...]:
    """Returns the trials grouped by configuration: alike are those of equal parameters, of equal types."""
    groups: dict[tuple[tuple[str, str, object], ...], list[Trial]] = {}
    for trial in trials:
        key = tuple(sorted((name, type(value).__name__, value) for name, value in trial.params.items()))
        groups.setdefault(key, []).append(trial)
    return tuple(map(tuple, groups.values()))


def noise(trials: Iterable[Trial]) -> float | None:
    """Returns the standard deviation between runs of one configuration; None if none has two scores.

    Pooled over the configurations: the root of the sum of squares around each one's own mean, over the sum of n - 1.
    """
    groups = [[t.value for t in group if t.value is not None] for group in configurations(trials)]
    repeated = [values for values in groups if len(values) > 1]
    if not repeated:
        return None
    scale = max(abs(v) for values in repeated for v in values) or 1.0  # Squares of huge scores would overflow.
    # Equal scores are left out, since rounding would give them a spread that no run has.
    unequal = [values for values in repeated if min(values) != max(values)]
    squares = math.fsum((v / scale - _mean(values, scale)) ** 2 for values in unequal for v in values)
    return scale * math.sqrt(squares / sum(len(values) - 1 for values in repeated))


def standings(spec: StudySpec, trials: Sequence[Trial]) -> tuple[Standing, ...]:
    """Returns the configurations that have a score, best first.

    The posterior mean is that of a normal mean with known variance s^2 under a normal prior with mean m and variance
    t^2: (m / t^2 + n y / s^2) / (1 / t^2 + n / s^2), with variance 1 / (1 / t^2 + n / s^2), where y is the mean of the
    n runs (Gelman et al. 2013, Bayesian Data Analysis, 3rd ed., section 2.5). s is `noise`; m and t^2 are
    the mean and the variance of the better half of the configurations' means, not freed from noise, which would make
    t^2 zero, and all configurations equal, whenever chance alone could explain their spread. It shrinks what was run
    once towards the others, so that luck does not win. The worse half is not of that prior and keeps its means.

    With several objectives, or without noise, the order is that of `StudySpec.ranked`. Configurations of which a run
    breaks a constraint come last.
    """
    found = []
    for group in configurations(trials):
        runs = tuple(t for t in group if t.value is not None)
        failed = sum(t.state in (TrialState.FAIL, TrialState.PRUNED) and t.teaches for t in group)
        if runs:
            values = [t.value for t in runs if t.value is not None]
            scale = max(map(abs, values)) or 1.0
            mean = values[0] if min(values) == max(values) else scale * _mean(values, scale)
            found.append(Standing(runs, mean, None, failed, sum(t.outcome is None for t in group)))
    spread = noise(trials)
    ranks = {t.number: i for i, t in enumerate(order([s.trial for s in found], spec.directions, spec.constraints))}
    if spec.further or spread is None:
        return tuple(sorted(found, key=lambda s: ranks[s.trial.number]))
    sign = 1 if spec.direction == "minimize" else -1
    shrunk = _shrunk(sorted(found, key=lambda s: sign * s.mean), spread)
    feasible = {s.trial.number: all(map(spec.feasible, s.runs)) for s in shrunk}
    return tuple(
        sorted(
            shrunk,
            key=lambda s: (
                (0, sign * s.mean, s.trial.number)
                if feasible[s.trial.number]
                else (1, ranks[s.trial.number], s.trial.number)
            ),
        )
    )


def recommendation(spec: StudySpec, trials: Sequence[Trial]) -> Recommendation | None:
    """Returns what to take; None before the first score.

    The best posterior mean among the configurations that were run more than once; where there are none, the best
    score. A single run is taken before repeated ones only if it leads them by two standard errors of the difference.
    """
    found = standings(spec, trials)
    if not found:
        return None
    if spec.further:
        best = found[0]
        return Recommendation(best.trial, best.mean, None, len(best.runs), (), None, _run(best))
    spread = noise(trials)
    repeated = [s for s in found if len(s.runs) > 1 and all(map(spec.feasible, s.runs))]
    best = found[0]
    if repeated and spread is not None and len(best.runs) == 1:
        lead = abs(repeated[0].mean - best.mean)
        best = best if lead > _SURELY * best.error(repeated[0]) else repeated[0]
    ties = () if spread is None else tuple(s.trial for s in found if s is not best and _tied(spec, s, best))
    return Recommendation(best.trial, best.mean, best.sd, len(best.runs), ties, spread, _words(best, ties, spread))


def _tied(spec: StudySpec, one: Standing, best: Standing) -> bool:
    behind = one.mean - best.mean if spec.direction == "minimize" else best.mean - one.mean
    return all(map(spec.feasible, one.runs)) and behind <= one.error(best)


def _shrunk(found: Sequence[Standing], spread: float) -> list[Standing]:
    """Returns the configurations, given best first, with their posterior means."""
    half = max(2, math.ceil(len(found) / 2))
    better = [s.mean for s in found[:half]]
    scale = max((abs(s.mean) for s in found), default=0.0) or 1.0
    middle, own = _mean(better, scale), (spread / scale) ** 2
    between = math.fsum((v / scale - middle) ** 2 for v in better) / max(1, len(better) - 1)
    shrunk = []
    for place, s in enumerate(found):
        n, mean, sd = len(s.runs), s.mean, spread / math.sqrt(len(s.runs))
        if place < half and between and own:
            weight = n / own + 1 / between
            mean, sd = scale * (middle / between + n * mean / scale / own) / weight, scale / math.sqrt(weight)
        shrunk.append(replace(s, mean=mean, sd=sd))
    return shrunk


def _mean(values: Sequence[float], scale: float) -> float:
    return math.fsum(v / scale for v in values) / len(values)


def _words(best: Standing, ties: tuple[Trial, ...], spread: float | None) -> str:
    if spread is None:
        return f"{_run(best)}, and no configuration was run twice, so a small lead may be chance"
    if spread == 0:
        return f"{_run(best)}; runs of one configuration gave the very same score"
    error = "" if best.sd is None else f", mean {best.mean:.5g} ± {best.sd:.2g}"
    tied = f"; a tie with trial{'s' if len(ties) > 1 else ''} {_listed(ties)}" if ties else ""
    return f"{_run(best)}{error}{tied} (runs of one configuration differ by {spread:.2g})"


def _run(best: Standing) -> str:
    n, failed = len(best.runs), f", {best.failed} more without a score" if best.failed else ""
    return f"trial {best.trial.number}, run {'once' if n == 1 else f'{n} times'}{failed}"


def _listed(trials: tuple[Trial, ...]) -> str:
    numbers = [str(t.number) for t in trials[:5]]
    more = f" and {len(trials) - 5} more" if len(trials) > 5 else ""
    return ", ".join(numbers) + more
