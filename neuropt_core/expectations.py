"""How scores stand to what their proposers expected: surprise, verdict, calibration.

The expectation of a proposal is three quantiles (`Predicted`); of several objectives it is of the first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from neuropt_core.objectives import Direction
from neuropt_core.trial import Trial, TrialState

SIGMAS = 2.5631
"""Standard deviations of a normal distribution between its 10 % and its 90 % quantile."""

VERDICTS = ("better than expected", "as expected", "worse than expected", "failed", "stopped early")
"""What can be said of an ended trial; the first three need an expectation, the last two none."""


def surprise(trial: Trial, direction: Direction) -> float | None:
    """Returns by how many of the proposer's standard deviations a score is better than its median; negative if worse.

    The standard deviation is that of a normal distribution with the stated p10 and p90: (p90 - p10) / 2.5631.

    Returns:
        None without a score or an expectation, and where p10 and p90 are the same.
    """
    expected = trial.proposal.predicted
    if trial.value is None or expected is None or expected.p90 <= expected.p10:
        return None
    gain = trial.value - expected.p50 if direction == "maximize" else expected.p50 - trial.value
    return gain * SIGMAS / (expected.p90 - expected.p10)


def verdict(trial: Trial, direction: Direction) -> str:
    """Returns one of `VERDICTS`: as expected is a score within p10..p90; "" where nothing can be said."""
    if trial.state in (TrialState.FAIL, TrialState.PRUNED):
        return "failed" if trial.state is TrialState.FAIL else "stopped early"
    expected = trial.proposal.predicted
    if trial.value is None or expected is None:
        return ""
    if expected.p10 <= trial.value <= expected.p90:
        return "as expected"
    high = trial.value > expected.p90
    return "better than expected" if high == (direction == "maximize") else "worse than expected"


@dataclass(frozen=True, slots=True)
class Calibration:
    """How the expectations of a study have held.

    Attributes:
        stated: How many trials have a score and an expectation.
        inside: How many of the scores lay within p10..p90.
        bias: The median of score - p50, in units of the score, turned so that a positive one means that the proposer
            was too optimistic.
        miss: The median of |score - p50|, in units of the score.
    """

    stated: int
    inside: int
    bias: float
    miss: float

    @property
    def coverage(self) -> float:
        """The share of scores within p10..p90; 0.8 of them should be."""
        return self.inside / self.stated


def calibration(trials: Iterable[Trial], direction: Direction) -> Calibration | None:
    """Returns how the expectations of `trials` have held; None if no scored trial had one."""
    pairs = [(t.value, p) for t in trials if t.value is not None and (p := t.proposal.predicted) is not None]
    if not pairs:
        return None
    sign = 1.0 if direction == "minimize" else -1.0
    inside = sum(p.p10 <= value <= p.p90 for value, p in pairs)
    misses = [sign * (value - p.p50) for value, p in pairs]
    return Calibration(len(pairs), inside, median(misses), median(map(abs, misses)))
