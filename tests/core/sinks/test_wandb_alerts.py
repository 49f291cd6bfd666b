"""What is worth an alert, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from sink_scenes import Story

from neuropt_core.budget import Limits, Used
from neuropt_core.sinks._wandb_alerts import QUIET_SECONDS, Alerts


class Told:
    """A story whose alerts are kept, under a clock of its own."""

    def __init__(self, **more: object) -> None:
        self.story = Story(Path("/sweep"), n_trials=20)
        self.story.about = more
        self.now = 0.0
        self.alerts = Alerts(self.story.scene, lambda: self.now)

    def run(self, value: float | str, **about: object) -> list[str]:
        """Ends a trial; returns the texts of the alerts."""
        self.story.about = {**self.story.about, **about}
        lr = 1e-3 / (1 + len(self.story.trials))  # Each trial another configuration.
        trial = self.story.run(value, params={"optimizer.lr": lr})
        return [message["text"] for message in self.alerts.after(self.story.scene, trial)]


def test_a_new_best_is_told_once_it_beats_trial_0() -> None:
    """Neither trial 0 nor a worse trial is news; one that beats trial 0 is, and is told once."""
    told = Told()
    assert told.run(0.5) == []
    assert told.run(0.6) == []
    assert told.run(0.4) == ["Trial 2 has 0.4: better by 0.1 (20 %) than your own configuration."]
    assert told.run(0.45) == []


def test_a_best_soon_after_another_waits() -> None:
    """Within five minutes of an alert a better best is not told, but after the next trial that ends later it is."""
    told = Told()
    told.run(0.5)
    assert len(told.run(0.4)) == 1
    assert told.run(0.3) == []
    told.now = QUIET_SECONDS
    assert told.run(0.9) == ["Trial 2 has 0.3: better by 0.2 (40 %) than your own configuration."]


def test_what_was_so_before_is_no_news() -> None:
    """A session that goes on with a study does not tell of its best and its used budgets again."""
    told = Told()
    for value in (0.5, 0.4, *[0.6] * 14):
        told.run(value)
    told.alerts = Alerts(told.story.scene, lambda: 1e6)
    assert told.run(0.7) == []


@pytest.mark.parametrize(
    ("about", "name"),
    [
        ({"limits": Limits(wall_clock=100.0), "used": Used(seconds=80.0)}, "80 % of the time on the wall"),
        ({"limits": Limits(gpu_hours=2.0), "used": Used(gpu_hours=1.7)}, "85 % of 2 GPU-hours"),
    ],
)
def test_a_budget_is_told_at_four_fifths(about: dict[str, object], name: str) -> None:
    """Each limit is told of once, when 80 % of it are used."""
    told = Told(limits=about["limits"])
    assert told.run(0.5) == []
    assert told.run(0.6, used=about["used"]) == [f"{name} are used."]
    assert told.run(0.6) == []


def test_the_number_of_trials_is_a_budget() -> None:
    """After 16 of 20 trials it is told that 80 % of them are used."""
    told = Told()
    texts = [told.run(0.5) for _ in range(18)]
    assert [n for n, found in enumerate(texts) if found] == [15]
    assert texts[15] == ["80 % of 20 trials are used."]


def test_three_failures_in_a_row_are_told_once() -> None:
    """The third failure in a row is told, the fourth is not, and a success begins a new count."""
    told = Told()
    told.run(0.5)
    assert [bool(told.run("boom")) for _ in range(4)] == [False, False, True, False]
    told.run(0.6)
    assert [bool(told.run("boom")) for _ in range(3)] == [False, False, True]
