"""Which keys are lr, weight decay and optimizer."""

from __future__ import annotations

from typing import Any

import pytest

from hydra_plugins.neuropt_sweeper._roles import bind, role_parameters
from neuropt_core.errors import ConfigError
from neuropt_core.space import Float

ADAMW = {"_target_": "torch.optim.AdamW", "_partial_": True, "lr": 1e-3, "weight_decay": 0.01}


@pytest.mark.parametrize(
    ("config", "bound"),
    [
        (
            {"optimizer": ADAMW},
            {"lr": "optimizer.lr", "wd": "optimizer.weight_decay", "optimizer": "optimizer._target_"},
        ),
        ({"lr": 0.1, "wd": 0.0}, {"lr": "lr", "wd": "wd"}),
        ({"optim": {"learning_rate": 0.1}, "lr": 0.2}, {"lr": "optim.learning_rate"}),
        ({"trainer": {"lr": 0.1}, "scheduler": {"min_lr": 0.0}}, {"lr": "trainer.lr"}),
        ({"scheduler": {"_target_": "torch.optim.lr_scheduler.StepLR"}}, {}),
        ({"lr": None, "x": {"lr": "auto"}}, {"lr": "lr"}),
        ({}, {}),
    ],
)
def test_roles_are_found_by_name(config: dict[str, Any], bound: dict[str, str]) -> None:
    """The usual places come first, then the only key of that name; schedulers are not optimizers."""
    assert bind(config, {}) == bound


def test_a_wish_beats_the_search_and_null_leaves_a_role_out() -> None:
    """hydra.sweeper.bind has the last word."""
    config = {"lr": 0.1, "generator": {"lr": 0.2}}
    assert bind(config, {"lr": "generator.lr"}) == {"lr": "generator.lr"}
    assert bind(config, {"lr": None}) == {}


def test_what_cannot_be_told_is_asked() -> None:
    """Two equally good keys, or a key that is not there, end in a sentence that names the candidates."""
    config = {"generator": {"lr": 0.1}, "critic": {"lr": 0.2}}
    with pytest.raises(ConfigError, match=r"several keys could be meant: generator\.lr, critic\.lr"):
        bind(config, {})
    with pytest.raises(ConfigError, match=r"Did you mean .*critic\.lr"):
        bind(config, {"lr": "critc.lr"})
    with pytest.raises(ConfigError, match="must be a number"):
        role_parameters({"lr": "fast"}, {"lr": "lr"}, pretrained=False)


def _range(config: dict[str, Any], role: str, *, pretrained: bool = False) -> Float:
    parameters = role_parameters(config, bind(config, {}), pretrained=pretrained)
    (found,) = [p for p in parameters if p.role == role]
    assert isinstance(found, Float)
    return found


def test_the_range_of_the_rate_follows_the_weights_and_holds_the_users_value() -> None:
    """Fine-tuning stays lower than training from scratch, and the user's own value is always well inside."""
    assert _range({"lr": 1e-3}, "lr").high == 0.1
    assert _range({"lr": 1e-3}, "lr", pretrained=True).high == 0.01
    assert _range({"lr": 5.0}, "lr").high == 50.0
    assert _range({"lr": 1e-7}, "lr").low == pytest.approx(1e-8)
    assert _range({"lr": 1e-3}, "lr").default == 1e-3


def test_a_weight_decay_of_zero_is_searched_without_a_log_scale() -> None:
    """A log scale has no zero, so the user's zero decides for a linear one."""
    assert _range({"weight_decay": 0.0}, "wd").low == 0.0
    assert not _range({"weight_decay": 0.0}, "wd").log
    assert _range({"weight_decay": 0.01}, "wd").log


def test_an_optimizer_is_offered_only_where_its_arguments_fit_another() -> None:
    """AdamW's betas would break SGD; with shared arguments only, SGD is offered with a momentum of its own."""
    plain = role_parameters({"optimizer": ADAMW}, bind({"optimizer": ADAMW}, {}), pretrained=False)
    assert [p.role for p in plain] == ["lr", "wd", "optimizer", "momentum"]
    assert plain[3].when[0].values == ("torch.optim.SGD",)
    betas = {"optimizer": {**ADAMW, "betas": [0.9, 0.99]}}
    assert [p.role for p in role_parameters(betas, bind(betas, {}), pretrained=False)] == ["lr", "wd"]


def test_a_role_is_bound_where_its_value_comes_from() -> None:
    """If optimizer.lr is ${base_lr}, base_lr is searched and all that reads it moves along, unless the user says so."""
    config = {"base_lr": 0.1, "optimizer": {"lr": 0.1}}
    raw = {"base_lr": 0.1, "optimizer": {"lr": "${base_lr}"}}
    assert bind(config, {}, raw=raw) == {"lr": "base_lr"}
    assert bind(config, {}, raw=raw, own={"optimizer.lr"}) == {"lr": "optimizer.lr"}
    assert bind(config, {"lr": "optimizer.lr"}, raw=raw) == {"lr": "optimizer.lr"}
    assert bind(config, {}, raw={**raw, "optimizer": {"lr": "${oc.env:LR}"}}) == {"lr": "optimizer.lr"}
