"""What a good trial is: the order of trials, the Pareto front, and constraints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuropt_core.curve import Curve, Point
from neuropt_core.errors import ConfigError
from neuropt_core.objectives import Constraint, Direction, fronts, losses, order, pareto_front
from neuropt_core.trial import Failure, Outcome, Proposal, Trial, TrialState

BOTH: tuple[Direction, Direction] = ("minimize", "maximize")

_coarse = st.integers(min_value=-3, max_value=3).map(float)  # Coarse, so that ties are common.
_points = st.lists(st.tuples(_coarse, _coarse), max_size=12)
_directions = st.tuples(*[st.sampled_from(("minimize", "maximize"))] * 2)


def _trial(number: int, *values: float, **metrics: float) -> Trial:
    curve = Curve((Point(0, metrics),)) if metrics else Curve()
    outcome = Outcome(TrialState.COMPLETE, values[0], curve, further=values[1:])
    return Trial(number, Proposal({}, "Because.", "prior"), outcome)


def _failed(number: int) -> Trial:
    return Trial(number, Proposal({}, "Because.", "prior"), Outcome(TrialState.FAIL, failure=Failure("lost", "gone")))


def _better(one: Trial, other: Trial, directions: Sequence[Direction]) -> bool:
    """Domination as it is defined, objective by objective, without any sign turned."""
    pairs = list(zip(one.values, other.values, directions, strict=True))
    at_least = all(a <= b if d == "minimize" else a >= b for a, b, d in pairs)
    return at_least and any(a != b for a, b, _ in pairs)


@settings(deadline=None)
@given(_points, _directions)
def test_the_front_is_what_nobody_beats(points: list[tuple[float, float]], directions: Sequence[Direction]) -> None:
    """The Pareto front holds exactly the trials that no other one dominates, failures aside, by brute force."""
    trials = [_trial(i, *point) for i, point in enumerate(points)]
    front = pareto_front([*trials, _failed(99)], directions)
    assert list(front) == [t for t in trials if not any(_better(o, t, directions) for o in trials)]


@settings(deadline=None)
@given(_points)
def test_each_front_is_the_first_of_what_the_earlier_ones_leave(points: list[tuple[float, float]]) -> None:
    """Peeling one front off makes the next the first, every point is in one, and no front is empty."""
    found = fronts(points)
    for number in range(max(found, default=-1) + 1):
        left = [p for p, front in zip(points, found, strict=True) if front >= number]
        first = [p for p, front in zip(points, found, strict=True) if front == number]
        assert first
        assert first == [p for p, front in zip(left, fronts(left), strict=True) if front == 0]


@settings(deadline=None)
@given(st.data(), _points, _directions)
def test_the_order_is_total_and_does_not_depend_on_the_order_of_asking(
    data: st.DataObject, points: list[tuple[float, float]], directions: Sequence[Direction]
) -> None:
    """Every scored trial has one place, the same however the list is shuffled; who dominates comes first."""
    latencies = data.draw(st.lists(_coarse, min_size=len(points), max_size=len(points)))
    trials = [_trial(i, *p, ms=ms) for i, (p, ms) in enumerate(zip(points, latencies, strict=True))]
    limit = [Constraint.parse("ms <= 1")]
    ranked = order(trials, directions, limit)
    assert sorted(t.number for t in ranked) == list(range(len(points)))
    assert order(data.draw(st.permutations(trials)), directions, limit) == ranked
    places = {t.number: place for place, t in enumerate(ranked)}
    for one in trials:
        for other in trials:
            broken = [limit[0].violation(t) for t in (one, other)]
            if broken[0] < broken[1] or (broken[0] == broken[1] and _better(one, other, directions)):
                assert places[one.number] < places[other.number]


@given(st.lists(_coarse, max_size=12), st.sampled_from(("minimize", "maximize")))
def test_one_objective_is_ranked_by_its_score_alone(values: list[float], direction: Direction) -> None:
    """With one objective the order is that of the scores, the earlier trial of equals first."""
    ranked = order([_trial(i, v) for i, v in enumerate(values)], (direction,), ())
    sign = 1 if direction == "minimize" else -1
    assert [t.number for t in ranked] == sorted(range(len(values)), key=lambda i: (sign * values[i], i))


def test_within_a_front_the_balanced_come_first() -> None:
    """Of trials that do not dominate each other the one with the best ranks in all objectives together leads."""
    trials = [_trial(0, 0.1, 1.0), _trial(1, 0.2, 5.0), _trial(2, 0.9, 6.0), _trial(3, 1.0, 0.5)]
    assert [t.number for t in order(trials, BOTH, ())] == [1, 0, 2, 3]


def test_who_breaks_a_constraint_less_comes_first_among_those_who_do() -> None:
    """Feasible trials lead whatever their score; the others follow by the share of the bound that they exceed it by."""
    trials = [_trial(0, 0.1, ms=30.0), _trial(1, 0.9, ms=20.0), _trial(2, 0.2, ms=21.0), _trial(3, 0.05)]
    limits = [Constraint.parse("ms <= 20")]
    assert [t.number for t in order(trials, ("minimize",), limits)] == [1, 2, 0, 3]


@pytest.mark.parametrize(
    ("text", "value", "violation"),
    [
        ("ms <= 20", 20.0, 0.0),
        ("ms<=20", 23.2, pytest.approx(3.2)),
        ("ms >= 20", 23.2, 0.0),
        ("ms >= 2e1", 15.0, 5.0),
        ("ms <= 20", math.nan, math.inf),
        ("ms <= 20", math.inf, math.inf),
        ("other <= 20", 1.0, math.inf),
    ],
)
def test_a_constraint_is_judged_by_its_metric(text: str, value: float, violation: float) -> None:
    """The bound itself is kept; what is not reported or no number breaks it infinitely."""
    assert Constraint.parse(text).violation(_trial(0, 1.0, ms=value)) == violation


def test_a_constraint_is_judged_by_the_last_value() -> None:
    """What counts is how the metric stood at the end of training."""
    trial = _trial(0, 1.0)
    assert trial.outcome is not None
    curve = Curve((Point(0, {"ms": 30.0}), Point(1, {"ms": 10.0}), Point(2, {"loss": 1.0})))
    assert Constraint.parse("ms <= 20").violation(replace(trial, outcome=replace(trial.outcome, curve=curve))) == 0.0


@given(st.floats(allow_nan=False, allow_infinity=False), st.booleans())
def test_a_constraint_comes_back_from_its_own_words(bound: float, at_most: bool) -> None:
    """The text that the journal keeps is read as the very same constraint."""
    constraint = Constraint("val/latency_ms", at_most, bound)
    assert Constraint.parse(str(constraint)) == constraint


def test_a_constraint_reads_as_it_was_written() -> None:
    """A whole bound is shown without a decimal point."""
    assert str(Constraint.parse("latency_ms<=20")) == "latency_ms <= 20"


@pytest.mark.parametrize("text", ["ms < 20", "ms <= fast", "20 >= ", "ms <= nan", "ms <= 2 3", "a b <= 3", ""])
def test_what_is_no_constraint_is_refused(text: str) -> None:
    """Neither a strict bound nor one that is no finite number is guessed at."""
    with pytest.raises(ConfigError, match="must be a metric, <= or >=, and a finite number"):
        Constraint.parse(text)


def test_losses_turn_what_is_maximized() -> None:
    """Less is better in every loss; a trial without a score has none."""
    assert losses(_trial(0, 0.5, 3.0), BOTH) == (0.5, -3.0)
    assert losses(_failed(0), BOTH) is None
