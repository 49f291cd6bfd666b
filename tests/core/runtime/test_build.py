"""The job's helpers: the plain thing without settings, the trial's settings with them."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

import neuropt_core
from neuropt_core.errors import ConfigError
from neuropt_core.runtime.build import Tuning, build


def _layer(kind: str, *args: Any) -> dict[str, Any]:
    return {"_target_": f"torch.nn.{kind}", "_args_": list(args)}


def _cfg(neuropt: dict[str, Any] | None = None) -> Any:
    layers = [
        _layer("Conv2d", 3, 8, 3),
        _layer("BatchNorm2d", 8),
        _layer("ReLU"),
        _layer("Conv2d", 8, 8, 3),
        _layer("BatchNorm2d", 8),
        _layer("ReLU"),
        _layer("AdaptiveAvgPool2d", 1),
        _layer("Flatten"),
        _layer("Linear", 8, 4),
    ]
    cfg: dict[str, Any] = {"model": {"_target_": "torch.nn.Sequential", "_args_": layers}}
    if neuropt is not None:
        cfg["neuropt"] = neuropt
    return OmegaConf.create(cfg)


def _train(model: nn.Module, tuning: Tuning, steps: int = 10) -> None:
    optimizer = torch.optim.AdamW(tuning.param_groups(lr=1e-2, weight_decay=0.01))
    for step in range(steps):
        tuning.step(step / steps)
        model.train()
        loss = model(torch.randn(4, 3, 12, 12)).square().mean() + tuning.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_without_settings_all_is_plain() -> None:
    """Without a node `neuropt` the model is what Hydra builds, trains whole, at one rate, without a penalty."""
    torch.manual_seed(0)
    model, tuning = build(_cfg())
    torch.manual_seed(0)
    plain, _ = build(_cfg({}))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), plain.parameters(), strict=True))
    assert not any(m._forward_pre_hooks for m in model.modules())
    assert {group["lr"] for group in tuning.param_groups(lr=0.1)} == {0.1}
    assert tuning.penalty().item() == 0
    assert tuning.pretrained_weights == {}
    tuning.step(0.0)
    assert model[1].momentum == 0.1


def test_plain_dicts_will_do() -> None:
    """A config may be a plain mapping."""
    model, _ = build(OmegaConf.to_container(_cfg()))  # type: ignore[arg-type]
    assert isinstance(model, nn.Sequential)


def test_a_model_under_another_key_is_found() -> None:
    """The node that hydra.sweeper.model names is built; one that is not there is told with what there is."""
    cfg = OmegaConf.create({"model": {"net": _layer("Linear", 2, 2)}, "seed": 0})
    model, _ = build(cfg, model="model.net")
    assert isinstance(model, nn.Linear)
    with pytest.raises(ConfigError, match=r"model\.nett: must be in the config.* Its keys: model, seed\."):
        build(cfg, model="model.nett")


def test_a_model_that_is_built_is_tuned_in_place() -> None:
    """`tune` takes a node or plain settings, and edits the model that it is given."""
    for settings in ({"activation": "gelu"}, OmegaConf.create({"activation": "gelu"})):
        model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2))
        tuning = neuropt_core.tune(model, settings)
        assert isinstance(model[1], nn.GELU)
        assert tuning.head == ("2",)
    with pytest.raises(ConfigError, match="neuropt: must be a mapping of settings, got 3"):
        neuropt_core.tune(nn.Linear(2, 2), 3)  # type: ignore[arg-type]


def test_edits_are_applied() -> None:
    """Activation, dropout and pool come out as the settings say."""
    model, _ = build(_cfg({"activation": "gelu", "pool_type": "max", "dropout": 0.2, "head": ["8"]}))
    assert [type(model[i]) for i in (2, 5, 6)] == [nn.GELU, nn.GELU, nn.AdaptiveMaxPool2d]
    assert len(model[8]._forward_pre_hooks) == 1


def test_new_weights_learn_in_a_frozen_model() -> None:
    """The slopes of a PReLU that an edit put in are trained though all around them is frozen."""
    model, _ = build(_cfg({"activation": "prelu", "freeze_strategy": "head_only", "head": ["8"]}))
    assert {n for n, p in model.named_parameters() if p.requires_grad} == {"2.weight", "5.weight", "8.weight", "8.bias"}


@pytest.mark.parametrize("strategy", ["head_only", "last_blocks", "gradual_unfreeze"])
def test_frozen_stays_bit_identical_in_a_real_loop(strategy: str) -> None:
    """Ten steps of the loop that people write leave frozen weights, and statistics in frozen parts, untouched."""
    model, tuning = build(_cfg({"freeze_strategy": strategy}))
    free = {n for n, p in model.named_parameters() if p.requires_grad}
    before = copy.deepcopy(model.state_dict())
    _train(model, tuning)
    moved = {key for key, value in model.state_dict().items() if not torch.equal(before[key], value)}
    assert free <= moved
    assert {key for key in moved if key in dict(model.named_parameters())} == free
    assert not any(key.startswith(("0.", "1.")) for key in moved)


def test_a_schedule_in_a_real_loop() -> None:
    """In the loop that people write all weights and statistics have moved at the end."""
    model, tuning = build(_cfg({"freeze_strategy": "schedule"}))
    before = copy.deepcopy(model.state_dict())
    _train(model, tuning, steps=2)
    moved = {key for key, value in model.state_dict().items() if not torch.equal(before[key], value)}
    assert moved == set(before)


def test_frozen_statistics_let_the_weights_learn() -> None:
    """bn_mode=frozen keeps every running statistic through model.train() and still trains the norms' weights."""
    model, tuning = build(_cfg({"bn_mode": "frozen"}))
    before = copy.deepcopy(model.state_dict())
    _train(model, tuning)
    after = model.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in after if "running" in key or "batches" in key)
    assert not torch.equal(before["1.weight"], after["1.weight"])


