"""The built-in prior: textbook moves, and variations of what is best within the rules' beliefs. No LLM.

Each move starts from the best configuration so far, so that what helped stays, and is made once. Between the moves,
and after them, configurations are varied as a person would do it: boldly at first, half of the parameters drawn anew
from the beliefs (`rules`, shown in docs/prior.md); the more is known, the more often by a step in one or two parameters
of the best, now and then of the second or third best. The card of an LLM is not read here: this is the control.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from neuropt_core.advice import Advice, Request
from neuropt_core.advisors.beliefs import completed, perturbed, redrawn
from neuropt_core.advisors.chance import differences, draw
from neuropt_core.advisors.changes import legal_part
from neuropt_core.advisors.enumeration import configurations
from neuropt_core.advisors.known import Known
from neuropt_core.advisors.moves import MOVES, moves_from
from neuropt_core.advisors.rules import companions, prior_beliefs
from neuropt_core.card import Belief
from neuropt_core.space import Value
from neuropt_core.trial import Proposal, Trial

_AHEAD = 3
"""So many moves are made first; from then on every other proposal is a move."""

_LEAST = 6
"""So many moves are made on the smallest budget, else at most half of it: then the scores know more than a list."""

_PLACES = (0.7, 0.2, 0.1)
"""How often the best, the second and the third best configuration is varied."""

_BOLD_UNTIL, _BOLD_LEAST, _BOLD_SHARE = 12, 0.1, 0.5
"""A variation is bold with a probability that falls from 1 to `_BOLD_LEAST` over so many scored trials; it then draws
that share of the parameters anew."""

_TRIES = 40
_WHYS = frozenset(move.why for move in MOVES)
_RANKS = ("the best", "the second best", "the third best")


class PriorAdvisor:
    """Rules of thumb: textbook moves, each once, and variations of the best configurations within the rules."""

    name = "built-in rules of thumb (not an LLM)"

    def propose(self, request: Request) -> Advice:
        """Returns `request.count` different proposals, fewer only where the space is used up.

        A function of the request: chance depends on the seed and the trial's number.
        """
        beliefs, taken, ranked = prior_beliefs(request.spec), _taken(request), _ranked(request)
        moves = list(_moves(request, beliefs, taken, ranked))
        own = [t.proposal.rationale in _WHYS for t in request.trials if t.proposal.source == "prior"]
        made, varied = sum(own), len(own) - sum(own)
        proposals: list[Proposal] = []
        variator = _Variator(request, beliefs, taken, ranked)
        while len(proposals) < request.count:
            if moves and made - varied < _AHEAD:
                proposals.append(moves.pop(0))
                made += 1
                continue
            variation = variator.next(request.number + len(proposals))
            if variation is None:
                return Advice((*proposals, *moves)[: request.count])
            proposals.append(variation)
            varied += 1
        return Advice(tuple(proposals))


def _taken(request: Request) -> Known:
    """Returns what was tried, runs, or was refused for good."""
    space, rng = request.space, random.Random(0)
    # Trial 0 may lack a parameter that has no value in the config; filled up, it can be compared.
    tried: list[Mapping[str, Value]] = [
        completed(space, t.params, {}, rng) if t.proposal.source == "default" else t.params for t in request.trials
    ]
    return Known(space, tried + [r.proposal.params for r in request.rejected if r.rule != "crowded"])


def _moves(
    request: Request, beliefs: Mapping[str, Belief], taken: Known, ranked: Sequence[Trial]
) -> tuple[Proposal, ...]:
    past = [t.proposal.rationale for t in request.trials if t.proposal.source == "prior"]
    refused = [r.proposal.rationale for r in request.rejected if r.rule != "crowded"]
    room = max(_LEAST, request.n_trials // 2) - sum(why in _WHYS for why in past)
    best = next(iter(ranked), None)
    base = request.space.defaults() if best is None else best.params
    return moves_from(
        request.space,
        beliefs,
        legal_part(request.space, base),
        taken=taken,
        made=past + refused,
        count=max(0, min(room, request.count)),
        parent=_number(best, request),
    )


def _ranked(request: Request) -> tuple[Trial, ...]:
    """Returns the scored trials, those of an earlier study that are legal here among them, best first."""
    earlier = [t for t in request.earlier if not request.space.check(t.params)]
    return request.spec.ranked((*request.trials, *earlier)) if earlier else request.ranked


def _unlike(ranked: Sequence[Trial], most: int) -> list[Trial]:
    """Returns the first trials without repetitions: a second run of the best is no second place to go on from."""
    found: list[Trial] = []
    for trial in ranked:
        if len(found) == most:
            break
        if all(trial.params != other.params for other in found):
            found.append(trial)
    return found


def _number(trial: Trial | None, request: Request) -> int | None:
    """Returns the number of a trial of this study, None for one of an earlier study."""
    return trial.number if trial is not None and not any(trial is other for other in request.earlier) else None


class _Variator:
    """Makes variations that differ from what is there and from each other."""

    def __init__(self, request: Request, beliefs: Mapping[str, Belief], taken: Known, ranked: Sequence[Trial]) -> None:
        self._request, self._beliefs, self._taken = request, beliefs, taken
        self._bases: Sequence[Trial | None] = _unlike(ranked, len(_PLACES)) or (None,)
        self._bold = max(_BOLD_LEAST, 1 - len(ranked) / _BOLD_UNTIL)

    def next(self, number: int) -> Proposal | None:
        """Returns the variation for a trial's number; None where the space is used up."""
        space = self._request.space
        rng = random.Random(f"{self._request.spec.seed}/{number}/prior")
        for _ in range(_TRIES):
            place = rng.choices(range(len(self._bases)), _PLACES[: len(self._bases)])[0]
            proposal = self._bolder(rng) if rng.random() < self._bold else self._nearby(place, rng)
            if proposal is not None:
                return proposal
        for again in range(_TRIES):
            drawn = draw(space, self._request.spec.seed, number, f"prior/{again}")
            if self._taken.add(drawn):
                return Proposal(drawn, "Everything near the best was tried: a draw from the whole space.", "prior")
        left = next(filter(self._taken.add, configurations(space)), None)
        return None if left is None else Proposal(left, "One of the last that nobody has tried.", "prior")

    def _bolder(self, rng: random.Random) -> Proposal | None:
        base = self._bases[0]
        parent = self._values(base)
        child = redrawn(self._request.space, parent, self._beliefs, rng, _BOLD_SHARE)
        changes = differences(child, parent, self._request.space)
        several = sum(child.get(name) != parent.get(name) for name in {*child, *parent}) > 1
        how = "in several respects at once, each as the rules believe" if several else "in one respect, by the rules"
        why = f"Away from {self._whose(base, 0)}, {how}: {changes}."
        return self._proposal(child, why, "explore", base)

    def _nearby(self, place: int, rng: random.Random) -> Proposal | None:
        space, beliefs, base = self._request.space, self._beliefs, self._bases[place]
        parent = self._values(base)
        child = perturbed(space, parent, beliefs, rng)
        if child is None:
            return None
        child = completed(space, {**child, **companions(self._request.spec, parent, child)}, beliefs, rng)
        changed = [name for name in child if name not in parent or parent[name] != child[name]]
        told = next((beliefs[name].why for name in changed if name in beliefs), "none; a step to either side.")
        why = f"A variation of {self._whose(base, place)}: {differences(child, parent, space)}. The rule: {told}"
        return self._proposal(child, why, "exploit", base)

    def _proposal(self, child: dict[str, Value], why: str, intent: str, base: Trial | None) -> Proposal | None:
        if not self._taken.add(child):
            return None
        return Proposal(child, why, "prior", intent=intent, parent=_number(base, self._request))

    def _values(self, base: Trial | None) -> dict[str, Value]:
        return self._request.space.defaults() if base is None else dict(base.params)

    def _whose(self, base: Trial | None, place: int) -> str:
        if base is None:
            return "your own configuration"
        where = "" if _number(base, self._request) is not None else " of the earlier study"
        return f"{_RANKS[place]} so far, trial {base.number}{where}"
