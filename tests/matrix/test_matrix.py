"""Every launcher against every way in which a trial can misbehave; tests/slurm adds the column of SLURM."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
from loopback import loopback_only
from matrix import check, column

pytestmark = pytest.mark.slow
TWO = "hydra.sweeper.max_parallel=2"


@pytest.mark.parametrize("launcher", ["basic", "joblib", "submitit_local"])
def test_a_trial_costs_itself_alone(tmp_path: Path, launcher: str) -> None:
    """In one sweep, two trials at a time, each way to misbehave is recorded as what it is, and the others score."""
    found = column(tmp_path / "s", f"hydra/launcher={launcher}", TWO)
    check(found, launcher)
    assert found.codes == (0,)
    assert os.getpid() not in {job["pid"] for job in found.jobs()}


def test_in_process_a_failed_trial_frees_its_model(tmp_path: Path) -> None:
    """With isolate=false each failed trial's model is gone when the next begins; only a kill ends the sweep."""
    found = column(tmp_path / "s", "hydra.sweeper.isolate=false", leave_out=("hangs",))
    check(found, "basic, isolate=false")
    assert found.codes == (-9, -9, -9, 0)
    assert len({job["pid"] for job in found.jobs()}) == len(found.codes)


def test_ray_runs_each_trial_as_a_task_of_its_own(tmp_path: Path) -> None:
    """Under ray, started once for the sweep, a worker's death is the end of its trial alone, and is not repeated."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("hydra-ray-launcher is not installed beside this Hydra")
    with loopback_only() as within:
        found = column(tmp_path / "s", "hydra/launcher=ray", TWO, "+hydra.launcher.ray.init.num_cpus=2", within=within)
    check(found, "ray")
    assert found.codes == (0,)
    assert len(found.jobs()) == len(found.order)
    assert "ray, started for this sweep, 2 at a time" in found.sweep.stdout
