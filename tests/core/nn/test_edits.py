"""Tests of the edits."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from proving import check
from torch import nn

from neuropt_core.errors import ConfigError
from neuropt_core.nn.activations import ACTIVATIONS
from neuropt_core.nn.edits import RATES, EditPlan, apply, describe
from neuropt_core.nn.graph import trace

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


@pytest.mark.parametrize(
    ("key", "value"),
    [("activation", "swish"), ("pool_type", "min"), ("dropout", 1.0), ("dropout", True), ("use_batchnorm", "no")],
)
def test_illegal_plans(key: str, value: object) -> None:
    """A plan with an illegal value is refused with its key and value."""
    with pytest.raises(ConfigError, match=f"neuropt.{key}") as caught:
        EditPlan(**{key: value})  # type: ignore[arg-type]
    assert caught.value.got == value


class DropPath(nn.Module):
    """A stochastic-depth layer as timm names it."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.drop_prob = rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns `x`."""
        return x


class _Block(nn.Module):
    def __init__(self, rate: float, act: nn.Module) -> None:
        super().__init__()
        self.attn = nn.ModuleDict(
            {"mix": nn.MultiheadAttention(8, 2, rate, batch_first=True), "drop": nn.Dropout(rate)}
        )
        self.norm = nn.LayerNorm(8)
        self.mlp = nn.Sequential(nn.Linear(8, 8), act, nn.Dropout(rate), nn.Linear(8, 8), nn.Dropout(0.3))
        self.path = DropPath(rate)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn["drop"](self.attn["mix"](x, x, x)[0])
        return x + self.path(self.mlp(self.norm(x)))


class Everything(nn.Module):
    """A network with a place for every edit."""

    def __init__(self) -> None:
        super().__init__()
        shared = nn.ReLU()
        self.stem = nn.Conv1d(3, 8, 3, stride=32)
        self.bn = nn.BatchNorm1d(8)
        self.pos_drop = nn.Dropout(0.1)
        self.blocks = nn.Sequential(_Block(0.1, shared), _Block(0.2, shared), _Block(0.2, nn.ELU(0.5)))
        self.pool = nn.AdaptiveAvgPool1d(1)
        self.head_drop = nn.Dropout(0.2)
        self.fc = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps signals ``(n, 3, l)`` to logits ``(n, 2)``."""
        x = self.pos_drop(self.bn(self.stem(x)))
        x = self.blocks(x.transpose(1, 2)).transpose(1, 2)
        return self.fc(self.head_drop(self.pool(x).flatten(1)))


_RATES = st.none() | st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.45])
_ANY = st.builds(
    EditPlan,
    activation=st.sampled_from(["keep", *ACTIVATIONS]),
    use_batchnorm=st.booleans(),
    use_layernorm=st.booleans(),
    pool_type=st.sampled_from(["keep", "avg", "max", "attention"]),
    **dict.fromkeys(RATES, _RATES),
)


def _picture(model: nn.Module) -> tuple[object, ...]:
    hooks = [[h.rate for h in m._forward_pre_hooks.values()] for m in model.modules()]
    rates = [(m.dropout for m in model.modules() if isinstance(m, nn.MultiheadAttention))]
    paths = [m.drop_prob for m in model.modules() if isinstance(m, DropPath)]
    return str(model), hooks, [list(r) for r in rates], paths


@settings(max_examples=25, deadline=None)
@given(plan=_ANY, bare=st.booleans())
def test_any_plan_twice_is_once(plan: EditPlan, bare: bool) -> None:
    """Whatever a plan holds, its second application changes nothing, and its description is empty then."""
    model = Everything()
    if bare:  # No dropout layer in the head: the rate goes in front of it.
        model.head_drop = nn.Identity()  # type: ignore[assignment]
    before = _picture(model)
    lines = describe(plan, model, ("fc",))
    assert _picture(model) == before
    count = apply(plan, model, ("fc",))
    assert (count > 0) == bool(lines)
    once = _picture(model)
    assert apply(plan, model, ("fc",)) == 0
    assert describe(plan, model, ("fc",)) == ()
    assert _picture(model) == once


def test_a_plan_is_described() -> None:
    """A line names what becomes of what, at how many places, and the first of them."""
    plan = EditPlan(activation="gelu", dropout_mlp=0.4, drop_path=0.3, pool_type="attention", use_batchnorm=False)
    assert describe(plan, Everything(), ("fc",)) == (
        "activation: ReLU, ELU -> GELU at 2 places (blocks.0.mlp.1, blocks.2.mlp.1)",
        "dropout_mlp: 0.3 -> 0.4 at 3 places (blocks.0.mlp.4, blocks.1.mlp.4, blocks.2.mlp.4)",
        "drop_path: 0.1..0.2 -> 0.15..0.3 at 3 places (blocks.0.path, blocks.1.path, blocks.2.path)",
        "use_batchnorm: BatchNorm1d -> none at 1 place (bn)",
        "pool_type: AdaptiveAvgPool1d -> attention at 1 place (pool)",
    )


def test_settings_of_an_activation_stay() -> None:
    """A kind that the model has is put in with the model's own settings, and what is of that kind stays untouched."""
    model = Everything()
    old = model.blocks[2].mlp[1]
    assert apply(EditPlan(activation="elu"), model) == 1
    assert model.blocks[0].mlp[1].alpha == 0.5
    assert model.blocks[2].mlp[1] is old


def test_a_groups_rate_beats_the_common_one() -> None:
    """`dropout` moves what no group's own rate covers; a group's rate moves its layers at the group's usual rate."""
    model = Everything()
    apply(EditPlan(dropout=0.45, dropout_mlp=0.0, dropout_head=0.4), model, ("fc",))
    assert [model.pos_drop.p, model.head_drop.p] == [0.45, 0.4]
    assert [block.mlp[4].p for block in model.blocks] == [0.0, 0.0, 0.0]
    assert [block.mlp[2].p for block in model.blocks] == [0.1, 0.2, 0.2]


def test_a_fused_encoder_layer_predicts_with_what_it_trains() -> None:
    """Torch's fused path for inference computes the activation that was put in, not the one it was built with."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, activation=nn.ReLU(), batch_first=True)
    model = nn.Sequential(layer, nn.Linear(8, 2)).eval()
    x = torch.randn(2, 5, 8)
    for name in ("silu", "gelu", "relu"):
        assert apply(EditPlan(activation=name), model) == 1
        with torch.no_grad():
            fused = model(x)
        assert torch.allclose(fused, model(x), atol=1e-5)
