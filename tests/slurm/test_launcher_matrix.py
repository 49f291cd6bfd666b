"""SLURM's column of the launchers' matrix; the others are in tests/matrix."""

from __future__ import annotations

from pathlib import Path

import pytest
from matrix import check, column

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


def test_a_trial_costs_itself_alone_on_a_cluster(tmp_path: Path) -> None:
    """In one sweep, two jobs at a time, each way to misbehave is recorded as what it is, and the others score."""
    found = column(tmp_path / "s", "hydra/launcher=submitit_slurm", "hydra.sweeper.max_parallel=2")
    check(found, "submitit_slurm")
    assert found.codes == (0,)
    assert len(found.jobs()) == len(found.order)
