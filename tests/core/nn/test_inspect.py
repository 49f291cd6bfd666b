"""Tests of the profile."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from neuropt_core.errors import ConfigError
from neuropt_core.nn.inspect import inspect_model
from neuropt_core.nn.tuning import Settings, Tuning
from neuropt_core.profile import ModelProfile
from neuropt_core.space import Categorical, Float, Int, SearchSpace

Make = Callable[[], nn.Module]


def _roles(profile: ModelProfile) -> list[str]:
    return [parameter.role for parameter in profile.offered]


def test_resnet18_is_summed_up_as_people_know_it(models: ModuleType, tmp_path: Path) -> None:
    """The printed summary of a loaded ResNet-18 holds the original's lines word for word, in their order."""
    torch.save(models.resnet18().state_dict(), tmp_path / "resnet18.pt")

    def make() -> nn.Module:
        model = models.resnet18()
        model.load_state_dict(torch.load(tmp_path / "resnet18.pt"))
        return model

    lines = inspect_model(make, target="resnet18").summary(("lr",)).splitlines()
    known = [
        "Introspected PyTorch model (11,689,512 params):",
        "  Activations: ReLU (9 layers)",
        "  BatchNorm: 20 layers",
        "  Pooling: 1 layers (current: avg)",
        "  Pretrained: yes (fine-tuning strategies enabled)",
        "  Head: fc",
        "  Search space: ['lr']",
    ]
    assert [line for line in lines if line in known] == known


def test_a_random_model_is_offered_edits(make_net: Make) -> None:
    """A model that starts at random is offered what changes its function, and no fine-tuning."""
    profile = inspect_model(make_net, target="net")
    assert _roles(profile) == ["activation", "dropout", "use_batchnorm", "pool_type"]
    activation = profile.offered[0]
    assert isinstance(activation, Categorical)
    assert activation.choices == ("keep", "gelu", "silu", "leaky_relu", "mish", "hardswish", "prelu")
    assert profile.left_out["fine-tuning"] == "no weights were loaded"
    assert profile.trainable == {}


def test_a_pretrained_model_is_offered_fine_tuning(make_loaded: Make) -> None:
    """What would destroy loaded weights is left out and said so; freezing, decay, L2-SP and BatchNorm come instead."""
    profile = inspect_model(make_loaded, target="net")
    assert _roles(profile) == ["dropout", "freeze_strategy", "lr_layer_decay", "l2sp_regularization", "bn_mode"]
    assert {"activation", "use_batchnorm", "pool_type"} <= set(profile.left_out)
    assert "destroy" in profile.left_out["activation"]
    assert profile.head == ("fc",)
    assert profile.pretrained.fresh == ("fc.weight", "fc.bias")
    assert profile.trainable["full"] == 1.0
    assert 0 < profile.trainable["head_only"] < profile.trainable["last_blocks"] < profile.trainable["gradual_unfreeze"]


def test_the_seeds_space_holds_all(make_loaded: Make) -> None:
    """space=seed offers a pretrained model the destructive edits too."""
    profile = inspect_model(make_loaded, target="net", space="seed")
    assert {"activation", "use_batchnorm", "pool_type", "freeze_strategy"} <= set(_roles(profile))


def test_the_standard_space_is_small(make_loaded: Make) -> None:
    """With lr, weight decay and an optimizer of its own it has no more than eight parameters."""
    offered = inspect_model(make_loaded, target="net").offered
    assert 6 <= len(offered) + 3 <= 8
    (strategy,) = [p for p in offered if p.role == "freeze_strategy"]
    assert isinstance(strategy, Categorical)
    assert strategy.choices == ("full", "head_only", "gradual_unfreeze", "last_blocks", "norm_and_bias")


