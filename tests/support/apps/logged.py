"""A Hydra script that never calls `neuropt_core.report`: it logs to W&B or TensorBoard as scripts do, and may die."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

Log = Callable[[int, float], None]


def _tensorboard() -> Log:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter()  # In its default folder, `runs`, which all trials share; never closed.

    def log(epoch: int, loss: float) -> None:
        writer.add_scalar("loss/train", 0.9 * loss, epoch)
        writer.add_scalar("loss/val", loss, epoch)

    return log


def _wandb() -> Log:
    import wandb

    wandb.init(project="logged", dir=HydraConfig.get().runtime.output_dir)

    def log(epoch: int, loss: float) -> None:
        for batch in range(3):
            wandb.log({"loss/train": 0.9 * loss + 0.1 * (2 - batch)})
        wandb.log({"epoch": epoch, "loss/val": loss, "optimizer": {"lr": 0.1}, "note": "text"})

    return log


@hydra.main(version_base="1.3", config_path="logged_conf", config_name="config")
def main(cfg: DictConfig) -> float:
    """Returns the last validation loss."""
    log = {"tensorboard": _tensorboard, "wandb": _wandb}[cfg.logger]()
    number, loss = HydraConfig.get().job.num, 0.0
    for epoch in range(cfg.epochs):
        loss = cfg.floor + 1.0 / (epoch + 1)
        log(epoch, loss)
        time.sleep(cfg.slow)
        if number in cfg.killed and epoch == 3:
            time.sleep(4)  # What was logged is on disk by then: loggers write behind the script's back.
            os.kill(os.getpid(), signal.SIGKILL)
    if cfg.finish:
        sys.modules["wandb"].finish()
    return loss


if __name__ == "__main__":
    main()
