"""A training script that logs to Weights & Biases and knows nothing of neuropt: it is swept as it is.

python examples/wandb/train.py                                         trains once
python examples/wandb/train.py --multirun hydra/sweeper=neuropt        searches, without an account: all runs are local
python examples/wandb/train.py --multirun hydra/sweeper=neuropt wandb.mode=online hydra.sweeper.wandb.mode=online

Each trial's run gets the study's group, the trial's name and the reason why it was tried; its curve is read from the
run's own file. With the folder that the sweep prints, `neuropt report FOLDER --open` shows the whole story.
"""

import hydra
import torch
import wandb
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy


def load(n_train: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Returns scikit-learn's digits in one fixed order: training images and labels, validation images and labels."""
    digits = load_digits()
    order = torch.randperm(len(digits.target), generator=torch.Generator().manual_seed(0))
    images = (torch.tensor(digits.images, dtype=torch.float32) / 16 - 0.5).unsqueeze(1)[order]
    labels = torch.tensor(digits.target)[order]
    return images[:n_train], labels[:n_train], images[n_train:], labels[n_train:]


@hydra.main(version_base="1.3", config_path="../../conf", config_name="digits")
def main(cfg: DictConfig) -> float:
    """Trains once; returns the validation loss after the last epoch, in nats."""
    torch.manual_seed(cfg.seed)
    wandb.init(**cfg.wandb, config=OmegaConf.to_container(cfg, resolve=True))
    images, labels, val_images, val_labels = load(cfg.n_train)
    model = instantiate(cfg.model)
    optimizer = instantiate(cfg.optimizer, params=model.parameters())
    for epoch in range(cfg.epochs):
        model.train()
        total = 0.0
        for batch in torch.randperm(len(labels)).split(cfg.batch_size):
            loss = cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        model.eval()
        with torch.no_grad():
            logits = model(val_images)
        val_loss = cross_entropy(logits, val_labels).item()
        accuracy = (logits.argmax(1) == val_labels).float().mean().item()
        wandb.log({"epoch": epoch, "train/loss": total / len(labels), "val/loss": val_loss, "val/accuracy": accuracy})
    wandb.finish()
    return val_loss


if __name__ == "__main__":
    main()
