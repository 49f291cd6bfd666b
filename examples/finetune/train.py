"""Fine-tunes a pretrained network on a few hundred images; the lines marked (neuropt) are all that a sweep needs.

python examples/finetune/train.py                                     trains once, with the configuration as it is
python examples/finetune/train.py --multirun hydra/sweeper=neuropt    searches
"""

import logging

import hydra
import torch
from data import Split, load
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn
from torch.nn.functional import cross_entropy

import neuropt_core

log = logging.getLogger(__name__)


def train_epoch(
    model: nn.Module,
    train: Split,
    optimizer: torch.optim.Optimizer,
    tuning: neuropt_core.Tuning,
    scaler: torch.amp.GradScaler,
    batches: tuple[torch.Tensor, ...],
) -> float:
    """Trains for one epoch and returns the mean loss of the task alone, without the penalty."""
    model.train()
    total = torch.zeros((), device=train.images.device)
    for batch in batches:
        images, labels = train.images[batch], train.labels[batch]
        with torch.autocast(images.device.type, enabled=images.is_cuda):
            loss = tuning.cross_entropy(model(images), labels)  # (neuropt) smooths labels
        optimizer.zero_grad()
        scaler.scale(loss + tuning.penalty()).backward()  # (neuropt) zero unless L2-SP is on
        scaler.step(optimizer)
        scaler.update()
        tuning.update()  # (neuropt) averages weights
        total += loss.detach() * len(batch)
    return float(total / len(train.labels))


@torch.no_grad()
def evaluate(model: nn.Module, split: Split, batch_size: int) -> tuple[float, float]:
    """Returns mean loss and accuracy, in [0, 1]."""
    model.eval()
    loss, right = 0.0, 0
    for images, labels in zip(split.images.split(batch_size), split.labels.split(batch_size), strict=True):
        with torch.autocast(images.device.type, enabled=images.is_cuda):
            logits = model(images)
        loss += float(cross_entropy(logits.float(), labels, reduction="sum"))
        right += int((logits.argmax(1) == labels).sum())
    return loss / len(split.labels), right / len(split.labels)


@hydra.main(version_base="1.3", config_path="../../conf", config_name="finetune")
def main(cfg: DictConfig) -> float:
    """Trains as `cfg` says and returns the validation loss after the last epoch; lower is better."""
    torch.set_num_threads(cfg.threads)
    torch.manual_seed(cfg.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train, val, name = load(**cfg.data)
    train, val = (Split(images.to(device), labels.to(device)) for images, labels in (train, val))

    model, tuning = neuropt_core.build(cfg)  # (neuropt) instantiates cfg.model, applies cfg.neuropt if there is one
    model.to(device, memory_format=torch.channels_last)  # Faster for convolutions, harmless for the rest.
    groups = tuning.param_groups(lr=cfg.optimizer.lr, weight_decay=cfg.optimizer.weight_decay)  # (neuropt)
    optimizer = instantiate(cfg.optimizer)(groups)
    schedule = tuning.scheduler(optimizer, cfg.epochs)  # (neuropt) warm-up, then a cosine
    scaler = torch.amp.GradScaler(device.type, enabled=device.type == "cuda")
    order = torch.Generator().manual_seed(cfg.seed)  # Its own, so that every trial sees the same batches.
    log.info("%s: %d images to train on, %d to validate, on %s", name, len(train.labels), len(val.labels), device.type)

    val_loss = float("nan")
    for epoch in range(cfg.epochs):
        tuning.step(epoch / cfg.epochs)  # (neuropt) schedules and BatchNorm policy
        batches = torch.randperm(len(train.labels), generator=order).to(device).split(cfg.batch_size)
        train_loss = train_epoch(model, train, optimizer, tuning, scaler, batches)
        schedule.step()
        val_loss, val_accuracy = evaluate(tuning.averaged, val, batch_size=256)  # (neuropt)
        log.info(
            "epoch %d: train_loss %.3f  val_loss %.3f  val_accuracy %.3f", epoch, train_loss, val_loss, val_accuracy
        )
        neuropt_core.report(epoch, train_loss=train_loss, val_loss=val_loss, val_accuracy=val_accuracy)  # (neuropt)
    return val_loss


if __name__ == "__main__":
    main()
