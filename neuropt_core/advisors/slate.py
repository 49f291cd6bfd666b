"""A slate of candidates and the judge over it: what is a duplicate, what is hopeless, what is most worth a trial."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from neuropt_core.advice import Request
from neuropt_core.advisors._evidence import evidence, quantile
from neuropt_core.advisors._tried import key_of
from neuropt_core.advisors.likeness import Array, Ruler
from neuropt_core.advisors.model import Model
from neuropt_core.advisors.warm_start import WarmStart, shift
from neuropt_core.space import Value
from neuropt_core.trial import Predicted, Trial, TrialState

LEAST = 3
"""With fewer results nothing is said of a candidate but whether it is a duplicate."""

_DECILE = 1.2816
_BAD, _STOPPED = 0.9, 0.75
_ALIKE = 0.011
Params = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is expected of one candidate.

    Attributes:
        worth: The expected improvement on the best so far, in normal scores, weighed by the chance of failing and, in a
            study that looks at the cost, by the seconds; 0 or more.
        hopeless: Why it is not worth a trial, in words; "" if it may be.
        predicted: The score that is expected, as quantiles of the scores so far; None for several objectives.
        rank: The place that is expected among the trials so far, from 1.
    """

    worth: float
    hopeless: str = ""
    predicted: Predicted | None = None
    rank: int = 0


class Judge:
    """What the trials of a request say of candidates. Knows nothing of who proposes them."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.ruler = Ruler(request.space)
        self.known: tuple[Params, ...] = tuple(t.params for t in request.trials)
        self.ranked = request.ranked
        self._told = results(request, self.ranked)

    @property
    def ready(self) -> bool:
        """Whether there are enough results to judge by."""
        return len(self._told) >= LEAST

    def twins(self, candidates: Sequence[Params], distance: float, taken: Sequence[Params] = ()) -> list[int | None]:
        """Returns for each candidate the place, among the trials and then `taken`, of what it repeats; None if new.

        Args:
            candidates: The configurations to look at.
            distance: What differs in no parameter by this share of its range is a repetition; so is what is `alike`
                in the space. The mean over the parameters would not do: among nine of them it takes a threefold rate
                for the same.
            taken: Configurations that are about to be tried.
        """
        others = (*self.known, *taken)
        places = np.concatenate([self._known_places, self.ruler.places(taken)])
        alike = self.request.space.alike
        near = self.ruler.near(self.ruler.places(candidates), places, max(distance, _ALIKE))
        return [
            next((i for i, gap in beside if gap < distance or alike(params, others[i])), None)
            for params, beside in zip(candidates, near, strict=True)
        ]

    def verdicts(self, candidates: Sequence[Params]) -> list[Verdict]:
        """Returns one verdict a candidate; of equal worth, nothing known, where there are too few results."""
        if not self.ready or not candidates:
            return [Verdict(0.0) for _ in candidates]
        judged = self._model.judge(candidates)
        failing = self._failing(candidates)
        worth = judged.improvement * (1 - failing) / self._cost(candidates)
        ends = [self._model.quantiles(judged.mean + z * judged.sd) for z in (-_DECILE, 0.0, _DECILE)]
        # The model of a long study is made of its best and latest: the place and the median are those of all results.
        losses = sorted(loss for _, loss in self._told)
        ranks = 1 + np.searchsorted(losses, ends[1])
        middle = quantile(losses, 0.5)
        optimistic = self._model.quantiles(judged.mean - judged.sd)
        return [
            Verdict(
                float(worth[i]),
                self._hopeless(bool(optimistic[i] > middle), float(failing[i])),
                self._predicted([float(end[i]) for end in ends]),
                int(ranks[i]),
            )
            for i in range(len(candidates))
        ]

    def spread(self, one: Params, others: Sequence[Params]) -> float:
        """Returns how far a configuration is from the nearest of `others`, 1 without any."""
        return self.ruler.nearest(one, others)[1]

    def _hopeless(self, behind: bool, failing: float) -> str:
        if failing > 0.5:
            return f"trials like it failed: {failing:.0%} likely to fail"
        if behind:
            return f"even an optimistic guess (mean - sd) is worse than the median of {len(self._told)} results"
        return ""

    def _predicted(self, losses: Sequence[float]) -> Predicted | None:
        # Between scores of opposite signs near the greatest float there are differences that none can hold.
        if not plain(self.request) or not all(map(math.isfinite, losses)):
            return None
        sign = 1.0 if self.request.spec.direction == "minimize" else -1.0
        return Predicted(*sorted(sign * loss for loss in losses))

    @functools.cached_property
    def _known_places(self) -> Array:
        return self.ruler.places(self.known)

    @functools.cached_property
    def _model(self) -> Model:
        configurations, losses = [p for p, _ in self._told], [loss for _, loss in self._told]
        model = Model(self.ruler, configurations, losses)
        running = [t.params for t in self.request.trials if t.state is TrialState.RUNNING]
        if not running:
            return model
        # Those that run are taken for what the model expects of them, so that the next one looks elsewhere ("kriging
        # believer": Ginsbourger, Le Riche and Carraro 2010).
        believed = model.quantiles(model.judge(running).mean)
        return Model(self.ruler, [*configurations, *running], [*losses, *map(float, believed)])

    def _failing(self, candidates: Sequence[Params]) -> Array:
        """Returns the chance of each candidate to fail: the same process over the failures, 0 where there are few."""
        ended = [t for t in self.request.trials if t.teaches]
        failed = [1.0 if t.state is TrialState.FAIL else 0.0 for t in ended]
        if sum(failed) < 2 or sum(failed) == len(failed):
            return np.zeros(len(candidates))
        model = Model(self.ruler, [t.params for t in ended], failed)
        high, low = (float(x) for x in (model.scores.max(), model.scores.min()))
        found: Array = np.clip((model.judge(candidates).mean - low) / (high - low), 0.0, 1.0)
        return found

    def _cost(self, candidates: Sequence[Params]) -> Array:
        """Returns what each candidate costs, to be divided by: seconds ** (share of the budget that is left).

        The exponent cools from 1 to 0, so that late trials go for the score (Lee et al. 2020, arXiv:2003.10870, CArBO).
        """
        timed = [
            t for t in self.request.trials if t.outcome is not None and t.value is not None and t.outcome.seconds > 0
        ]
        if not self.request.spec.cost_aware or len(timed) < LEAST:
            return np.ones(len(candidates))
        seconds = [t.outcome.seconds for t in timed if t.outcome is not None]
        model = Model(self.ruler, [t.params for t in timed], seconds)
        expected = model.quantiles(model.judge(candidates).mean)
        left = max(0.0, 1 - self.request.number / self.request.n_trials)
        found: Array = (np.maximum(expected, 1e-9) / (max(seconds) or 1.0)) ** left
        return found


def plain(request: Request) -> bool:
    """Tells whether a study's score is one number that is all that counts."""
    return not request.spec.further and not request.spec.constraints


