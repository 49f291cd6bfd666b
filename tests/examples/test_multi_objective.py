"""The example with two objectives and a constraint."""

from __future__ import annotations

from pathlib import Path

import pytest
from sweeps import sweep

TRAIN = Path(__file__).parents[2] / "examples" / "multi_objective" / "train.py"
BOUND = 100  # kilobytes, as conf/multi_objective.yaml says


@pytest.mark.slow
def test_the_front_is_what_no_other_beats_within_the_bound(tmp_path: Path) -> None:
    """A trial is on the front exactly if it keeps the bound and none that keeps it is better in both objectives."""
    queue = "hydra.sweeper.enqueue=[{width: 64}, {width: 4}]"  # The first of them breaks the bound.
    done = sweep(tmp_path / "s", "hydra.sweeper.n_trials=5", "epochs=2", queue, script=TRAIN)
    assert done.code == 0, done.stderr
    told = done.told()
    size = {n: outcome["curve"][-1]["metrics"]["kilobytes"] for n, outcome in told.items()}
    assert size[1] > BOUND > size[0]
    kept = {n: (o["value"], *o["further"]) for n, o in told.items() if size[n] <= BOUND}

    def beaten(n: int) -> bool:
        accuracy, time = kept[n]
        return any(a >= accuracy and t <= time and (a, t) != (accuracy, time) for a, t in kept.values())

    front = {n for n in kept if not beaten(n)}
    assert {entry["number"] for entry in done.results["pareto_front"]} == front
    assert "breaks kilobytes <= 100 by 60.55" in done.stdout
    assert "Pareto front" in (done.folder / "report.html").read_text()
