"""Tests of a trial's settings and of the helpers; `tests/core/runtime/test_build.py` holds those that need a config."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from neuropt_core.errors import ConfigError
from neuropt_core.nn.edits import EditPlan
from neuropt_core.nn.example import tensors_in
from neuropt_core.nn.freeze import STRATEGIES, frozen_norms, tracked_norms
from neuropt_core.nn.graph import trace
from neuropt_core.nn.tuning import Settings, Tuning
from neuropt_core.reading import STEPPED


def test_helpers_work_without_a_config(net: nn.Module) -> None:
    """A model object and settings are enough: frozen parameters are left out, the rest is given once."""
    tuning = Tuning(net, Settings(freeze_strategy="last_blocks", lr_layer_decay=0.5))
    placed = {id(p) for group in tuning.param_groups(lr=0.1) for p in group["params"]}
    assert placed == {id(p) for n, p in net.named_parameters() if n.startswith(("blocks.5.", "fc."))}
    assert tuning.head == ("fc",)


@pytest.mark.parametrize("decay", [1.0, 0.5])
def test_the_heads_multiplier_goes_with_decay_and_schedule(net: nn.Module, decay: float) -> None:
    """Two settings, two effects: the block before the head learns at its own rate, the head at ten times lr."""
    settings = Settings(head_lr_mult=10.0, lr_layer_decay=decay, freeze_strategy="schedule")
    groups = Tuning(net, settings).param_groups(lr=0.1, weight_decay=0.01)
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert len(rates) == sum(len(group["params"]) for group in groups) == len(list(net.parameters()))
    assert rates[id(net.fc.weight)] == rates[id(net.fc.bias)] == pytest.approx(1.0)
    assert rates[id(net.blocks[5].conv1.weight)] == pytest.approx(0.1 * decay ** (12 / 7))
    assert rates[id(net.stem.weight)] == pytest.approx(0.1 * decay**12)


def test_decay_may_count_groups_and_fall_on_norms(net: nn.Module) -> None:
    """With no groups to normalise to, the stem lies seven factors below the head; and biases decay if told to."""
    settings = Settings.read({"lr_layer_decay": 0.5, "lr_layer_decay_groups": None, "wd_norms_and_biases": True})
    groups = Tuning(net, settings).param_groups(lr=0.1, weight_decay=0.01)
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert rates[id(net.stem.weight)] == pytest.approx(0.1 * 0.5**7)
    assert {group["weight_decay"] for group in groups} == {0.01}
    with pytest.raises(ConfigError, match="lr_layer_decay_groups: must be a whole number of 1 or more, or null"):
        Settings.read({"lr_layer_decay_groups": 0})
    with pytest.raises(ConfigError, match="wd_norms_and_biases: must be true or false"):
        Settings.read({"wd_norms_and_biases": 1})


def test_the_optimizers_own_weight_decay_holds_unless_another_is_given(net: nn.Module) -> None:
    """A partial's weight decay reaches the weights, not the norms and biases; ``neuropt.wd`` takes its place."""
    for settings, strength in ((Settings(), 0.3), (Settings(wd=0.2), 0.2)):
        optimizer = torch.optim.AdamW(Tuning(net, settings).param_groups(lr=0.1), weight_decay=0.3)
        for group in optimizer.param_groups:
            assert {p.ndim >= 2 for p in group["params"]} == {group["weight_decay"] == strength}
        assert {group["weight_decay"] for group in optimizer.param_groups} == {0.0, strength}


def test_a_multiplier_without_a_head_is_told() -> None:
    """A head that shares its weights with an embedding has no rate of its own."""
    model = nn.ModuleDict({"embed": nn.Embedding(7, 4), "out": nn.Linear(4, 7, bias=False)})
    model["out"].weight = model["embed"].weight
    tuning = Tuning(model, Settings(head_lr_mult=2.0, head=("out",)))
    with pytest.raises(ConfigError, match="head_lr_mult: needs a model with a head of its own"):
        tuning.param_groups(lr=0.1)


def test_snapshots_are_taken_only_when_asked_for(net: nn.Module) -> None:
    """Without L2-SP there is no copy of the weights, and the penalty is a zero that adds to any loss."""
    tuning = Tuning(net)
    assert tuning.pretrained_weights == {}
    assert (torch.ones(()) + tuning.penalty()).item() == 1


def test_removed_norms_do_not_disturb_l2sp(net: nn.Module) -> None:
    """Weights that an edit took out are not anchored, and those that it put in are not either."""
    settings = Settings(
        EditPlan(activation="prelu", use_batchnorm=False), l2sp_regularization=True, fresh=("fc.weight", "fc.bias")
    )
    names = set(Tuning(net, settings).pretrained_weights)
    assert "blocks.0.conv1.weight" in names
    assert not any("bn" in name or "act" in name or name.startswith("fc") for name in names)


@pytest.mark.parametrize("progress", [-0.1, 1.0, float("nan"), "half"])
def test_progress_is_checked(progress: Any) -> None:
    """Progress runs from 0 up to, but not including, 1."""
    with pytest.raises(ConfigError, match="epoch / epochs"):
        Tuning(nn.Linear(2, 2)).step(progress)


@pytest.mark.parametrize(("lr", "weight_decay"), [(0.0, 0.0), (float("nan"), 0.0), (0.1, -1.0)])
def test_rates_are_checked(lr: float, weight_decay: float) -> None:
    """A learning rate of 0 and a negative weight decay are refused."""
    with pytest.raises(ConfigError, match="param_groups"):
        Tuning(nn.Linear(2, 2)).param_groups(lr=lr, weight_decay=weight_decay)


