"""Tests of the head."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from torch import nn

from neuropt_core.nn.graph import Trace, trace
from neuropt_core.nn.head import find_head


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("resnet18", ("fc",)),
        ("squeezenet1_1", ("classifier.1",)),
        ("mobilenet_v3_small", ("classifier.3",)),
    ],
)
def test_heads_of_real_architectures(models: ModuleType, name: str, head: tuple[str, ...]) -> None:
    """The last layer before the output is the head, be it linear or a convolution."""
    model = getattr(models, name)(num_classes=10)
    assert find_head(model, trace(model)) == head


def test_fresh_layers_belong_to_the_head() -> None:
    """All layers of a fresh classifier are the head, as one module where it has one of its own."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 2)))
    fresh = ("1.0.weight", "1.0.bias", "1.2.weight", "1.2.bias")
    assert find_head(model, trace(model), fresh) == ("1",)


def test_a_wrapper_gives_way_to_its_layer() -> None:
    """A fresh Sequential around one layer is named by the layer."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Dropout(), nn.Linear(4, 2)))
    assert find_head(model, trace(model), ("1.1.weight", "1.1.bias")) == ("1.1",)


def test_two_outputs_two_heads() -> None:
    """Each output has a head."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.left, self.right = nn.Linear(4, 4), nn.Linear(4, 2), nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            hidden = self.body(x).relu()
            return self.left(hidden), self.right(hidden)

    assert find_head(Two(), trace(Two())) == ("left", "right")


def test_norm_behind_the_classifier_is_not_all() -> None:
    """A norm after the last layer is head, and the search goes on to the layer."""
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3), nn.BatchNorm1d(3))
    assert find_head(model, trace(model)) == ("2", "3")


def test_last_layer_stands_in_where_nothing_ran() -> None:
    """Without a trace the head is the last registered layer with a matrix."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3), nn.LayerNorm(3))
    assert find_head(model, Trace(reason="not run")) == ("1",)
