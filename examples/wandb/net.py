"""A small convolutional network for images of 8 x 8 pixels."""

import torch
from torch import nn


class Net(nn.Module):
    """Three convolutions, a mean over the image, a linear head.

    Args:
        width: Channels of the first convolution; the others have twice as many.
        dropout: Rate in front of the head, in [0, 1).
        n_classes: How many classes there are.
    """

    def __init__(self, width: int = 16, dropout: float = 0.0, n_classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()),
            *(nn.Conv2d(width, 2 * width, 3, padding=1, stride=2), nn.BatchNorm2d(2 * width), nn.ReLU()),
            *(nn.Conv2d(2 * width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU()),
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * width, n_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Takes images, (batch, 1, height, width); returns logits, (batch, n_classes)."""
        return self.head(self.dropout(self.features(images).mean(dim=(2, 3))))
