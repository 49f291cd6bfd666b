"""A ConvMixer (Trockman and Kolter 2022, arXiv:2201.09792) for small images."""

import torch
from torch import nn


class Block(nn.Module):
    """Mixes pixels channel by channel, then channels pixel by pixel; pixels have a way around.

    Args:
        width: Channels in and out.
        kernel: Pixels a side over which is mixed; odd.
    """

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        pixels = nn.Conv2d(width, width, kernel, groups=width, padding="same")
        self.pixels = nn.Sequential(pixels, nn.ReLU(), nn.BatchNorm2d(width))
        self.channels = nn.Sequential(nn.Conv2d(width, width, 1), nn.ReLU(), nn.BatchNorm2d(width))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Takes and returns images, (batch, width, height, width of the image)."""
        return self.channels(images + self.pixels(images))


class ConvMixer(nn.Module):
    """The network for grey images.

    Args:
        width: Channels of each block.
        depth: Blocks.
        kernel: Pixels a side over which a block mixes; odd.
        n_classes: How many classes there are.
    """

    def __init__(self, width: int = 32, depth: int = 2, kernel: int = 3, n_classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, width, 2, stride=2), nn.ReLU(), nn.BatchNorm2d(width))
        self.blocks = nn.Sequential(*(Block(width, kernel) for _ in range(depth)))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(width, n_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Takes images, (batch, 1, height, width of the image); returns logits, (batch, n_classes)."""
        return self.head(self.pool(self.blocks(self.stem(images))).flatten(1))
