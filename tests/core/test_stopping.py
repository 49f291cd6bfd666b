"""When a trial stops, judged from its curve and a rule that is plain data."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace

import pytest
from histories import curve_of
from hypothesis import given
from hypothesis import strategies as st

from neuropt_core.curve import Curve, Point
from neuropt_core.stopping import Bar, Race, StopRule, best_by, diverges, progress

BEHIND = StopRule(metric="val_loss", grace=2, last_step=9, bars=(Bar(2, 1.5, 75.0, 9), Bar(4, 1.1, 75.0, 9)))
RACE = StopRule(metric="val_loss", grace=2, last_step=19, race=Race(3, 0.3, 0.05, ((2, (0.2, 0.25)), (6, (0.1, 0.12)))))
FLOATS = st.floats(0.01, 100)


def _falling(floor: float, steps: int) -> list[float]:
    return [floor + 1 / (t + 1) for t in range(steps)]


def _stops_at(rule: StopRule, values: list[float]) -> tuple[int, str] | None:
    """Returns the first step at which a rule stops a curve of val_loss, and why."""
    for count in range(1, len(values) + 1):
        if (reason := rule.judge(curve_of(values[:count]))) is not None:
            return count - 1, reason
    return None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stops_at_once(value: float) -> None:
    """One metric that is nan or infinite ends the trial, unless the user has pruning off."""
    curve = Curve((Point(0, {"train_loss": 1.0}), Point(1, {"train_loss": value, "val_loss": 1.0})))
    assert StopRule().judge(curve) == f"train_loss is {value} at step 1"
    assert StopRule(non_finite=False).judge(curve) is None
    assert StopRule().judge(Curve()) is None


def test_a_loss_that_explodes_stops_when_it_did_so_twice() -> None:
    """More than 3 times the first value, twice in a row, is divergence; once, or after two reports, it is not."""
    rule = StopRule(diverging=("val_loss",))
    assert _stops_at(rule, [1.0, 4.0, 5.0]) == (
        2,
        "val_loss 5 at step 2 is, as the time before, more than 3 times its first value (1)",
    )
    assert _stops_at(rule, [1.0, 4.0, 2.9, 4.0, 2.0, 3.0, 3.0]) is None
    assert _stops_at(rule, [1.0, 4.0]) is None
    assert _stops_at(StopRule(), [1.0, 9.0, 9.0, 9.0]) is None


def test_divergence_needs_positive_values() -> None:
    """A log-likelihood, which is negative or crosses 0, has no multiples that mean anything."""
    assert not diverges([-1.0, -5.0, -9.0])
    assert not diverges([0.1, -0.1, 4.0, 4.0, 4.0])
    assert not diverges([0.0, 4.0, 4.0])
    assert diverges([0.1, 0.05, 4.0, 4.0, 0.1])
    assert not diverges([])


def test_a_trial_whose_best_counts_may_get_worse() -> None:
    """Where the best value is the score, a trial that had improved before it rose is left alone."""
    rule = StopRule(diverging=("val_loss",), by_best=True)
    assert _stops_at(rule, [1.0, 0.8, 9.0, 9.0]) is None
    assert _stops_at(rule, [1.0, 8.0, 9.0, 9.0]) is not None


def test_a_trial_behind_the_others_stops_with_the_numbers() -> None:
    """Worse than the bar at its step, after the grace, a trial stops; the reason holds both numbers."""
    assert _stops_at(BEHIND, [3.0, 2.5, 1.92]) == (
        2,
        "val_loss 1.92 by step 2 is worse than what 75 % of 9 trials had reached by then (1.5)",
    )
    assert _stops_at(BEHIND, [3.0, 2.5, 1.5, 1.3, 1.1, 1.1]) is None  # As good as the bar is good enough.
    assert _stops_at(BEHIND, [1.4, 2.5, 1.6, 1.6]) is None  # Its best so far counts.
    assert _stops_at(BEHIND, [3.0, 2.5, 1.5, 1.4, 1.2]) is not None


def test_between_bars_the_earlier_one_counts() -> None:
    """At a step of which nothing is known the last known one before it is the measure, and the reason says so."""
    curve = Curve(tuple(Point(step, {"val_loss": 1.6}) for step in (0, 1, 3)))
    assert "by step 3 is worse than what 75 % of 9 trials had reached by step 2 (1.5)" in str(BEHIND.judge(curve))
    assert BEHIND.judge(Curve(tuple(Point(step, {"val_loss": 1.4}) for step in (0, 1, 3)))) is None


def test_the_grace_counts_steps_that_report_the_metric() -> None:
    """Points without the metric, and a step that is reported again, do not use up the grace."""
    silent = [Point(step, {"lr": 0.1}) for step in range(5)]
    twice = [Point(5, {"val_loss": 9.0}), Point(5, {"val_loss": 9.0}), Point(6, {"val_loss": 9.0})]
    assert BEHIND.judge(Curve((*silent, *twice))) is None
    assert BEHIND.judge(Curve((*silent, *twice, Point(7, {"lr": 0.1})))) is None
    assert BEHIND.judge(Curve((*silent, *twice, Point(7, {"val_loss": 9.0})))) is not None


def test_near_its_end_a_trial_is_let_be() -> None:
    """In the last tenth a score is worth more than the steps."""
    assert _stops_at(replace(BEHIND, last_step=10, grace=9), [9.0] * 11) is None
    assert _stops_at(replace(BEHIND, last_step=11, grace=9), [9.0] * 12) is not None


def test_a_maximised_metric_is_the_same_upside_down() -> None:
    """With all signs turned, and the metric maximised, a trial stops at the same step."""
    bars = tuple(replace(bar, value=-bar.value) for bar in BEHIND.bars)
    assert RACE.race is not None
    for values in ([3.0, 2.5, 1.92], _falling(0.2, 20), _falling(0.9, 20), _falling(1.4, 20)):
        behind = replace(BEHIND, minimize=False, bars=bars)
        race = replace(RACE, minimize=False, race=replace(RACE.race, value=-0.3))
        for down, up in ((BEHIND, behind), (RACE, race)):
            one, other = _stops_at(down, values), _stops_at(up, [-value for value in values])
            assert (one and one[0]) == (other and other[0])


def test_a_hopeless_curve_stops_at_the_second_check() -> None:
    """A curve that flattens far above the best stops early with both chances; one that may still win does not."""
    step, reason = _stops_at(RACE, _falling(1.0, 20)) or (None, "")
    assert step == 4  # Four points make the first check, five the second.
    assert reason.startswith("val_loss 1.2 at step 4 is heading for 1.0")
    assert reason.endswith("the chance to beat trial 3 (0.3) is under 1 %, and was under 1 % at step 3")
    assert _stops_at(RACE, _falling(0.2, 20)) is None


def test_what_all_others_gained_late_is_held_for_possible() -> None:
    """Where every trial drops far at its end, as with a falling rate, a flat curve before the drop is no reason."""
    assert RACE.race is not None
    late = replace(RACE, race=replace(RACE.race, gains=((2, (0.9, 0.8)),)))
    assert _stops_at(late, _falling(1.0, 12)) is None


def test_a_trial_that_has_beaten_the_best_by_its_best_goes_on() -> None:
    """Where the best value counts, a trial below the incumbent's is not hopeless, however it rises."""
    values = [0.5, 0.2, *(0.9 + t / 10 for t in range(15))]
    assert _stops_at(replace(RACE, by_best=True), values) is None
    assert _stops_at(RACE, values) is not None


