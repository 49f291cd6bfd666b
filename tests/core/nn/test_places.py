"""Settings by hand that change nothing of a model."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
import torch
from torch import nn

from neuropt_core.nn.edits import EditPlan
from neuropt_core.nn.places import without_effect
from neuropt_core.nn.settings import Settings
from neuropt_core.nn.tuning import Tuning


class _Reader(nn.Module):
    """An LSTM with a head: none of its activations is a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, 8, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(x)[0][:, -1])


def _told(caplog: pytest.LogCaptureFixture, model: nn.Module, **node: object) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        Tuning(model, Settings.read(node))
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    ("node", "shown"),
    [
        ({"activation": "relu"}, "neuropt.activation=relu"),
        ({"mha_dropout": 0.1}, "neuropt.mha_dropout=0.1"),
        ({"drop_path": 0.2}, "neuropt.drop_path=0.2"),
        ({"use_batchnorm": False}, "neuropt.use_batchnorm=false"),
        ({"use_layernorm": False}, "neuropt.use_layernorm=false"),
        ({"pool_type": "max"}, "neuropt.pool_type=max"),
        ({"dropout_mlp": 0.1}, "neuropt.dropout_mlp=0.1"),
        ({"bn_mode": "frozen"}, "neuropt.bn_mode=frozen"),
        ({"bn_mode": "recalibrate"}, "neuropt.bn_mode=recalibrate"),
    ],
)
def test_a_setting_without_a_place_is_told(
    caplog: pytest.LogCaptureFixture, node: dict[str, object], shown: str
) -> None:
    """One sentence names the setting, its value and why nothing came of it."""
    assert _told(caplog, _Reader(), **node) == [f"{shown} changes nothing: _Reader has no layer for it"]


def test_what_changes_something_or_is_so_already_is_no_fault(
    caplog: pytest.LogCaptureFixture, make_net: Callable[[], nn.Module]
) -> None:
    """Settings at work, values that the model has already, and the defaults are not spoken of."""
    quiet: list[dict[str, object]] = [
        {"activation": "relu", "use_batchnorm": False, "pool_type": "max", "dropout": 0.1},
        {"activation": "gelu"},
        {"pool_type": "avg"},
        {"pool_type": "attention", "dropout_head": 0.2},
        {"bn_mode": "frozen"},
        {"dropout_mlp": 0.0, "mha_dropout": 0.0, "drop_path": 0.0, "use_layernorm": True},
    ]
    for node in quiet:
        assert _told(caplog, make_net(), **node) == [], node
    assert _told(caplog, _Reader(), dropout=0.1) == []


def test_dropout_is_told_where_its_parts_leave_it_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """If each layer has the rate of its part, the rate of the others has no place."""
    net = nn.Sequential()
    net.add_module("mlp", nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.1)))
    net.add_module("fc", nn.Linear(4, 2))
    assert _told(caplog, net, dropout=0.3, dropout_mlp=0.2) == [
        "neuropt.dropout=0.3 changes nothing: Sequential has no layer for it"
    ]


def test_attention_needs_one_position() -> None:
    """A pool that attention cannot replace has a reason of its own."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 2))
    (said,) = without_effect(EditPlan(pool_type="attention"), net)
    assert said == (
        "neuropt.pool_type=attention changes nothing: "
        "how many positions the pool leaves is unknown, since it did not run"
    )
    assert without_effect(EditPlan(pool_type="max"), net) == ()


def test_a_given_example_serves_the_edits(caplog: pytest.LogCaptureFixture) -> None:
    """A pool is seen on the shape that the user names, where no guess runs."""

    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.pool, self.fc = nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(self.pool(self.conv(x.reshape(len(x), 3, 10, 30))).flatten(1))

    assert _told(caplog, Wide(), pool_type="attention", example=[3, 10, 30]) == []
    assert len(_told(caplog, Wide(), pool_type="attention")) == 1


@pytest.mark.slow
def test_a_vit_without_stochastic_depth_says_so(
    caplog: pytest.LogCaptureFixture, transformers_small: dict[str, Callable[[], nn.Module]]
) -> None:
    """The library builds identities at rate 0, and nothing of a transformer is BatchNorm or a pool."""
    said = _told(
        caplog,
        transformers_small["timm_vit"](),
        drop_path=0.2,
        mha_dropout=0.1,
        use_batchnorm=False,
        pool_type="max",
        bn_mode="frozen",
    )
    names = [line.split("=")[0].removeprefix("neuropt.") for line in said]
    assert names == ["use_batchnorm", "pool_type", "mha_dropout", "drop_path", "bn_mode"]
    assert all(line.endswith("changes nothing: VisionTransformer has no layer for it") for line in said)
