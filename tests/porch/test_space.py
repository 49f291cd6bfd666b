"""The space that is written for a study."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hydra_plugins.neuropt_sweeper._overrides import parse_arguments, parse_params
from hydra_plugins.neuropt_sweeper._roles import bind, role_parameters
from hydra_plugins.neuropt_sweeper._space import Plan, write_space
from neuropt_core.errors import ConfigError
from neuropt_core.profile import ModelProfile, Pretrained
from neuropt_core.space import Categorical, Float, SearchSpace, When

STRATEGY = Categorical(
    name="neuropt.freeze_strategy",
    choices=("full", "head_only"),
    default="full",
    has_default=True,
    role="freeze_strategy",
)
DECAY = Float(
    name="neuropt.lr_layer_decay",
    low=0.5,
    high=1.0,
    default=1.0,
    has_default=True,
    role="lr_layer_decay",
    when=(When("neuropt.freeze_strategy", ("full",)),),
)
DROPOUT = Float(name="neuropt.dropout", low=0.0, high=0.5, default=0.0, has_default=True, role="dropout")
PROFILE = ModelProfile(
    "m.Net", 9, head=("fc",), pretrained=Pretrained(True, fresh=("fc.weight",)), offered=(DROPOUT, STRATEGY, DECAY)
)
CONFIG: dict[str, Any] = {"lr": 1e-3, "width": 64, "layers": [1, 2], "neuropt": {}}


def _plan(line: tuple[str, ...] = (), params: dict[str, object] | None = None, **change: Any) -> Plan:
    config = {**CONFIG, **change}
    return write_space(
        config=config,
        choices={"data": "mnist"},
        profile=PROFILE,
        roles=role_parameters(config, bind(config, {}), pretrained=True),
        arguments=parse_arguments(line),
        params=parse_params((params or {}).items()),
    )


def test_the_order_is_the_models_the_optimizers_and_fine_tunings() -> None:
    """What people see is the original tool's order, by the names they know; own parameters come last."""
    assert _plan(("width=choice(32,64)",)).shown == ("dropout", "lr", "freeze_strategy", "lr_layer_decay", "width")


def test_a_value_becomes_an_override_with_its_prefix() -> None:
    """Keys of the config are set plainly, keys that neuropt adds are forced in, new keys as the user wrote them."""
    plan = _plan(("width=choice(32,64)", "+new=interval(0,1)"))
    overrides = plan.overrides({"lr": 3e-4, "neuropt.freeze_strategy": "full", "width": 32, "new": 0.5})
    assert overrides == ("lr=0.0003", "++neuropt.freeze_strategy='full'", "width=32", "+new=0.5")


def test_what_the_job_needs_of_introspection_is_an_override_too() -> None:
    """The head and the fresh tensors travel with every trial, unless the user has set them himself."""
    assert _plan().constants == ("++neuropt.head=['fc']", "++neuropt.fresh=['fc.weight']")
    assert _plan(neuropt={"head": ["other"]}).constants == ("++neuropt.fresh=['fc.weight']",)


@pytest.mark.parametrize(
    ("searched", "pinned"),
    [
        ("net.small.depth=choice(1,2)", False),
        ("net=choice(a,b)", False),
        ("net/small=choice(a,b)", False),
        ("width=choice(32,64)", False),
        ("base=choice(32,64)", False),
        ("data.classes=choice(2,3)", False),
        ("data=choice(mnist,svhn)", False),
        ("rates.dropout=interval(0,1)", False),
        ("lr=interval(0.1,0.2)", True),
        ("+net2=interval(0,1)", True),
    ],
)
def test_where_the_model_itself_is_searched_no_layer_of_trial_0_is_pinned(searched: str, pinned: bool) -> None:
    """Another depth moves the layers of a Sequential, whichever key or chain of interpolations sets it."""
    small = {"_target_": "m.Net", "depth": 1, "width": "${width}", "classes": "${oc.select:data.classes,9}"}
    raw = {
        **CONFIG,
        "net": {"small": {**small, "rates": "${...rates}"}},
        "width": "${base}",
        "base": 64,
        "data": {"classes": 9},
        "rates": {"dropout": 0.1},
    }
    plan = write_space(
        config={**raw, "width": 64},
        choices={"net": "a", "net/small": "a", "data": "mnist"},
        profile=PROFILE,
        roles=[],
        arguments=parse_arguments((searched,)),
        params=parse_params(()),
        model="net.small",
        raw=raw,
    )
    assert plan.constants == (("++neuropt.head=['fc']", "++neuropt.fresh=['fc.weight']") if pinned else ())