def test_a_restarted_job_is_judged_by_the_steps_up_to_its_own() -> None:
    """After a restart at an earlier step, what was reported beyond it is an earlier round's and forgotten."""
    first = [Point(t, {"val_loss": value}) for t, value in enumerate(_falling(0.2, 8))]
    again = [Point(t, {"val_loss": 5.0}) for t in (2, 3)]
    curve = Curve((*first, *again))
    assert progress(curve, "val_loss") == [(0, 1.2), (1, 0.7), (2, 5.0), (3, 5.0)]
    assert best_by(curve, "val_loss", 3, minimize=True) == pytest.approx(0.45)
    assert BEHIND.judge(curve) is None


def test_a_metric_that_is_missing_from_a_point_is_not_judged_there() -> None:
    """Only a report that holds the metric is a reason to judge it."""
    curve = Curve((*curve_of([9.0] * 5).points, Point(5, {"train_loss": 1.0})))
    assert BEHIND.judge(curve) is None
    assert BEHIND.judge(curve_of([9.0] * 5)) is not None


def test_judging_is_cheap() -> None:
    """At the 100th point of a curve, and at the costliest of all before it, a judgement takes less than 20 ms."""
    rule = replace(RACE, grace=3, last_step=120, race=Race(0, -9.0, 0.05, ((3, (99.0,) * 20),)))
    curve, slowest = curve_of(_falling(0.5, 100)), 0.0
    for count in range(1, 101):
        head = Curve(curve.points[:count])
        took = []
        for _ in range(3):
            began = time.process_time()
            assert rule.judge(head) is None
            took.append(time.process_time() - began)
        slowest = max(slowest, min(took))
    assert slowest < 0.02


