"""How much each parameter has mattered in a study, by Optuna's PED-ANOVA."""

from __future__ import annotations

import math
import random
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
_FEW = 50
"""Below so many configurations a share is told only if it stands out from chance."""
_SHUFFLES = 40
_CHANCE = 0.1


def importances(spec: StudySpec, trials: Iterable[Trial]) -> dict[str, float] | None:
    """Returns the share of each parameter in what made trials good, the greatest first; the shares sum to 1.

    Good is the best tenth of the configurations, and no fewer than three. Source: Watanabe et al. 2023, "PED-ANOVA"
    (arXiv:2304.10255), for parameters with conditions its conditional form (Baba et al. 2026, arXiv:2601.20800, theorem
    4.2), both as Optuna 5 has them. Of several objectives the first counts. Trials without a score, and those outside
    the space, say nothing.

    A search varies some parameters more than others, and what it left alone looks decisive where the few good
    configurations happen to agree in it. So with few of them the scores are shuffled among them, and a parameter keeps
    its share only if at most a tenth of the shuffles give it as much (a permutation test: Altmann et al. 2010,
    doi:10.1093/bioinformatics/btq134); otherwise it is 0.

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
    evaluator = PedAnovaImportanceEvaluator(target_quantile=max(0.1, _LEAST_GOOD / len(scored)))

    def weighed(values: list[float]) -> dict[str, float]:
        pairs = zip(scored, values, strict=True)
        told = [frozen(e.number, e.params, known, OptunaState.COMPLETE, (value,)) for e, value in pairs]
        with warnings.catch_warnings():
            # "Target and region quantiles select the same set": many equal scores. All shares are 0, and None says it.
            warnings.simplefilter("ignore", UserWarning)
            return evaluator.evaluate(study_on(History((spec.direction,), told), tpe(seed=0, startup=1)))

    values = [entry.values[0] for entry in scored]
    found = weighed(values)
    if len(scored) < _FEW:
        by_chance = [weighed(random.Random(seed).sample(values, len(values))) for seed in range(_SHUFFLES)]
        found = {
            name: value if sum(other[name] >= value for other in by_chance) <= _CHANCE * _SHUFFLES else 0.0
            for name, value in found.items()
        }
    total = sum(found.values())
    if not math.isfinite(total) or total <= 0.0:
        return None
    ranked = sorted(found.items(), key=lambda item: (-item[1], spec.space.names.index(item[0])))
    return {name: value / total for name, value in ranked}
