"""Small networks whose classes take rates of dropout, well and badly."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class DropPath(nn.Module):
    """Leaves out whole samples of a branch, as stochastic depth does."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps ``(n, d)`` to the same shape."""
        if not self.training or self.rate == 0:
            return x
        keep = (torch.rand(len(x), 1) >= self.rate).to(x.dtype)
        return x * keep / (1 - self.rate)


class Net(nn.Module):
    """A residual network for vectors of eight; `scale` at zero hides its branch at the start, as people do."""

    def __init__(self, width: int = 8, dropout: float = 0.1, drop_path_rate: float = 0.0) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(8, width), nn.Linear(width, 3)
        self.branch = nn.Linear(width, width)
        self.scale = nn.Parameter(torch.zeros(1))
        self.path = DropPath(drop_path_rate) if drop_path_rate else nn.Identity()
        self.drop = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps ``(n, 8)`` to logits ``(n, 3)``."""
        x = torch.relu(self.stem(x))
        x = x + self.path(self.scale * self.branch(x))
        return self.head(self.drop(x))


class Functional(nn.Module):
    """Drops by a function, so that no module holds the rate under a name that is known."""

    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(8, 8), nn.Linear(8, 3)
        self._settings = {"rate": dropout}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps ``(n, 8)`` to logits ``(n, 3)``."""
        x = nn.functional.dropout(torch.relu(self.first(x)), self._settings["rate"], self.training)
        return self.last(x)


class Ignoring(Functional):
    """Takes an argument that does nothing, though a module shows it."""

    def __init__(self, dropout: float = 0.2, attention_dropout: float = 0.1) -> None:
        super().__init__(dropout)
        self.attention_dropout = attention_dropout


class Leaky(nn.Module):
    """Drops in eval mode too."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.last, self.rate = nn.Linear(8, 3), dropout

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps ``(n, 8)`` to logits ``(n, 3)``."""
        return self.last(x * (1 - self.rate))


def stacked(dropout: float = 0.1) -> nn.Module:
    """Returns a network whose names depend on whether there is dropout."""
    layers = [nn.Linear(8, 8), *([nn.Dropout(dropout)] if dropout else []), nn.Linear(8, 3)]
    return nn.Sequential(*layers)


def passing(**kwargs: Any) -> nn.Module:
    """Returns a network whose real default is not that of its class."""
    kwargs.setdefault("dropout", 0.3)
    return Net(**kwargs)


def wrapped(backbone: nn.Module, classes: int = 2) -> nn.Module:
    """Returns a backbone with one more layer."""
    return nn.Sequential(backbone, nn.ReLU(), nn.Linear(3, classes))


def loading(path: str, dropout: float = 0.1) -> nn.Module:
    """Returns a network with the weights of a file, but only while it drops little."""
    net = Net(dropout=dropout)
    if dropout < 0.4:
        net.load_state_dict(torch.load(path))
    return net


def drifting(dropout: float = 0.1) -> nn.Module:
    """Returns a network whose argument takes numbers from the generator before the weights are drawn."""
    torch.rand(1 + int(100 * dropout))
    return Net(dropout=dropout)
