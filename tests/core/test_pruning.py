"""From the history to the rule of a trial."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from histories import curve_of, failed, scored, trial
from hypothesis import given
from hypothesis import strategies as st

from neuropt_core.curve import Curve, Point
from neuropt_core.errors import ConfigError
from neuropt_core.objectives import Constraint
from neuropt_core.pruning import Pruning, make_rule, remark, saved_steps
from neuropt_core.space import Float, SearchSpace
from neuropt_core.spec import StudySpec
from neuropt_core.stopping import Bar, StopRule
from neuropt_core.trial import Failure, Outcome, Trial, TrialState

SPACE = SearchSpace((Float(name="lr", low=1e-4, high=1.0, default=1e-3),))
SPEC = StudySpec("s", SPACE)
AUTO = Pruning()
P = {"lr": 0.1}


def _falling(floor: float, steps: int = 10) -> list[float]:
    return [floor + 1 / (t + 1) for t in range(steps)]


def _scored(number: int, floor: float, steps: int = 10, **said: Any) -> Trial:
    values = _falling(floor, steps)
    return trial(number, P, scored(values[-1], curve_of(values, [0.9 * v for v in values])), **said)


def _pruned(number: int, values: Sequence[float]) -> Trial:
    return trial(number, P, Outcome(TrialState.PRUNED, curve=curve_of(values), reason="behind"))


FIVE = tuple(_scored(number, 0.1 * number) for number in range(5))


def test_the_rule_holds_what_the_history_says() -> None:
    """Metric, length, grace, bars, incumbent and gains come from the five trials before."""
    rule = make_rule(SPEC, FIVE, AUTO, 5)
    assert (rule.metric, rule.minimize, rule.by_best, rule.grace, rule.last_step) == ("val_loss", True, True, 2, 9)
    assert rule.diverging == ("train_loss", "val_loss")
    # The fourth best of five is what 80 % had reached: the first place that makes "75 % had reached it" true.
    assert rule.bars[0] == Bar(2, pytest.approx(0.3 + 1 / 3), 75.0, 5)  # type: ignore[arg-type]
    assert [bar.step for bar in rule.bars] == [2, 3, 5, 7]
    assert rule.race is not None
    assert (rule.race.number, rule.race.value, rule.race.chance) == (0, pytest.approx(0.1), 0.05)
    assert rule.race.gains[0] == (2, pytest.approx([1 / 3 - 0.1] * 5))


def test_a_hopeless_trial_stops_and_a_good_one_ends() -> None:
    """Under the rule from five trials a much worse one stops early, one that is best runs to its end."""
    rule = make_rule(SPEC, FIVE, AUTO, 5)
    reasons = [rule.judge(curve_of(_falling(2.0)[:count])) for count in range(1, 11)]
    assert reasons[:2] == [None, None]
    assert reasons[2] == "val_loss 2.333 by step 2 is worse than what 75 % of 5 trials had reached by then (0.6333)"
    assert all(rule.judge(curve_of(_falling(-0.1)[:count])) is None for count in range(1, 11))


def test_off_never_stops_anything() -> None:
    """With the mode off nothing stops a trial, not even a nan."""
    rule = make_rule(SPEC, FIVE, Pruning("off"), 5)
    assert rule == StopRule(non_finite=False)
    assert rule.judge(curve_of([1.0, float("nan")])) is None


def test_guard_stops_only_what_is_broken() -> None:
    """With the mode guard a hopeless trial ends, a diverging one does not."""
    rule = make_rule(SPEC, FIVE, Pruning("guard"), 5)
    assert not any(rule.judge(curve_of(_falling(9.0)[:count])) for count in range(1, 11))
    assert rule.judge(curve_of([1.0, 4.0, 4.0])) is not None
    assert rule.judge(curve_of([1.0, float("nan")])) is not None


def test_trial_0_is_stopped_only_by_what_is_not_finite() -> None:
    """The baseline must get its score."""
    assert make_rule(SPEC, FIVE, AUTO, 0) == StopRule()


def test_a_replicate_is_not_judged_against_others() -> None:
    """It measures noise; the guard holds."""
    again = trial(5, P, source="replicate")
    rule = make_rule(SPEC, [*FIVE, again], AUTO, 5)
    assert rule == make_rule(SPEC, FIVE, Pruning("guard"), 5)
    assert make_rule(SPEC, [*FIVE, trial(5, P)], AUTO, 5).bars


@pytest.mark.parametrize(
    "spec",
    [
        StudySpec("s", SPACE, further=("maximize",)),
        StudySpec("s", SPACE, constraints=(Constraint("train_loss", at_most=True, bound=1.0),)),
    ],
    ids=["two objectives", "constraint"],
)
def test_what_may_win_in_another_respect_is_only_guarded(spec: StudySpec) -> None:
    """With several objectives or constraints nothing is judged by one metric."""
    trials = [
        replace(t, outcome=replace(t.outcome, further=(1.0,) * len(spec.further)))
        for t in FIVE
        if t.outcome is not None
    ]
    rule = make_rule(spec, trials, AUTO, 5)
    assert (rule.metric, rule.bars, rule.race) == ("", (), None)
    assert rule.diverging == ("train_loss", "val_loss")


def test_an_untied_score_is_only_guarded() -> None:
    """If no metric gives the score, trials are not judged by one; once there are three, the user can be told."""
    untied = [trial(n, P, scored(0.777 + n, curve_of(_falling(0.1)))) for n in range(5)]
    rule = make_rule(SPEC, untied, AUTO, 5)
    assert (rule.metric, rule.bars, rule.race, rule.diverging) == ("", (), None, ())
    assert make_rule(SPEC, (), AUTO, 1) == StopRule()
    assert "No reported metric (val_loss) gives the score" in remark(SPEC, untied, AUTO)
    assert remark(SPEC, untied[:2], AUTO) == ""
    assert remark(SPEC, FIVE, AUTO) == ""
    assert remark(SPEC, untied, Pruning("guard")) == ""
    assert "no trial reports 'val_los', only" in remark(SPEC, FIVE, Pruning(metric="val_los"))


def test_few_trials_make_no_bar_but_a_race() -> None:
    """Of three others nothing is known to be usual, but there is something to beat."""
    rule = make_rule(SPEC, FIVE[:3], AUTO, 5)
    assert rule.bars == ()
    assert rule.race is not None


def test_a_rule_can_be_turned_off_alone() -> None:
    """Percentile 0 leaves out the bars, chance 0 the race; the grace is the user's."""
    assert make_rule(SPEC, FIVE, Pruning(percentile=0), 5).bars == ()
    assert make_rule(SPEC, FIVE, Pruning(chance=0), 5).race is None
    rule = make_rule(SPEC, FIVE, Pruning(grace=5), 5)
    assert (rule.grace, rule.bars[0].step) == (5, 5)


