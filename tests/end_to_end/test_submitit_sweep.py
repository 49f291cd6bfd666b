"""Sweeps through submitit's launcher for this machine, whose jobs outlive the sweeper too."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from sweeps import Sweep, command, environment, sweep

pytestmark = pytest.mark.slow
SETTINGS = (
    "hydra/launcher=submitit_local",
    "hydra.sweeper.advisor=prior",
    "hydra.sweeper.n_trials=5",
    "hydra.sweeper.max_parallel=3",
    "hydra.sweeper.max_failure_rate=1",
    "bad.numbers=[2]",
    "bad.how=kill",
)


def test_a_sweep_goes_on_with_the_jobs_that_its_sweeper_left(tmp_path: Path) -> None:
    """The sweeper is killed while three jobs run, one of which is killed, too: all five are told once, and ran once."""
    folder = tmp_path / "s"
    folder.mkdir()
    first = subprocess.Popen(
        command(folder, *SETTINGS, "seconds=4"),
        env=environment(),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 300
    while len(_ran(folder)) < 3:
        assert time.monotonic() < end, "three trials run"
        assert first.poll() is None
        time.sleep(0.1)
    first.kill()
    first.wait()
    begun = time.monotonic()
    done = sweep(folder, *SETTINGS, "seconds=4")
    assert done.code == 0, done.stderr
    assert time.monotonic() - begun < 110
    told = done.told()
    assert {n: outcome["state"] for n, outcome in told.items()} == {
        n: "FAIL" if n == 2 else "COMPLETE" for n in range(5)
    }
    assert told[2]["failure"]["kind"] == "lost"
    assert sorted(_ran(folder)) == list(range(5))
    assert {r["handle"]["cluster"] for r in done.journal if r["op"] == "submit"} == {"local"}


def test_a_launcher_that_cannot_submit_says_why(tmp_path: Path) -> None:
    """A setting that submitit refuses ends the sweep at trial 0, in submitit's words and without its traceback."""
    done = sweep(tmp_path / "s", *SETTINGS, "hydra.launcher.nodes=2", "hydra.sweeper.retries=0")
    assert done.code == 1
    assert "LocalExecutor can use only one node" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.told() == {}


def _ran(folder: Path) -> list[int]:
    return Sweep(folder, 0, "", "").ran() if (folder / "ran").exists() else []
