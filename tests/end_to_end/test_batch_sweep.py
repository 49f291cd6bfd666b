"""Real sweeps under a launcher that can only take batches, and what the dry run says of launchers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from matrix import APP, Column
from sweeps import sweep


@pytest.mark.slow
def test_the_innocent_of_a_lost_batch_gets_its_score(tmp_path: Path) -> None:
    """Joblib loses all that runs when one worker is killed: both are launched again alone, and only one is lost."""
    folder = tmp_path / "s"
    done = sweep(
        folder,
        "hydra/launcher=joblib",
        "hydra.launcher.n_jobs=2",
        "hydra.sweeper.max_parallel=2",
        "hydra.sweeper.n_trials=5",
        "ways=[ok,ok,beside,slow,ok]",
        f"record={folder / 'ran'}",
        script=APP,
    )
    assert done.code == 0, done.stderr
    told = done.told()
    assert told[2]["failure"]["kind"] == "lost"
    assert [told[n]["state"] for n in (0, 1, 3, 4)] == ["COMPLETE"] * 4
    assert Counter(job["number"] for job in Column(done, (), ()).jobs()) == {0: 1, 1: 1, 2: 2, 3: 2, 4: 1}
    assert "it or another of trials [2, 3] took the batch down, so it is tried again alone" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        ((), "Where: a process for each trial, 1 at a time"),
        (("hydra.sweeper.isolate=false",), "Where: BasicLauncher, 1 at a time, in this process"),
        (("hydra/launcher=submitit_slurm",), "Where: SLURM through submitit, 4 at a time"),
        (("hydra/launcher=ray", "hydra.sweeper.max_parallel=3"), "Where: ray, 3 at a time"),
    ],
)
def test_a_dry_run_says_where_trials_would_run(tmp_path: Path, arguments: tuple[str, ...], where: str) -> None:
    """The backend is chosen and described, and neither a cluster nor ray is needed or started for that."""
    if "hydra/launcher=ray" in arguments:
        pytest.importorskip("hydra_plugins.hydra_ray_launcher.ray_launcher")
    done = sweep(tmp_path / "s", "hydra.sweeper.dry_run=true", "hydra.sweeper.n_trials=1", *arguments)
    assert done.code == 0, done.stderr
    assert where in done.stdout
    assert "Starting" not in done.stdout + done.stderr
    assert list(done.folder.iterdir()) == []


def test_a_backend_that_does_not_fit_ends_the_sweep_with_a_sentence(tmp_path: Path) -> None:
    """A forced backend that cannot run under the launcher is refused before anything runs, in the dry run too."""
    for more in ((), ("hydra.sweeper.dry_run=true",)):
        done = sweep(tmp_path / "s", "hydra.sweeper.backend=ray", *more)
        assert done.code == 1
        assert "hydra.sweeper.backend: ray runs under hydra/launcher=ray, and the launcher is" in done.stderr
        assert "take process or batch" in done.stderr
        assert "Traceback" not in done.stderr
        assert not (done.folder / "ran").exists()
