"""The importance of parameters."""

from __future__ import annotations

import math

import pytest

from neuropt_core.advice import Request
from neuropt_core.advisors.chance import RandomAdvisor
from neuropt_core.advisors.importance import importances
from neuropt_core.space import Categorical, Float, SearchSpace, When
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Failure, Outcome, Proposal, Trial, TrialState

SPACE = SearchSpace(
    (
        Float(name="noise", low=0.0, high=1.0),
        Float(name="lr", low=1e-5, high=1.0, log=True),
        Categorical(name="opt", choices=("adam", "sgd")),
        Float(name="momentum", low=0.0, high=0.99, when=(When("opt", ("sgd",)),)),
    )
)


def _trials(n: int, sign: float = 1.0, several: bool = False) -> tuple[Trial, ...]:
    proposals = RandomAdvisor().propose(Request(StudySpec("s", SPACE), (), 0, n, 99)).proposals
    return tuple(Trial(i, p, _scored(p, sign, several)) for i, p in enumerate(proposals))


def _scored(proposal: Proposal, sign: float, several: bool) -> Outcome:
    lr = proposal.params["lr"]
    assert isinstance(lr, float)
    return Outcome(TrialState.COMPLETE, sign * abs(math.log10(lr) + 3), further=(0.5,) if several else ())


@pytest.mark.parametrize(("direction", "sign"), [("minimize", 1.0), ("maximize", -1.0)])
def test_what_decides_the_score_comes_first(direction: str, sign: float) -> None:
    """The one parameter that the score depends on has the largest share by far, and the shares sum to 1."""
    spec = StudySpec("s", SPACE, direction)  # type: ignore[arg-type]
    found = importances(spec, _trials(60, sign))
    assert found is not None
    assert next(iter(found)) == "lr"
    assert found["lr"] > 0.6
    assert set(found) == set(SPACE.names)
    assert math.isclose(sum(found.values()), 1.0)
    assert list(found.values()) == sorted(found.values(), reverse=True)


def test_it_is_a_function_of_the_trials() -> None:
    """Asked twice it says the same, and the order of the trials is all one."""
    spec, trials = StudySpec("s", SPACE), _trials(30)
    assert importances(spec, trials) == importances(spec, trials)


def test_what_a_search_hardly_varied_gets_no_share() -> None:
    """A parameter that the three best happen to share with half of the others has not decided anything."""
    space = SearchSpace(
        (Float(name="lr", low=1e-5, high=0.1, log=True), Float(name="wd", low=1e-5, high=0.3, log=True))
    )
    tried = [(1e-4, 0.01, 1.67), (3e-4, 0.01, 0.81), (3e-4, 0.0023, 0.84), (9e-4, 0.01, 0.32), (2.8e-3, 0.01, 0.18)]
    tried += [(2.8e-3, 0.1, 0.19), (8.5e-3, 0.01, 0.158), (0.0256, 0.01, 0.16), (0.0256, 0.042, 0.185)]
    trials = tuple(
        Trial(i, Proposal({"lr": lr, "wd": wd}, "Why not?", "prior"), Outcome(TrialState.COMPLETE, score))
        for i, (lr, wd, score) in enumerate(tried)
    )
    assert not (importances(StudySpec("s", space), trials) or {}).get("wd")


def test_of_several_objectives_the_first_counts() -> None:
    """A second objective changes nothing."""
    both = StudySpec("s", SPACE, further=("maximize",))
    assert importances(both, _trials(30, several=True)) == importances(StudySpec("s", SPACE), _trials(30))


def test_few_scores_tell_nothing() -> None:
    """Below eight scored configurations, or where all score alike, there is no answer; failures do not count."""
    spec = StudySpec("s", SPACE)
    failed = Outcome(TrialState.FAIL, failure=Failure("exception", "no"))
    assert importances(spec, ()) is None
    assert importances(spec, _trials(7)) is None
    assert (
        importances(
            spec, tuple(Trial(t.number, t.proposal, t.outcome if t.number < 7 else failed) for t in _trials(30))
        )
        is None
    )
    assert (
        importances(spec, tuple(Trial(t.number, t.proposal, Outcome(TrialState.COMPLETE, 1.0)) for t in _trials(30)))
        is None
    )
    assert importances(spec, _trials(8)) is not None