def results(request: Request, scored: Sequence[Trial] | None = None) -> list[tuple[Params, float]]:
    """Returns each configuration that has ended with its loss, less being better.

    A failure counts as the 90th percentile of the scores, a trial that was stopped early as the 75th: what is told must
    push away without a false magnitude. A configuration that ran several times counts once, with its mean. Of several
    objectives, or under constraints, the loss is the place in the study's own order.

    Args:
        request: What is known.
        scored: Its `ranked`, where that is known already.
    """
    scored = request.ranked if scored is None else scored
    if not scored:
        return []
    sign = 1.0 if request.spec.direction == "minimize" else -1.0
    alone = plain(request)
    losses = {t.number: sign * t.values[0] if alone else float(place) for place, t in enumerate(scored)}
    ordered = sorted(losses.values())
    for trial in request.trials:
        if trial.number not in losses and trial.teaches:
            losses[trial.number] = quantile(ordered, _BAD if trial.state is TrialState.FAIL else _STOPPED)
    found: dict[object, list[tuple[Trial, float]]] = {}
    ended = [t for t in request.trials if t.number in losses]
    # Few repeat anything, and only those that may are looked at closely: 1, 1.0 and True are one value here, not there.
    loosely = [tuple(map(t.params.get, request.space.names)) for t in ended]
    often = Counter(loosely)
    for trial, loose in zip(ended, loosely, strict=True):
        key = loose if often[loose] == 1 else key_of(trial.params)
        found.setdefault(key, []).append((trial, losses[trial.number]))
    own = [(same[0][0].params, math.fsum(loss / len(same) for _, loss in same)) for same in found.values()]
    return own + (_earlier(request, sign) if alone else [])


def _earlier(request: Request, sign: float) -> list[tuple[Params, float]]:
    """Returns the results of the study from which the user starts warm, shifted; none while the shift is not known."""
    if not request.earlier:
        return []
    spec, warm = request.spec, WarmStart.of(request.spec, request.earlier)
    own = [evidence([t], ()) for t in request.trials if t.value is not None and not spec.space.check(t.params)]
    baseline = request.trials[0].values if request.trials[0].number == 0 else ()
    by = shift((pair for e in own for pair in warm.differences(e, spec.space)), warm.baseline, baseline)
    return [] if by is None else [(e.params, sign * (e.values[0] + by[0])) for e in warm.entries if e.values]
