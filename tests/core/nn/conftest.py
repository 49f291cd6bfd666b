"""Small networks, and real architectures."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn
from zoo import models as models


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Small networks are slower on many threads, and results must not depend on the machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


class Block(nn.Module):
    """Two convolutions with a shared activation, and a way around them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(channels)
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps ``(n, c, h, w)`` to the same shape."""
        return self.act(x + self.bn2(self.conv2(self.act(self.bn1(self.conv1(x))))))


class Net(nn.Module):
    """A ResNet in small: stem, six blocks, a global pool, a head. The head is registered first, as people do."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 4)
        self.stem = nn.Conv2d(3, 8, 3, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.blocks = nn.Sequential(*(Block(8) for _ in range(6)))
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps images ``(n, 3, h, w)`` to logits ``(n, 4)``."""
        return self.fc(self.pool(self.blocks(torch.relu(self.bn(self.stem(x))))).flatten(1))


@pytest.fixture
def net() -> nn.Module:
    """A `Net` under a fixed seed."""
    return Net()


@pytest.fixture
def make_net() -> Callable[[], nn.Module]:
    """Builds a `Net` afresh."""
    return Net


@pytest.fixture
def make_loaded(tmp_path: object) -> Callable[[], nn.Module]:
    """Builds a `Net` whose weights come from a file, but for its head."""
    torch.manual_seed(3)
    net = Net()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    state = {name: value for name, value in net.state_dict().items() if not name.startswith("fc.")}
    torch.save(state, f"{tmp_path}/net.pt")

    def make() -> nn.Module:
        model = Net()
        model.load_state_dict(torch.load(f"{tmp_path}/net.pt"), strict=False)
        return model

    return make
