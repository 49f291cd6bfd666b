"""A Hydra script with two aims and a measured latency: which of them it returns and reports is told by its config."""

from __future__ import annotations

import math
from typing import Any

import hydra
from omegaconf import DictConfig

import neuropt_core


@hydra.main(version_base="1.3", config_path="trade_conf", config_name="config")
def main(cfg: DictConfig) -> Any:
    """Returns an error that falls with the width, and beside it, if asked for, a throughput that falls too."""
    sgd = cfg.optimizer._target_ == "torch.optim.SGD"
    if not sgd and "momentum" in cfg.optimizer:
        raise TypeError("AdamW takes no momentum")
    error = abs(math.log10(cfg.optimizer.lr) + 3) + 8 / cfg.width
    if sgd:
        error += abs(cfg.optimizer.get("momentum", 0.0) - 0.9)
    if cfg.reports:
        neuropt_core.report(0, latency_ms=cfg.width / 4)
    return (error, 1000 / cfg.width)[: cfg.returns] if cfg.returns > 1 else error


if __name__ == "__main__":
    main()
