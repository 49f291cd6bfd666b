"""The two small networks of the recorded curves that are trained from scratch: a CNN and a ViT for 8 x 8 images."""

from __future__ import annotations

import torch
from torch import nn


class SmallCNN(nn.Module):
    """Two convolutions with pooling and a linear head; ``(n, 3, 8, 8)`` -> logits ``(n, num_classes)``.

    Args:
        width: Channels of the first convolution; the second has twice as many.
        dropout: Rate in front of the head, in [0, 1).
        num_classes: The number of logits.
    """

    def __init__(self, width: int = 16, dropout: float = 0.0, num_classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(8 * width, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns the logits."""
        return self.head(self.dropout(self.features(images).flatten(1)))


class SmallViT(nn.Module):
    """A pre-norm vision transformer over 16 patches of 2 x 2; ``(n, 3, 8, 8)`` -> logits ``(n, num_classes)``.

    Args:
        depth: Encoder layers.
        width: Size of a token; must be a multiple of 4, the number of attention heads.
        dropout: Rate within each layer, in [0, 1).
        num_classes: The number of logits.
    """

    def __init__(self, depth: int = 3, width: int = 48, dropout: float = 0.0, num_classes: int = 10) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 2, stride=2)
        self.positions = nn.Parameter(0.02 * torch.randn(1, 16, width))
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 4, 2 * width, dropout, "gelu", batch_first=True, norm_first=True)
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns the logits, read from the mean of the tokens."""
        tokens = self.patches(images).flatten(2).transpose(1, 2) + self.positions
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(self.norm(tokens).mean(1))
