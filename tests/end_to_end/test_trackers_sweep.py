"""Sweeps that also keep their story for TensorBoard and MLflow."""

from __future__ import annotations

from pathlib import Path

import mlflow_server
import pytest
from sweeps import Sweep, sweep

pytest.importorskip("mlflow")
pytest.importorskip("tensorboard")

APP = """
import os, signal, sys
from pathlib import Path
import hydra
from hydra.core.hydra_config import HydraConfig
import neuropt_core

@hydra.main(version_base="1.3", config_path=".", config_name="config")
def main(cfg):
    neuropt_core.report(0, val_loss=cfg.optimizer.lr)
    if HydraConfig.get().job.num in cfg.kill:
        for process in Path("/proc").glob("[0-9]*"):
            try:
                here = os.readlink(process / "cwd") == str(Path(HydraConfig.get().runtime.output_dir).parent)
                if here and b"neuropt_core.sinks._" in (process / "cmdline").read_bytes():
                    os.kill(int(process.name), signal.SIGKILL)
            except OSError:
                pass  # It has ended, or is somebody else's.
    return cfg.optimizer.lr

if __name__ == "__main__":
    main()
    print("in the sweeper:", sorted({"torch", "tensorboard", "mlflow", "wandb"} & set(sys.modules)))
"""


def told(tmp_path: Path, url: str, *arguments: str) -> Sweep:
    """Runs a sweep of four trials that tells both."""
    (tmp_path / "train.py").write_text(APP)
    (tmp_path / "config.yaml").write_text("optimizer: {lr: 0.1, weight_decay: 0.01}\nkill: []\n")
    return sweep(
        tmp_path / "s",
        "hydra.sweeper.n_trials=4",
        "hydra.sweeper.study_name=bowls",
        "hydra.sweeper.tensorboard=true",
        "hydra.sweeper.mlflow.experiment=bowls",
        f"hydra.sweeper.mlflow.tracking_uri={url}",
        *arguments,
        script=tmp_path / "train.py",
    )


@pytest.mark.slow
def test_both_are_told_and_neither_is_loaded_by_the_sweeper(tmp_path: Path) -> None:
    """Each trial is in both, and the sweeper's own process has imported none of their libraries."""
    with mlflow_server.serve() as server:
        done = told(tmp_path, server.url)
    assert done.code == 0, done.stderr
    assert "in the sweeper: []" in done.stdout
    names = [f"trial-{n:03d}" for n in range(4)]
    assert sorted(path.name for path in (done.folder / "tensorboard").iterdir()) == ["study", *names]
    assert server.unknown == []
    assert sorted(run["run_name"] for run in server.runs.values()) == ["bowls", *names]
    assert f"tensorboard --logdir {done.folder / 'tensorboard'}" in done.stdout


@pytest.mark.slow
def test_both_children_are_killed_twice_and_the_sweep_goes_on(tmp_path: Path) -> None:
    """A sweep whose trackers are killed ends as it should, and says that they are gone."""
    with mlflow_server.serve() as server:
        done = told(tmp_path, server.url, "kill=[0,2]")
    assert done.code == 0, done.stderr
    assert len(done.told()) == 4
    for name in ("TensorBoard", "MLflow"):
        assert f"{name}: its process ended with exit code -9" in done.stdout


def test_a_wrong_setting_launches_nothing(tmp_path: Path) -> None:
    """A server without an experiment is refused in one sentence, and no folder is made."""
    done = sweep(tmp_path / "s", "hydra.sweeper.mlflow.tracking_uri=http://127.0.0.1:9")
    assert done.code == 1
    assert "hydra.sweeper.mlflow.tracking_uri: needs hydra.sweeper.mlflow.experiment beside it" in done.stderr
    assert list(done.folder.iterdir()) == []
