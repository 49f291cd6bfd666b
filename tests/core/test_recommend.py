"""Which configuration to take when scores are noisy."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from histories import failed, scored, trial
from hypothesis import given
from hypothesis import strategies as st

from neuropt_core.curve import Curve, Point
from neuropt_core.objectives import Constraint, Direction
from neuropt_core.recommend import configurations, noise, recommendation, standings
from neuropt_core.space import Float, SearchSpace
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Outcome, Trial, TrialState

SPACE = SearchSpace((Float(name="x", low=0.0, high=100.0),))
SPEC = StudySpec("s", SPACE)


def _study(runs: dict[float, list[float]]) -> list[Trial]:
    """Trials of the configurations x -> scores."""
    flat = [(x, value) for x, values in runs.items() for value in values]
    return [trial(number, {"x": x}, scored(value)) for number, (x, value) in enumerate(flat)]


def test_alike_are_equal_values_of_equal_types() -> None:
    """1 and 1.0 are different configurations, as they are different choices; the order of names does not matter."""
    params: list[dict[str, float | int]] = [{"x": 1.0, "y": 2}, {"y": 2, "x": 1.0}, {"x": 1, "y": 2}]
    groups = configurations([trial(number, p) for number, p in enumerate(params)])
    assert [[t.number for t in group] for group in groups] == [[0, 1], [2]]


def test_the_noise_is_pooled_over_the_configurations() -> None:
    """It is the root of the sum of squares over the sum of n - 1, whatever the configurations' own means."""
    runs = {1.0: [0.5, 0.7], 2.0: [10.0, 10.1, 10.3], 3.0: [4.0]}
    squares = sum(statistics.variance(v) * (len(v) - 1) for v in runs.values() if len(v) > 1)
    assert noise(_study(runs)) == pytest.approx(math.sqrt(squares / 3))


def test_without_repeated_runs_no_noise_is_known() -> None:
    """Single runs give no noise, and the best score is recommended with the words "run once"."""
    trials = _study({1.0: [0.5], 2.0: [0.4], 3.0: [0.6]})
    found = recommendation(SPEC, trials)
    assert noise(trials) is None
    assert found is not None
    assert (found.trial.number, found.mean, found.sd, found.n, found.ties) == (1, 0.4, None, 1, ())
    assert "run once" in found.words
    assert recommendation(SPEC, [trial(0, {"x": 1.0})]) is None


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=5), st.integers(2, 7))
def test_equal_runs_have_no_noise(values: list[float], times: int) -> None:
    """A script without chance has a noise of exactly 0 and its own scores as means, however large they are."""
    trials = _study({float(x): [value] * times for x, value in enumerate(values)})
    assert noise(trials) == 0
    assert {s.mean for s in standings(SPEC, trials)} == set(values)


def test_the_posterior_mean_is_that_of_the_books_formula() -> None:
    """Each mean lies between its runs' mean and the prior's, weighted by precisions (BDA3, eq. 2.12)."""
    trials = _study({1.0: [0.2, 0.4], 2.0: [0.5], 3.0: [0.6], 4.0: [0.9]})
    own = noise(trials)
    assert own is not None
    middle, between = statistics.mean([0.3, 0.5]), statistics.variance([0.3, 0.5])
    half, rest = standings(SPEC, trials)[:2], standings(SPEC, trials)[2:]
    assert [(s.mean, s.sd) for s in rest] == [(0.6, own), (0.9, own)]  # Not of the prior.
    for standing in half:
        n, mean = len(standing.runs), statistics.mean(t.value for t in standing.runs if t.value is not None)
        precision = 1 / between + n / own**2
        assert standing.mean == pytest.approx((middle / between + n * mean / own**2) / precision)
        assert standing.sd == pytest.approx(precision**-0.5)