def test_the_wide_space_adds_what_wants_more_trials(make_loaded: Make) -> None:
    """space=wide adds unfreezing in steps, the head's rate, L2-SP's strength and what any training can vary."""
    standard = inspect_model(make_loaded, target="net")
    wide = inspect_model(make_loaded, target="net", space="wide")
    assert set(_roles(wide)) - set(_roles(standard)) == {
        "pool_type",
        "head_lr_mult",
        "l2sp_strength",
        "lp_ft_share",
        "label_smoothing",
        "warmup_share",
        "ema_decay",
    }
    assert wide.trainable.keys() - standard.trainable.keys() == {"lp_ft", "schedule"}
    assert wide.left_out["freeze_strategy=lora"] == "there is no attention layer"
    space = SearchSpace(wide.offered)
    assert space.check(space.defaults()) == ()
    assert "all from half of training on" in space["neuropt.freeze_strategy"].note
    mult, strength = space["neuropt.head_lr_mult"], space["neuropt.l2sp_strength"]
    assert isinstance(mult, Float)
    assert isinstance(strength, Float)
    assert (mult.low, mult.high, mult.default, mult.log) == (1.0, 30.0, 1.0, True)
    assert (strength.low, strength.high, strength.default, strength.log) == (1e-4, 1.0, 0.01, True)
    for strategy, pull, active in (("head_only", True, (False, False)), ("full", False, (True, False)),
                                   ("schedule", True, (True, True))):  # fmt: skip
        values = {"neuropt.freeze_strategy": strategy, "neuropt.l2sp_regularization": pull}
        assert (space.is_active(mult.name, values), space.is_active(strength.name, values)) == active


def test_the_seeds_strategies_are_its_own(make_loaded: Make) -> None:
    """space=seed adds nothing of ours to the original's strategies; what the user has now is among them always."""
    profile = inspect_model(make_loaded, target="net", space="seed")
    assert profile.trainable.keys() == {"full", "head_only", "gradual_unfreeze", "last_blocks"}
    for strategy in ("schedule", "lp_ft"):
        profile = inspect_model(make_loaded, target="net", current={"freeze_strategy": strategy})
        assert strategy in profile.trainable
        assert ("lp_ft_share" in _roles(profile)) == (strategy == "lp_ft")


def test_the_users_own_strategy_stays(make_loaded: Make) -> None:
    """What coincides with the strategy that the user has gives way to it, and decay stays searchable under it."""
    profile = inspect_model(make_loaded, target="net", current={"freeze_strategy": "all_but_embeddings"})
    assert profile.left_out["freeze_strategy=full"] == "trains the same as all_but_embeddings"
    space = SearchSpace(profile.offered)
    assert space.check(space.defaults()) == ()
    assert space.is_active("neuropt.lr_layer_decay", {"neuropt.freeze_strategy": "all_but_embeddings"})


