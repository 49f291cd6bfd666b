"""A Hydra script that reports a curve: it falls to a floor, and how slowly its job runs is for the test to say."""

from __future__ import annotations

import time

import hydra
from omegaconf import DictConfig

import neuropt_core


@hydra.main(version_base="1.3", config_path="curves_conf", config_name="config")
def main(cfg: DictConfig) -> float:
    """Returns the last validation loss, which falls towards `floor` as the inverse of the epoch."""
    loss = 0.0
    for epoch in range(cfg.epochs):
        time.sleep(cfg.slow if cfg.floor > 1 else cfg.fast)
        loss = cfg.floor + 1.0 / (epoch + 1)
        neuropt_core.report(epoch, train_loss=0.9 * loss, val_loss=loss)
    return loss


if __name__ == "__main__":
    main()
