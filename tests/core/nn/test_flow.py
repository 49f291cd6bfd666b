"""Tests of the observed pass and of what it says about sites."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from torch import nn

from neuropt_core.nn.depth import within
from neuropt_core.nn.flow import Flow, observe
from neuropt_core.nn.graph import Trace, trace
from neuropt_core.nn.sites import Sites, find_sites


class Squeezed(nn.Module):
    """A hand-written squeeze-and-excitation, in the open and with a functional sigmoid, and a global pool."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.squeeze = nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1)
        self.down, self.inner, self.up = nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 8)
        self.act, self.pool, self.fc = nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps images ``(n, 3, h, w)`` to logits ``(n, 2)``."""
        x = self.conv(x)
        gate = torch.sigmoid(self.up(self.inner(self.down(self.squeeze(x).flatten(1)))))
        return self.fc(self.pool(self.act(x * gate[:, :, None, None])).flatten(1))


def _sites(model: nn.Module) -> Sites:
    return find_sites(model, observe(model, trace(model)))


def test_a_gate_is_known_by_what_it_does() -> None:
    """A pool after which larger maps appear is no global one, and activations on its result are a gate's."""
    sites = _sites(Squeezed())
    assert (sites.pools, sites.activations, dict(sites.channels)) == (("pool",), ("act",), {"pool": 8})


@pytest.mark.parametrize(
    ("name", "gates"), [("mobilenet_v3_small", 9), ("efficientnet_b0", 16), ("regnet_y_400mf", 16)]
)
def test_gates_of_real_networks(models: ModuleType, name: str, gates: int) -> None:
    """Of all pools of networks with squeeze-and-excitation one is global, and no gate's activation is a site."""
    model = getattr(models, name)(num_classes=10)
    sites = _sites(model)
    inside = [path for path, module in model.named_modules() if type(module).__name__ == "SqueezeExcitation"]
    assert sites.pools == ("avgpool",)
    assert len(inside) == gates
    assert len(sites.activations) > gates
    assert not any(within(path, inside) for path in sites.activations)


def test_an_activation_that_shapes_the_output_is_no_site() -> None:
    """What is returned, also with a constant added, keeps its range; what only a pool follows is a feature."""

    class Positive(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.act, self.h, self.last = nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2), nn.Softplus()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(self.h(self.act(self.a(x)))) + 1e-3

    assert _sites(Positive()).activations == ("act",)
    assert _sites(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2), nn.ReLU())).activations == ("1",)
    pooled = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert _sites(pooled).activations == ("1",)


def test_a_pool_to_more_than_one_position_takes_no_attention(models: ModuleType) -> None:
    """AlexNet pools to 6 x 6: its pool is global, and not a place for attention."""
    sites = _sites(models.alexnet(num_classes=10))
    assert (sites.pools, dict(sites.channels)) == (("avgpool",), {})


def test_what_does_not_run_shows_nothing(net: nn.Module) -> None:
    """Without an example, and where the pass fails, there are no calls; the model is never touched."""
    assert observe(net, Trace()) == Flow()
    assert observe(net, Trace(torch.randn(2, 5))) == Flow()
    assert all(not module._forward_hooks for module in net.modules())
