"""How much each parameter has mattered in a study, by Optuna's PED-ANOVA."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable

from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import TrialState as OptunaState

from neuropt_core.advisors._evidence import Ledger
from neuropt_core.advisors._optuna import History, distributions, frozen, study_on, tpe
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Trial

_LEAST = 8
_LEAST_GOOD = 3


def importances(spec: StudySpec, trials: Iterable[Trial]) -> dict[str, float] | None:
    """Returns the share of each parameter in what made trials good, the greatest first; the shares sum to 1.

    Good is the best tenth of the configurations, and no fewer than three. Source: Watanabe et al. 2023, "PED-ANOVA"
    (arXiv:2304.10255), for parameters with conditions its conditional form (Baba et al. 2026, arXiv:2601.20800, theorem
    4.2), both as Optuna 5 has them. Of several objectives the first counts. Trials without a score, and those outside
    the space, say nothing.

    Args:
        spec: The study.
        trials: Its trials.

    Returns:
        A share in [0, 1] for each parameter that some scored trial has; None with fewer than eight scored
        configurations, or where none of them stands out, so that there is nothing to tell.
    """
    ledger = Ledger(spec)
    ledger.update(tuple(trials))
    scored = [entry for entry in ledger.in_order() if entry.values]
    if len(scored) < _LEAST or len({entry.values[0] for entry in scored}) == 1:
        return None
    known = distributions(spec.space)
    told = [frozen(e.number, e.params, known, OptunaState.COMPLETE, e.values[:1]) for e in scored]
    evaluator = PedAnovaImportanceEvaluator(target_quantile=max(0.1, _LEAST_GOOD / len(scored)))
    with warnings.catch_warnings():
        # "Target and region quantiles select the same set": many equal scores. All shares are 0 then, and None says it.
        warnings.simplefilter("ignore", UserWarning)
        found = evaluator.evaluate(study_on(History((spec.direction,), told), tpe(seed=0, startup=1)))
    total = sum(found.values())
    if not math.isfinite(total) or total <= 0.0:
        return None
    ranked = sorted(found.items(), key=lambda item: (-item[1], spec.space.names.index(item[0])))
    return {name: value / total for name, value in ranked}
