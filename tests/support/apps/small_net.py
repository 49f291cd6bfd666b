"""A small network that a config can name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn


def small(classes: int = 3, weights: str | None = None) -> nn.Module:
    """Returns a network of two convolutions; `weights` names a state dict that is loaded into all but the head."""
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes)
    )
    if weights is not None:
        state: Mapping[str, Any] = torch.load(weights)
        net.load_state_dict({k: v for k, v in state.items() if not k.startswith("5.")}, strict=False)
    return net


def whole(weights: str) -> nn.Module:
    """Returns the small network in a wrapper, with all of its weights loaded from a file."""
    net = nn.Sequential()
    net.add_module("model", small())
    net.load_state_dict(torch.load(weights))
    return net
