"""Which reported metric the score comes from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from histories import scored, trial

from neuropt_core.curve import Curve, Point
from neuropt_core.objectives import Direction
from neuropt_core.space import Float, SearchSpace
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Trial
from neuropt_core.tying import Tied, tie

ACCURACIES = ([0.5, 0.9, 0.7, 0.6, 0.8], [0.3, 0.85, 0.6, 0.9, 0.7], [0.2, 0.4, 0.45, 0.3, 0.35])


def _spec(direction: Direction = "maximize") -> StudySpec:
    return StudySpec("s", SearchSpace((Float(name="lr", low=1e-4, high=1.0, default=1e-3),)), direction)


def _history(score: Callable[[Sequence[float]], float], curves: Sequence[Sequence[float]] = ACCURACIES) -> list[Trial]:
    """Trials that report an accuracy, a loss and a rate, and return what `score` makes of the accuracies."""
    trials = []
    for number, values in enumerate(curves):
        points = [Point(t, {"train_loss": 2 - v / 2, "val_acc": v, "lr": 0.1}) for t, v in enumerate(values)]
        trials.append(trial(number, {"lr": 0.1}, scored(score(values), Curve(tuple(points)))))
    return trials


@pytest.mark.parametrize(
    ("score", "direction", "tied"),
    [
        (lambda v: v[-1], "maximize", Tied("val_acc", minimize=False, by_best=False)),
        (max, "maximize", Tied("val_acc", minimize=False, by_best=True)),
        (lambda v: sum(v[-3:]) / 3, "maximize", Tied("val_acc", minimize=False, by_best=False, last=3)),
        (lambda v: 1 - v[-1], "minimize", Tied("val_acc", minimize=False, by_best=False)),
        (lambda v: 100 - max(v), "minimize", Tied("val_acc", minimize=False, by_best=True)),
        (lambda v: 99.9 + v[0] / 1000, "minimize", None),  # Near 100 - lr.
        (lambda v: 1 - max(v), "minimize", Tied("val_acc", minimize=False, by_best=True)),
        (lambda v: -v[-1], "minimize", Tied("val_acc", minimize=False, by_best=False)),
        (lambda v: round(max(v), 4), "maximize", Tied("val_acc", minimize=False, by_best=True)),
        (lambda v: 2 - v[-1] / 2, "minimize", Tied("train_loss", minimize=True, by_best=False)),
        (lambda v: 0.123 + v[0], "maximize", None),
    ],
)
def test_the_score_is_recognised(
    score: Callable[[Sequence[float]], float], direction: Direction, tied: Tied | None
) -> None:
    """The last value, the best, the mean of the last, turned around or from 1: each is told from the other."""
    found = tie(_spec(direction), _history(score), "auto")
    assert found == tied


def test_reading_a_curve() -> None:
    """A tied metric gives each curve's own score; a curve without it has none."""
    (first, *_) = _history(max)
    assert Tied("val_acc", minimize=False, by_best=True).read(first.curve) == 0.9
    assert Tied("val_acc", minimize=False, by_best=False, last=2).read(first.curve) == pytest.approx(0.7)
    assert Tied("val_acc", minimize=False, by_best=False, last=9).read(first.curve) is None
    assert Tied("val_loss", minimize=True, by_best=True).read(first.curve) is None


def test_of_equal_metrics_one_that_is_not_of_the_training_is_taken() -> None:
    """Where the training's accuracy equals the other, the score is not tied to the training's."""
    points = tuple(Point(t, {"train_acc": v, "val_acc": v}) for t, v in enumerate(ACCURACIES[0]))
    found = tie(_spec(), [trial(0, {"lr": 0.1}, scored(0.9, Curve(points)))], "auto")
    assert found == Tied("val_acc", minimize=False, by_best=True)


def test_where_best_and_last_are_the_same_it_is_the_best() -> None:
    """Rising curves cannot tell; the best spares more trials."""
    found = tie(_spec(), _history(lambda v: v[-1], [[0.1, 0.2, 0.3]]), "auto")
    assert found == Tied("val_acc", minimize=False, by_best=True)


def test_most_trials_must_agree() -> None:
    """A score that equals a metric in half of the trials only, by chance, is not tied to it."""
    odd = [*_history(max), *_history(lambda v: 0.123 + v[0])]
    assert tie(_spec(), odd, "auto") is None
    assert tie(_spec(), [], "auto") is None
    assert tie(_spec(), _history(max), None) is None


def test_a_metric_that_the_user_named_may_order_the_trials_only() -> None:
    """A loss by name stands for an accuracy that is returned, if it puts the trials into nearly the same order."""
    score = lambda v: 0.123 + v[-1]  # noqa: E731
    four = [*ACCURACIES, [0.1, 0.2, 0.3, 0.2, 0.1]]
    found = tie(_spec(), _history(score, four), "train_loss")
    assert found is not None
    assert (found.metric, found.minimize) == ("train_loss", True)
    assert tie(_spec("minimize"), _history(score, four), "train_loss") == Tied("train_loss", False, by_best=True)
    assert tie(_spec(), _history(score, four[:3]), "train_loss") is None  # Three pairs say too little.
    assert tie(_spec(), _history(lambda v: v[0] * v[-1] % 0.1, four), "lr") is None
    assert tie(_spec(), _history(score, four), "no_such") is None
