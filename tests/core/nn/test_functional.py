"""Tests of what is found in code instead of layers."""

from __future__ import annotations

from types import ModuleType

import torch
from torch import nn
from torch.nn import functional

from neuropt_core.nn.flow import observe
from neuropt_core.nn.graph import trace
from neuropt_core.profile import ModelProfile


class Coded(nn.Module):
    """A network whose activation, dropout, attention and pool are functions, beside layers of the same kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm, self.act, self.drop = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.1)
        self.attention_dropout = 0.1
        self.head = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps images ``(n, 3, h, w)`` to logits ``(n, 2)``."""
        x = functional.relu(self.act(self.norm(self.stem(x)))).relu_()
        x = x * x.mean((2, 3), keepdim=True).sigmoid()
        x = functional.dropout(x.mean([2, 3]), 0.1, self.training)
        return self.head(functional.gelu(x))


def test_calls_in_code_are_counted_and_layers_are_not() -> None:
    """Functions count by name, in place or not; what torch's own layers call does not, nor a gate's mean."""
    model = Coded()
    assert observe(model, trace(model)).functional == {"relu": 2, "mean": 1, "dropout": 1, "gelu": 1}


def test_attention_with_a_rate_of_its_own_is_found() -> None:
    """A rate that code hands to attention is out of reach, unless it comes from a dropout layer."""

    class Attends(nn.Module):
        def __init__(self, layer: bool) -> None:
            super().__init__()
            self.qkv, self.h = nn.Linear(8, 24), nn.Linear(8, 2)
            self.attn_drop = nn.Dropout(0.1) if layer else 0.1

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            q, k, v = self.qkv(x.reshape(x.shape[0], -1, 8)).chunk(3, -1)
            return self.h(functional.scaled_dot_product_attention(q, k, v))

    found = [dict(observe(model, trace(model)).functional) for model in (Attends(True), Attends(False))]
    assert found == [{}, {"scaled_dot_product_attention": 1}]


def test_real_networks(models: ModuleType) -> None:
    """Swin's dropouts and the activation function of torch's own encoder layer are named; ResNet has none."""
    encoder = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), nn.Linear(8, 2))
    assert observe(encoder, trace(encoder)).functional == {"relu": 1}
    for name, calls in (("resnet18", {}), ("swin_t", {"dropout": 24})):
        model = getattr(models, name)(num_classes=10)
        assert observe(model, trace(model)).functional == calls


def test_the_summary_names_what_is_out_of_reach() -> None:
    """One line of the summary says what runs in code."""
    profile = ModelProfile("net", 1, functional={"relu": 17, "dropout": 24})
    line = "  Out of reach: relu (17 calls in code, not layers), dropout (24 calls in code, not layers)"
    assert line in profile.summary().splitlines()
    assert ModelProfile.from_json(profile.to_json()) == profile
