"""Trains a small network from scratch; the architecture, the optimizer and your own parameters are searched together.

python examples/from_scratch/train.py                    trains once, with the configuration as it is
python examples/from_scratch/train.py --multirun         searches: conf/from_scratch.yaml holds the sweep's settings
python examples/from_scratch/train.py judge_on=test ...  with a trial's overrides: scores it on images that no trial saw

Nothing here is pretrained, so neuropt may replace activations, norms and the pooling, and put dropout before the head.
The lines marked (neuropt) read what it decides; outside a sweep they do the plain thing.
"""

import logging

import hydra
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy

import neuropt_core

log = logging.getLogger(__name__)


def load(n_train: int, judge_on: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Returns scikit-learn's digits: images and labels to train on, then those to judge by.

    Args:
        n_train: Images to train on; as many again are for validation, and the rest for the test.
        judge_on: ``val`` or ``test``.
    """
    digits = load_digits()
    order = torch.randperm(len(digits.target), generator=torch.Generator().manual_seed(0))  # The same in every trial.
    images = (torch.tensor(digits.images, dtype=torch.float32) / 16 - 0.5).unsqueeze(1)[order]
    labels = torch.tensor(digits.target)[order]
    judged = {"val": slice(n_train, 2 * n_train), "test": slice(2 * n_train, None)}[judge_on]
    return images[:n_train], labels[:n_train], images[judged], labels[judged]


@hydra.main(version_base="1.3", config_path="../../conf", config_name="from_scratch")
def main(cfg: DictConfig) -> float:
    """Trains once; returns the cross entropy after the last epoch, in nats, of the images that it is judged by."""
    torch.set_num_threads(1)  # So small a network gains nothing from a second one.
    torch.manual_seed(cfg.seed)
    images, labels, other_images, other_labels = load(cfg.n_train, cfg.judge_on)

    model, tuning = neuropt_core.build(cfg)  # (neuropt) instantiates cfg.model and edits it
    groups = tuning.param_groups(lr=cfg.optimizer.lr, weight_decay=cfg.optimizer.weight_decay)  # (neuropt)
    optimizer = instantiate(cfg.optimizer)(groups)
    schedule = tuning.scheduler(optimizer, cfg.epochs)  # (neuropt) warm-up, then a cosine

    loss = float("nan")
    for epoch in range(cfg.epochs):
        tuning.step(epoch / cfg.epochs)  # (neuropt)
        model.train()
        for batch in torch.randperm(len(labels)).split(cfg.batch_size):
            train_loss = tuning.cross_entropy(model(images[batch]), labels[batch])  # (neuropt) smooths labels
            optimizer.zero_grad()
            train_loss.backward()
            optimizer.step()
            tuning.update()  # (neuropt) averages weights
        schedule.step()

        averaged = tuning.averaged.eval()  # (neuropt) the model itself where weights are not averaged
        with torch.no_grad():
            logits = averaged(other_images)
        loss = cross_entropy(logits, other_labels).item()
        accuracy = (logits.argmax(1) == other_labels).float().mean().item()
        neuropt_core.report(epoch, train_loss=train_loss.item(), val_loss=loss, val_accuracy=accuracy)  # (neuropt)
    log.info("%s: loss %.4f  accuracy %.4f", cfg.judge_on, loss, accuracy)
    return loss


if __name__ == "__main__":
    main()
