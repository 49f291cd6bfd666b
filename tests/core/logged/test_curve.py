"""The logs of one trial joined to its curve."""

from __future__ import annotations

from pathlib import PurePath

from histories import scored, trial

from neuropt_core.llm.digest import read_curve
from neuropt_core.logged._series import Values
from neuropt_core.logged.curve import StartLogged, in_turn, over_starts, side_by_side
from neuropt_core.objectives import Constraint
from neuropt_core.space import Float, SearchSpace
from neuropt_core.spec import StudySpec
from neuropt_core.tying import tie


def _values(began: float = 0.0, **metrics: list[tuple[int, float]]) -> Values:
    return {name: [(step, value, began + step) for step, value in pairs] for name, pairs in metrics.items()}


def _steps(values: Values) -> dict[str, list[int]]:
    return {name: [entry[0] for entry in entries] for name, entries in values.items()}


def test_runs_in_turn_count_on() -> None:
    """A run that begins where the one before has been counts on from its end: folds do not cover each other."""
    fold = _values(loss=[(0, 3.0), (1, 2.0)])
    test = _values(acc=[(0, 0.9)])
    assert _steps(in_turn([fold, fold, test])) == {"loss": [0, 1, 2, 3], "acc": [4]}
    assert _steps(in_turn([fold, _values(loss=[(5, 1.0)])])) == {"loss": [0, 1, 5]}
    assert in_turn([{}, fold]) == fold


def test_files_side_by_side_are_told_apart_by_their_folders() -> None:
    """Tags that several folders have get the folder's name, seen from what they share; others keep theirs."""
    logs = [
        (PurePath("/r/x/train"), _values(loss=[(0, 1.0)])),
        (PurePath("/r/x/validation"), _values(loss=[(0, 2.0)], acc=[(0, 0.5)])),
    ]
    assert set(side_by_side(logs)) == {"train/loss", "validation/loss", "acc"}
    assert set(side_by_side(logs[:1])) == {"loss"}
    nested = [(PurePath("/r/x"), _values(both=[(0, 1.0)])), (PurePath("/r/x/both_a"), _values(both=[(0, 2.0)]))]
    assert set(side_by_side(nested)) == {"both", "both_a/both"}


def test_files_of_one_folder_are_one_log() -> None:
    """What a writer that was opened again has logged supersedes the earlier one's from its first step on."""
    folder = PurePath("/r/x")
    logs = [
        (folder, _values(loss=[(0, 3.0), (1, 2.0), (2, 1.0)], lr=[(0, 0.1)])),
        (folder, _values(loss=[(1, 9.0)])),
    ]
    joined = side_by_side(logs)
    assert [entry[:2] for entry in joined["loss"]] == [(0, 3.0), (1, 9.0)]
    assert _steps(joined)["lr"] == [0]


def test_starts_are_joined_as_reports_are() -> None:
    """A start that goes on at step 2 supersedes what was there, in every metric; its seconds count on."""
    first = StartLogged(990.0, _values(1000.0, loss=[(0, 4.0), (1, 3.0), (2, 2.0)], acc=[(2, 0.5)]))
    second = StartLogged(4998.0, _values(5000.0, loss=[(2, 2.5), (3, 2.0)]))
    curve = over_starts([first, second])
    assert curve.series("loss") == ((0, 4.0), (1, 3.0), (2, 2.5), (3, 2.0))
    assert curve.series("acc") == ()
    # Step 1 was one second after the first row; the start took 4 s from its beginning to its first row, at step 2.
    assert [point.seconds for point in curve.points] == [0.0, 1.0, 5.0, 6.0]


def test_a_start_that_begins_again_replaces_the_one_before() -> None:
    """A job that trains from step 0 once more has one curve, its own; a start that logged nothing changes nothing."""
    first = StartLogged(990.0, _values(1000.0, loss=[(0, 4.0), (1, 3.0)]))
    second = StartLogged(2000.0, _values(2010.0, loss=[(0, 5.0)]))
    curve = over_starts([first, StartLogged(1500.0, {}), second])
    assert curve.series("loss") == ((0, 5.0),)
    assert curve.points[0].seconds == 0.0
    assert len(over_starts([])) == 0


def test_points_hold_what_was_logged_at_their_step() -> None:
    """Metrics of one step are one point, steps ascend, and nobody gets more points than the bounds allow."""
    curve = over_starts([StartLogged(0.0, _values(b=[(0, 1.0), (4, 2.0)], a=[(0, 3.0), (2, 5.0)]))])
    assert [(point.step, dict(point.metrics)) for point in curve.points] == [
        (0, {"b": 1.0, "a": 3.0}),
        (2, {"a": 5.0}),
        (4, {"b": 2.0}),
    ]
    folds = in_turn([_values(loss=[(step, 1.0) for step in range(900)])] * 5)
    assert len(over_starts([StartLogged(0.0, folds)])) == 1000


def test_whoever_reads_curves_understands_the_names() -> None:
    """Slashes and dots are no bar: the score is tied to ``val/loss``, a constraint holds, and an LLM is told of it."""
    spec = StudySpec("s", SearchSpace((Float(name="lr", low=1e-4, high=1.0, default=1e-3),)))
    trials = []
    for number in range(4):
        falling = [(step, number + 1.0 / (step + 1)) for step in range(8)]
        metrics = {"train/loss": [(s, 0.5 * v) for s, v in falling], "val/loss": falling, "speed.ms": [(7, 9.0)]}
        curve = over_starts([StartLogged(0.0, _values(**metrics))])
        trials.append(trial(number, {"lr": 0.1}, scored(falling[-1][1], curve)))
    tied = tie(spec, trials, "auto")
    assert tied is not None
    assert (tied.metric, tied.minimize) == ("val/loss", True)
    reading = read_curve(trials[0].curve)
    assert reading is not None
    assert (reading.metric, reading.twin) == ("val/loss", "train/loss")
    assert [Constraint.parse(text).violation(trials[0]) for text in ("speed.ms <= 10", "speed.ms <= 7")] == [0.0, 2.0]
