"""The search that needs no LLM."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spaces import MIXED, spaces, study

from neuropt_core.advice import Request, own_configuration
from neuropt_core.advisors.chance import RandomAdvisor
from neuropt_core.advisors.fillers import filler
from neuropt_core.advisors.prior import PriorAdvisor
from neuropt_core.advisors.search import Search, Sizes, keeps_up, warmup
from neuropt_core.advisors.surrogate import SurrogateAdvisor
from neuropt_core.space import Categorical, Float, SearchSpace, Value
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Failure, Outcome, Trial, TrialState


def _search() -> Search:
    return Search(PriorAdvisor(), SurrogateAdvisor())


def _loss(params: dict[str, Value]) -> float:
    width = math.log(float(params["width"]) / 200) ** 2 / 10  # type: ignore[arg-type]
    return abs(math.log10(float(params["lr"])) + 2.2) + float(params["dropout"]) + width  # type: ignore[arg-type]


def test_it_finds_more_than_chance() -> None:
    """On a bowl over five mixed parameters its best of 20 beats the best of 20 random draws on each of four seeds."""
    for seed in range(4):
        ours = min(t.value for t in study(_search(), _loss, 20, seed=seed) if t.value is not None)
        chance = min(t.value for t in study(RandomAdvisor(), _loss, 20, seed=seed) if t.value is not None)
        assert ours < chance


@settings(max_examples=15, deadline=None)
@given(space=spaces(), seed=st.integers(0, 9))
def test_what_it_proposes_is_legal_and_new(space: SearchSpace, seed: int) -> None:
    """Every proposal is in the space and unlike all before it, until a small space is used up."""
    trials = study(_search(), lambda params: float(crc32(repr(params).encode()) % 97), 10, space, seed=seed)
    for i, trial in enumerate(trials):
        assert not any(space.alike(trial.params, other.params) for other in trials[:i])


def test_a_used_up_space_ends_it() -> None:
    """Where every configuration was tried nothing is proposed, rather than something twice."""
    space = SearchSpace((Categorical(name="a", choices=(1, 2, 3), default=1, has_default=True),))
    spec, search = StudySpec("s", space), _search()
    trials = [Trial(0, own_configuration(space), Outcome(TrialState.COMPLETE, 1.0))]
    while advice := search.propose(Request(spec, tuple(trials), len(trials), 1, 20)).proposals:
        trials.append(Trial(len(trials), advice[0], Outcome(TrialState.COMPLETE, 1.0)))
    assert sorted(str(t.params["a"]) for t in trials) == ["1", "2", "3"]


def test_the_first_trials_take_turns() -> None:
    """Before the judge decides, a rule of thumb and an even spread alternate, and each says which it is."""
    sources = [t.proposal.source for t in study(_search(), _loss, 4)]
    assert sources == ["default", "prior", "filler", "prior"]


def test_rules_that_fall_behind_lose_their_turns() -> None:
    """In a warm-up in which both rules of thumb rank last an even spread takes the third turn; else the rules do."""
    search = Search(PriorAdvisor(), SurrogateAdvisor(), sizes=Sizes(warmup=12))
    made = study(search, _loss, 7)
    for worst, source in (("prior", "filler"), ("filler", "prior")):
        scores = [9.0 if t.proposal.source == worst else 1.0 for t in made[:5]]
        trials = tuple(
            replace(t, outcome=Outcome(TrialState.COMPLETE, x)) for t, x in zip(made[:5], scores, strict=True)
        )
        found = search.propose(Request(StudySpec("s", MIXED), trials, 5, 1, 40)).proposals[0]
        assert found.source == source


def test_the_even_spread_is_one_sequence() -> None:
    """The fillers of the warm-up are the points of one Sobol sequence in their order, none left out."""
    made = study(Search(PriorAdvisor(), SurrogateAdvisor(), sizes=Sizes(warmup=7)), lambda params: 1.0, 7)
    fillers = [t.params for t in made if t.proposal.source == "filler"]
    assert fillers == [filler(MIXED, 0, i) for i in range(len(fillers))]
    assert len(fillers) == 3


def test_whoever_starts_warm_has_no_warm_up() -> None:
    """With the results of an earlier study each proposal has an expected score from the first trial on."""
    earlier = study(_search(), _loss, 8)
    request = Request(StudySpec("s", MIXED), earlier[:1], 1, 2, 20, earlier=earlier)
    assert all(p.predicted is not None for p in _search().propose(request).proposals)
    assert all(p.predicted is None for p in _search().propose(replace(request, earlier=())).proposals)


def test_where_everything_is_near_what_differs_is_enough() -> None:
    """Where a wide distance leaves no candidate, one that is merely unlike all trials is proposed."""
    space = SearchSpace((Float(name="x", low=0.0, high=1.0, default=0.5, has_default=True),))
    trials = study(Search(PriorAdvisor(), SurrogateAdvisor(), distance=0.9), lambda params: 1.0, 8, space)
    assert len(trials) == 8


def test_optuna_is_among_those_who_propose() -> None:
    """Over 30 trials at least one comes from Optuna, unless it is left out."""
    sources = [
        {t.proposal.source for t in study(Search(PriorAdvisor(), SurrogateAdvisor(), sizes=sizes), _loss, 30)}
        for sizes in (Sizes(prior=1, fillers=0), Sizes(prior=1, fillers=0, surrogate=0))
    ]
    assert "surrogate" in sources[0]
    assert "surrogate" not in sources[1]


def test_a_batch_holds_different_proposals() -> None:
    """Four at once are four different configurations, and the same four when asked again."""
    trials = study(_search(), _loss, 8)
    request = Request(StudySpec("s", MIXED), trials, 8, 4, 20)
    proposals = _search().propose(request).proposals
    assert len({str(p.params) for p in proposals}) == 4
    assert proposals == _search().propose(request).proposals


def test_its_picks_say_why_and_what_is_expected() -> None:
    """A judged proposal's rationale names the model's results, and it carries an expectation to be compared."""
    rule, late = (t.proposal for t in study(_search(), _loss, 8)[-2:])
    if "model of" in rule.rationale:
        rule, late = late, rule
    assert "model of" in late.rationale
    assert "model of" not in rule.rationale
    assert rule.predicted is not None
    assert late.predicted is not None


def test_failures_are_avoided() -> None:
    """With a wall of memory over most of a range the later half of the trials runs into it far less than chance."""
    oom = Outcome(TrialState.FAIL, failure=Failure("out_of_memory", "CUDA out of memory"))

    def walled(params: dict[str, Value]) -> float | Outcome:
        return oom if float(params["width"]) > 70 else -float(params["width"])  # type: ignore[arg-type]

    states = Counter(t.state for t in study(_search(), walled, 24)[12:])
    assert states[TrialState.FAIL] <= 5  # Chance meets it in 6 of 10; it pays to come close.


@pytest.mark.parametrize(("n_trials", "expected"), [(1, 4), (10, 4), (30, 6), (100, 8)])
def test_the_gate_opens_after_a_fifth(n_trials: int, expected: int) -> None:
    """The warm-up is a fifth of the budget, from 4 to 8 trials."""
    assert warmup(n_trials) == expected


def test_who_falls_behind_loses_his_turns() -> None:
    """Two results whose median rank is worse than the others' end the turns; one result does not."""
    trials = study(_search(), _loss, 8)
    ranked = StudySpec("s", MIXED).ranked(trials)
    request = Request(StudySpec("s", MIXED), trials, 8, 1, 20)
    assert not keeps_up(ranked[-2:], ranked[:2], request)
    assert keeps_up(ranked[:2], ranked[-2:], request)
    assert keeps_up(ranked[-1:], ranked[:2], request)
    assert keeps_up(ranked[:3], ranked[1:2], request)  # Equals keep their turns.
