"""Tests of parameter groups."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from neuropt_core.errors import ConfigError
from neuropt_core.nn.depth import DepthGroup, depth_groups
from neuropt_core.nn.graph import trace
from neuropt_core.nn.groups import layer_rate, parameter_groups


def _groups(model: nn.Module) -> tuple[DepthGroup, ...]:
    return depth_groups(model, trace(model), ("fc",))


@given(lr=st.floats(1e-6, 1.0), decay=st.floats(0.5, 0.999), last=st.integers(1, 60), data=st.data())
def test_rates_grow_with_depth(lr: float, decay: float, last: int, data: st.DataObject) -> None:
    """A deeper group learns faster, the head at lr, the stem at lr * decay ** 12 whatever the depth."""
    group = data.draw(st.integers(0, last - 1))
    assert layer_rate(lr, decay, group, last) < layer_rate(lr, decay, group + 1, last)
    assert layer_rate(lr, decay, last, last) == lr
    assert layer_rate(lr, decay, 0, last) == pytest.approx(lr * decay**12)


@given(
    lr=st.floats(1e-6, 1.0),
    decay=st.floats(0.5, 0.999),
    last=st.integers(1, 60),
    reference=st.none() | st.integers(1, 48),
    data=st.data(),
)
def test_the_reference_says_how_far_the_stem_lies_from_the_head(
    lr: float, decay: float, last: int, reference: int | None, data: st.DataObject
) -> None:
    """The stem is `reference` groups away from the head, or as many as there are, and rates still grow with depth."""
    group = data.draw(st.integers(0, last - 1))
    assert layer_rate(lr, decay, group, last, reference) < layer_rate(lr, decay, group + 1, last, reference)
    assert layer_rate(lr, decay, 0, last, reference) == pytest.approx(lr * decay ** (reference or last))
    assert layer_rate(lr, decay, group, last, None) == pytest.approx(lr * decay ** (last - group))


def test_no_decay_is_one_rate() -> None:
    """Decay 1 and a single group leave lr alone."""
    assert layer_rate(0.1, 1.0, 3, 9) == 0.1
    assert layer_rate(0.1, 0.5, 0, 0) == 0.1


@pytest.mark.parametrize("decay", [1.0, 0.75])
def test_every_trained_parameter_is_in_one_group(net: nn.Module, decay: float) -> None:
    """The optimizer gets each parameter that trains once, and no frozen one."""
    net.stem.requires_grad_(False)
    made = parameter_groups(net, _groups(net), lr=0.1, weight_decay=0.01, decay=decay)
    placed = [id(p) for group in made for p in group["params"]]
    assert sorted(placed) == sorted(id(p) for p in net.parameters() if p.requires_grad)


def test_named_parameters_have_a_place_though_they_are_frozen(net: nn.Module) -> None:
    """What is to train later is in the groups from the start, under the rate and decay of its own depth."""
    names = {n for n, _ in net.named_parameters() if not n.startswith("stem")}
    shapes = []
    for free in (True, False):
        net.requires_grad_(free)
        made = parameter_groups(net, _groups(net), lr=0.1, weight_decay=0.01, decay=0.75, names=names)
        assert {id(p) for group in made for p in group["params"]} == {id(net.get_parameter(n)) for n in names}
        shapes.append([(group["lr"], group["weight_decay"], len(group["params"])) for group in made])
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("decay", [1.0, 0.75])
def test_the_heads_rate_is_multiplied_and_no_other(net: nn.Module, decay: float) -> None:
    """With and without decay the head learns ten times faster, all else as before, and the partition stays exact."""
    groups = _groups(net)

    def rates(**head: Any) -> dict[int, tuple[float, float]]:
        made = parameter_groups(net, groups, lr=0.1, weight_decay=0.01, decay=decay, **head)
        placed = [(id(p), (g["lr"], g["weight_decay"])) for g in made for p in g["params"]]
        assert len(placed) == len(dict(placed)) == len(list(net.parameters()))
        return dict(placed)

    plain, multiplied = rates(), rates(head=("fc.weight", "fc.bias"), head_mult=10.0)
    for name, parameter in net.named_parameters():
        rate, strength = plain[id(parameter)]
        assert multiplied[id(parameter)] == pytest.approx((rate * (10 if name.startswith("fc.") else 1), strength))
    assert max(rate for rate, _ in multiplied.values()) == pytest.approx(1.0)


def test_norms_and_biases_have_no_weight_decay(net: nn.Module) -> None:
    """Weight decay falls on matrices and kernels alone."""
    for group in parameter_groups(net, _groups(net), lr=0.1, weight_decay=0.01, decay=0.9):
        assert {p.ndim >= 2 for p in group["params"]} == {group["weight_decay"] == 0.01}


def test_scales_and_tokens_are_vectors_whatever_their_shape() -> None:
    """A scale of shape (c, 1, 1) and a class token have no weight decay, a convolution with one output has."""
    model = nn.Module()
    model.scale, model.token = nn.Parameter(torch.ones(6, 1, 1)), nn.Parameter(torch.zeros(1, 1, 6))
    model.position = nn.Parameter(torch.zeros(1, 5, 6))
    model.conv, model.out = nn.Conv2d(6, 1, 1, bias=False), nn.Linear(6, 1, bias=False)
    names = tuple(name for name, _ in model.named_parameters())

    def decayed(**options: bool) -> set[str]:
        made = parameter_groups(
            model,
            [DepthGroup("all", names)],
            lr=0.1,
            weight_decay=0.01,
            decay=1.0,
            **options,  # type: ignore[arg-type]
        )
        ids = {id(p) for group in made if group["weight_decay"] for p in group["params"]}
        return {name for name, p in model.named_parameters() if id(p) in ids}

    assert decayed() == {"position", "conv.weight", "out.weight"}
    assert decayed(decay_vectors=True) == set(names)


@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.SGD, torch.optim.RMSprop])
def test_torch_honours_the_rates(net: nn.Module, kind: type[torch.optim.Optimizer]) -> None:
    """Rates are absolute: torch's optimizers take them, and torch's schedulers scale each of them."""
    made = parameter_groups(net, _groups(net), lr=0.1, weight_decay=0.01, decay=0.75)
    optimizer = kind(made, lr=123.0)  # type: ignore[call-arg]
    rates = [group["lr"] for group in optimizer.param_groups]
    assert max(rates) == 0.1
    assert min(rates) == pytest.approx(0.1 * 0.75**12)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch)
    net(torch.randn(2, 3, 8, 8)).sum().backward()
    optimizer.step()
    scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([rate / 2 for rate in rates])


@pytest.mark.parametrize(
    "make",
    [
        lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 4),
        lambda o: torch.optim.lr_scheduler.StepLR(o, 1, 0.5),
        lambda o: torch.optim.lr_scheduler.LinearLR(o, 0.1, 1.0, 3),
        lambda o: torch.optim.lr_scheduler.OneCycleLR(o, [g["lr"] for g in o.param_groups], total_steps=5),
    ],
)
def test_schedulers_keep_the_ratios(net: nn.Module, make: Any) -> None:
    """Whatever a scheduler of torch's does to the head's rate, it does to the stem's as well."""
    optimizer = torch.optim.AdamW(parameter_groups(net, _groups(net), lr=0.1, weight_decay=0.01, decay=0.75))
    rates = [group["lr"] for group in optimizer.param_groups]
    scheduler, head = make(optimizer), []
    for _ in range(4):
        now = [group["lr"] for group in optimizer.param_groups]
        assert [rate / max(now) for rate in now] == pytest.approx([rate / max(rates) for rate in rates], rel=1e-3)
        head.append(max(now))
        optimizer.step()
        scheduler.step()
    assert len(set(head)) > 2


def test_the_head_moves_most(net: nn.Module) -> None:
    """One step of sign-like size moves the head by lr and the stem by far less."""
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    optimizer = torch.optim.Adam(parameter_groups(net, _groups(net), lr=0.01, weight_decay=0.0, decay=0.5))
    net(torch.randn(2, 3, 8, 8)).square().sum().backward()
    optimizer.step()
    moved = {name: float((p.detach() - before[name]).abs().max()) for name, p in net.named_parameters()}
    assert moved["fc.weight"] == pytest.approx(0.01, rel=0.01)
    assert moved["stem.weight"] == pytest.approx(0.01 * 0.5**12, rel=0.05)


def test_nothing_to_train_is_told(net: nn.Module) -> None:
    """A wholly frozen model is refused before an optimizer sees an empty list."""
    net.requires_grad_(False)
    with pytest.raises(ConfigError, match="something to train"):
        parameter_groups(net, _groups(net), lr=0.1, weight_decay=0.0, decay=1.0)
