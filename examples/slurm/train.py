"""A training that a cluster may interrupt at any time, and goes on from its checkpoint; swept over SLURM.

    python examples/slurm/train.py                    trains once, here
    python examples/slurm/train.py --multirun         sweeps: sweep.yaml, beside this file, names partition and limits
    sbatch examples/slurm/sweeper.sbatch              the same, with the sweeper itself as a small job
    neuropt stop sweeps/digits                        ends it from any machine; jobs that run may end
    wandb sync sweeps/digits/wandb                   uploads the offline runs, from a node that has a network

The folder of `checkpoint_dir()` belongs to the trial, whichever node and whichever attempt it runs in. Outside a sweep
it lies in the job's own output folder.
"""

import logging
import os

import hydra
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy

import neuropt_core

log = logging.getLogger(__name__)


def load(n_train: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Returns scikit-learn's digits in one fixed order: training images and labels, validation images and labels."""
    digits = load_digits()
    order = torch.randperm(len(digits.target), generator=torch.Generator().manual_seed(0))
    images = torch.tensor(digits.data, dtype=torch.float32)[order] / 16 - 0.5
    labels = torch.tensor(digits.target)[order]
    return images[:n_train], labels[:n_train], images[n_train:], labels[n_train:]


@hydra.main(version_base="1.3", config_path=".", config_name="sweep")
def main(cfg: DictConfig) -> float:
    """Trains, or goes on training; returns the cross entropy on the validation images, in nats."""
    torch.manual_seed(cfg.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    images, labels, val_images, val_labels = (tensor.to(device) for tensor in load(cfg.n_train))
    model = nn.Sequential(nn.Linear(64, cfg.width), nn.ReLU(), nn.Linear(cfg.width, 10)).to(device)
    optimizer = instantiate(cfg.optimizer, params=model.parameters())

    first, val_loss = 0, float("nan")
    checkpoint = neuropt_core.checkpoint_dir() / "last.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"].cpu())
        first, val_loss = state["epoch"] + 1, state["val_loss"]
        log.info("goes on with epoch %d", first)

    for epoch in range(first, cfg.epochs):
        for batch in torch.randperm(len(labels)).to(device).split(cfg.batch_size):
            loss = cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            val_loss = cross_entropy(model(val_images), val_labels).item()
        neuropt_core.report(epoch, val_loss=val_loss)
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "random": torch.get_rng_state()}
        torch.save({**state, "epoch": epoch, "val_loss": val_loss}, checkpoint.with_suffix(".new"))
        os.replace(checkpoint.with_suffix(".new"), checkpoint)  # A job may end in the middle of a write.
    log.info("val_loss %.4f on %s", val_loss, device)
    return val_loss


if __name__ == "__main__":
    main()
