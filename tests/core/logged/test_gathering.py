"""Rows of a log as values by metric and step."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest

from neuropt_core.logged.gathering import MOST_METRICS, MOST_POINTS, MOST_VALUES, Gathering
from neuropt_core.logged.rows import Row


def _gathered(*rows: Mapping[str, float], steps: list[int] | None = None) -> dict[str, list[tuple[int, float]]]:
    gathering = Gathering()
    for step, values in enumerate(rows):
        gathering.add(Row(step if steps is None else steps[step], values, float(step)))
    return {name: [entry[:2] for entry in entries] for name, entries in gathering.values.items()}


def test_the_loggers_step_counts_where_nothing_else_does() -> None:
    """Rows are counted by their step, each metric where it was logged; negative steps are left out."""
    assert _gathered({"a": 1, "b": 2}, {"a": 3}, {"a": 9}, steps=[0, 7, -1]) == {"a": [(0, 1), (7, 3)], "b": [(0, 2)]}


@pytest.mark.parametrize("key", ["epoch", "train/epoch", "trainer.Epoch"])
def test_epochs_count_where_there_are_any(key: str) -> None:
    """Rows of one epoch are one, the last value counts; the epoch itself is no metric, nor is the global step."""
    rows = [{"loss": 5 - n, key: n // 2, "trainer/global_step": 50 * n} for n in range(4)]
    assert _gathered(*rows) == {"loss": [(0, 4), (1, 2)]}


def test_a_row_without_an_epoch_belongs_to_the_next_one() -> None:
    """Losses of batches that precede their epoch's row end in it; what comes after the last epoch belongs to that."""
    rows = [{"batch": 1}, {"batch": 2}, {"epoch": 0, "val": 0.5}, {"batch": 3}, {"epoch": 1, "val": 0.4}]
    expected = {"val": [(0, 0.5), (1, 0.4)], "batch": [(0, 2), (1, 3)]}
    assert _gathered(*rows) == expected
    assert _gathered(*rows, {"batch": 4}, {"test": 0.3}) == expected | {"test": [(1, 0.3)]}


def test_fractions_of_epochs_leave_it_to_the_global_step() -> None:
    """As Hugging Face's trainer logs: epochs 0.5, 1.0 ... do not count, the global step does."""
    rows: list[dict[str, float]] = [
        {"train/loss": 2, "train/epoch": 0.5, "train/global_step": 10},
        {"train/loss": 1, "train/epoch": 1.0, "train/global_step": 20},
        {"eval/loss": 3, "train/epoch": 1.0, "train/global_step": 20},
    ]
    assert _gathered(*rows) == {"train/loss": [(10, 2), (20, 1)], "eval/loss": [(20, 3)]}


@pytest.mark.parametrize(
    "epochs", [[0, 1, 0, 1], [0, 0.5, 1, 1.5], [0, math.nan, 1, 2], [0, math.inf, 1, 2], [-1, 0, 1]]
)
def test_epochs_that_do_not_count_are_left_alone(epochs: list[float]) -> None:
    """Epochs that fall (two phases of a training), or are no whole numbers of 0 or more, leave it to the step."""
    found = _gathered(*({"loss": 1.0 * n, "epoch": epoch} for n, epoch in enumerate(epochs)))
    assert found == {"loss": [(n, n) for n in range(len(epochs))]}


def test_a_log_of_many_rows_stays_small() -> None:
    """Of 100,000 rows each metric keeps at most a thousand values and its ends, and rare ones keep all of theirs."""
    gathering = Gathering()
    for step in range(100_000):
        gathering.add(Row(step, {"loss": 1 / (step + 1), **({"val": 0.5} if step % 10_000 == 0 else {})}, step))
    values = gathering.values
    assert gathering.thinned
    assert MOST_POINTS // 2 <= len(values["loss"]) <= MOST_POINTS + 1
    assert (values["loss"][0][0], values["loss"][-1][0]) == (0, 99_999)
    assert [entry[0] for entry in values["val"]] == list(range(0, 100_000, 10_000))


def test_a_log_of_many_metrics_stays_small() -> None:
    """Beyond so many metrics further ones are left out, and it is known; all together keep so many values at most."""
    gathering = Gathering()
    for step in range(400):
        gathering.add(Row(step, {f"grad/{name}": 1.0 for name in range(MOST_METRICS + 50)}, step))
    assert gathering.crowded
    assert len(gathering.values) == MOST_METRICS
    assert sum(map(len, gathering.values.values())) <= MOST_VALUES + MOST_METRICS
    few = Gathering()
    few.add(Row(0, {"a": 1.0}, 0.0))
    assert not few.crowded
    assert not few.thinned
