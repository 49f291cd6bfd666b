"""Two objectives and a constraint: how accurate, how fast, and no larger than so many kilobytes.

python examples/multi_objective/train.py               trains once, with the configuration as it is
python examples/multi_objective/train.py --multirun    searches: directions and bound are in conf/multi_objective.yaml

There is no best trial then, but a front: those that no other trial beats in both. `results.yaml` lists it under
`pareto_front`, each with the command that runs it once, and `report.html` draws it.
"""

import logging
import timeit

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
    images = (torch.tensor(digits.images, dtype=torch.float32) / 16 - 0.5).unsqueeze(1)[order]
    labels = torch.tensor(digits.target)[order]
    return images[:n_train], labels[:n_train], images[n_train:], labels[n_train:]


@torch.no_grad()
def microseconds(model: nn.Module, images: torch.Tensor, calls: int = 200) -> float:
    """Returns what one image of a batch takes: the least of many times, since other work can only add to it.

    Args:
        model: In eval mode.
        images: The batch.
        calls: How many times the batch is timed.
    """
    return min(timeit.repeat(lambda: model(images), number=1, repeat=calls)) / len(images) * 1e6


@hydra.main(version_base="1.3", config_path="../../conf", config_name="multi_objective")
def main(cfg: DictConfig) -> tuple[float, float]:
    """Trains once; returns the accuracy on the validation images, in [0, 1], and the microseconds that one takes."""
    torch.set_num_threads(1)
    torch.manual_seed(cfg.seed)
    images, labels, val_images, val_labels = load(cfg.n_train)
    model = instantiate(cfg.model)
    model(images[:1])  # The last layer learns here how many inputs it has.
    kilobytes = sum(p.numel() * p.element_size() for p in model.parameters()) / 1000
    optimizer = instantiate(cfg.optimizer, params=model.parameters())
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, cfg.epochs)

    accuracy = 0.0
    for epoch in range(cfg.epochs):
        model.train()
        for batch in torch.randperm(len(labels)).split(cfg.batch_size):
            loss = cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        model.eval()
        with torch.no_grad():
            accuracy = (model(val_images).argmax(1) == val_labels).float().mean().item()
        neuropt_core.report(epoch, val_accuracy=accuracy, kilobytes=kilobytes)  # what constraints are judged by
    time = microseconds(model, val_images[:64])
    log.info("accuracy %.4f  %.1f microseconds an image  %.1f kB", accuracy, time, kilobytes)
    return accuracy, time


if __name__ == "__main__":
    main()
