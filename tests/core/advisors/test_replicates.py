"""Which configurations are run again, and when."""

from __future__ import annotations

from dataclasses import replace

import pytest
from histories import failed, scored, trial
from hypothesis import given, settings
from hypothesis import strategies as st

from neuropt_core.advice import Request
from neuropt_core.advisors.replicates import owed, replicates
from neuropt_core.space import Float, SearchSpace
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Outcome, Proposal, Trial, TrialState

SPEC = StudySpec("s", SearchSpace((Float(name="x", low=0.0, high=1000.0),)))


def _request(trials: list[Trial], n_trials: int = 20, count: int = 1) -> Request:
    return Request(SPEC, tuple(trials), len(trials), count, n_trials)


def _new(values: list[float]) -> list[Trial]:
    return [trial(n, {"x": float(n)}, scored(v)) for n, v in enumerate(values)]


def _again(trials: list[Trial], proposal: Proposal, value: float | None) -> list[Trial]:
    return [*trials, Trial(len(trials), proposal, None if value is None else scored(value))]


FALLING = [1.0, 0.9, 0.8, 0.7, 0.6, 0.55, 0.54, 0.53, 0.52, 0.51, 0.505, 0.5]


def test_the_reserve_waits_for_sixty_percent_and_goes_to_the_incumbent_first() -> None:
    """Of 20 trials two are kept: the first is due at trial 12, for the best so far, with the reason in words."""
    assert replicates(_request(_new(FALLING[:11])), 0.1) == ()
    (first,) = replicates(_request(_new(FALLING), count=4), 0.1)
    assert (first.source, first.parent, dict(first.params), first.seed) == ("replicate", 11, {"x": 11.0}, None)
    assert first.rationale == "Trial 11 again: it is the best so far, run once. How much of that is chance?"


def test_then_its_rival_is_due() -> None:
    """The second goes to the nearest rival, four trials later, and then the reserve is spent."""
    trials = _new(FALLING)
    trials = _again(trials, replicates(_request(trials), 0.1)[0], 0.495)
    trials += [trial(n, {"x": float(n)}, scored(2.0)) for n in range(13, 16)]
    assert replicates(_request(trials[:-1]), 0.1) == ()
    (second,) = replicates(_request(trials), 0.1)
    assert second.parent == 10
    assert "rival of trial 11" in second.rationale
    assert replicates(_request(_again(trials, second, 0.6)), 0.1) == ()


@pytest.mark.parametrize(("n_trials", "share"), [(9, 0.5), (20, 0.0)])
def test_small_studies_and_a_share_of_zero_have_no_reserve(n_trials: int, share: float) -> None:
    """Below ten trials, or where the user wants none, nothing is run again."""
    assert replicates(_request(_new(FALLING), n_trials), share) == ()


def test_a_script_without_chance_is_not_run_again() -> None:
    """Two equal scores without a change of the seed end the replicates; with another seed they may be luck."""
    trials = _new(FALLING)
    same = _again(trials, replicates(_request(trials), 0.1)[0], 0.5)
    late = same + [trial(n, {"x": float(n)}, scored(2.0)) for n in range(13, 24)]
    assert replicates(_request(late, 30), 0.2) == ()
    seeded = [replace(t, proposal=replace(t.proposal, seed=5)) if t.number == 12 else t for t in late]
    assert replicates(_request(seeded, 30), 0.2) != ()


def test_what_failed_is_never_run_again() -> None:
    """Neither a failed or pruned trial, nor a configuration one of whose runs failed."""
    trials = _new(FALLING[:-1])
    trials.append(trial(11, {"x": 10.0}, failed(), source="replicate", parent=10))
    trials.append(trial(12, {"x": 12.0}, Outcome(TrialState.PRUNED, reason="worse")))
    trials += [trial(n, {"x": float(n)}, scored(2.0)) for n in range(13, 18)]
    (due,) = replicates(_request(trials), 0.1)
    assert due.parent == 9


def test_a_rival_that_is_clearly_behind_is_none() -> None:
    """Once the noise is known and nobody is near the repeated incumbent, the reserve is left to the search."""
    trials = _new([1.0] * 11 + [0.1])
    trials = _again(trials, replicates(_request(trials), 0.1)[0], 0.101)
    trials += [trial(n, {"x": float(n)}, scored(2.0)) for n in range(13, 18)]
    assert replicates(_request(trials), 0.1) == ()


@settings(deadline=None)
@given(
    st.lists(st.floats(-10, 10), min_size=1, max_size=40),
    st.integers(1, 60),
    st.integers(1, 8),
    st.floats(0, 0.5),
)
def test_the_reserve_is_never_exceeded(values: list[float], n_trials: int, count: int, share: float) -> None:
    """However many are asked for, and asked for again while they run, the count and the share are kept."""
    request = _request(_new(values), n_trials, count)
    due = replicates(request, share)
    assert len(due) <= count
    assert len(due) <= share * n_trials + 0.5
    assert all(p.params == request.trials[p.parent].params for p in due if p.parent is not None)
    if len(due) < count:
        assert replicates(request.after(due, count - len(due)), share) == ()


def test_seeds_run_each_proposal_so_often() -> None:
    """Each trial is owed its further runs, the earlier trial's first, until it has them or one has no score."""
    trials = _new([0.5, 0.6])
    assert [p.parent for p in owed(trials, 3, 9)] == [0, 0, 1, 1]
    assert [p.parent for p in owed(trials, 3, 1)] == [0]
    assert owed(trials, 1, 9) == ()
    ran = _again(trials, owed(trials, 3, 1)[0], None)
    assert [p.parent for p in owed(ran, 3, 9)] == [0, 1, 1]
    broken = [trial(0, {"x": 0.0}, failed()), trial(1, {"x": 1.0})]
    assert [p.parent for p in owed(broken, 2, 9)] == [1]
