"""What the Gaussian process is told of a study, and where it is of use."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from neuropt_core.advisors._evidence import Evidence, Ledger, estimate
from neuropt_core.advisors._optuna import distributions, frozen
from neuropt_core.advisors._tpe import FAILED
from neuropt_core.space import Categorical, SearchSpace
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Trial, TrialState

_MOST_PARAMETERS = 20
_LEAST_SCORED = 15
MOST_TOLD = 200
"""Its cost grows with the cube of what it is told: see benchmarks/results/overhead.md."""


def fits(space: SearchSpace) -> bool:
    """Tells whether a Gaussian process can model a space: numbers alone, no conditions, and not too many of them."""
    numeric = not any(isinstance(p, Categorical) or p.when for p in space.parameters)
    return numeric and 0 < len(space) <= _MOST_PARAMETERS


def installed() -> bool:
    """Tells whether what Optuna's Gaussian process is made of is there; loads none of it."""
    return all(importlib.util.find_spec(name) is not None for name in ("torch", "scipy"))


def enough(scored: int, told: int) -> bool:
    """Tells whether there are scores enough to fit, and not so much that an ask takes many seconds."""
    return scored >= _LEAST_SCORED and told <= MOST_TOLD


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
    found = []
    for entry in entries:
        values = entry.values or bad
        if entry.state is TrialState.PRUNED and metric is not None:
            guess = estimate(entry, entries, metric, spec.direction)
            values = bad if guess is None else (guess,)
        broken = {str(c): m for c, m in zip(spec.constraints, entry.margins, strict=True)}
        if any_failed:
            broken[FAILED] = 1.0 if entry.state is TrialState.FAIL else -1.0
        found.append(frozen(entry.number, entry.params, known, OptunaState.COMPLETE, values, broken))
    legal = (t for t in running if not spec.space.check(t.params))
    return found + [frozen(t.number, t.params, known) for t in legal]
