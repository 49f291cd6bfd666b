"""What a surrogate learns from."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuropt_core.advisors._evidence import Ledger, estimate, evidence, score_metric
from neuropt_core.curve import Curve, Point
from neuropt_core.objectives import Constraint
from neuropt_core.space import Float, SearchSpace
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Failure, Outcome, Proposal, Trial, TrialState

SPACE = SearchSpace((Float(name="x", low=0.0, high=1.0),))


def _trial(number: int, x: float, value: float | None, *losses: float, kind: str = "") -> Trial:
    curve = Curve(tuple(Point(i, {"loss": v}) for i, v in enumerate(losses)))
    if value is not None:
        outcome = Outcome(TrialState.COMPLETE, value, curve)
    elif kind:
        outcome = Outcome(TrialState.FAIL, failure=Failure(kind, "no"), curve=curve)
    else:
        outcome = Outcome(TrialState.PRUNED, curve=curve, reason="hopeless")
    return Trial(number, Proposal({"x": x}, "r", "random"), outcome)


def _ledger(*trials: Trial, direction: str = "minimize") -> Ledger:
    ledger = Ledger(StudySpec("s", SPACE, direction))  # type: ignore[arg-type]
    ledger.update(trials)
    return ledger


def test_replicates_are_one_entry_with_their_mean() -> None:
    """Trials of one configuration count once, under the first number; what failed among them has no score to add."""
    ledger = _ledger(
        _trial(0, 0.5, None, kind="timeout"), _trial(1, 0.2, 9.0), _trial(2, 0.5, 1.0), _trial(3, 0.5, 4.0)
    )
    assert [(e.number, e.values) for e in ledger.in_order()] == [(0, (2.5,)), (1, (9.0,))]
    assert ledger.scored == 2


@pytest.mark.parametrize(("direction", "share"), [("minimize", 8), ("maximize", 0)])
@given(scores=st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40))
def test_the_bad_score_is_the_ninetieth_percentile(direction: str, share: int, scores: list[float]) -> None:
    """It agrees with the standard library's deciles on the bad side of either direction."""
    ledger = _ledger(*(_trial(i, i / 50, s) for i, s in enumerate(scores)), direction=direction)
    deciles = statistics.quantiles(scores, n=10, method="inclusive")
    assert math.isclose(ledger.bad[0], deciles[share], abs_tol=1e-6)


def test_there_is_no_bad_score_before_the_first() -> None:
    """Failures alone have no percentile, and no best."""
    ledger = _ledger(_trial(0, 0.1, None, kind="timeout"), _trial(1, 0.2, None, 3.0))
    assert (ledger.bad, ledger.middle, ledger.best) == ((), (), None)


def test_a_ledger_that_grew_holds_what_a_fresh_one_holds() -> None:
    """Told late, in any order, replicates before their first one included."""
    trials = [_trial(0, 0.5, 1.0), _trial(1, 0.2, 9.0), _trial(2, 0.5, 4.0), _trial(3, 0.7, None, kind="timeout")]
    running = [Trial(t.number, t.proposal) for t in trials]
    ledger = Ledger(StudySpec("s", SPACE))
    anew, changed = ledger.update([running[0], running[1], trials[2], running[3]])
    assert (anew, [e.number for e in changed]) == (False, [2])
    anew, changed = ledger.update([running[0], trials[1], trials[2], running[3]])
    assert (anew, [e.number for e in changed]) == (False, [1])
    ledger.update(trials)
    fresh = _ledger(*trials)
    assert ledger.entries == fresh.entries
    assert (ledger.bad, ledger.best, ledger.scored) == (fresh.bad, fresh.best, fresh.scored)
    anew, _ = ledger.update(trials[:2])
    assert anew
    assert ledger.entries == _ledger(*trials[:2]).entries


def test_margins_are_shares_of_the_bound() -> None:
    """Kept is negative, broken positive, and a metric that was not reported is broken, but not for a failure."""
    most, least = Constraint("loss", True, 2.0), Constraint("loss", False, 2.0)
    assert evidence([_trial(0, 0.1, 1.0, 9.0, 3.0)], [most, least]).margins == (0.5, -0.5)
    assert evidence([_trial(0, 0.1, 1.0)], [most]).margins == (1.0,)
    assert evidence([_trial(0, 0.1, None, kind="timeout")], [most]).margins == (0.0,)
    assert evidence([_trial(0, 0.1, 1.0, math.inf)], [most, least]).margins == (1.0, -1.0)


def test_the_metric_that_the_score_is_is_found() -> None:
    """The last, least or greatest value of a metric gives it away; without any there is none."""

    def entry(value: float, **metrics: tuple[float, ...]) -> Trial:
        points = zip(*metrics.values(), strict=True)
        curve = Curve(tuple(Point(i, dict(zip(metrics, p, strict=True))) for i, p in enumerate(points)))
        return Trial(0, Proposal({"x": 0.1}, "r", "random"), Outcome(TrialState.COMPLETE, value, curve))

    last = evidence([entry(2.0, train=(3.0, 1.0), val=(1.5, 2.0))], [])
    best = evidence([entry(1.5, train=(3.0, 1.0), val=(1.5, 2.0))], [])
    other = evidence([entry(7.0, train=(3.0, 1.0), val=(1.5, 2.0))], [])
    assert [score_metric([e]) for e in (last, best, other)] == ["val", "val", None]


def test_a_stopped_trial_is_estimated_by_what_others_gained() -> None:
    """Its last value plus the median gain from there, and never better than the median score."""
    peers = [evidence([_trial(i, i / 10, v, 5.0, v + 1.0, v)], []) for i, v in enumerate((1.0, 2.0, 3.0))]
    stopped = evidence([_trial(5, 0.9, None, 9.0, 8.0)], [])
    assert estimate(stopped, peers, "loss", "minimize") == 7.0
    promising = evidence([_trial(6, 0.8, None, 2.0, 1.0)], [])
    assert estimate(promising, peers, "loss", "minimize") == 2.0
    assert estimate(stopped, [], "loss", "minimize") is None
    assert estimate(stopped, peers, "other", "minimize") is None
