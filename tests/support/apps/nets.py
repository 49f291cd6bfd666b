"""A small network that a config can name, and a script that trains nothing: it shows what neuropt makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import hydra
import torch
from omegaconf import DictConfig
from torch import nn

import neuropt_core


def small(classes: int = 3, weights: str | None = None) -> nn.Module:
    """Returns a network of two convolutions; `weights` names a state dict that is loaded into all but the head."""
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes)
    )
    if weights is not None:
        state: Mapping[str, Any] = torch.load(weights)
        net.load_state_dict({k: v for k, v in state.items() if not k.startswith("5.")}, strict=False)
    return net


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