@pytest.mark.parametrize(("direction", "sign"), [("minimize", 1), ("maximize", -1)])
def test_a_lucky_single_run_does_not_beat_repeated_ones(direction: Direction, sign: int) -> None:
    """The best number is a single run within the noise: the repeated configuration is taken, and both are ties."""
    runs = {1.0: [0.30, 0.34, 0.32], 2.0: [0.29], 3.0: [0.6], 4.0: [0.7]}
    trials = _study({x: [sign * v for v in values] for x, values in runs.items()})
    found = recommendation(StudySpec("s", SPACE, direction), trials)
    assert found is not None
    assert (found.trial.number, found.n) == (0, 3)
    assert [t.number for t in found.ties] == [3]
    assert "a tie with trial 3" in found.words


def test_several_ties_are_trials() -> None:
    """Two configurations within the noise are "trials"."""
    found = recommendation(SPEC, _study({1.0: [0.30, 0.34, 0.32], 2.0: [0.29], 3.0: [0.31], 4.0: [0.7]}))
    assert found is not None
    assert "a tie with trials 3, 4" in found.words


def test_a_single_run_that_is_far_ahead_is_taken() -> None:
    """What was run twice before does not hold up a configuration that is better by many times the noise."""
    found = recommendation(SPEC, _study({1.0: [0.50, 0.51], 2.0: [0.10], 3.0: [0.6]}))
    assert found is not None
    assert (found.trial.number, found.n, found.ties) == (2, 1, ())


def test_a_configuration_that_breaks_a_constraint_is_not_recommended() -> None:
    """Feasible ones come first, however good the others' means are."""
    spec = StudySpec("s", SPACE, constraints=(Constraint("size", True, 1.0),))
    trials = _study({1.0: [0.1, 0.12], 2.0: [0.5, 0.52]})
    small = Curve((Point(0, {"size": 0.5}),))
    fitted = [
        Trial(t.number, t.proposal, Outcome(TrialState.COMPLETE, t.value, small)) if t.params["x"] == 2.0 else t
        for t in trials
    ]
    found = recommendation(spec, fitted)
    assert found is not None
    assert found.trial.number == 2
    assert found.ties == ()


def test_runs_without_a_score_are_told() -> None:
    """A configuration of which one run failed says so."""
    trials = [*_study({1.0: [0.5]}), trial(1, {"x": 1.0}, failed())]
    found = recommendation(SPEC, trials)
    assert found is not None
    assert "1 more without a score" in found.words


def test_with_several_objectives_the_order_is_the_fronts() -> None:
    """No posterior is made of several scores; the balanced trial of the first front is named."""
    spec = StudySpec("s", SPACE, further=("minimize",))
    trials = [
        Trial(n, trial(n, {"x": float(n)}).proposal, Outcome(TrialState.COMPLETE, v[0], further=(v[1],)))
        for n, v in enumerate([(3.0, 3.0), (1.0, 4.0), (2.0, 2.0)])
    ]
    found = recommendation(spec, trials)
    assert found is not None
    assert (found.trial.number, found.sd, found.ties) == (2, None, ())


def test_shrinkage_finds_better_ones_than_the_best_number() -> None:
    """Over 300 drawn studies with noise, what is recommended is truly better on average than the best single score."""
    gains = []
    for seed in range(300):
        draw = random.Random(seed)
        truth = {float(x): draw.gauss(0, 1) for x in range(12)}
        trials = _study({x: [mean + draw.gauss(0, 1)] for x, mean in truth.items()})
        best = sorted(trials, key=lambda t: t.value or 0.0)[:3]
        for t in best:
            x = t.params["x"]
            assert isinstance(x, float)
            trials.append(trial(len(trials), {"x": x}, scored(truth[x] + draw.gauss(0, 1))))
        found = recommendation(SPEC, trials)
        lucky = min(trials, key=lambda t: t.value or 0.0)
        assert found is not None
        gains.append(truth[lucky.params["x"]] - truth[found.trial.params["x"]])  # type: ignore[index]
    assert statistics.mean(gains) > 2 * statistics.stdev(gains) / math.sqrt(len(gains))