def test_who_reports_every_batch_pays_little_and_is_judged_all_the_same() -> None:
    """Of 5,000 reports, two metrics in turn, each costs under 1 ms on average; what is hopeless or behind stops."""
    points = []
    for step in range(2500):
        points += [Point(step, {"train_loss": 1.0}), Point(step, {"val_loss": 1.0 + 1 / (step + 1)})]
    idle = replace(RACE, grace=1500, last_step=4999, diverging=("train_loss", "val_loss"))
    began = time.process_time()
    for count in range(1, len(points) + 1, 10):
        idle.judge(Curve(tuple(points[:count])))
    assert (time.process_time() - began) / (len(points) / 10) < 1e-3
    race = replace(idle, race=replace(RACE.race, gains=()), grace=500)  # type: ignore[type-var]
    behind = replace(idle, race=None, grace=500, bars=(Bar(500, 0.5, 75.0, 9),))
    for rule in (race, behind):
        stopped = next(count for count in range(1001, 5001) if rule.judge(Curve(tuple(points[:count]))))
        assert stopped < 2000


RULES = st.builds(
    StopRule,
    non_finite=st.booleans(),
    diverging=st.lists(st.text(max_size=5), max_size=2).map(tuple),
    metric=st.text(max_size=5),
    minimize=st.booleans(),
    by_best=st.booleans(),
    grace=st.integers(0, 9),
    last_step=st.none() | st.integers(0, 99),
    bars=st.lists(st.builds(Bar, st.integers(0, 9), FLOATS, FLOATS, st.integers(4, 9)), max_size=3).map(tuple),
    race=st.none()
    | st.builds(
        Race,
        st.integers(0, 9),
        FLOATS,
        FLOATS,
        st.lists(st.tuples(st.integers(0, 9), st.lists(FLOATS, max_size=3).map(tuple)), max_size=2).map(tuple),
    ),
)


@given(RULES)
def test_a_rule_survives_json(rule: StopRule) -> None:
    """What the job reads is what the sweeper wrote."""
    assert StopRule.from_json(json.loads(json.dumps(rule.to_json(), allow_nan=False))) == rule


def test_an_older_rule_can_be_read() -> None:
    """A ticket of an older version, which knew only the guard, means what it meant."""
    assert StopRule.from_json({"non_finite": False}) == StopRule(non_finite=False)


@given(st.lists(st.floats(0.1, 5), min_size=1, max_size=9), st.lists(st.floats(0, 2), min_size=9, max_size=9))
def test_a_better_curve_is_never_stopped_where_a_worse_one_is_not(worse: list[float], by: list[float]) -> None:
    """Against the others a trial that is at least as good at every step never stops earlier."""
    better = [value - gain for value, gain in zip(worse, by, strict=False)]
    one, other = _stops_at(BEHIND, better), _stops_at(BEHIND, worse)
    assert one is None or (other is not None and other[0] <= one[0])


@given(st.lists(st.floats(), max_size=12), st.lists(st.integers(0, 12), min_size=12, max_size=12), RULES)
def test_a_rule_judges_any_curve(values: list[float], steps: list[int], rule: StopRule) -> None:
    """Whatever was reported, in whatever order of steps, a rule has a reason in words or none."""
    points = tuple(Point(step, {"m": value}) for step, value in zip(steps, values, strict=False))
    reason = replace(rule, metric="m", diverging=("m",)).judge(Curve(points))
    assert reason is None or reason.startswith("m ")
