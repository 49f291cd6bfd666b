"""A LightningModule on scikit-learn's digits; the lines marked (neuropt) are all that a sweep needs.

python examples/integrations/lightning_module.py
python examples/integrations/lightning_module.py --multirun hydra/sweeper=neuropt hydra.sweeper.n_trials=8
"""

import hydra
import lightning
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset, random_split

import neuropt_core
from neuropt_core.integrations.lightning import NeuroptCallback


class Classifier(lightning.LightningModule):
    """Trains a network that Hydra has built, by an optimizer that Hydra has half built."""

    def __init__(self, cfg: DictConfig) -> None:
        super().__init__()
        self.cfg = cfg
        self.net, self.tuning = neuropt_core.build(cfg)  # (neuropt) or self.net = instantiate(cfg.model), without edits

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        """Returns the loss of a batch."""
        loss = self.tuning.cross_entropy(self.net(batch[0]), batch[1])  # (neuropt) smooths labels
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss + self.tuning.penalty()  # (neuropt) zero unless L2-SP is on

    def validation_step(self, batch: list[torch.Tensor], _: int) -> None:
        """Logs loss and accuracy, which Lightning averages over the batches."""
        logits = self.net(batch[0])
        self.log("val_loss", cross_entropy(logits, batch[1]))
        self.log("val_accuracy", (logits.argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Returns the optimizer."""
        groups = self.tuning.param_groups(lr=self.cfg.optimizer.lr, weight_decay=self.cfg.optimizer.weight_decay)
        return instantiate(self.cfg.optimizer)(groups)  # (neuropt) instead of self.parameters()


@hydra.main(version_base="1.3", config_path="conf", config_name="lightning_module")
def main(cfg: DictConfig) -> float:
    """Trains as `cfg` says and returns the validation loss after the last epoch; lower is better."""
    lightning.seed_everything(cfg.seed, verbose=False)
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
    train, val = random_split(TensorDataset(images, torch.tensor(digits.target)), [1500, 297])
    trainer = lightning.Trainer(
        max_epochs=cfg.epochs,
        accelerator="auto",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[NeuroptCallback()],  # (neuropt) reports what is logged, finds self.tuning and steps it
    )
    trainer.fit(Classifier(cfg), DataLoader(train, cfg.batch_size, shuffle=True), DataLoader(val, 297))
    return float(trainer.callback_metrics["val_loss"])


if __name__ == "__main__":
    main()
