"""Tests of the edits."""

from __future__ import annotations

import copy
from types import ModuleType

import pytest
import torch
from torch import nn

from neuropt_core.errors import ConfigError
from neuropt_core.nn.activations import ACTIVATIONS
from neuropt_core.nn.check import check
from neuropt_core.nn.edits import EditPlan, apply
from neuropt_core.nn.graph import trace
from neuropt_core.nn.sites import find_sites

_PLANS = [
    *(EditPlan(activation=name) for name in ACTIVATIONS if name != "relu"),
    EditPlan(use_batchnorm=False),
    EditPlan(pool_type="max"),
    EditPlan(dropout=0.3),
]


@pytest.mark.parametrize("plan", _PLANS, ids=str)
def test_twice_equals_once(net: nn.Module, plan: EditPlan) -> None:
    """A plan applied to what it made changes nothing more."""
    assert apply(plan, net, ("fc",)) > 0
    once = copy.deepcopy(net)
    assert apply(plan, net, ("fc",)) == 0
    assert str(net) == str(once)
    assert [len(m._forward_pre_hooks) for m in net.modules()] == [len(m._forward_pre_hooks) for m in once.modules()]


def test_the_plan_that_changes_nothing(net: nn.Module) -> None:
    """The default plan, and one that states the present values, edit no place."""
    assert apply(EditPlan(), net, ("fc",)) == 0
    assert apply(EditPlan(activation="relu", pool_type="avg", dropout=0.0), net, ("fc",)) == 0


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "squeezenet1_1", "shufflenet_v2_x0_5"])
def test_what_passes_its_check_runs(models: ModuleType, name: str) -> None:
    """Swaps of activation, norm and pool pass on real architectures, which the check leaves as they were."""
    model = getattr(models, name)(num_classes=10)
    seen, before = trace(model), copy.deepcopy(model.state_dict())
    sites = find_sites(model)
    assert check(EditPlan(activation="gelu"), model, seen, (), preserving=False) == ""
    if sites.batchnorms:
        assert check(EditPlan(use_batchnorm=False), model, seen, (), preserving=False) == ""
    if sites.pools:
        assert check(EditPlan(pool_type="max"), model, seen, (), preserving=False) == ""
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert find_sites(model) == sites


def test_a_shared_activation_is_replaced_everywhere() -> None:
    """One module in two places stays one module."""
    shared = nn.ReLU()
    model = nn.Sequential(nn.Linear(2, 2), shared, nn.Linear(2, 2), shared, nn.Linear(2, 2))
    assert apply(EditPlan(activation="prelu"), model) == 1
    assert isinstance(model[1], nn.PReLU)
    assert model[1] is model[3]


def test_dropout_before_a_head_works_in_training_only(net: nn.Module) -> None:
    """A model without dropout drops in front of its head while it trains, and keeps the names of its parameters."""
    keys, x = list(net.state_dict()), torch.randn(2, 3, 16, 16)
    net.eval()
    plain = net(x)
    assert apply(EditPlan(dropout=0.5), net, ("fc",)) == 1
    assert torch.equal(net(x), plain)
    assert list(net.state_dict()) == keys
    net.fc.train()
    assert not torch.equal(net(x), net(x))
    assert not torch.equal(copy.deepcopy(net)(x), plain)


def test_present_dropouts_change_together() -> None:
    """Layers at the usual rate change, those at another rate do not; a preserving check agrees."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.0), nn.Dropout(0.0), nn.Dropout(0.4), nn.Linear(4, 2))
    assert check(EditPlan(dropout=0.2), model, trace(model), ("4",), preserving=True) == ""
    assert apply(EditPlan(dropout=0.2), model, ("4",)) == 2
    assert [m.p for m in model if isinstance(m, nn.Dropout)] == [0.2, 0.2, 0.4]


def test_attention_dropout_also_from_zero() -> None:
    """The rate inside MultiheadAttention changes where it is 0, too."""
    model = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    assert apply(EditPlan(mha_dropout=0.1), model) == 1
    assert model.self_attn.dropout == 0.1


def test_a_model_that_breaks_is_refused() -> None:
    """An edit after which the model fails is refused with the model's own complaint."""

    class Nosy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.norm = nn.Linear(4, 4), nn.BatchNorm1d(4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.norm(self.layer(x)) + self.norm.weight

    complaint = check(EditPlan(use_batchnorm=False), Nosy(), trace(Nosy()), (), preserving=False)
    assert "AttributeError" in complaint
    assert "weight" in complaint


def test_a_changed_function_is_refused_where_it_must_stay(net: nn.Module) -> None:
    """An edit that must preserve the function, and does not, is refused."""
    assert "changes what" in check(EditPlan(pool_type="max"), net, trace(net), ("fc",), preserving=True)


def test_a_head_used_by_its_weight_is_refused() -> None:
    """Dropout in front of a layer whose forward never runs would do nothing, so it is refused."""

    class ByWeight(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.linear(self.body(x), self.head.weight)

    assert "only by its weights" in check(
        EditPlan(dropout=0.2), ByWeight(), trace(ByWeight()), ("head",), preserving=True
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [("activation", "swish"), ("pool_type", "min"), ("dropout", 1.0), ("dropout", True), ("use_batchnorm", "no")],
)
def test_illegal_plans(key: str, value: object) -> None:
    """A plan with an illegal value is refused with its key and value."""
    with pytest.raises(ConfigError, match=f"neuropt.{key}") as caught:
        EditPlan(**{key: value})  # type: ignore[arg-type]
    assert caught.value.got == value
