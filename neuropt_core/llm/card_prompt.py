"""A request -> the messages of the call for a space card: what never changes first, as in all calls of the study."""

from __future__ import annotations

import math
from collections.abc import Sequence

from neuropt_core.advice import Request
from neuropt_core.llm.card_reply import Draft
from neuropt_core.llm.prompt import budget_words, framed
from neuropt_core.space import Categorical, Float, Parameter, SearchSpace

_PORTFOLIO = 5
_BELIEFS = 20

_CARD = """\
Now write the space card of this study: it is asked for once, before candidates are. The search draws from your \
beliefs, and runs configurations of your portfolio first.
- diagnosis: what model, task and space suggest for the search.
- numbers and choices: for each parameter of which the model, the task or what is known of such training tells you \
something (at most {beliefs}, those that matter most) where the good values lie and which is the likeliest, in its own \
units and within its bounds, or which choices are plausible, the likeliest first. Leave out the others: a guess \
misleads the search. Where the user believes something, say so too only if you have a reason of your own.
- risk: which values may fail (memory, divergence, a fresh head that destroys loaded weights), "" if none.
- portfolio: configurations that differ in what they bet on, e.g. a careful one, a higher rate, more regularization, \
a larger or smaller model or batch, another way of fine-tuning. Each must be promising by itself; none repeats a trial \
or is the user's own configuration.
- expected: the score that a good configuration should reach, if the task or a trial lets you tell."""


def card_messages(
    request: Request, complaints: Sequence[str] = (), draft: Draft | None = None
) -> tuple[dict[str, str], ...]:
    """Returns the system message and the user message of the call for a space card.

    Args:
        request: What is known.
        complaints: Why the first reply, or parts of it, were not used; makes this the second and last turn.
        draft: What the first reply came to.
    """
    accepted = [proposal.params for proposal in draft.portfolio] if draft else []
    wanted = configurations(request.space) - len(accepted)
    plural = "configuration" if wanted == 1 else "configurations"
    ask = f"{budget_words(request)}Write the card now, with exactly {wanted} {plural} in its portfolio."
    kept = f"the {len(draft.beliefs) if draft else 0} beliefs that were accepted stand"
    return framed(request, f"{_CARD.format(beliefs=_BELIEFS)}\n\n{ask}", complaints, accepted, kept)


def configurations(space: SearchSpace) -> int:
    """Returns how many configurations a card's portfolio should hold: 5, or as many as the space has to offer.

    No function of the study's budget, so that a longer study replays a shorter one's card.
    """
    others = math.prod(map(_values, space.parameters)) - 1  # one of them is the user's own
    return int(max(1, min(_PORTFOLIO, others)))


def _values(p: Parameter) -> float:
    if isinstance(p, Float):
        return math.inf
    return len(p.choices) if isinstance(p, Categorical) else (p.high - p.low) // p.step + 1
