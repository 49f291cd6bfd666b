"""A script that trains nothing: it shows what reaches a job of neuropt's settings."""

from __future__ import annotations

import hydra
import torch
from omegaconf import DictConfig

import neuropt_core


@hydra.main(version_base="1.3", config_path=None)
def main(cfg: DictConfig) -> float:
    """Calls the helpers that `calls` names and returns a score that depends on the rate that reaches the optimizer."""
    rate = 0.01
    if "build" in cfg.calls:
        model, tuning = neuropt_core.build(cfg)
        model(torch.zeros(2, 3, 8, 8))
        if "groups" in cfg.calls:
            rate = max(group["lr"] for group in tuning.param_groups(lr=rate, weight_decay=0.0))
        if "step" in cfg.calls:
            tuning.step(0.0)
    for epoch in range(3):
        neuropt_core.report(epoch, val_loss=rate / (epoch + 1) if epoch < cfg.get("nan_at", 9) else float("nan"))
    return float(rate)


if __name__ == "__main__":
    main()