def test_the_command_line_beats_the_config_and_both_beat_what_was_found() -> None:
    """One override per key: a sweep on the line replaces params, a fixed value removes the dimension."""
    plan = _plan(("lr=interval(0.1,0.2)",), {"lr": "interval(0.3,0.4)", "width": "choice(1,2)"})
    assert plan.space["lr"] == Float(name="lr", low=0.1, high=0.2, default=1e-3, has_default=True, role="lr")
    assert "width" in plan.space
    assert "lr" not in _plan(("lr=0.5",), {"lr": "interval(0.3,0.4)"}).space
    assert "lr" not in _plan((), {"lr": 0.5}).space
    assert "lr=0.5" in _plan((), {"lr": 0.5}).constants


def test_a_fixed_condition_settles_what_depends_on_it() -> None:
    """With the strategy fixed, layer decay is searched where it has a meaning and left out where not."""
    full = _plan(("++neuropt.freeze_strategy=full",), neuropt={"freeze_strategy": "full"})
    assert full.space["neuropt.lr_layer_decay"].when == ()
    head = _plan(("++neuropt.freeze_strategy=head_only",), neuropt={"freeze_strategy": "head_only"})
    assert "neuropt.lr_layer_decay" not in head.space


def test_the_users_values_are_the_defaults() -> None:
    """A parameter's default is what the config says now, or the chosen option of a group."""
    plan = _plan(("width=choice(1,2)", "data=choice(mnist,cifar)"))
    assert plan.space["width"].default == 64
    assert plan.space["data"].default == "mnist"
    assert not _plan(("layers=choice(1,2)",)).space["layers"].has_default


def test_a_helper_that_nobody_calls_is_named() -> None:
    """Each parameter names the helper that reads it; what build freezes for a while only step unfreezes."""
    found = {
        name: Float(name=f"neuropt.{name}", low=0.1, high=1.0, default=1.0, has_default=True, role=name)
        for name in ("lp_ft_share", "head_lr_mult", "l2sp_strength")
    }
    strategy = replace(STRATEGY, choices=("full", "lp_ft", "schedule"))
    profile = replace(PROFILE, offered=(strategy, *found.values()))
    plan = write_space(
        config=CONFIG, choices={}, profile=profile, roles=[], arguments=parse_arguments([]), params=parse_params([])
    )
    assert plan.shown == ("freeze_strategy", "lp_ft_share", "head_lr_mult", "l2sp_strength")
    assert plan.unread({"build"}) == {
        "step": (
            "neuropt.freeze_strategy=lp_ft",
            "neuropt.freeze_strategy=schedule",
            "neuropt.lp_ft_share",
        ),
        "param_groups": ("neuropt.head_lr_mult",),
        "penalty": ("neuropt.l2sp_strength",),
    }
    assert plan.unread({"build", "step", "param_groups", "penalty"}) == {}
    assert "step" not in _plan().unread({"build", "param_groups"})


def test_an_average_is_read_by_two_helpers() -> None:
    """What is averaged has to be updated and to be evaluated: each helper that is missing is named."""
    found = (
        Float(name="neuropt.label_smoothing", low=0.0, high=0.2, default=0.0, has_default=True, role="label_smoothing"),
        Float(name="neuropt.warmup_share", low=0.0, high=0.3, default=0.0, has_default=True, role="warmup_share"),
        Categorical(name="neuropt.ema_decay", choices=(0.0, 0.99), default=0.0, has_default=True, role="ema_decay"),
    )
    plan = write_space(
        config={**CONFIG, "lr": 1e-3},
        choices={},
        profile=replace(PROFILE, offered=found),
        roles=role_parameters(CONFIG, bind(CONFIG, {}), pretrained=True),
        arguments=parse_arguments([]),
        params=parse_params([]),
    )
    assert plan.shown == ("lr", "label_smoothing", "warmup_share", "ema_decay")
    assert plan.unread({"build"}) == {
        "cross_entropy": ("neuropt.label_smoothing",),
        "scheduler": ("neuropt.warmup_share",),
        "update": ("neuropt.ema_decay",),
        "averaged": ("neuropt.ema_decay",),
    }
    assert plan.unread({"cross_entropy", "scheduler", "averaged"}) == {"update": ("neuropt.ema_decay",)}
    assert plan.unread({"cross_entropy", "scheduler", "update", "averaged"}) == {}


def test_one_of_two_helpers_is_enough() -> None:
    """The BatchNorm policy is read by step and by update_bn; either will do."""
    mode = Categorical(name="neuropt.bn_mode", choices=("train", "recalibrate"), role="bn_mode")
    profile = replace(PROFILE, offered=(mode,))
    plan = write_space(
        config=CONFIG, choices={}, profile=profile, roles=[], arguments=parse_arguments([]), params=parse_params([])
    )
    assert plan.unread({"build"}) == {"step": ("neuropt.bn_mode",)}
    share = Float(name="neuropt.lp_ft_share", low=0.1, high=0.5, role="lp_ft_share")
    both = replace(plan, space=SearchSpace((share, mode)))
    assert both.unread({"build"}) == {"step": ("neuropt.lp_ft_share", "neuropt.bn_mode")}
    assert plan.unread({"build", "step"}) == plan.unread({"build", "update_bn"}) == {}


