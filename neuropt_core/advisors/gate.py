"""The gate: who proposes the next trial, an adviser (an LLM) or the search, and which of the adviser's candidates run.

The adviser writes a space card first, whose portfolio it may try during the warm-up in turn with the search, as long as
it keeps up. Then each free place is drawn for: see `trust`. An adviser that is due is asked for a slate, of which the
duplicates and the hopeless are put aside, and the best of the rest taken, one for each intent. Where that leaves a
place open, the search fills it, visibly. Without an adviser the search does it all, with the same proposals as beside
one that never says anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from neuropt_core.advice import Advice, Advisor, Rejection, Request
from neuropt_core.advisors.search import Search, keeps_up, warmup
from neuropt_core.advisors.slate import Judge, Params, Verdict
from neuropt_core.advisors.trust import OWN, Share, due
from neuropt_core.trial import Proposal, Trial


@dataclass(frozen=True, slots=True)
class GateSettings:
    """How the gate works; nobody needs to touch these.

    Attributes:
        warmup: Trials before the gate opens, trial 0 among them; None takes `search.warmup`.
        share: The bounds of the adviser's share after that.
        slate: How many candidates are asked for a free place.
        distance: Configurations that differ in no parameter by this share of its range are duplicates.
        veto: Whether a model of the scores may refuse a candidate as hopeless.
    """

    warmup: int | None = None
    share: Share = field(default_factory=Share)
    slate: int = 3
    distance: float = 0.02
    veto: bool = True


class Adviser(Advisor, Protocol):
    """An advisor that can also say what it believes of the space before any trial has run."""

    def card(self, request: Request) -> Advice:
        """Returns the space card, if it was written, and the consultations that led to it; no proposals."""
        ...


class Gate:
    """Shares the free places between an adviser and the search; a function of the request.

    Args:
        adviser: The LLM; None for the search alone.
        search: What needs no LLM.
        settings: The knobs.
        reserve: What is due before all else, e.g. repetitions of the best with other seeds.
    """

    def __init__(
        self,
        adviser: Adviser | None,
        search: Search,
        settings: GateSettings | None = None,
        reserve: Callable[[Request], tuple[Proposal, ...]] = lambda request: (),
    ) -> None:
        self.adviser, self.search, self._settings = adviser, search, settings or GateSettings()
        self._reserve = reserve
        self.name = search.name if adviser is None else adviser.name

    def propose(self, request: Request) -> Advice:
        """Returns `request.count` proposals, unless nothing is left to try."""
        advice = Advice(self._reserve(request)[: request.count])
        places = request.count - len(advice.proposals)
        theirs = self._places(request, places)
        if self.adviser is not None and theirs:
            advice = self._advised(self.adviser, request, advice, theirs)
        # What the adviser was to fill and did not comes first, so that nobody mistakes it for the search's own turn.
        missing = request.count - len(advice.proposals)
        silent = theirs - (places - missing)
        if not missing:
            return advice
        found = self.search.propose(request.after(advice.proposals, missing)).proposals
        marked = tuple(replace(p, stands_in_for="llm") if i < silent else p for i, p in enumerate(found))
        return replace(advice, proposals=advice.proposals + marked)

    def first_advice(self, request: Request) -> Advice:
        """Returns what would be proposed first if an adviser said nothing; nobody is asked."""
        return self.search.propose(request)

    def _places(self, request: Request, places: int) -> int:
        """Returns how many of the free places are the adviser's."""
        if self.adviser is None:
            return 0
        opened = warmup(request.n_trials) if self._settings.warmup is None else self._settings.warmup
        own = [t for t in request.trials if t.proposal.source in OWN and not t.proposal.stands_in_for]
        theirs = [t for t in request.trials if t.proposal.source == "llm" or t.proposal.stands_in_for == "llm"]
        given = 0
        for place in range(places):
            if request.number + place >= opened:
                given += due(request, opened, self._settings.share, place, given)
            elif len(theirs) + given <= len(own) + place - given:
                given += keeps_up([t for t in theirs if t.proposal.source == "llm"], own, request)
        return given

    def _advised(self, adviser: Adviser, request: Request, advice: Advice, places: int) -> Advice:
        """Adds the adviser's proposals for its places, and what it took to get them."""
        opened = warmup(request.n_trials) if self._settings.warmup is None else self._settings.warmup
        card = request.card
        if request.number < opened:
            if card is None:
                written = adviser.card(request)
                card = written.card
                advice = replace(advice, consultations=advice.consultations + written.consultations, card=card)
                request = replace(request, consulted=(*request.consulted, *written.consultations), card=card)
            if card is not None:
                advice = self._taken(card.portfolio, request, advice, places, tell=False)
                places -= sum(p.source == "llm" for p in advice.proposals)
        if not places:
            return advice
        asked = replace(request.after(advice.proposals, places * self._settings.slate), least=places)
        answer = adviser.propose(asked)
        advice = replace(advice, consultations=advice.consultations + answer.consultations)
        return self._taken(answer.proposals, request, advice, places, tell=True)

    def _taken(self, slate: Sequence[Proposal], request: Request, advice: Advice, places: int, *, tell: bool) -> Advice:
        """Takes the best of a slate, at most `places`; with `tell`, what is put aside is told as rejected."""
        judge = Judge(request)
        rejected: list[Rejection] = []
        chosen: list[Proposal] = []
        left: list[tuple[Proposal, Verdict]] = []
        running = [p.params for p in advice.proposals]
        twins = judge.twins([p.params for p in slate], self._settings.distance, running)
        verdicts = judge.verdicts([p.params for p in slate])
        for proposal, twin, verdict in zip(slate, twins, verdicts, strict=True):
            if twin is not None:
                there = f"trial {twin}" if twin < len(request.trials) else "another of this batch"
                rejected.append(Rejection(proposal, request.number, "duplicate", f"is hardly different from {there}"))
            elif self._settings.veto and verdict.hopeless:
                rejected.append(Rejection(proposal, request.number, "hopeless", verdict.hopeless))
            else:
                left.append((proposal, verdict))
        wanting = not any(t.proposal.intent == "explore" for t in _latest(request))
        while left and len(chosen) < places:
            best = _most_wanted(left, [*running, *(p.params for p in chosen)], chosen, judge, wanting)
            proposal = left.pop(best)[0]
            twin_of = judge.twins([proposal.params], self._settings.distance, [p.params for p in chosen])[0]
            if twin_of is None:
                chosen.append(proposal)
            else:
                why = "is hardly different from another of this slate"
                rejected.append(Rejection(proposal, request.number, "duplicate", why))
        rejected += [
            Rejection(proposal, request.number, "crowded", f"{len(chosen)} of the slate were wanted more")
            for proposal, _ in left
        ]
        return replace(
            advice,
            proposals=(*advice.proposals, *chosen),
            rejected=(*advice.rejected, *rejected) if tell else advice.rejected,
        )


def _latest(request: Request) -> list[Trial]:
    """Returns the adviser's last three trials; one in four should explore."""
    own = [t for t in request.trials if t.proposal.source == "llm"]
    return own[-3:] if len(own) >= 3 else []


def _most_wanted(
    left: Sequence[tuple[Proposal, Verdict]],
    taken: Sequence[Params],
    chosen: Sequence[Proposal],
    judge: Judge,
    wanting: bool,
) -> int:
    """Returns the place of the candidate to take next.

    One of an intent that is not taken yet goes first, an exploring one above all where none was run for long; then the
    sum of the rank of its worth, in [0, 1], and its distance from what is taken; then the adviser's own order.
    """
    intents = {p.intent for p in chosen if p.intent}
    ranks = sorted(v.worth for _, v in left)

    def key(place: int) -> tuple[bool, bool, float, int]:
        proposal, verdict = left[place]
        rank = ranks.index(verdict.worth) / max(1, len(ranks) - 1)
        explores = wanting and not chosen and proposal.intent == "explore"
        return explores, proposal.intent not in intents, rank + judge.spread(proposal.params, taken), -place

    return max(range(len(left)), key=key)
