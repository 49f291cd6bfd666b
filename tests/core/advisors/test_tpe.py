"""What TPE is told."""

from __future__ import annotations

import math

from neuropt_core.advisors._tpe import TpeTrials
from neuropt_core.curve import Curve, Point
from neuropt_core.space import Float, SearchSpace
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Failure, Outcome, Proposal, Trial, TrialState

SPACE = SearchSpace((Float(name="x", low=0.0, high=1.0),))
SPEC = StudySpec("s", SPACE)


def _trial(number: int, outcome: Outcome | None) -> Trial:
    return Trial(number, Proposal({"x": number / 50}, "r", "random"), outcome)


def _scored(value: float) -> Outcome:
    return Outcome(TrialState.COMPLETE, value, Curve((Point(0, {"loss": value + 1}), Point(1, {"loss": value}))))


FAILED = Outcome(TrialState.FAIL, failure=Failure("out_of_memory", "no"))


def test_a_failure_runs_until_there_is_a_score_then_breaks_a_constraint() -> None:
    """Its value follows the 90th percentile as scores come in, also where the trials were told before."""
    told = TpeTrials(SPEC, ())
    trials = [_trial(0, FAILED)]
    told.update(trials)
    assert [t.state.name for t in told.view(trials)] == ["RUNNING"]
    trials += [_trial(i, _scored(float(i))) for i in range(1, 12)]
    for seen in (6, 12):
        told.update(trials[:seen])
        first = told.view(trials[:seen])[0]
        assert (first.state.name, first.constraints) == ("COMPLETE", {"failed": 1.0})
        assert first.value is not None
        assert math.isclose(first.value, 1 + 0.9 * (seen - 2))


def test_a_stopped_trial_is_pruned_at_its_last_step() -> None:
    """TPE hears the last value of the metric that the score is, once a scored trial has shown which that is."""
    curve = Curve((Point(0, {"loss": 5.0, "acc": 0.1}), Point(3, {"loss": 4.0, "acc": 0.2})))
    trials = [_trial(0, Outcome(TrialState.PRUNED, curve=curve, reason="hopeless"))]
    told = TpeTrials(SPEC, ())
    told.update(trials)
    assert told.view(trials)[0].intermediate_values == {}
    trials.append(_trial(1, _scored(1.0)))
    told.update(trials)
    first = told.view(trials)[0]
    assert (first.state.name, first.intermediate_values) == ("PRUNED", {3: 4.0})


def test_what_a_machine_did_and_what_lies_outside_is_not_told() -> None:
    """Preempted trials, and the user's own value beyond the bounds, running or ended, are left out; others run."""
    lost = Outcome(TrialState.FAIL, failure=Failure("preempted", "no"))
    outside = Proposal({"x": 2.0}, "Yours.", "default")
    trials = [Trial(0, outside), Trial(1, outside, _scored(1.0)), _trial(2, lost), _trial(3, None)]
    told = TpeTrials(SPEC, ())
    told.update(trials)
    assert [(t.number, t.state.name) for t in told.view(trials)] == [(3, "RUNNING")]


def test_earlier_trials_come_first_with_shifted_scores() -> None:
    """They are told once a common configuration gives the shift, and move with it."""
    earlier = (*(_trial(i, _scored(10.0 + i)) for i in range(3)), _trial(9, FAILED))
    told = TpeTrials(SPEC, earlier)
    told.update([_trial(30, _scored(1.0))])
    assert len(told.view([])) == 1
    own = [_trial(1, _scored(1.0)), _trial(30, _scored(1.0))]
    told.update(own)
    assert [(t.number, t.values) for t in told.view(own)] == [
        (-4, [0.0]), (-3, [1.0]), (-2, [2.0]), (-1, [1.0]), (1, [1.0]), (30, [1.0]),
    ]  # fmt: skip
