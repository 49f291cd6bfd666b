from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from utilisation import Run, ideal, lengths, spread, sweep


def test_the_ideal_gives_each_job_to_the_first_free_worker() -> None:
    """Two workers with jobs of 3, 1, 1 and 4 seconds need 6: the third job follows the second."""
    assert ideal([3, 1, 1, 4], workers=2) == 6
    assert ideal([5, 1], workers=4) == 5


def test_lengths_span_what_is_asked_and_are_the_same_each_time() -> None:
    """All arms run the same work, from the shortest to the longest time that was asked for."""
    times = lengths(2.7, 30.0)
    assert (min(times), max(times), len(times)) == (2.7, 30.0, 24)
    assert times == lengths(2.7, 30.0)


def test_a_run_tells_how_busy_its_workers_were() -> None:
    """Two workers of which one runs 4 of 5 seconds and the other 1 were busy half of the time."""
    run = Run(own=(4.0, 1.0), launched=(10.0, 10.0), told=(15.0, 11.5))
    assert run.wall == 5
    assert run.busy(2) == 0.5
    assert run.beside == [0.5]
    assert spread([3, 1, 2], 0) == "2 (1 to 3)"


@pytest.mark.slow
def test_a_real_sweep_is_read_from_its_journal() -> None:
    """A sweep of four jobs of 0.2 s yields four times of at least that length, told after they were launched."""
    run = sweep(("hydra/launcher=basic",), [0.2], 4, 1)
    assert all(own >= 0.2 for own in run.own)
    assert all(beside > 0 for beside in run.beside)
    assert 0 < run.busy(1) < 1
