"""The gate between an adviser and the search."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from spaces import MIXED, study

from neuropt_core.advice import Advice, Consultation, Request
from neuropt_core.advisors.chance import RandomAdvisor
from neuropt_core.advisors.gate import Gate, GateSettings
from neuropt_core.advisors.prior import PriorAdvisor
from neuropt_core.advisors.search import Search
from neuropt_core.advisors.slate import Judge
from neuropt_core.advisors.surrogate import SurrogateAdvisor
from neuropt_core.advisors.trust import Share
from neuropt_core.card import SpaceCard
from neuropt_core.space import Value
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Proposal, Trial

BEST: dict[str, Value] = {"lr": 6e-3, "dropout": 0.0, "width": 200, "opt": "adam"}


def _loss(params: dict[str, Value]) -> float:
    width = math.log(float(params["width"]) / 200) ** 2 / 10  # type: ignore[arg-type]
    return abs(math.log10(float(params["lr"])) + 2.2) + float(params["dropout"]) + width  # type: ignore[arg-type]


@dataclass
class Says:
    """An adviser, ours and plain: it says what a function of the request says, and counts how it was asked."""

    think: Callable[[Request], list[dict[str, Value]]]
    portfolio: list[dict[str, Value]] = field(default_factory=list)
    intents: tuple[str, ...] = ("",)
    name: str = "llm (says)"
    asked: list[Request] = field(default_factory=list)
    cards: int = 0

    def card(self, request: Request) -> Advice:
        self.cards += 1
        made = SpaceCard("llm", portfolio=tuple(Proposal(p, "Portfolio.", "llm") for p in self.portfolio))
        return Advice((), (Consultation("m", number=request.number),), card=made)

    def propose(self, request: Request) -> Advice:
        self.asked.append(request)
        found = [
            Proposal(params, "Said.", "llm", intent=self.intents[i % len(self.intents)])
            for i, params in enumerate(self.think(request)[: request.count])
        ]
        return Advice(tuple(found), (Consultation("m", number=request.number),))


def _search() -> Search:
    return Search(PriorAdvisor(), SurrogateAdvisor())


def _near_best(request: Request) -> list[dict[str, Value]]:
    return [{**BEST, "lr": 6e-3 * 1.3**k, "width": 150 + request.number * 5 + 30 * k} for k in range(request.count)]


def _sources(trials: tuple[Trial, ...]) -> list[str]:
    return [t.proposal.source for t in trials]


def test_a_dead_adviser_is_the_keyless_run() -> None:
    """With an adviser that never says anything every proposal has the values of the run without one, and says so."""
    dead = study(Gate(Says(lambda request: []), _search()), _loss, 16)
    keyless = study(Gate(None, _search()), _loss, 16)
    assert [t.params for t in dead] == [t.params for t in keyless]
    assert {t.proposal.stands_in_for for t in keyless} == {""}
    assert "llm" in {t.proposal.stands_in_for for t in dead}


def test_a_good_adviser_is_heard_early() -> None:
    """Its portfolio is tried in turn with the search during the warm-up, and the card is asked for once."""
    adviser = Says(_near_best, [BEST, {**BEST, "lr": 1e-2}, {**BEST, "width": 400}])
    trials = study(Gate(adviser, _search()), _loss, 10)
    assert adviser.cards == 1
    assert trials[1].proposal.rationale == "Portfolio."
    assert _sources(trials)[:4] == ["default", "llm", "prior", "llm"]


def test_a_portfolio_that_falls_behind_loses_its_turns() -> None:
    """Two results of the portfolio that rank below the search's end its turns in the warm-up."""
    awful = [{**BEST, "lr": 1.0, "dropout": d} for d in (0.5, 0.4, 0.3, 0.2)]
    trials = study(Gate(Says(lambda request: [], awful), _search()), _loss, 40)
    assert sum(t.proposal.rationale == "Portfolio." for t in trials) == 2


def test_a_hostile_adviser_gets_a_tenth_and_a_good_one_up_to_half() -> None:
    """Over 40 trials the shares after the warm-up lie within the bounds, the good one's far above the hostile one's."""

    def hostile(request: Request) -> list[dict[str, Value]]:
        return [
            {**BEST, "lr": 0.2 + 0.01 * k + request.number / 100, "dropout": 0.5, "width": 16 + k}
            for k in range(request.count)
        ]

    settings = GateSettings(veto=False)
    shares = [
        _sources(study(Gate(Says(think), _search(), settings), _loss, 40))[8:].count("llm") / 32
        for think in (_near_best, hostile)
    ]
    assert shares[1] < 0.25 < shares[0] <= 0.55


def test_the_veto_spares_trials() -> None:
    """What the results call hopeless is put aside with the reason, and no trial is spent on it."""

    def bad(request: Request) -> list[dict[str, Value]]:
        return [{**BEST, "lr": 0.9, "dropout": 0.25 + 0.05 * k, "width": 90} for k in range(request.count)]

    trials = study(RandomAdvisor(), _loss, 60)
    request = Request(StudySpec("s", MIXED), trials, 60, 1, 100)
    settings = GateSettings(share=Share(1.0, 1.0))
    advice = Gate(Says(bad), _search(), settings).propose(request)
    assert {r.rule for r in advice.rejected} == {"hopeless"}
    assert len(advice.rejected) == 3
    assert advice.proposals[0].stands_in_for == "llm"
    tried = Gate(Says(bad), _search(), replace(settings, veto=False)).propose(request)
    assert tried.proposals[0].source == "llm"


