"""What an earlier study's trials are worth."""

from __future__ import annotations

from neuropt_core.advisors.warm_start import WarmStart, shift, shifted
from neuropt_core.earlier import fitted
from neuropt_core.space import Categorical, Float, SearchSpace, Value, When
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Failure, Outcome, Proposal, Trial, TrialState

SPACE = SearchSpace(
    (
        Float(name="lr", low=1e-4, high=1e-1, log=True, default=1e-3, has_default=True),
        Categorical(name="opt", choices=("adam", "sgd"), default="adam", has_default=True),
        Float(name="momentum", low=0.0, high=0.99, when=(When("opt", ("sgd",)),)),
    )
)
SPEC = StudySpec("s", SPACE)


def _trial(number: int, params: dict[str, Value], value: float | None = None, kind: str = "exception") -> Trial:
    failed = Outcome(TrialState.FAIL, failure=Failure(kind, "no"))
    outcome = failed if value is None else Outcome(TrialState.COMPLETE, value)
    return Trial(number, Proposal(params, "x", "random"), outcome)


def completed(space: SearchSpace, params: dict[str, Value]) -> dict[str, Value] | None:
    found = fitted(_trial(0, params), space)
    return None if found is None else dict(found.params)


def test_a_foreign_configuration_is_filled_with_defaults_or_left_out() -> None:
    """What is missing takes its default, what this space does not know goes, and what is illegal is None."""
    assert completed(SPACE, {"lr": 0.01, "gone": 3}) == {"lr": 0.01, "opt": "adam"}
    assert completed(SPACE, {"opt": "sgd"}) is None
    assert completed(SPACE, {"lr": 1.0}) is None
    assert completed(SPACE, {"lr": 0.01, "opt": "adam", "momentum": 0.5}) == {"lr": 0.01, "opt": "adam"}


def test_what_does_not_fit_is_counted() -> None:
    """Trials outside the space are left out and counted; those that run, or whose machine failed, are not."""
    trials = (
        _trial(0, {"lr": 0.01}, 1.0),
        _trial(1, {"lr": 1.0}, 2.0),
        _trial(2, {"lr": 0.02}),
        _trial(3, {"lr": 1.0}, kind="preempted"),
        _trial(4, {"lr": 0.01, "gone": 1}, 3.0),
        Trial(5, Proposal({"lr": 1.0}, "x", "random")),
    )
    warm = WarmStart.of(SPEC, trials)
    assert warm.left_out == 1
    assert [(e.number, e.values) for e in warm.entries] == [(-2, (2.0,)), (-1, ())]
    assert warm.baseline == (1.0,)


def test_scores_of_another_number_of_objectives_do_not_fit() -> None:
    """One score says nothing in a study of two objectives."""
    warm = WarmStart.of(StudySpec("s", SPACE, further=("minimize",)), (_trial(0, {"lr": 0.01}, 1.0),))
    assert (warm.left_out, warm.entries, warm.baseline) == (1, (), ())


def test_the_shift_is_the_median_over_what_both_tried() -> None:
    """Common configurations decide, then the baselines; without either nothing can be told."""
    assert shift([(1.0,), (5.0,), (2.0,)], (0.0,), (100.0,)) == (2.0,)
    assert shift([], (3.0,), (10.0,)) == (7.0,)
    assert shift([], (), (10.0,)) is None
    assert shift([], (3.0,), ()) is None


def test_alike_configurations_are_found_and_scores_shifted() -> None:
    """A rate within a hundredth of the range is the same configuration; a failure has no score to shift."""
    warm = WarmStart.of(SPEC, (_trial(0, {"lr": 0.01}, 1.0), _trial(1, {"lr": 0.05}), _trial(2, {"lr": 0.09}, 4.0)))
    (own,) = WarmStart.of(SPEC, (_trial(0, {"lr": 0.0101}, 3.5),)).entries
    assert warm.differences(own, SPACE) == [(2.5,)]
    assert [shifted(e, (2.5,)).values for e in warm.entries] == [(3.5,), (), (6.5,)]
