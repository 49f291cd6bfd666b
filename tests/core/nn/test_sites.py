"""Tests of what is found in a model."""

from __future__ import annotations

from collections import Counter
from types import ModuleType

import torch
from torch import nn

from neuropt_core.nn.edits import EditPlan, apply
from neuropt_core.nn.sites import count_kinds, find_sites


def test_resnet18_as_the_seed_counts_it(models: ModuleType) -> None:
    """A shared activation counts once: ReLU 9, BatchNorm 20, one average pool."""
    assert Counter(count_kinds(models.resnet18())) == {
        ("activations", "ReLU"): 9,
        ("norms", "BatchNorm"): 20,
        ("pools", "avg"): 1,
    }


def test_squeeze_and_excitation_is_left_alone(models: ModuleType) -> None:
    """Of ten pools of a MobileNetV3-S one is global, and no gate's activation can be swapped."""
    model = models.mobilenet_v3_small()
    sites = find_sites(model)
    assert sites.pools == ("avgpool",)
    assert sum(isinstance(m, nn.AdaptiveAvgPool2d) for m in model.modules()) == 10
    assert not any("block.2.activation" in path or ".scale" in path for path in sites.activations)


def test_the_usual_rate_is_the_commonest() -> None:
    """Dropout layers at another rate than the usual one are not sites."""
    model = nn.Sequential(nn.Dropout(0.1), nn.Dropout(0.5), nn.Dropout(0.1))
    sites = find_sites(model)
    assert (sites.dropout, sites.dropouts) == (0.1, ("0", "2"))


def test_norms_are_named_by_family() -> None:
    """Norms of any number of dimensions share a name."""
    model = nn.Sequential(
        nn.BatchNorm1d(2), nn.BatchNorm2d(2), nn.GroupNorm(1, 2), nn.LayerNorm(2), nn.InstanceNorm1d(2)
    )
    assert Counter(count_kinds(model)) == {
        ("norms", "BatchNorm"): 2,
        ("norms", "GroupNorm"): 1,
        ("norms", "LayerNorm"): 1,
        ("norms", "InstanceNorm"): 1,
    }


def test_outputs_and_gates_are_no_sites() -> None:
    """Tanh, Sigmoid and Softmax are counted but cannot be swapped."""
    model = nn.Sequential(nn.ReLU6(), nn.Tanh(), nn.Sigmoid(), nn.Softmax(-1))
    assert find_sites(model).activations == ("0",)
    assert len(list(count_kinds(model))) == 4


class BatchNormAct(nn.BatchNorm1d):
    """A norm that holds its activation, as timm's does."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.drop, self.act = nn.Identity(), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalises ``(n, size)`` and applies the activation."""
        return self.act(self.drop(super().forward(x)))


def test_a_norm_leaves_its_activation_behind() -> None:
    """Where a norm holds an activation, the activation stays in its place, under its path; unknown parts forbid it."""
    model = nn.Sequential(nn.Linear(4, 4), BatchNormAct(4), nn.Linear(4, 2))
    assert find_sites(model).activations == ("1.act",)
    assert apply(EditPlan(use_batchnorm=False, activation="gelu"), model) == 2
    assert not find_sites(model).batchnorms
    assert isinstance(model.get_submodule("1.act"), nn.GELU)
    odd = BatchNormAct(4)
    odd.extra = nn.Linear(4, 4)
    assert find_sites(nn.Sequential(odd)).batchnorms == ()


def test_root_mean_square_norms_count_as_layer_norms() -> None:
    """RMSNorm, torch's or a library's own, is switched off with LayerNorm."""

    class LlamaRMSNorm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(4))

    model = nn.Sequential(nn.LayerNorm(4), nn.RMSNorm(4), LlamaRMSNorm(), nn.GroupNorm(1, 4))
    assert find_sites(model).layernorms == ("0", "1", "2")
