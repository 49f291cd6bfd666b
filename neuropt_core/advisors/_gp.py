"""What the Gaussian process is told of a study, and where it is of use."""

from __future__ import annotations

import bisect
import importlib.util
import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, median

from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from neuropt_core.advisors._evidence import Evidence, Ledger, estimate
from neuropt_core.advisors._optuna import distributions, frozen
from neuropt_core.advisors._tpe import FAILED
from neuropt_core.objectives import Direction
from neuropt_core.space import Categorical, SearchSpace
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Trial, TrialState

_MOST_PARAMETERS = 20
_LEAST_SCORED = 15
_MOST_TOLD = 200
"""Up to here an ask took 0.5 to 1.3 s of one CPU core, with running trials the longer; its cost grows with the cube."""


def fits(space: SearchSpace) -> bool:
    """Tells whether a Gaussian process can model a space: numbers alone, no conditions, and not too many of them."""
    numeric = not any(isinstance(p, Categorical) or p.when for p in space.parameters)
    return numeric and 0 < len(space) <= _MOST_PARAMETERS


def installed() -> bool:
    """Tells whether what Optuna's Gaussian process is made of is there; loads none of it."""
    return all(importlib.util.find_spec(name) is not None for name in ("torch", "scipy"))


def enough(scored: int, told: int) -> bool:
    """Tells whether there are scores enough to fit, and not so much that an ask takes many seconds."""
    return scored >= _LEAST_SCORED and told <= _MOST_TOLD


def gp_trials(
    spec: StudySpec, ledger: Ledger, earlier: Sequence[Evidence], running: Sequence[Trial]
) -> list[FrozenTrial]:
    """Returns the trials that the Gaussian process sees; there is at least one score.

    It knows no PRUNED trials, so one that was stopped is told with an estimate of its score (`_evidence.estimate`), or
    with the 90th percentile of the scores where nothing compares with it; so is a failure, which breaks a constraint
    besides. All trials hold the same constraints, as Optuna asks.
    """
    known, bad = distributions(spec.space), ledger.bad
    entries = [*earlier, *ledger.in_order()]
    any_failed = any(e.state is TrialState.FAIL for e in entries)
    metric = ledger.metric() if len(spec.directions) == 1 else None
    found, told = [], []
    for entry in entries:
        values = entry.values or bad
        if entry.state is TrialState.PRUNED and metric is not None:
            guess = estimate(entry, entries, metric, spec.direction)
            values = bad if guess is None else (guess,)
        broken = {str(c): m for c, m in zip(spec.constraints, entry.margins, strict=True)}
        if any_failed:
            broken[FAILED] = 1.0 if entry.state is TrialState.FAIL else -1.0
        found.append(frozen(entry.number, entry.params, known, OptunaState.COMPLETE, values, broken))
        told.append(values[0])
    if len(spec.directions) == 1:
        for trial, value in zip(found, half_ranked(told, spec.direction), strict=True):
            trial.value = value
    legal = (t for t in running if not spec.space.check(t.params))
    return found + [frozen(t.number, t.params, known) for t in legal]


def half_ranked(values: Sequence[float], direction: Direction) -> list[float]:
    """Returns scores ``(n,)`` of which the worse half is drawn in by rank, so that no cliff bends the model.

    A score worse than the median becomes the median plus the normal quantile of its rank times the spread of the better
    half, whose scores stay as they are. Source: the half-rank warping of Song et al. 2024, "The Vizier Gaussian Process
    Bandit Algorithm" (arXiv:2408.11527); here equal scores count one by one, there once.
    """
    sign = 1.0 if direction == "minimize" else -1.0
    bad = [sign * v for v in values]
    middle = median(bad)
    spread = math.sqrt(fmean((middle - v) ** 2 for v in bad if v <= middle))
    ordered = sorted(bad)
    ranks = {v: bisect.bisect_left(ordered, v) + 0.5 for v in ordered}
    quantile = NormalDist().inv_cdf
    return [sign * (v if v <= middle else middle + spread * quantile(ranks[v] / len(bad))) for v in bad]
