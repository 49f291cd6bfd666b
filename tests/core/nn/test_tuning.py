"""Tests of a trial's settings and of the helpers; `tests/core/runtime/test_build.py` holds those that need a config."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from neuropt_core.errors import ConfigError
from neuropt_core.nn.edits import EditPlan
from neuropt_core.nn.tuning import Settings, Tuning


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