def test_an_unknown_key_and_an_empty_space_are_refused() -> None:
    """A typing error gets a hint; nothing to search ends before anything is launched."""
    with pytest.raises(ConfigError, match="Did you mean width"):
        _plan(("widht=choice(1,2)",))
    with pytest.raises(ConfigError, match="is empty"):
        write_space(
            config={}, choices={}, profile=None, roles=[], arguments=parse_arguments([]), params=parse_params([])
        )


def test_hydras_own_keys_are_suggested_to_who_means_one() -> None:
    """A missing argument is no hint at ``_target_``, a typing error in ``_target_`` is."""
    line, empty = parse_arguments(["model.dropout=interval(0,1)"]), parse_params([])
    config = {"model": {"_target_": "net.Net", "drops": 0.1}}
    with pytest.raises(ConfigError, match=r"Did you mean model\.drops\?"):
        write_space(config=config, choices={}, profile=None, roles=[], arguments=line, params=empty)
    line = parse_arguments(["model._targt_=choice(a,b)"])
    with pytest.raises(ConfigError, match=r"Did you mean model\._target_"):
        write_space(config=config, choices={}, profile=None, roles=[], arguments=line, params=empty)


OPTIMIZER = {"_target_": "torch.optim.AdamW", "lr": 1e-3}
SGD = "torch.optim.SGD"


def _momentum(**when: object) -> dict[str, object]:
    return {"optimizer.momentum": {"space": "interval(0.5, 0.9)", "when": when or {"optimizer._target_": SGD}}}


def test_a_condition_of_the_users_holds_in_the_space() -> None:
    """By name or by role it is the other parameter's; what the tool knows of the key, prefix and default, is kept."""
    for when in ({"optimizer._target_": SGD}, {"optimizer": [SGD]}):
        momentum = {"optimizer.momentum": {"space": "interval(0.5, 0.9)", "when": when}}
        plan = _plan((), momentum, optimizer=OPTIMIZER, lr=0)
        found = plan.space["optimizer.momentum"]
        assert found.when == (When("optimizer._target_", (SGD,)),)
        assert (found.default, found.role, plan.prefixes["optimizer.momentum"]) == (0.9, "momentum", "++")
        assert "optimizer.momentum" not in plan.space.defaults()


def test_a_narrower_range_keeps_the_condition() -> None:
    """The command line replaces the range alone: without its condition AdamW would be given a momentum."""
    for params in (_momentum(), None):
        plan = _plan(("optimizer.momentum=interval(0.8,0.9)",), params, optimizer=OPTIMIZER, lr=0)
        found = plan.space["optimizer.momentum"]
        assert isinstance(found, Float)
        assert (found.low, found.when) == (0.8, (When("optimizer._target_", (SGD,)),))


def test_a_condition_on_what_is_not_searched_is_settled() -> None:
    """Where the config fulfils it the parameter is always active, elsewhere it is not searched."""
    held = _plan((), {"width": {"space": "choice(32,64)", "when": {"data.name": "mnist"}}}, data={"name": "mnist"})
    assert held.space["width"].when == ()
    broken = _plan((), {"width": {"space": "choice(32,64)", "when": {"data.name": "other"}}}, data={"name": "mnist"})
    assert "width" not in broken.space


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ({"optimizer._targt_": SGD}, "Did you mean optimizer._target_"),
        ({"optimizer._target_": "torch.optim.SDG"}, "got 'torch.optim.SDG'. Did you mean torch.optim.SGD"),
        ({"optimizer.lr": 5.0}, "must satisfy"),
        ({"optimizer.momentum": 0.5}, "must name another parameter"),
        ({"momentum": 0.5}, "must name another parameter"),
    ],
)
def test_a_condition_that_can_never_hold_is_refused(when: dict[str, object], says: str) -> None:
    """A name that nothing has and a value that the other parameter cannot take are told with their neighbours."""
    with pytest.raises(ConfigError) as caught:
        _plan((), _momentum(**when), optimizer=OPTIMIZER, lr=1e-3)
    assert says in str(caught.value)


def test_conditions_in_a_circle_are_refused() -> None:
    """Two parameters that each wait for the other could never be active."""
    params = {
        "width": {"space": "choice(32,64)", "when": {"lr": 1e-3}},
        "lr": {"space": "choice(0.001,0.1)", "when": {"width": 32}},
    }
    with pytest.raises(ConfigError, match="in a circle"):
        _plan((), params)
