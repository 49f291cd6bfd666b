"""Tests of depth: the blocks and the groups."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrizations

from neuropt_core.nn.depth import depth_groups, ends_in_head, owner
from neuropt_core.nn.graph import trace
from neuropt_core.nn.head import find_head


def _groups(model: nn.Module) -> list[tuple[str, tuple[str, ...]]]:
    seen = trace(model)
    return [(group.name, group.tensors) for group in depth_groups(model, seen, find_head(model, seen))]


class Tied(nn.Module):
    """A language model whose head is its embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.body = nn.Linear(8, 8)
        self.head = nn.Linear(8, 20, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Maps token ids ``(n, t)`` to logits ``(n, t, 20)``."""
        return self.head(torch.relu(self.body(self.embed(ids))))


class Functional(nn.Module):
    """Uses a layer by its weight alone, and registers it before the one that runs earlier."""

    def __init__(self) -> None:
        super().__init__()
        self.second = nn.Linear(6, 3)
        self.first = nn.Linear(4, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps ``(n, 4)`` to ``(n, 3)``."""
        hidden = nn.functional.linear(x, self.first.weight, self.first.bias).relu()
        return nn.functional.linear(hidden, self.second.weight, self.second.bias)


@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "mobilenet_v3_small",
        "squeezenet1_1",
        "shufflenet_v2_x0_5",
        "densenet121",
    ],
)
def test_groups_partition_real_architectures(models: ModuleType, name: str) -> None:
    """Every parameter of a torchvision network lies in exactly one of a few dozen groups."""
    model = getattr(models, name)(num_classes=10)
    groups = _groups(model)
    assert sorted(n for _, tensors in groups for n in tensors) == sorted(n for n, _ in model.named_parameters())
    assert 3 <= len(groups) <= 60


class Wired(nn.Module):
    """Layers that are registered in one order and run in another, some of them twice, some never."""

    def __init__(self, runs: list[int], registered: list[int]) -> None:
        super().__init__()
        for index in registered:
            self.add_module(f"layer{index}", nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3)))
        self.runs = runs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps ``(n, 3)`` to ``(n, 3)``."""
        for index in self.runs:
            x = self.get_submodule(f"layer{index}")(x)
        return x


@settings(deadline=None, max_examples=40)
@given(
    runs=st.lists(st.integers(0, 14), min_size=1, max_size=20),
    registered=st.permutations(range(15)),
    frozen=st.sets(st.integers(0, 14)),
)
def test_groups_partition_whatever_runs(runs: list[int], registered: list[int], frozen: set[int]) -> None:
    """Each parameter is in one group, the order of first use is kept, at most twelve groups stand before the head."""
    model = Wired(runs, registered)
    before = _groups(model)
    assert sorted(n for _, tensors in before for n in tensors) == sorted(n for n, _ in model.named_parameters())
    assert len(before) <= 13
    place = {n: index for index, (_, tensors) in enumerate(before) for n in tensors}
    first = [place[f"layer{index}.0.weight"] for index in dict.fromkeys(runs)]
    assert first == sorted(first)
    for index in frozen:
        model.get_submodule(f"layer{index}").requires_grad_(False)
    assert _groups(model) == before


def test_a_block_in_two_places_has_one() -> None:
    """A module that is registered under two paths is in one group."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.two(self.one(x).relu())

    shared = Block()
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(shared, Block(), shared), nn.Linear(4, 2))
    model.add_module("alias", nn.Identity())
    model.alias.block = shared
    names = [name for name, _ in _groups(model)]
    assert names == ["stem", "1.0", "1.1", "2"]


def test_experts_side_by_side_are_one_block() -> None:
    """Layers of one class that start at the same depth are no sequence, so that their block stays whole."""

    class Expert(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4))

    class Mixture(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.experts = nn.ModuleList(Expert() for _ in range(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.stack([expert(x) for expert in self.experts]).sum(0)

    model = nn.Sequential(nn.Linear(4, 4), *(Mixture() for _ in range(3)), nn.Linear(4, 2))
    assert [name for name, _ in _groups(model)] == ["stem", "1", "2", "3", "4"]


def test_resnet18_in_ten_groups(models: ModuleType) -> None:
    """The groups of a ResNet-18 are its stem, its eight blocks in order, and fc."""
    blocks = [f"layer{i}.{j}" for i in (1, 2, 3, 4) for j in (0, 1)]
    assert [name for name, _ in _groups(models.resnet18())] == ["stem", *blocks, "fc"]


def test_head_registered_first_comes_last(net: nn.Module) -> None:
    """Order follows the data, not the order in which layers were registered."""
    names = [name for name, _ in _groups(net)]
    assert names == ["stem", *(f"blocks.{i}" for i in range(6)), "fc"]


def test_functional_use_is_seen() -> None:
    """A layer that is used by its weight alone has its place in the order."""
    assert [name for name, _ in _groups(Functional())] == ["first", "second"]


def test_tied_weights_stay_with_the_embedding() -> None:
    """A head that shares the embedding's weights has no group of its own."""
    groups = _groups(Tied())
    assert groups[0] == ("embed", ("embed.weight",))
    assert [n for _, tensors in groups for n in tensors].count("embed.weight") == 1


def test_parametrised_weights_belong_to_their_layer() -> None:
    """Weight normalisation does not hide which layer comes first."""
    model = nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 4)), nn.ReLU(), nn.Linear(4, 2))
    assert [name for name, _ in _groups(model)] == ["0", "2"]
    assert owner("0.parametrizations.weight.original0") == "0"


def test_deep_plain_networks_are_cut() -> None:
    """Thirty layers without blocks become twelve groups and the head."""
    model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(31)))
    groups = _groups(model)
    assert len(groups) == 13
    assert groups[-1][0] == "30"


def test_model_that_cannot_run_is_ordered_as_registered() -> None:
    """Where no guess runs, the reason is told and the order of registration stands in."""

    class Odd(nn.Sequential):
        def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return super().forward(x * mask)

    model = Odd(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    seen = trace(model)
    assert seen.example is None
    assert "mask" in seen.reason
    assert [name for name, _ in _groups(model)] == ["0", "2"]


def test_a_head_without_weights_of_its_own_ends_no_list() -> None:
    """The last group is the head only if it was named one; with an embedding's weights it is not."""
    model = Tied()
    groups = depth_groups(model, trace(model), ("head",))
    assert not ends_in_head(groups, ("head",))
    assert ends_in_head(depth_groups(model, trace(model), ("body",)), ("body",))
    assert not ends_in_head((), ("fc",))
