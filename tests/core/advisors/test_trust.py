"""The draw between the LLM and the search."""

from __future__ import annotations

import pytest
from spaces import MIXED

from neuropt_core.advice import Rejection, Request
from neuropt_core.advisors.chance import draw
from neuropt_core.advisors.trust import DISCOUNT, Share, due, standing
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Failure, Outcome, Proposal, Trial, TrialState

OPENED = 4
LOST = Outcome(TrialState.FAIL, failure=Failure("node_lost", "gone"))


def _trials(sources: str, good: str = "") -> list[Trial]:
    """Returns trials after a warm-up of four; ``l`` is the LLM's, ``s`` the search's, and `good` says whose score."""
    warm = [_trial(n, "default" if n == 0 else "filler", 5.0) for n in range(OPENED)]
    names = {"l": "llm", "s": "surrogate"}
    later = [_trial(OPENED + i, names[s], 1.0 if s == good else 9.0) for i, s in enumerate(sources)]
    return warm + later


def _trial(number: int, source: str, score: float | Outcome, stands_in_for: str = "") -> Trial:
    outcome = score if isinstance(score, Outcome) else Outcome(TrialState.COMPLETE, score + number / 1000)
    return Trial(number, Proposal(draw(MIXED, 0, number), "Because.", source, stands_in_for=stands_in_for), outcome)


def _request(trials: list[Trial], seed: int = 0, rejected: tuple[Rejection, ...] = ()) -> Request:
    return Request(StudySpec("s", MIXED, seed=seed), tuple(trials), len(trials), 1, 60, rejected=rejected)


def _share(sources: str, good: str) -> float:
    """Returns how often the LLM is due, over 200 seeds."""
    return sum(due(_request(_trials(sources, good), seed), OPENED, Share(0.0, 1.0)) for seed in range(200)) / 200


def test_who_finds_more_is_due_more_often() -> None:
    """After six trials each, the one whose trials are the best quarter gets most of the draws, and not all of them."""
    assert _share("ls" * 6, good="l") > 0.8
    assert 0.0 < _share("ls" * 6, good="s") < 0.2


def test_the_share_is_bounded_above() -> None:
    """However good, the LLM never has more than half of the trials after the warm-up, the first one aside."""
    for sources in ("l", "ls", "lsl", "lssll"):
        theirs = sources.count("l")
        if theirs + 1 > 0.5 * (len(sources) + 1):
            assert not any(due(_request(_trials(sources, "l"), seed), OPENED, Share()) for seed in range(50))


def test_the_share_is_bounded_below() -> None:
    """However bad, the LLM is asked for a tenth: after one of ten trials it is due, whatever is drawn."""
    trials = _trials("l" + "s" * 9, good="s")
    assert all(due(_request([*trials, _trial(14, "surrogate", 0.5)], seed), OPENED, Share()) for seed in range(20))
    assert not all(due(_request(trials[:-1], seed), OPENED, Share()) for seed in range(20))


def test_a_whole_share_is_always_due() -> None:
    """With both bounds at 1 every place is the LLM's."""
    assert all(
        due(_request(_trials("l" * n, "s"), seed), OPENED, Share(1.0, 1.0)) for n in range(6) for seed in range(9)
    )


def test_a_share_of_nothing_is_nothing() -> None:
    """With most_share at 0 the LLM is never asked."""
    assert not any(due(_request(_trials("", ""), seed), OPENED, Share(0.0, 0.0)) for seed in range(50))


def test_one_batch_is_never_the_llms_alone() -> None:
    """Of four free places at once the LLM gets at most two."""
    for seed in range(50):
        given = 0
        for place in range(4):
            given += due(_request(_trials("ls" * 3, "l"), seed), OPENED, Share(), place, given)
        assert given <= 3  # Three of ten, with those before.
        assert given + 3 <= 0.5 * 10 + 1


def test_silence_is_not_rewarded() -> None:
    """A place that the search filled for a silent LLM counts as the LLM's, so that it is not asked every time."""
    trials = [*_trials("s"), _trial(5, "prior", 1.0, stands_in_for="llm"), _trial(6, "prior", 1.0)]
    trials.append(_trial(7, "prior", 1.0, stands_in_for="llm"))
    assert not any(due(_request(trials, seed), OPENED, Share(0.0, 0.5)) for seed in range(50))
    assert any(due(_request(_trials("ssss"), seed), OPENED, Share(0.0, 0.5)) for seed in range(50))


def test_old_results_fade() -> None:
    """A success of twenty trials ago weighs less than one of the last trial."""
    early, late = _trials("l" + "s" * 20), _trials("s" * 20 + "l")
    early[4], late[-1] = _trial(4, "llm", 0.0), _trial(24, "llm", 0.0)
    assert standing(_request(early), ["llm"])[0] < 0.5 < standing(_request(late), ["llm"])[0]


def test_what_is_refused_costs_trust_and_what_a_machine_did_does_not() -> None:
    """A hopeless slate counts up to half a failure, what was crowded out nothing, and a lost node nothing."""
    proposal = Proposal(draw(MIXED, 0, 1), "Because.", "llm")
    base = _request(_trials("ss"))
    hopeless = tuple(Rejection(proposal, 6, "hopeless", "why") for _ in range(3))
    crowded = (Rejection(proposal, 6, "crowded", "why"),)
    assert standing(base, ["llm"]) == (0, 0)
    assert 0.3 < standing(_request(_trials("ss"), rejected=hopeless), ["llm"])[1] < 0.5
    assert standing(_request(_trials("ss"), rejected=crowded), ["llm"]) == (0, 0)
    assert standing(_request([*_trials("ss"), _trial(6, "llm", LOST)]), ["llm"]) == (0, 0)


def test_a_success_is_among_the_best_quarter() -> None:
    """Of eight results the best two are successes, and the third a failure."""
    trials = [_trial(n, "llm", 1.0 + n) for n in range(8)]
    won, lost = standing(_request(trials), ["llm"])
    weights = [DISCOUNT ** (7 - n) for n in range(8)]
    assert (won, lost) == pytest.approx((sum(weights[:2]), sum(weights[2:])))


def test_each_place_of_a_batch_has_a_draw_of_its_own() -> None:
    """Two places of one request are not always given or kept together, and what was given counts for the next."""
    request = [_request(_trials("lsls"), seed) for seed in range(60)]
    draws = [(due(r, OPENED, Share(0.0, 1.0), 0), due(r, OPENED, Share(0.0, 1.0), 1)) for r in request]
    assert len(set(draws)) == 4
    batch = _request(_trials("sl"))
    longer = _request(_trials("slss"))
    assert due(longer, OPENED, Share(1.0, 0.5), 0, 0)  # Two of five is within a half, three of five is not.
    assert not due(longer, OPENED, Share(1.0, 0.5), 0, 1)
    assert due(batch, OPENED, Share(0.75, 0.5), 1, 0)  # Three of four, of which it has one.
    assert not due(batch, OPENED, Share(0.75, 0.5), 0, 0)
