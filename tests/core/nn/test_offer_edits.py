"""Tests of which edits are offered."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from torch import nn

from neuropt_core.nn._offer import Offer, Preset
from neuropt_core.nn.edits import EditPlan, apply
from neuropt_core.nn.flow import observe
from neuropt_core.nn.graph import trace
from neuropt_core.nn.head import find_head
from neuropt_core.nn.offer_edits import offer_edits
from neuropt_core.space import Categorical, Float, Parameter, Value


def _offer(
    model: nn.Module, space: Preset = "standard", *, destructive: bool = True, **current: Value
) -> tuple[dict[str, Parameter], dict[str, str]]:
    seen = trace(model)
    offer = Offer(model, seen, find_head(model, seen, ()), current)
    offer_edits(offer, observe(model, seen), destructive=destructive, space=space)
    return {p.role: p for p in offer.parameters}, offer.left_out


class Parts(nn.Module):
    """Dropouts in an embedding, attention, a feed-forward part, and elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.pos_drop = nn.Linear(8, 8), nn.Dropout(0.1)
        self.attn = nn.ModuleDict({"lin": nn.Linear(8, 8), "drop": nn.Dropout(0.2)})
        self.mlp = nn.Sequential(
            nn.Linear(8, 8), nn.ReLU6(), nn.Dropout(0.1), nn.Linear(8, 8), nn.ELU(), nn.Dropout(0.1)
        )
        self.other, self.fc = nn.Dropout(0.3), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps ``(n, 8)`` to logits ``(n, 2)``."""
        x = self.pos_drop(self.embed(x))
        return self.fc(self.other(self.mlp(self.attn["drop"](self.attn["lin"](x)))))


def test_the_wide_space_sets_dropout_by_part() -> None:
    """Each part has its own rate with its present one for a default, the head one in front of it, and so the rest."""
    wide, _ = _offer(Parts(), "wide")
    rates = {name: p.default for name, p in wide.items() if isinstance(p, Float)}
    assert rates == {
        "dropout": 0.3,
        "dropout_mlp": 0.1,
        "dropout_attention": 0.2,
        "dropout_embedding": 0.1,
        "dropout_head": 0.0,
    }
    assert apply(EditPlan(**rates), Parts(), ("fc",)) == 0  # type: ignore[arg-type]
    assert {n for n in _offer(Parts())[0] if "dropout" in n} == {"dropout"}
    assert {n for n in _offer(Parts(), "wide", dropout=0.2)[0] if "dropout" in n} == {"dropout"}


def test_activations_of_the_model_join_the_choices() -> None:
    """The original's seven come first, then what the model mixes; `keep` is the present mix."""
    activation = _offer(Parts())[0]["activation"]
    assert isinstance(activation, Categorical)
    assert activation.choices == (
        "keep", "relu", "gelu", "silu", "leaky_relu", "mish", "hardswish", "prelu", "relu6", "elu",
    )  # fmt: skip


def test_what_the_user_has_now_is_in_reach() -> None:
    """A present value beyond the usual range or list is the default, and legal."""
    offered, _ = _offer(Parts(), activation="celu", dropout=0.7)
    assert all(p.check(p.default) is None for p in offered.values())
    assert (offered["activation"].default, offered["dropout"].default) == ("celu", 0.7)


def test_attention_pooling_is_safe_on_loaded_weights(net: nn.Module) -> None:
    """A loaded network's average may become attention in a wide space, which starts as the average; never a maximum."""
    pool = _offer(net, "wide", destructive=False)[0]["pool_type"]
    assert isinstance(pool, Categorical)
    assert pool.choices == ("keep", "attention")
    assert "destroy" in _offer(net, destructive=False)[1]["pool_type"]
    seven = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 2))
    offered, left_out = _offer(seven)
    assert isinstance(offered["pool_type"], Categorical)
    assert offered["pool_type"].choices == ("keep", "max")
    assert "more than one position" in left_out["pool_type=attention"]


def test_stochastic_depth_is_ours(models: ModuleType) -> None:
    """EfficientNet's ramp can be moved, from its present last rate; the original's list knows no such setting."""
    model = models.efficientnet_b0(num_classes=10)
    path = _offer(model, destructive=False)[0]["drop_path"]
    assert isinstance(path, Float)
    assert (path.low, path.high) == (0.0, 0.5)
    assert path.default == pytest.approx(0.1875)
    assert "drop_path" not in _offer(model, "seed", destructive=False)[0]


def test_edits_that_clash_are_not_offered_together() -> None:
    """Of two edits that work alone and not together the lesser goes, with the reason."""

    class Clash(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.norm, self.act, self.h = nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if isinstance(self.norm, nn.Identity) and isinstance(self.act, nn.SiLU):
                raise ValueError("both at once")
            return self.h(self.act(self.norm(self.a(x))))

    offered, left_out = _offer(Clash())
    assert "use_batchnorm" not in offered
    assert "both at once" in left_out["use_batchnorm"]
    assert isinstance(offered["activation"], Categorical)
    assert "silu" in offered["activation"].choices


def test_nothing_is_said_of_a_pool_that_never_ran() -> None:
    """Of a model on the meta device the reason is that it did not run, not what its pool leaves."""
    with torch.device("meta"):
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    _, left_out = _offer(model)
    assert left_out["pool_type=attention"] == (
        "how many positions the pool leaves is unknown, since some of its weights have no values yet"
    )
