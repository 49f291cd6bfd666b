"""A script's own runs in W&B on a cluster; those under the other launchers are in tests/end_to_end."""

from __future__ import annotations

from pathlib import Path

import pytest
from tracked import check, tracked

pytest.importorskip("wandb")
pytestmark = [pytest.mark.slurm, pytest.mark.slow]


def test_each_trials_runs_come_out_right_on_a_cluster(tmp_path: Path) -> None:
    """In one sweep, two jobs at a time, each way to use W&B leaves runs that say what they are, and end."""
    done = tracked(tmp_path / "s", "hydra/launcher=submitit_slurm", "hydra.sweeper.max_parallel=2")
    check(done)
