"""Optuna's TPE as an advisor."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from neuropt_core.advice import Request
from neuropt_core.advisors.chance import RandomAdvisor
from neuropt_core.advisors.surrogate import SurrogateAdvisor
from neuropt_core.space import Categorical, Float, Int, SearchSpace, When
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Failure, Outcome, Proposal, Trial, TrialState

SPACE = SearchSpace(
    (
        Float(name="lr", low=1e-5, high=1.0, log=True),
        Int(name="width", low=8, high=64, step=8),
        Categorical(name="opt", choices=("adam", "sgd", None, True)),
        Float(name="momentum", low=0.0, high=0.99, when=(When("opt", ("sgd",)),)),
    )
)


def _request(n: int, space: SearchSpace = SPACE, direction: str = "minimize", failing: float = math.inf) -> Request:
    """A history of n random trials scored by the distance of lr from 1e-3; lr above `failing` fails."""
    spec = StudySpec("s", space, direction)  # type: ignore[arg-type]
    trials: tuple[Trial, ...] = ()
    for number in range(n):
        (proposal,) = RandomAdvisor().propose(Request(spec, trials, number, 1, 99)).proposals
        trials += (_told(number, proposal, failing, direction),)
    return Request(spec, trials, n, 1, 99)


def _told(number: int, proposal: Proposal, failing: float, direction: str) -> Trial:
    lr = proposal.params["lr"]
    assert isinstance(lr, float)
    if lr > failing:
        return Trial(number, proposal, Outcome(TrialState.FAIL, failure=Failure("out_of_memory", "no room")))
    score = abs(math.log10(lr) + 3)
    return Trial(number, proposal, Outcome(TrialState.COMPLETE, score if direction == "minimize" else -score))


@pytest.mark.parametrize("n", [0, 1, 3, 12])
def test_proposals_are_legal_and_a_function_of_the_request(n: int) -> None:
    """The same request gives the same legal proposals, with however little history, and no two alike."""
    request = replace(_request(n), count=4)
    advice = SurrogateAdvisor().propose(request)
    assert len(advice.proposals) == 4
    assert len({repr(dict(p.params)) for p in advice.proposals}) == 4
    for proposal in advice.proposals:
        assert SPACE.check(proposal.params) == ()
        assert proposal.source == "surrogate"
        assert proposal.rationale
    assert SurrogateAdvisor().propose(request) == advice


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_it_learns_where_the_good_scores_are(direction: str) -> None:
    """After thirty scored trials its proposals lie nearer to the optimum than chance does, in both directions."""
    request = replace(_request(30, direction=direction), count=8)

    def distance(proposals: tuple[Proposal, ...]) -> float:
        rates = [p.params["lr"] for p in proposals]
        return sum(abs(math.log10(lr) + 3) for lr in rates if isinstance(lr, float)) / len(rates)

    learnt = distance(SurrogateAdvisor().propose(request).proposals)
    assert learnt < distance(RandomAdvisor().propose(request).proposals) * 0.7


def test_failures_keep_it_away() -> None:
    """Trials that ran out of memory at large lr make it propose small ones, without any penalty number of ours."""
    advice = SurrogateAdvisor().propose(replace(_request(30, failing=1e-2), count=8))
    rates = [p.params["lr"] for p in advice.proposals]
    assert sum(lr <= 1e-2 for lr in rates if isinstance(lr, float)) >= 6


def test_a_baseline_outside_the_space_does_no_harm() -> None:
    """The user's own value may lie beyond the bounds; such a trial is known but not modelled."""
    outside = Trial(0, Proposal({"lr": 5.0}, "Yours.", "default"), Outcome(TrialState.COMPLETE, 0.1))
    request = Request(StudySpec("s", SPACE), (outside,), 1, 2, 9)
    assert len(SurrogateAdvisor().propose(request).proposals) == 2


def test_a_space_that_is_used_up_still_gets_an_answer() -> None:
    """When every configuration has been tried, it repeats one rather than hang or raise."""
    space = SearchSpace((Categorical(name="only", choices=("a", "b")),))
    told = tuple(
        Trial(n, Proposal({"only": c}, "x", "random"), Outcome(TrialState.COMPLETE, n)) for n, c in enumerate("ab")
    )
    assert len(SurrogateAdvisor().propose(Request(StudySpec("s", space), told, 2, 1, 9)).proposals) == 1
