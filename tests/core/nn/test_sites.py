"""Tests of what is found in a model."""

from __future__ import annotations

from collections import Counter
from types import ModuleType

from torch import nn

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
