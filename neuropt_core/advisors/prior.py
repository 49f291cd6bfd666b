"""The built-in prior: textbook moves first, then variations of what is best, within the rules' beliefs. No LLM.

Each move starts from the best configuration so far, so that what helped stays, and is made once. Then, as a person
would, it varies one or two parameters of the best configuration, now and then of the second or third best, by steps
that follow the beliefs (`rules`, shown in docs/prior.md). The card of an LLM is not read here: this is the control.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence

from neuropt_core.advice import Advice, Request
from neuropt_core.advisors.beliefs import at, completed, perturbed
from neuropt_core.advisors.chance import differences, draw
from neuropt_core.advisors.moves import legal_part, moves_from
from neuropt_core.advisors.rules import companions, prior_beliefs
from neuropt_core.card import Belief
from neuropt_core.space import Categorical, Float, Parameter, SearchSpace, Value
from neuropt_core.trial import Proposal, Trial

_LEAST = 6
"""So many moves are made on the smallest budget, else at most half of it: then the scores know more than a list."""

_PLACES = (0.7, 0.2, 0.1)
"""How often the best, the second and the third best configuration is varied."""

_TRIES = 40
_POINTS = 101
_MOST_VISITED = 50_000


class PriorAdvisor:
    """Rules of thumb: textbook moves, each once, then variations of the best configurations within the rules."""

    name = "built-in rules of thumb (not an LLM)"

    def propose(self, request: Request) -> Advice:
        """Returns `request.count` different proposals, fewer only where the space is used up.

        A function of the request: chance depends on the seed and the trial's number.
        """
        beliefs = prior_beliefs(request.spec)
        taken = _taken(request)
        proposals = list(_moves(request, beliefs, taken))
        taken += [dict(proposal.params) for proposal in proposals]
        bases = _bases(request)
        while len(proposals) < request.count:
            number = request.number + len(proposals)
            proposal = _variation(request, beliefs, bases, taken, number)
            if proposal is None:
                break
            proposals.append(proposal)
            taken.append(dict(proposal.params))
        return Advice(tuple(proposals))


def _taken(request: Request) -> list[dict[str, Value]]:
    """Returns what was tried, runs, or was refused for good."""
    space, rng = request.space, random.Random(0)
    # Trial 0 may lack a parameter that has no value in the config; filled up, it can be compared.
    tried = [
        completed(space, t.params, {}, rng) if t.proposal.source == "default" else dict(t.params)
        for t in request.trials
    ]
    return tried + [dict(r.proposal.params) for r in request.rejected if r.rule != "crowded"]


def _moves(request: Request, beliefs: Mapping[str, Belief], taken: Sequence[dict[str, Value]]) -> tuple[Proposal, ...]:
    made = [t.proposal.rationale for t in request.trials if t.proposal.source == "prior"]
    made += [r.proposal.rationale for r in request.rejected if r.rule != "crowded"]
    room = max(_LEAST, request.n_trials // 2) - sum(t.proposal.intent == "explore" for t in _own(request))
    best = _best(request)
    base = legal_part(request.space, request.space.defaults() if best is None else best.params)
    return moves_from(
        request.space,
        beliefs,
        base,
        taken=taken,
        made=made,
        count=max(0, min(room, request.count)),
        parent=_number(best, request),
    )


def _own(request: Request) -> list[Trial]:
    return [t for t in request.trials if t.proposal.source == "prior"]


def _ranked(request: Request) -> tuple[Trial, ...]:
    """Returns the scored trials, those of an earlier study that are legal here among them, best first."""
    earlier = [t for t in request.earlier if not request.space.check(t.params)]
    return request.spec.ranked((*request.trials, *earlier)) if earlier else request.ranked


def _best(request: Request) -> Trial | None:
    return next(iter(_ranked(request)), None)


def _bases(request: Request) -> tuple[Trial | None, ...]:
    return _ranked(request)[: len(_PLACES)] or (None,)


def _number(trial: Trial | None, request: Request) -> int | None:
    return trial.number if trial is not None and any(trial is own for own in request.trials) else None


def _variation(
    request: Request,
    beliefs: Mapping[str, Belief],
    bases: Sequence[Trial | None],
    taken: Sequence[dict[str, Value]],
    number: int,
) -> Proposal | None:
    space = request.space
    rng = random.Random(f"{request.spec.seed}/{number}/prior")
    for _ in range(_TRIES):
        place = rng.choices(range(len(bases)), _PLACES[: len(bases)])[0]
        base = bases[place]
        parent = space.defaults() if base is None else dict(base.params)
        child = perturbed(space, parent, beliefs, rng)
        if child is None:
            break
        child = completed(space, {**child, **companions(request.spec, parent, child)}, beliefs, rng)
        if not any(space.alike(child, tried) for tried in taken):
            why = _reason(space, beliefs, parent, child, base, place, request)
            return Proposal(child, why, "prior", intent="exploit", parent=_number(base, request))
    for again in range(_TRIES):
        drawn = draw(space, request.spec.seed, number, f"prior/{again}")
        if not any(space.alike(drawn, tried) for tried in taken):
            return Proposal(drawn, "Everything near the best was tried: a draw from the whole space.", "prior")
    left = next((p for p in _everything(space) if not any(space.alike(p, tried) for tried in taken)), None)
    return None if left is None else Proposal(left, "One of the last configurations that nobody has tried.", "prior")


def _reason(
    space: SearchSpace,
    beliefs: Mapping[str, Belief],
    parent: Mapping[str, Value],
    child: Mapping[str, Value],
    base: Trial | None,
    place: int,
    request: Request,
) -> str:
    rank = ("the best", "the second best", "the third best")[place]
    whose = (
        "your own configuration"
        if base is None
        else f"{rank} so far, trial {base.number}"
        if _number(base, request) is not None
        else f"{rank} so far, trial {base.number} of the earlier study"
    )
    changed = [name for name in child if name not in parent or parent[name] != child[name]]
    told = next((beliefs[name] for name in changed if name in beliefs), None)
    why = f" The rule behind it: {told.why}" if told is not None else " No rule speaks of it: a step to either side."
    return f"A variation of {whose}: {differences(child, parent, space)}.{why}"


def _everything(space: SearchSpace) -> Iterator[dict[str, Value]]:
    """Yields the configurations of a small space one by one, real numbers in steps of a hundredth; at most some."""
    stack: list[tuple[int, dict[str, Value]]] = [(0, {})]
    for _ in range(_MOST_VISITED):
        if not stack:
            return
        index, params = stack.pop()
        if index == len(space):
            yield params
            continue
        parameter = space.parameters[index]
        if not space.is_active(parameter.name, params):
            stack.append((index + 1, params))
            continue
        stack += [(index + 1, {**params, parameter.name: value}) for value in _levels(parameter)]


def _levels(parameter: Parameter) -> list[Value]:
    if isinstance(parameter, Categorical):
        return list(parameter.choices)
    if isinstance(parameter, Float) or math.floor((parameter.high - parameter.low) / parameter.step) > _POINTS:
        return list(dict.fromkeys(at(parameter, i / (_POINTS - 1)) for i in range(_POINTS)))
    return list(range(parameter.low, parameter.high + 1, parameter.step))