def test_pruned_trials_count_at_later_steps_with_what_they_had() -> None:
    """The bar at late steps is not that of the survivors alone, or the share that is stopped would compound."""
    stopped = [_pruned(5 + n, [3.0, 2.5, 2.4]) for n in range(5)]
    rule = make_rule(SPEC, [*FIVE, *stopped], AUTO, 10)
    assert {bar.trials for bar in rule.bars} == {10}
    assert rule.bars[-1].value == 2.4


def test_running_trials_count_at_the_steps_that_they_reached() -> None:
    """Half a curve says something of its half; without it a running trial says nothing."""
    peers = [*FIVE[:2], *(trial(n, P) for n in (2, 3, 5))]
    running = {n: curve_of(_falling(0.1 * n)[:4]) for n in (2, 3, 5)}
    assert make_rule(SPEC, peers, AUTO, 5).bars == ()
    rule = make_rule(SPEC, peers, AUTO, 5, running)
    assert [(bar.step, bar.trials) for bar in rule.bars] == [(2, 4), (3, 4)]  # Trial 5 is not its own peer.


def test_what_failed_counts_as_far_as_it_came() -> None:
    """A trial that ran out of memory at step 4 is a peer up to there; one whose machine died is none."""
    out = Outcome(TrialState.FAIL, curve=curve_of(_falling(0.5)[:4]), failure=Failure("out_of_memory", "no room"))
    gone = Outcome(TrialState.FAIL, curve=curve_of(_falling(0.5)[:4]), failure=Failure("preempted", "gone"))
    steps = {bar.step: bar.trials for bar in make_rule(SPEC, [*FIVE, trial(5, P, out)], AUTO, 9).bars}
    assert steps == {2: 6, 3: 6, 5: 5, 7: 5}
    assert make_rule(SPEC, [*FIVE, trial(5, P, gone)], AUTO, 9) == make_rule(SPEC, FIVE, AUTO, 9)
    assert make_rule(SPEC, [*FIVE, trial(5, P, failed())], AUTO, 9) == make_rule(SPEC, FIVE, AUTO, 9)


def test_the_usual_length_is_that_of_most_or_the_longest() -> None:
    """One that stopped by itself does not shorten the race; where lengths differ it goes to the longest."""
    assert make_rule(SPEC, [*FIVE, _scored(5, 0.3, steps=4)], AUTO, 9).last_step == 9
    mixed = [_scored(n, 0.1 * n, steps=5 + n) for n in range(4)]
    assert make_rule(SPEC, mixed, AUTO, 9).last_step == 7


