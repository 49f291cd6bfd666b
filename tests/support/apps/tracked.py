"""A Hydra script that knows nothing of neuropt and whose trial n uses W&B, well or badly, in way n."""

from __future__ import annotations

import math
import os
import signal
import time
from typing import Any

import hydra
import wandb
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from wandb import init

LOSSES = (0.9, 0.5, 0.3)


@hydra.main(version_base="1.3", config_path="tracked_conf", config_name="config")
def main(cfg: DictConfig) -> float:
    """Logs a curve in the way that the config lists for the trial's number; returns a bowl's height."""
    WAYS[cfg.ways[HydraConfig.get().job.num]](cfg)
    return (math.log10(cfg.optimizer.lr) + 3) ** 2


def _log(logs: Any, losses: tuple[float, ...] = LOSSES) -> None:
    for loss in losses:
        logs({"val_loss": loss})


def _forgets(cfg: DictConfig) -> None:
    init(config=OmegaConf.to_container(cfg))
    _log(wandb.log)


def _finishes(cfg: DictConfig) -> None:
    with wandb.init(config={"optimizer": {"lr": cfg.optimizer.lr}}, group="") as run:
        _log(run.log)


def _reinits(cfg: DictConfig) -> None:
    for losses in (LOSSES, LOSSES[:1]):
        wandb.init(reinit=True)
        _log(wandb.log, losses)


def _tests(cfg: DictConfig) -> None:
    train = wandb.init(job_type="train", name="fit")
    _log(train.log)
    train.finish()
    wandb.init(job_type="test")
    wandb.log({"accuracy": 0.5})


def _insists(cfg: DictConfig) -> None:
    wandb.init(name="mine", tags=["a"], project="own", group="ours", notes="why")
    _log(wandb.log)


def _raises(cfg: DictConfig) -> None:
    wandb.init()
    _log(wandb.log)
    raise ValueError("the bowl is broken")


def _killed(cfg: DictConfig) -> None:
    wandb.init()
    _log(wandb.log)
    time.sleep(8)
    os.kill(os.getpid(), signal.SIGKILL)


def _disables(cfg: DictConfig) -> None:
    wandb.init(mode="disabled")
    _log(wandb.log)


def _waits(cfg: DictConfig) -> None:
    wandb.init()
    _log(wandb.log)
    time.sleep(120)


def _ignores(cfg: DictConfig) -> None:
    pass


WAYS = {
    "forgets": _forgets,
    "finishes": _finishes,
    "reinits": _reinits,
    "tests": _tests,
    "insists": _insists,
    "raises": _raises,
    "killed": _killed,
    "disables": _disables,
    "ignores": _ignores,
    "waits": _waits,
}

if __name__ == "__main__":
    main()