def test_adapters_are_offered_where_they_live(
    transformers_small: dict[str, Make], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loaded transformer is offered lora in the wide space, with a rank; its share counts head and adapters."""
    make = transformers_small["timm_vit"]
    torch.save(make().state_dict(), tmp_path / "vit.pt")

    def loaded() -> nn.Module:
        model = make()
        state = torch.load(tmp_path / "vit.pt")
        model.load_state_dict({k: v for k, v in state.items() if not k.startswith("head.")}, strict=False)
        return model

    assert "lora" not in inspect_model(loaded, target="vit").trainable
    profile = inspect_model(loaded, target="vit", space="wide")
    space = SearchSpace(profile.offered)
    assert space.check(space.defaults()) == ()
    rank = space["neuropt.lora_rank"]
    assert isinstance(rank, Int)
    assert (rank.low, rank.high, rank.default, rank.log) == (4, 64, 8, True)
    model = loaded()
    Tuning(model, Settings(freeze_strategy="lora"))
    free = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert profile.trainable["lora"] == pytest.approx(free / sum(p.numel() for p in model.parameters()))
    active = {"lr_layer_decay": True, "lora_rank": True, "l2sp_regularization": False, "lp_ft_share": False}
    for role, expected in active.items():
        assert space.is_active(f"neuropt.{role}", {"neuropt.freeze_strategy": "lora"}) == expected, role
    current = {"freeze_strategy": "lora", "lora_rank": 2}
    own = inspect_model(loaded, target="vit", current=current)
    assert 0 < own.trainable["lora"] < profile.trainable["lora"]
    assert own.offered[[p.role for p in own.offered].index("lora_rank")].default == 2
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    without = inspect_model(loaded, target="vit", space="wide")
    assert "pip install" in without.left_out["freeze_strategy=lora"]
    assert "lora_rank" not in _roles(without)


def test_the_profile_is_a_space(make_loaded: Make) -> None:
    """The offers form a search space whose defaults are legal, and survive JSON."""
    profile = inspect_model(make_loaded, target="net")
    space = SearchSpace(profile.offered)
    assert space.check(space.defaults()) == ()
    assert ModelProfile.from_json(json.loads(json.dumps(profile.to_json()))) == profile


def test_conditions_follow_the_freeze(make_loaded: Make) -> None:
    """Decay, L2-SP and the BatchNorm policy count only where more than the head trains."""
    space = SearchSpace(inspect_model(make_loaded, target="net").offered)
    names = [f"neuropt.{role}" for role in ("lr_layer_decay", "l2sp_regularization", "bn_mode")]
    for strategy, active in (("head_only", False), ("last_blocks", True), ("full", True)):
        assert [space.is_active(name, {"neuropt.freeze_strategy": strategy}) for name in names] == [active] * 3


def test_present_values_are_defaults(make_loaded: Make) -> None:
    """What the user has set under neuropt is the default; else the default does nothing."""
    profile = inspect_model(make_loaded, target="net", current={"freeze_strategy": "head_only", "lr_layer_decay": 0.8})
    defaults = {parameter.role: parameter.default for parameter in profile.offered}
    assert defaults == {
        "dropout": 0.0,
        "freeze_strategy": "head_only",
        "lr_layer_decay": 0.8,
        "l2sp_regularization": False,
        "bn_mode": "train",
    }
    assert all(parameter.has_default for parameter in profile.offered)


def test_a_model_that_cannot_run_keeps_the_rest(make_net: Make) -> None:
    """Edits that cannot be proved are left out with the reason; the profile is there all the same."""

    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = make_net()

        def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return self.net(x * mask)

    profile = inspect_model(Odd, target="odd")
    assert profile.offered == ()
    assert "cannot be proved" in profile.left_out["activation"]
    assert "mask" in profile.left_out["dropout"]
    assert sum(group.tensors for group in profile.groups) == len(list(Odd().parameters()))


def test_dropout_keeps_its_present_rate() -> None:
    """The default of dropout is the rate that the model has."""

    def make() -> nn.Module:
        return nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Dropout(0.25), nn.Linear(8, 2))

    dropout = next(p for p in inspect_model(make, target="mlp").offered if p.role == "dropout")
    assert isinstance(dropout, Float)
    assert (dropout.default, dropout.low, dropout.high) == (0.25, 0.0, 0.5)


@pytest.mark.parametrize("name", ["squeezenet1_1", "mobilenet_v3_small"])
def test_offers_on_real_architectures(models: ModuleType, name: str) -> None:
    """Convolutional heads, gates and SE pools are looked into without a fault."""
    profile = inspect_model(lambda: getattr(models, name)(num_classes=10), target=name)
    assert "activation" in _roles(profile)
    assert "dropout" in _roles(profile)
    assert profile.head


def test_the_users_word_on_head_and_example_is_taken(make_loaded: Make) -> None:
    """What stands under `neuropt` is not looked for: the job goes by it as well, and no other size is tried."""
    current = {"head": ["blocks.5"], "example": [3, 40, 48], "fresh": ["fc.weight"]}
    profile = inspect_model(make_loaded, target="net", current=current)
    assert profile.head == ("blocks.5",)
    assert profile.facts is not None
    assert (profile.facts.input_shape, profile.facts.guessed) == ((3, 40, 48), False)
    assert "image 3x40x48; a multiply-add" in profile.summary()
    wrong = inspect_model(make_loaded, target="net", current={"example": [5]})
    assert "it does not run on (2, 5)" in wrong.left_out["dropout"]


@pytest.mark.parametrize("current", [{"head": ["nowhere"]}, {"example": [0]}, {"example": 3}, {"lr_layer_decay": 2.0}])
def test_an_illegal_word_is_refused_before_anything_is_launched(make_loaded: Make, current: dict[str, object]) -> None:
    """A setting that no job could work with is told while nothing has been launched."""
    with pytest.raises(ConfigError, match=f"neuropt.{next(iter(current))}"):
        inspect_model(make_loaded, target="net", current=current)


def test_nothing_that_needs_more_than_the_head_is_offered_where_only_it_trains(make_loaded: Make) -> None:
    """With a body that the user has frozen, layer decay, L2-SP and BatchNorm policies would be dead dimensions."""

    def make() -> nn.Module:
        model = make_loaded()
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name.startswith("fc."))
        return model

    profile = inspect_model(make, target="net", space="wide")
    dead = ("lr_layer_decay", "l2sp_regularization", "bn_mode")
    assert not {*dead, "l2sp_strength", "head_lr_mult"} & set(_roles(profile))
    assert {profile.left_out[name] for name in dead} == {"only the head trains"}


def test_the_users_word_is_the_reason_where_it_decided(make_loaded: Make) -> None:
    """Weights that were loaded are not denied: the setting that says so is named."""
    left_out = inspect_model(make_loaded, target="net", pretrained=False).left_out
    assert left_out["fine-tuning"] == "hydra.sweeper.pretrained says that none were loaded"
