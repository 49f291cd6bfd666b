"""What the Gaussian process is told."""

from __future__ import annotations

import statistics

from hypothesis import given
from hypothesis import strategies as st

from neuropt_core.advisors._evidence import Ledger
from neuropt_core.advisors._gp import gp_trials, half_ranked
from neuropt_core.curve import Curve, Point
from neuropt_core.objectives import Constraint
from neuropt_core.space import Float, SearchSpace
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Failure, Outcome, Proposal, Trial, TrialState

SPACE = SearchSpace((Float(name="x", low=0.0, high=1.0),))


def test_all_it_is_told_has_a_score_and_the_same_constraints() -> None:
    """A failure breaks a constraint that all others keep; a stopped trial has an estimate; a lost machine is silent."""
    curve = Curve((Point(0, {"loss": 3.0}), Point(1, {"loss": 1.0})))
    ends = (
        Outcome(TrialState.COMPLETE, 1.0, curve),
        Outcome(TrialState.FAIL, failure=Failure("timeout", "no")),
        Outcome(TrialState.PRUNED, curve=Curve((Point(0, {"loss": 4.0}),)), reason="hopeless"),
        Outcome(TrialState.FAIL, failure=Failure("preempted", "no")),
        None,
    )
    trials = [Trial(i, Proposal({"x": i / 10}, "r", "random"), end) for i, end in enumerate(ends)]
    spec = StudySpec("s", SPACE, constraints=(Constraint("loss", True, 2.0),))
    ledger = Ledger(spec)
    ledger.update(trials)
    told = gp_trials(spec, ledger, (), trials[4:])
    assert [(t.number, t.state.name) for t in told] == [
        (0, "COMPLETE"),
        (1, "COMPLETE"),
        (2, "COMPLETE"),
        (4, "RUNNING"),
    ]
    assert [t.constraints for t in told[:3]] == [
        {"loss <= 2": -0.5, "failed": -1.0},
        {"loss <= 2": 0.0, "failed": 1.0},
        {"loss <= 2": 1.0, "failed": -1.0},
    ]


@given(scores=st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30))
def test_half_ranks_keep_the_order_and_the_better_half(scores: list[float]) -> None:
    """No two scores change places, the better half stays as it is, and both directions are alike."""
    warped = half_ranked(scores, "minimize")
    middle = statistics.median(scores)
    assert all(w == s for w, s in zip(warped, scores, strict=True) if s <= middle)
    pairs = list(zip(scores, warped, strict=True))
    assert all(b <= d for a, b in pairs for c, d in pairs if a < c)
    assert half_ranked([-s for s in scores], "maximize") == [-w for w in warped]
