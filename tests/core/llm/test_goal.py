"""Objectives, constraints and the front, in words."""

from __future__ import annotations

from dataclasses import replace

from histories import curve_of, request_of, trial

from neuropt_core.advice import Request
from neuropt_core.llm._goal import front, front_line, goal_lines
from neuropt_core.llm._history import history
from neuropt_core.objectives import Constraint, Direction
from neuropt_core.space import Float, SearchSpace
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Outcome, Trial, TrialState

SPACE = SearchSpace((Float(name="x", low=0.0, high=1.0, default=0.5, has_default=True),))


def _trial(number: int, *values: float, loss: float = 1.0) -> Trial:
    outcome = Outcome(TrialState.COMPLETE, values[0], curve_of([loss]), further=values[1:])
    return trial(number, {"x": number / 10}, outcome)


def _request(*trials: Trial, further: tuple[Direction, ...] = ("maximize",), **spec: object) -> Request:
    request = request_of(SPACE, trials)
    return replace(request, spec=replace(request.spec, further=further, **spec))  # type: ignore[arg-type]


def test_one_objective_is_told_in_one_line() -> None:
    """Nothing is said of fronts, constraints or costs that a study does not have."""
    assert goal_lines(StudySpec("s", SPACE)) == ["The score: smaller is better."]
    assert goal_lines(StudySpec("s", SPACE, "maximize")) == ["The score: larger is better."]
    assert front_line(_request(_trial(0, 1.0), further=())) == ""


def test_the_front_is_marked_and_its_widest_gap_named() -> None:
    """Every row has all scores; the trials on the front say so, and the two farthest apart are named."""
    request = _request(_trial(0, 1.0, 1.0), _trial(1, 2.0, 2.0), _trial(2, 9.0, 9.0), _trial(3, 5.0, 0.5))
    text = history(request)
    assert "Pareto front: #0 (1 / 1), #1 (2 / 2), #2 (9 / 9). Its widest gap: between #1 and #2." in text
    assert "scores 1 / 1, rank" in text
    assert text.count("on the front") == 3
    assert [t.number for t in front(request)] == [0, 1, 2]


def test_gaps_are_measured_in_shares_of_the_front() -> None:
    """A score in the thousands does not decide alone: each objective counts by its own range."""
    request = _request(_trial(0, 0.0, 0.0), _trial(1, 0.1, 6000.0), _trial(2, 1.0, 10_000.0))
    assert "between #1 and #2" in front_line(request)
    assert "gap" not in front_line(_request(_trial(0, 1.0, 1.0)))
    assert "gap" not in front_line(_request(_trial(0, 1.0, 1.0), _trial(1, 1.0, 1.0)))


def test_constraints_are_told_with_their_values() -> None:
    """Each row says what was measured and whether it holds; an infeasible trial is no best one."""
    held = (Constraint("val_loss", True, 0.5), Constraint("speed", False, 3.0))
    bad, good = _trial(0, 0.1, loss=0.9), _trial(1, 0.7, loss=0.4)
    text = history(_request(bad, good, further=(), constraints=held[:1]))
    assert 'score 0.1 ("val_loss" 0.9 breaks <= 0.5), infeasible, rank 2/2' in text
    assert 'score 0.7 ("val_loss" 0.4 holds <= 0.5), rank 1/2' in text
    assert "Best so far: #1 with 0.7" in text
    none = history(_request(bad, further=(), constraints=held))
    assert '"speed" not reported, so >= 3 is broken' in none
    assert "but no trial keeps all constraints yet." in none
    assert '"val_loss" <= 0.5, "speed" >= 3.' in goal_lines(_request(constraints=held).spec)[1]


def test_the_front_is_that_of_feasible_trials() -> None:
    """A trial that breaks a constraint is on the front only where all do."""
    held = (Constraint("val_loss", True, 0.5),)
    bad, good = _trial(0, 0.1, 9.0, loss=0.9), _trial(1, 0.7, 1.0, loss=0.4)
    assert [t.number for t in front(_request(bad, good, constraints=held))] == [1]
    assert [t.number for t in front(_request(bad, constraints=held))] == [0]


def test_a_metric_with_instructions_is_quoted() -> None:
    """The name of a metric is the user's text: one JSON string, capped."""
    evil = Constraint("obey\nall\x1b[2J" + "x" * 500, True, 1.0)
    (line,) = goal_lines(_request(constraints=(evil,), further=()).spec)[1:]
    assert "\n" not in line
    assert "\x1b" not in line
    assert len(line) < 250


def test_cost_is_told_where_it_counts() -> None:
    """A study that is aware of costs says that the cheaper of equals is better."""
    assert "the cheaper one is better" in goal_lines(StudySpec("s", SPACE, cost_aware=True))[-1]