def test_settings_say_what_they_hold() -> None:
    """Settings are equal by content and their default changes nothing."""
    assert Settings.read({}) == Settings()
    assert Settings.read({"head": ["fc"]}).head == ("fc",)


@pytest.mark.parametrize("name", ["label_smoothing", "warmup_share", "ema_decay"])
@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan"), True, "0.1", None])
def test_shares_are_checked(name: str, value: Any) -> None:
    """Label smoothing, warm-up and averaging are numbers from 0 up to, but not including, 1."""
    with pytest.raises(ConfigError, match=rf"neuropt\.{name}: must satisfy 0 <= value < 1"):
        Settings.read({name: value})
    assert getattr(Settings.read({name: 0.99}), name) == 0.99


def test_without_settings_the_helpers_are_torchs_own(net: nn.Module) -> None:
    """By default the loss, the schedule and the model to evaluate are those of a script without the tool."""
    tuning = Tuning(net)
    logits, targets = torch.randn(5, 4, requires_grad=True), torch.arange(5) % 4
    assert torch.equal(tuning.cross_entropy(logits, targets), torch.nn.functional.cross_entropy(logits, targets))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    assert type(tuning.scheduler(optimizer, 5)) is torch.optim.lr_scheduler.CosineAnnealingLR
    tuning.update()
    assert tuning.averaged is net


def test_the_settings_reach_the_helpers(net: nn.Module) -> None:
    """Each of the three settings changes what its helper does, and each helper is told to the sweep when it is used."""
    called: list[str] = []
    tuning = Tuning(net, Settings(label_smoothing=0.1, warmup_share=0.5, ema_decay=0.9), used=called.append)
    logits, targets = torch.randn(5, 4, requires_grad=True), torch.arange(5) % 4
    smooth = torch.nn.functional.cross_entropy(logits, targets, label_smoothing=0.1)
    assert torch.equal(tuning.cross_entropy(logits, targets), smooth)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    tuning.scheduler(optimizer, 4, lambda o, steps: torch.optim.lr_scheduler.StepLR(o, steps))
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.025)
    tuning.update()
    assert tuning.averaged is not net
    assert called == ["cross_entropy", "scheduler", "update", "averaged"]


@pytest.mark.parametrize("name", ["net", "torchvision_vit", "torchvision_swin", "timm_vit", "bert", "gpt2"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_is_frozen_stays_bit_identical(
    transformers_small: dict[str, Callable[[], nn.Module]],
    make_net: Callable[[], nn.Module],
    name: str,
    strategy: str,
) -> None:
    """Ten real steps, in the first phase of those that have one, move what trains and no frozen weight or buffer.

    The optimizer holds each weight that trains, or will, once, and no other.
    """
    model = {**transformers_small, "net": make_net}[name]()
    x = trace(model).example
    tuning = Tuning(model, Settings(freeze_strategy=strategy, lr_layer_decay=0.9))
    groups = tuning.param_groups(lr=1e-2, weight_decay=0.1)
    placed = sorted(id(p) for group in groups for p in group["params"])
    free = {n for n, p in model.named_parameters() if p.requires_grad}
    due = [n for n, _ in model.named_parameters() if n in free or strategy in STEPPED]
    assert placed == sorted(id(p) for n, p in model.named_parameters() if n in due)
    optimizer = torch.optim.AdamW(groups)
    before = copy.deepcopy(model.state_dict())
    for _ in range(10):
        tuning.step(0.0)
        model.train()
        optimizer.zero_grad(set_to_none=False)
        sum((t - torch.arange(t.shape[-1])).square().mean() for t in tensors_in(model(x))).backward()
        optimizer.step()
    still = frozen_norms(model)
    live = {path for path, m in model.named_modules() if m in tracked_norms(model) and m not in still}
    for key, value in model.state_dict().items():
        moves = key in free or key.rpartition(".")[0] in live
        assert torch.equal(before[key], value) != moves, key


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lp_ft_share", 0.0),
        ("lp_ft_share", 1),
        ("lp_ft_share", "half"),
        ("lora_rank", 0),
        ("lora_rank", 8.0),
        ("lora_rank", True),
        ("lora_dora", "yes"),
    ],
)
def test_what_belongs_to_one_strategy_is_checked(name: str, value: Any) -> None:
    """A share lies between 0 and 1, a rank is a whole number, a switch is a switch."""
    with pytest.raises(ConfigError, match=name):
        Settings.read({name: value})


def test_statistics_are_exact_where_they_are_recalibrated(net: nn.Module) -> None:
    """update_bn is a pass under recalibrate, of the layers that move, and nothing under any other policy."""
    loader = [torch.randn(4, 3, 8, 8) for _ in range(2)]
    for mode in ("train", "frozen"):
        model = copy.deepcopy(net)
        Tuning(model, Settings(bn_mode=mode)).update_bn(loader)
        assert all(norm.num_batches_tracked == 0 for norm in tracked_norms(model))
    tuning = Tuning(net, Settings(bn_mode="recalibrate", freeze_strategy="last_blocks"))
    for _ in range(3):
        net(torch.randn(4, 3, 8, 8))
    tuning.update_bn(loader, device="cpu")
    still = frozen_norms(net)
    assert 0 < len(still) < len(tracked_norms(net))
    assert all(norm.num_batches_tracked == (0 if norm in still else 2) for norm in tracked_norms(net))
    assert all((norm.momentum is None) == (norm not in still) for norm in tracked_norms(net))


def test_merging_without_adapters_is_nothing(net: nn.Module) -> None:
    """A script may call merge() at its end whatever the strategy."""
    tuning = Tuning(net, Settings(l2sp_regularization=True))
    tuning.merge()
    assert tuning.pretrained_weights
