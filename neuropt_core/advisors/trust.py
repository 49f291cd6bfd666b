"""Who is trusted with the next trial: a discounted Thompson draw between the LLM and the search.

A trial is a success if it is among the best quarter of the results so far. What a judge refused of a
slate counts up to half of a failure, by its share: it cost no trial. Old results count less: an adviser may recover.

Source: Thompson 1933; discounting: Raj and Kalyani 2017, arXiv:1707.09727.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

from neuropt_core.advice import Rejection, Request
from neuropt_core.trial import Trial

DISCOUNT = 0.95
_REFUSED = 0.5
OWN = ("prior", "surrogate", "random", "filler")
"""What the search signs its trials with."""


@dataclass(frozen=True, slots=True)
class Share:
    """The bounds of the LLM's share of the trials after the warm-up; 0 <= least <= most <= 1."""

    least: float = 0.1
    most: float = 0.5


def standing(request: Request, sources: Iterable[str]) -> tuple[float, float]:
    """Returns discounted successes and failures of the trials with these sources, those without an end left out."""
    sources = tuple(sources)
    ranked = request.ranked
    quarter = {t.number for t in ranked[: -(-len(ranked) // 4)]}
    won = lost = 0.0
    for trial in request.trials:
        if trial.proposal.source in sources and trial.teaches:
            weight = DISCOUNT ** (request.number - 1 - trial.number)
            won, lost = (won + weight, lost) if trial.number in quarter else (won, lost + weight)
    for number, slate in _slates(request, sources).items():
        refused = sum(r.rule != "crowded" for r in slate)
        lost += _REFUSED * refused / (len(slate) + 1) * DISCOUNT ** max(0, request.number - 1 - number)
    return won, lost


def _slates(request: Request, sources: tuple[str, ...]) -> dict[int, list[Rejection]]:
    found: dict[int, list[Rejection]] = {}
    for rejection in request.rejected:
        if rejection.proposal.source in sources:
            found.setdefault(rejection.number, []).append(rejection)
    return found


def due(request: Request, opened: int, share: Share, place: int = 0, given: int = 0) -> bool:
    """Tells whether the LLM is due for one free place of a request.

    Args:
        request: What is known; `request.number` is the first free place's trial.
        opened: The number of the first trial after the warm-up.
        share: The bounds.
        place: Counts the free places of the request, from 0: each has a chance of its own.
        given: How many of those before it were given to the LLM.
    """
    after = [t for t in request.trials if t.number >= opened and t.proposal.source in ("llm", *OWN)]
    # A place that the search filled because the LLM had nothing to say was the LLM's all the same: it is not asked
    # again sooner for having been silent.
    theirs, all_of_them = sum(_was_llms(t) for t in after) + given, len(after) + place
    if share.most == 0 or (theirs and theirs + 1 > share.most * (all_of_them + 1)):
        return False
    if theirs < share.least * (all_of_them + 1):
        return True
    rng = random.Random(f"{request.spec.seed}/{request.number + place}/trust")
    (won, lost), (own_won, own_lost) = standing(request, ("llm",)), standing(request, OWN)
    return rng.betavariate(1 + won, 1 + lost) > rng.betavariate(1 + own_won, 1 + own_lost)


def _was_llms(trial: Trial) -> bool:
    return trial.proposal.source == "llm" or trial.proposal.stands_in_for == "llm"
