"""When a study has used up what it may use."""

from __future__ import annotations

import pytest
from histories import failed, scored, trial
from hypothesis import given
from hypothesis import strategies as st

from neuropt_core.budget import Limits, Used, has_stalled, seconds_of, spoken
from neuropt_core.errors import ConfigError
from neuropt_core.space import Float, SearchSpace
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Outcome, Trial, TrialState

SPEC = StudySpec("s", SearchSpace((Float(name="x", low=0.0, high=1000.0),)))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("8h", 28800), ("90m", 5400), ("1d 2h", 93600), ("1H30M", 5400), ("45 min", 2700), ("1.5h", 5400), (90, 90)],
)
def test_a_duration_is_read_as_people_write_it(text: object, seconds: float) -> None:
    """Numbers are seconds; text has units, singly or together."""
    assert seconds_of(text) == seconds


@given(st.integers(1, 10**7))
def test_what_is_spoken_can_be_read_again(seconds: int) -> None:
    """A duration in words means the same when it is given as a limit."""
    assert seconds_of(spoken(seconds)) == seconds


@pytest.mark.parametrize("text", ["0h", -3, "", "8 hours", "h", True, float("nan"), float("inf"), [8], "1h x"])
def test_what_is_no_duration_is_refused(text: object) -> None:
    """The error names the setting, what it got, and how to write it."""
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.budget\.wall_clock: must be a duration.*Write seconds"):
        Limits.parse(text)


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"gpu_hours": 0}, "gpu_hours: must be a number above 0, got 0"),
        ({"gpu_hours": "8h"}, "gpu_hours: must be a number above 0, got '8h'"),
        ({"gpus": -1}, "gpus_per_trial: must be a whole number"),
        ({"gpus": 0, "gpu_hours": 1.0}, "gpus_per_trial: must be at least 1 for a limit"),
        ({"stalled": "yes"}, "stalled: must be true or false"),
    ],
)
def test_limits_that_cannot_be_are_refused(given: dict[str, object], where: str) -> None:
    """Each is checked before anything is launched."""
    with pytest.raises(ConfigError, match=where):
        Limits.parse(**given)


def test_gpu_hours_count_each_ended_attempt() -> None:
    """Told trials and attempts that were given up count with the GPUs that each held, and so do running ones."""
    done = Trial(0, trial(0, {"x": 1.0}).proposal, Outcome(TrialState.COMPLETE, 0.5, seconds=3600))
    again = Outcome(TrialState.COMPLETE, 0.5, seconds=1800)
    limits = Limits(gpu_hours=12.0, gpus=8)
    used = limits.used(7.0, [done, trial(1, {"x": 2.0})], {1: (again,)})
    assert used == Used(7.0, 12.0)
    assert limits.used(7.0, [done], {}, [900.0, 900.0]) == Used(7.0, 12.0)
    assert limits.reached(used) == "the budget of 12 GPU-hours is spent (hydra.sweeper.budget.gpu_hours)"
    assert limits.reached(Used(7.0, 11.9)) == ""


def test_the_wall_clock_ends_a_study_by_name() -> None:
    """The sentence names the limit as it was meant and the setting."""
    limits = Limits.parse("8h")
    assert limits.reached(Used(28799.9)) == ""
    assert limits.reached(Used(28800.0)) == "the budget of 8 h is spent (hydra.sweeper.budget.wall_clock)"
    assert Limits().reached(Used(1e9, 1e9)) == ""


def _scores(values: list[float]) -> list[Trial]:
    return [trial(n, {"x": float(n)}, scored(v)) for n, v in enumerate(values)]


def test_a_study_stalls_when_nothing_new_improves() -> None:
    """After the warm-up and ten configurations without an improvement it has, and not one trial earlier."""
    values = [1.0, 0.8, 0.6, 0.5] + [0.7] * 10
    assert "none of the last 10 configurations" in has_stalled(SPEC, _scores(values), 20)
    assert has_stalled(SPEC, _scores(values[:-1]), 20) == ""
    assert has_stalled(SPEC, _scores(values), 60) == ""  # There the window is 15 trials, and the warm-up 8.


@pytest.mark.parametrize(("last", "stalled"), [(0.4, False), (0.4999, True), (0.51, True)])
def test_an_improvement_must_be_more_than_nothing(last: float, stalled: bool) -> None:
    """A lead of less than a thousandth of the range of scores does not count as one."""
    assert bool(has_stalled(SPEC, _scores([1.0, 0.8, 0.6, 0.5] + [0.7] * 9 + [last]), 20)) is stalled


def test_an_improvement_within_the_noise_is_none() -> None:
    """Where configurations were repeated, a lead must exceed what their runs differ by; replicates do not count."""
    trials = _scores([1.0, 0.8, 0.6, 0.5] + [0.7] * 9 + [0.45])
    assert has_stalled(SPEC, trials, 20) == ""
    again = trial(14, {"x": 3.0}, scored(0.7), source="replicate", parent=3)
    assert has_stalled(SPEC, [*trials, again], 20)
    assert has_stalled(SPEC, [*trials[:-1], again], 20) == ""


def test_a_lost_machine_is_no_lack_of_progress() -> None:
    """Trials that teach nothing do not fill the window."""
    trials = _scores([1.0, 0.8, 0.6, 0.5] + [0.7] * 9)
    assert has_stalled(SPEC, [*trials, trial(13, {"x": 13.0}, failed("preempted"))], 20) == ""
    assert has_stalled(SPEC, [*trials, trial(13, {"x": 13.0}, failed())], 20)


def test_a_new_place_on_the_front_is_progress() -> None:
    """With several objectives a study goes on while its Pareto front moves."""
    spec = StudySpec("s", SPEC.space, further=("minimize",))

    def two(n: int, one: float, other: float) -> Trial:
        outcome = Outcome(TrialState.COMPLETE, one, further=(other,))
        return Trial(n, trial(n, {"x": float(n)}).proposal, outcome)

    old = [two(n, 1.0 + n, 5.0 - n) for n in range(4)] + [two(n, 9.0, 9.0) for n in range(4, 13)]
    assert has_stalled(spec, [*old, two(13, 9.0, 9.0)], 20)
    assert has_stalled(spec, [*old, two(13, 9.0, 0.0)], 20) == ""