def test_recalibrated_statistics_are_those_of_the_last_epoch() -> None:
    """bn_mode=recalibrate: after each step() the running mean is the mean over the batches since."""
    model, tuning = build(_cfg({"bn_mode": "recalibrate"}))
    norm, inputs = model[1], []
    model[0].register_forward_hook(lambda _m, _a, out: inputs.append(out.detach().mean((0, 2, 3))))
    for epoch in range(2):
        tuning.step(epoch / 2)
        inputs.clear()
        for _ in range(3):
            model.train()
            model(torch.randn(4, 3, 12, 12) + epoch)
    torch.testing.assert_close(norm.running_mean, torch.stack(inputs).mean(0))


def test_decay_falls_towards_the_stem() -> None:
    """The head learns at lr, every earlier depth group at less."""
    _, tuning = build(_cfg({"lr_layer_decay": 0.75}))
    rates = sorted({group["lr"] for group in tuning.param_groups(lr=1.0)})
    assert rates == pytest.approx([0.75**12, 0.75**6, 1.0])


def test_l2sp_leaves_the_fresh_head_alone() -> None:
    """The penalty pulls at loaded tensors only: without the head where it is known, or without what is named fresh."""
    model, tuning = build(_cfg({"l2sp_regularization": True, "l2sp_strength": 2.0}))
    assert not any(name.startswith("8.") for name in tuning.pretrained_weights)
    assert "0.weight" in tuning.pretrained_weights
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 1
    loaded = sum(p.numel() for n, p in model.named_parameters() if not n.startswith("8."))
    assert tuning.penalty().item() == pytest.approx(loaded)
    _, tuning = build(_cfg({"l2sp_regularization": True, "fresh": ["0.weight"], "head": ["8"]}))
    assert "0.weight" not in tuning.pretrained_weights
    assert "8.weight" in tuning.pretrained_weights


def test_a_rate_of_the_sweep_takes_the_place_of_the_scripts() -> None:
    """For a config without a rate, neuropt.lr and neuropt.wd reach the optimizer in place of what the script passes."""
    _, tuning = build(_cfg({"lr": 1e-3, "wd": 0.1}))
    groups = tuning.param_groups(lr=5.0, weight_decay=0.0)
    assert {group["lr"] for group in groups} == {1e-3}
    assert max(group["weight_decay"] for group in groups) == 0.1
    with pytest.raises(ConfigError, match=r"neuropt\.lr: must be a finite number"):
        build(_cfg({"lr": -1.0}))


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (
            {"freeze_stratgy": "full"},
            "neuropt.freeze_stratgy: is not a setting of neuropt, got 'full'. Did you mean freeze",
        ),
        ({"freeze_strategy": "half"}, "neuropt.freeze_strategy: must be one of"),
        ({"lr_layer_decay": 0}, "neuropt.lr_layer_decay: must satisfy 0 < value <= 1, got 0"),
        ({"head_lr_mult": 0}, "neuropt.head_lr_mult: must be a finite number above 0, got 0"),
        ({"l2sp_regularization": "yes"}, "neuropt.l2sp_regularization: must be true or false, got 'yes'"),
        ({"l2sp_strength": -1}, "neuropt.l2sp_strength"),
        ({"bn_mode": "eval"}, "neuropt.bn_mode: must be one of"),
        ({"activation": "swish"}, "neuropt.activation: must be one of"),
        ({"dropout": 2}, "neuropt.dropout: must be a rate"),
        ({"head": "fc"}, "neuropt.head: must be a list of names, got 'fc'"),
        ({"head": ["fc"]}, "neuropt.head: must name modules of the model, got 'fc'"),
    ],
)
def test_wrong_settings_are_told(node: dict[str, Any], text: str) -> None:
    """Each wrong setting ends in one sentence: where, which rule, what it got."""
    with pytest.raises(ConfigError) as caught:
        build(_cfg(node))
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("cfg", "text"),
    [
        ({}, "model: must be in the config"),
        ({"model": {"_target_": "builtins.dict"}}, "model: must build a torch.nn.Module, got"),
        ({"model": _layer("Linear", 2, 2), "neuropt": "full"}, "neuropt: must be a mapping of settings, got 'full'"),
    ],
)
def test_wrong_configs_are_told(cfg: dict[str, Any], text: str) -> None:
    """A config without a model, or with something else in its place, ends in one sentence."""
    with pytest.raises(ConfigError) as caught:
        build(cfg)
    assert text in str(caught.value)


def test_trained_models_travel() -> None:
    """A tuned model can be copied and its state loaded into a plain one: edits keep the names of loaded weights."""
    model, _ = build(_cfg({"dropout": 0.2, "bn_mode": "frozen", "head": ["8"]}))
    plain, _ = build(_cfg())
    plain.load_state_dict(copy.deepcopy(model).state_dict())


def test_a_job_stays_light() -> None:
    """What a training script imports of us brings in no LLM client, no optuna, no wandb and no rich."""
    code = (
        "import sys, neuropt_core as n; n.build, n.report, n.Tuning, n.TrialPruned\n"
        "print([x for x in ('anthropic', 'openai', 'optuna', 'wandb', 'rich') if x in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert neuropt_core.build is build
