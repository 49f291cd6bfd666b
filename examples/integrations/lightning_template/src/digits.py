"""scikit-learn's digits, a network for them, and the module that trains it."""

from collections.abc import Callable

import lightning
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset, TensorDataset, random_split

Batch = list[torch.Tensor]


class Digits(lightning.LightningDataModule):
    """1,500 images to train on, 297 to validate."""

    def __init__(self, batch_size: int) -> None:
        super().__init__()
        self.batch_size = batch_size

    def setup(self, stage: str) -> None:
        """Splits them, with the trial's seed."""
        digits = load_digits()
        images = torch.tensor(digits.images, dtype=torch.float32).flatten(1) / 16
        self.train, self.val = random_split(TensorDataset(images, torch.tensor(digits.target)), [1500, 297])

    def train_dataloader(self) -> DataLoader[Dataset[Batch]]:
        """Returns shuffled batches."""
        return DataLoader(self.train, self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader[Dataset[Batch]]:
        """Returns them in one batch."""
        return DataLoader(self.val, 297)


class DenseNet(nn.Sequential):
    """Two layers with a dropout between."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__(nn.Linear(64, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, 10))


class DigitsModule(lightning.LightningModule):
    """Takes the network and the half-built optimizer from Hydra, as the template's module does."""

    def __init__(self, net: nn.Module, optimizer: Callable[..., torch.optim.Optimizer]) -> None:
        super().__init__()
        self.net, self.optimizer = net, optimizer

    def training_step(self, batch: Batch, _: int) -> torch.Tensor:
        """Returns the loss of a batch."""
        loss = cross_entropy(self.net(batch[0]), batch[1])
        self.log("train/loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        """Logs loss and accuracy."""
        logits = self.net(batch[0])
        self.log("val/loss", cross_entropy(logits, batch[1]))
        self.log("val/acc", (logits.argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Returns the optimizer over all parameters, frozen ones included; those get no gradient."""
        return self.optimizer(params=self.trainer.model.parameters())
