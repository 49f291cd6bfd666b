"""The search that needs no LLM: rules of thumb and even spreads at first, then what a judge finds most worth a trial.

Up to the twelfth trial every second turn is the rules' own. The judge's candidates come from three sides: the rules and
variations of the best (`prior`), Optuna's sampler (`surrogate`), and an even spread over the space (`filler`). A
Gaussian process on ranks judges them by their expected improvement.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from neuropt_core.advice import Advice, Advisor, Request
from neuropt_core.advisors.chance import differences, draw
from neuropt_core.advisors.fillers import filler
from neuropt_core.advisors.slate import Judge, Verdict
from neuropt_core.advisors.trust import OWN
from neuropt_core.trial import Proposal, Trial


@dataclass(frozen=True, slots=True)
class Sizes:
    """When the judge comes in, and what it is shown.

    Attributes:
        warmup: Trials before the judge has a say, trial 0 among them.
        turns: Up to this trial's number every second turn is the rules' own, unjudged: a model of so few results knows
            less than they do.
        doubt: Until there are so many results for each parameter, a point of the even spread is worth less, by its
            share of them: what a model has not seen it overrates.
        prior: Candidates from the rules.
        surrogate: Candidates from Optuna.
        fillers: Points of the even spread.
    """

    warmup: int = 4
    turns: int = 12
    doubt: float = 3.0
    prior: int = 40
    surrogate: int = 1
    fillers: int = 60


class Search:
    """Proposes from rules, Optuna and an even spread; a function of the request.

    Args:
        prior: Rules of thumb and variations of the best.
        surrogate: Optuna's sampler.
        distance: Configurations that differ in no parameter by this share of its range are duplicates.
        sizes: How many candidates the judge is shown.
    """

    name = "built-in rules of thumb and Optuna, judged by a Gaussian process (not an LLM)"

    def __init__(self, prior: Advisor, surrogate: Advisor, distance: float = 0.02, sizes: Sizes | None = None) -> None:
        self._prior, self._surrogate, self._distance, self._sizes = prior, surrogate, distance, sizes or Sizes()

    def propose(self, request: Request) -> Advice:
        """Returns `request.count` proposals, unless the space is used up."""
        proposals: tuple[Proposal, ...] = ()
        for _ in range(request.count):
            so_far = request.after(proposals, 1)
            # Whoever starts warm knows already what the first trials would tell.
            found = self._warm(so_far) if so_far.number < self._sizes.warmup and not so_far.earlier else None
            found = found or self._rule(so_far) or self._judged(so_far)
            if found is None:
                break
            proposals += (found,)
        return Advice(proposals)

    def _warm(self, request: Request) -> Proposal | None:
        """Rules and fillers in turn; the rules keep their turns while they are no worse than the fillers."""
        own = [t for t in request.trials if t.proposal.source in OWN]
        rules = [t for t in own if t.proposal.source == "prior"]
        if len(own) % 2 == 0 and keeps_up(rules, [t for t in own if t.proposal.source == "filler"], request):
            proposals = self._prior.propose(request).proposals
            if proposals:
                return proposals[0]
        judge = Judge(request)
        even = [filler(request.space, request.spec.seed, len(own) // 2 + more) for more in range(20)]
        for params, twin in zip(even, judge.twins(even, self._distance), strict=True):
            if twin is None:
                return Proposal(params, "An even spread over the space, to hold the rules of thumb against.", "filler")
        return None

    def _rule(self, request: Request) -> Proposal | None:
        """Returns the rules' next proposal where it is their turn."""
        own = [t for t in request.trials if t.proposal.source in OWN]
        if request.number >= self._sizes.turns or len(own) % 2:
            return None
        for proposal in self._prior.propose(request).proposals:
            return replace(proposal, predicted=Judge(request).verdicts([proposal.params])[0].predicted)
        return None

    def _judged(self, request: Request) -> Proposal | None:
        judge = Judge(request)
        candidates = self._candidates(request)
        # In a small space everything is near to something: then it is enough not to be the same.
        fresh = _new(candidates, judge, self._distance) or _new(candidates, judge, 0.0)
        if not fresh:
            return None
        if not judge.ready:
            return fresh[0]
        verdicts = judge.verdicts([c.params for c in fresh])
        known = min(1.0, len(request.ranked) / (self._sizes.doubt * len(request.space)))
        worth = [v.worth * (known if c.source == "filler" else 1.0) for c, v in zip(fresh, verdicts, strict=True)]
        place = max(range(len(fresh)), key=lambda i: (worth[i], -i))
        return _signed(fresh[place], verdicts[place], len(fresh), judge)

    def _candidates(self, request: Request) -> list[Proposal]:
        sizes, number, seed = self._sizes, request.number, request.spec.seed
        found = list(self._prior.propose(replace(request, count=sizes.prior)).proposals)
        if sizes.surrogate:
            found += self._surrogate.propose(replace(request, count=sizes.surrogate)).proposals
        spread = (draw(request.space, seed, number, salt=f"pool {i}") for i in range(sizes.fillers))
        return found + [Proposal(params, "A point of an even spread over the space.", "filler") for params in spread]


def warmup(n_trials: int) -> int:
    """Returns how many trials, trial 0 among them, come before the gate opens: a fifth of the budget, from 4 to 8."""
    return max(4, min(8, round(0.2 * n_trials)))


def keeps_up(these: Sequence[Trial], others: Sequence[Trial], request: Request) -> bool:
    """Tells whether, once two of `these` have ended, their median rank is no worse than that of `others`."""
    ranks = {t.number: place for place, t in enumerate(request.ranked)}
    last = len(ranks)
    mine = [ranks.get(t.number, last) for t in these if t.teaches]
    theirs = [ranks.get(t.number, last) for t in others if t.teaches]
    return len(mine) < 2 or not theirs or statistics.median(mine) <= statistics.median(theirs)


def _new(candidates: Sequence[Proposal], judge: Judge, distance: float) -> list[Proposal]:
    twins = judge.twins([c.params for c in candidates], distance)
    return [c for c, twin in zip(candidates, twins, strict=True) if twin is None]


def _signed(proposal: Proposal, verdict: Verdict, among: int, judge: Judge) -> Proposal:
    best = next(iter(judge.ranked), None)
    against = ""
    if best is not None and proposal.source == "filler":
        changes = differences(proposal.params, best.params, judge.request.space)
        against = f" Against the best, trial {best.number}, it changes {changes}."
    ended = len(judge.ranked)
    judged = f"The model of {ended} results expects place {verdict.rank}, and most of it among {among} candidates."
    return replace(
        proposal, rationale=f"{proposal.rationale} {judged}{against}", predicted=proposal.predicted or verdict.predicted
    )