def test_repetitions_are_put_aside() -> None:
    """A candidate within the distance of a trial is rejected, with the trial's number."""
    trials = study(_search(), _loss, 12)
    same = Says(lambda request: [dict(trials[5].params)])
    advice = Gate(same, _search(), GateSettings(share=Share(1.0, 1.0))).propose(
        Request(StudySpec("s", MIXED), trials, 12, 1, 40)
    )
    assert [(r.rule, r.why) for r in advice.rejected] == [("duplicate", "is hardly different from trial 5")]


def test_one_place_an_intent() -> None:
    """Of a slate for two places one of each intent is taken, though two of one may be worth more; the rest is told."""
    trials = study(_search(), _loss, 12)
    adviser = Says(_near_best, intents=("exploit", "exploit", "explore"))
    settings = GateSettings(share=Share(1.0, 1.0), veto=False, distance=0.0)
    advice = Gate(adviser, _search(), settings).propose(Request(StudySpec("s", MIXED), trials, 12, 2, 40))
    assert {p.intent for p in advice.proposals} == {"exploit", "explore"}
    assert adviser.asked[0].count == 6
    assert adviser.asked[0].least == 2
    assert [r.rule for r in advice.rejected].count("crowded") == 4


def test_workers_share_a_batch() -> None:
    """Of four free places at the start the adviser's portfolio gets two, and the search the others."""
    adviser = Says(_near_best, [BEST, {**BEST, "lr": 1e-2}, {**BEST, "width": 400}])
    request = Request(StudySpec("s", MIXED), study(_search(), _loss, 1), 1, 4, 20)
    sources = [p.source for p in Gate(adviser, _search()).propose(request).proposals]
    assert sources.count("llm") == 2
    assert len(sources) == 4


def test_it_opens_with_the_trial_after_the_warm_up() -> None:
    """The last place of the warm-up goes by turns, and the first one after it by the draw."""
    trials = study(_search(), _loss, 4)
    adviser = Says(_near_best)
    settings = GateSettings(warmup=4, share=Share(0.0, 0.0))
    assert Gate(adviser, _search(), settings).propose(Request(StudySpec("s", MIXED), trials[:3], 3, 1, 40)).card
    assert Gate(adviser, _search(), settings).propose(Request(StudySpec("s", MIXED), trials, 4, 1, 40)).card is None
    assert adviser.cards == len(adviser.asked) == 1


def test_a_silent_adviser_takes_turns_still() -> None:
    """In the warm-up a place that the search filled for a silent adviser was the adviser's turn, not the search's."""
    silent = Says(lambda request: [])
    trials = study(Gate(silent, _search(), GateSettings(warmup=9)), _loss, 9)
    assert [t.proposal.stands_in_for for t in trials[1:]] == ["llm", ""] * 4
    assert len(silent.asked) == 4


def test_a_slate_that_repeats_itself_is_taken_once() -> None:
    """Of a slate of one configuration one is taken for two places, the others are told as duplicates."""
    trials = study(_search(), _loss, 12)
    adviser = Says(lambda request: [BEST] * request.count)
    settings = GateSettings(share=Share(1.0, 1.0), veto=False)
    advice = Gate(adviser, _search(), settings).propose(Request(StudySpec("s", MIXED), trials, 12, 2, 40))
    assert [p.source for p in advice.proposals].count("llm") == 1
    assert len(advice.proposals) == 2
    assert {r.rule for r in advice.rejected} == {"duplicate"}
    assert len(advice.rejected) == 5


def test_who_has_not_explored_for_long_explores() -> None:
    """Of a slate the exploring candidate goes first where the adviser's last three explored nothing, else the best."""
    base = study(_search(), _loss, 12)
    far = {**BEST, "lr": 0.5, "dropout": 0.4}
    adviser = Says(lambda request: [{**BEST, "lr": 5e-3}, far], intents=("exploit", "explore"))
    gate = Gate(adviser, _search(), GateSettings(share=Share(1.0, 1.0), veto=False))
    for intent, taken in (("exploit", "explore"), ("explore", "exploit")):
        trials = tuple(
            replace(t, proposal=replace(t.proposal, source="llm", intent=intent)) if t.number in (4, 6, 8) else t
            for t in base
        )
        advice = gate.propose(Request(StudySpec("s", MIXED), trials, 12, 1, 40))
        assert advice.proposals[0].intent == taken


def test_worth_decides_within_an_intent_and_distance_with_it() -> None:
    """Of one intent the candidate of more worth is taken first; for the second place distance from it counts too."""
    trials = study(_search(), _loss, 16)
    slate = [{**BEST, "lr": 0.5, "dropout": 0.5, "width": 20, "opt": "sgd", "momentum": 0.5}, {**BEST, "lr": 9e-3}]
    slate.append({**BEST, "lr": 1.2e-2})
    request = Request(StudySpec("s", MIXED), trials, 16, 1, 40)
    worth = [v.worth for v in Judge(request).verdicts(slate)]
    best = max(range(3), key=lambda i: worth[i])
    settings = GateSettings(share=Share(1.0, 1.0), veto=False)
    gate = Gate(Says(lambda request: slate), _search(), settings)
    assert gate.propose(request).proposals[0].params == slate[best]
    others = [i for i in range(3) if i != best]
    rank = sorted(worth[i] for i in others)
    wanted = {i: rank.index(worth[i]) + Judge(request).spread(slate[i], [slate[best]]) for i in others}
    second = gate.propose(replace(request, count=2)).proposals[1].params
    assert second == slate[max(others, key=lambda i: wanted[i])]


def test_the_card_is_known_when_candidates_are_asked_for() -> None:
    """In one request the call for the card is among those that the call for candidates knows of."""
    adviser = Says(_near_best)
    Gate(adviser, _search()).propose(Request(StudySpec("s", MIXED), study(_search(), _loss, 1), 1, 1, 20))
    assert len(adviser.asked[0].consulted) == 1
    assert adviser.asked[0].card is not None