def test_a_loss_that_rises_in_good_trials_is_no_alarm() -> None:
    """A metric that trebles in a trial of the better half, as a player's loss against another's, is not watched."""
    rising = [0.3, *[3.0] * 9]
    good = trial(9, P, scored(_falling(-0.1)[-1], curve_of(_falling(-0.1), rising)))
    assert make_rule(SPEC, [*FIVE, good], AUTO, 10).diverging == ("val_loss",)
    bad = trial(9, P, scored(_falling(5.0)[-1], curve_of(_falling(5.0), rising)))
    assert make_rule(SPEC, [*FIVE, bad], AUTO, 10).diverging == ("train_loss", "val_loss")


def test_only_losses_of_the_training_are_alarms_by_name() -> None:
    """With an accuracy as the score a validation loss may rise by overfitting; the training's may not."""
    points = tuple(
        Point(t, {"train/loss": 1.0, "loss": 1.0, "val_loss": 1.0, "val_acc": 0.1 * t, "train_acc": 0.2})
        for t in range(9)
    )
    rule = make_rule(StudySpec("s", SPACE, "maximize"), [trial(0, P, scored(0.8, Curve(points)))], AUTO, 1)
    assert rule.diverging == ("train/loss", "loss")
    assert (rule.metric, rule.minimize) == ("val_acc", False)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"mode": "on"}, "pruning.mode: must be one of auto, guard, off, got 'on'"),
        ({"metric": " "}, "pruning.metric: must be auto, null or the name of a metric"),
        ({"grace": -1}, "pruning.grace: must be a whole number of 0 or more, or null, got -1"),
        ({"grace": 1.5}, "pruning.grace: must be a whole number"),
        ({"percentile": 100.0}, "pruning.percentile: must be at least 0 and below 100, got 100.0"),
        ({"percentile": float("nan")}, "pruning.percentile: must be at least 0"),
        ({"chance": 1.0}, "pruning.chance: must be at least 0 and below 1, got 1.0"),
        ({"chance": -0.1}, "pruning.chance: must be at least 0 and below 1"),
        ({"chance": True}, "pruning.chance: must be at least 0 and below 1"),
    ],
)
def test_a_wrong_setting_is_named(setting: Mapping[str, Any], words: str) -> None:
    """Each setting is checked; the error says which, the rule and what it got."""
    with pytest.raises(ConfigError, match=words):
        Pruning(**setting)


def test_saved_steps() -> None:
    """What was saved is the rest of each pruned trial's full length, of what all would have run."""
    trials = [*FIVE, _pruned(5, [1.0, 1.0, 1.0]), _pruned(6, []), trial(7, P, failed()), trial(8, P)]
    assert saved_steps(trials) == (7, 60)
    assert saved_steps(FIVE) == (0, 50)
    assert saved_steps([_pruned(0, [1.0])]) == (0, 0)
    assert saved_steps([]) == (0, 0)


def test_making_a_rule_is_cheap() -> None:
    """Of 200 trials of 100 points with four metrics a rule takes a fraction of a second, and no more than 10 kB."""
    trials = []
    for number in range(200):
        draw = random.Random(f"cheap {number}")
        values = [v + draw.gauss(0, 0.01) for v in _falling(draw.random(), 100)]
        points = tuple(
            Point(t, {"train_loss": v / 2, "val_loss": v, "val_acc": 1 - v, "lr": 0.1}) for t, v in enumerate(values)
        )
        trials.append(trial(number, P, scored(values[-1], Curve(points))))
    took = []
    for _ in range(5):
        began = time.process_time()
        rule = make_rule(SPEC, trials, AUTO, 200)
        took.append(time.process_time() - began)
    assert min(took) < 0.5
    assert len(str(rule.to_json())) < 10_000


CURVES = st.lists(st.floats(0.01, 10), min_size=5, max_size=5)


@given(st.lists(CURVES, min_size=4, max_size=8), CURVES, st.lists(st.floats(0, 3), min_size=5, max_size=5))
def test_among_any_others_a_better_curve_is_never_stopped_where_a_worse_one_is_not(
    others: list[list[float]], worse: list[float], by: list[float]
) -> None:
    """The comparison with the others is monotone: at least as good at every step means stopped no earlier."""
    trials = [trial(n, P, scored(values[-1], curve_of(values))) for n, values in enumerate(others)]
    rule = replace(make_rule(SPEC, trials, Pruning(chance=0), 99), diverging=())  # That is judged by one's own start.
    better = [value - gain for value, gain in zip(worse, by, strict=True)]
    one, other = (
        next((count for count in range(1, 6) if rule.judge(Curve(curve_of(values).points[:count]))), 6)
        for values in (better, worse)
    )
    assert one >= other


@given(st.lists(CURVES, min_size=4, max_size=8), st.lists(st.floats(), max_size=9))
def test_off_never_stops_any_curve(others: list[list[float]], values: list[float]) -> None:
    """Whatever came before, and whatever is reported, off means off."""
    trials = [trial(n, P, scored(curve[-1], curve_of(curve))) for n, curve in enumerate(others)]
    assert make_rule(SPEC, trials, Pruning("off"), 99).judge(curve_of(values)) is None
