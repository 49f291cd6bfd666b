"""A Hydra script whose training takes two processes, which Lightning starts; its loss is nan at the third epoch."""

from __future__ import annotations

from typing import Any

import hydra
import lightning
import torch
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig
from torch.utils.data import DataLoader

from neuropt_core import tune
from neuropt_core.errors import TrialPruned
from neuropt_core.integrations.lightning import NeuroptCallback

ConfigStore.instance().store(name="ddp", node={"lr": 0.05, "neuropt": {"freeze_strategy": "full"}})


class Tiny(lightning.LightningModule):
    """Two layers, tuned before Lightning starts the other process."""

    def __init__(self, lr: float, neuropt: DictConfig) -> None:
        super().__init__()
        self.layers, self.lr = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU(), torch.nn.Linear(2, 1)), lr
        self.tuning = tune(self.layers, neuropt)

    def training_step(self, batch: torch.Tensor, _: int) -> torch.Tensor:
        """Returns a loss."""
        loss: torch.Tensor = self.layers(batch).square().mean()
        return loss

    def validation_step(self, batch: torch.Tensor, _: int) -> None:
        """Logs a loss that breaks."""
        self.log("val_loss", float("nan") if self.current_epoch == 2 else 1.0, rank_zero_only=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Returns the optimizer."""
        return torch.optim.SGD(self.parameters(), self.lr)


@hydra.main(version_base="1.3", config_path=None, config_name="ddp")
def main(cfg: DictConfig) -> float:
    """Trains on ones."""
    batches: DataLoader[Any] = DataLoader(torch.ones(8, 2), 2)  # type: ignore[arg-type]
    trainer = lightning.Trainer(
        max_epochs=5,
        accelerator="cpu",
        devices=2,
        strategy="ddp",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[NeuroptCallback()],
    )
    try:
        trainer.fit(Tiny(cfg.lr, cfg.neuropt), batches, batches)
    except TrialPruned:
        # The end of the first process takes the others with it, which learn a little later that they are to stop.
        for process in getattr(trainer.strategy.launcher, "procs", ()):
            process.wait(60)
        raise
    return float(trainer.callback_metrics["val_loss"])


if __name__ == "__main__":
    main()
