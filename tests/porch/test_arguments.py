"""The arguments of a model's node that are rates of dropout, found and set."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from hydra_plugins.neuropt_sweeper._arguments import NodeFactory
from neuropt_core.nn.arguments import Argument
from neuropt_core.nn.inspect import inspect_model
from neuropt_core.profile import ModelProfile
from neuropt_core.space import Float

BERT = {
    "_target_": "transformers.BertConfig",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "vocab_size": 50,
}


def _factory(node: dict[str, Any], raw: dict[str, Any] | None = None, where: str = "model") -> NodeFactory:
    return NodeFactory(OmegaConf.create(node), where, raw or {where: node})


def _found(
    node: dict[str, Any], raw: dict[str, Any] | None = None, where: str = "model"
) -> tuple[dict[str, Argument], dict[str, str]]:
    factory = _factory(node, raw, where)
    arguments, left_out = factory.arguments(factory.build({}))
    return {a.name: a for a in arguments}, dict(left_out)


def _profile(node: dict[str, Any], **settings: Any) -> ModelProfile:
    factory = _factory(node)
    with warnings.catch_warnings():  # Old code in the libraries, not ours to mend.
        warnings.simplefilter("ignore")
        return inspect_model(lambda: factory.build({}), target=node["_target_"], factory=factory, **settings)


def _offered(profile: ModelProfile) -> dict[str, object]:
    return {p.name: p.default for p in profile.offered if not p.name.startswith("neuropt.")}


def test_the_users_own_class_is_asked_by_its_signature() -> None:
    """What the config holds is its value, what it leaves to the signature is not written."""
    found, left_out = _found({"_target_": "apps.dropping.Net", "dropout": 0.25})
    assert found["model.dropout"] == Argument("model.dropout", "dropout", 0.25, written=True)
    assert found["model.drop_path_rate"] == Argument("model.drop_path_rate", "drop_path_rate", 0.0, written=False)
    assert left_out == {}


def test_another_key_for_the_model_is_the_prefix() -> None:
    """The name begins with the key at which the model stands."""
    node = {"_target_": "apps.dropping.Functional"}
    assert list(_found(node, {"net": {"inner": node}}, where="net.inner")[0]) == ["net.inner.dropout"]


def test_nested_nodes_and_lists_are_looked_through() -> None:
    """A backbone within the model, and one within a list, are set where they stand."""
    net = {"_target_": "apps.dropping.Net"}
    assert "model.backbone.dropout" in _found({"_target_": "apps.dropping.wrapped", "backbone": net})[0]
    node = {"_target_": "torch.nn.Sequential", "_args_": [{**net, "dropout": 0.4}]}
    found, _ = _found(node)
    assert found["model._args_.0.dropout"].value == 0.4
    factory = _factory(node)
    factory.arguments(factory.build({}))
    assert factory.build({"model._args_.0.dropout": 0.2})[0].drop.p == 0.2
    assert factory.build({})[0].drop.p == 0.4


def test_what_is_given_by_position_or_is_no_rate_is_left_out_with_its_reason() -> None:
    """An override could not reach, or would not mean, what these hold."""
    found, left_out = _found({"_target_": "apps.dropping.Net", "_args_": [8, 0.2]})
    assert list(found) == ["model.drop_path_rate"]
    assert left_out == {"model.dropout": "it is given by position, in _args_"}
    node = {"_target_": "builtins.dict", "dropout": True, "drop": 3, "drop_rate": "much", "attn_drop": None}
    found, left_out = _found(node)
    assert list(found) == ["model.attn_drop"]
    assert left_out == {f"model.{k}": f"{node[k]!r} is no rate" for k in ("dropout", "drop", "drop_rate")}


def test_a_value_that_reads_another_key_is_searched_there() -> None:
    """As with the learning rate: all that reads the source moves along, and other interpolations are overridden."""
    node = {"_target_": "apps.dropping.Net", "dropout": 0.2, "drop_path_rate": 0.2}
    written = {"_target_": "apps.dropping.Net", "dropout": "${p}", "drop_path_rate": "${oc.env:NONE,0.2}"}
    found, _ = _found(node, {"model": "${nets.small}", "nets": {"small": written}, "p": "${q}", "q": 0.2})
    assert list(found) == ["q", "nets.small.drop_path_rate"]
    fixed = NodeFactory(OmegaConf.create(node), "model", {"model": written, "p": 0.2}, own=["model.dropout"])
    assert [a.name for a in fixed.arguments(None)[0]] == ["model.dropout", "model.drop_path_rate"]
    found, left_out = _found(node, {"model": "${some.resolver:1}"})
    assert found == {}
    assert "interpolation" in left_out["model.dropout"]


def test_one_key_that_is_read_twice_sets_both_places() -> None:
    """The build that is proved is the build that the override makes."""
    node = {"_target_": "apps.dropping.Net", "dropout": 0.2, "drop_path_rate": 0.2}
    raw = {"model": {**node, "dropout": "${p}", "drop_path_rate": "${p}"}, "p": 0.2}
    factory = _factory(node, raw)
    found, _ = factory.arguments(factory.build({}))
    net = factory.build({"p": 0.3})
    assert [a.name for a in found] == ["p"]
    assert (net.drop.p, net.path.rate) == (0.3, 0.3)


def test_a_builder_that_passes_kwargs_on_is_asked_through_what_it_builds() -> None:
    """The present value is not the one that the class's signature names: it is told by building."""
    profile = _profile({"_target_": "apps.dropping.passing"})
    assert _offered(profile) == {"model.dropout": 0.3, "model.drop_path_rate": 0.0}


def test_torchvision_builders(models: ModuleType) -> None:
    """Each builder's own value is found, also where its class or its stages say another."""
    wanted = {
        "mobilenet_v3_small": {"model.dropout": 0.2},
        "shufflenet_v2_x0_5": {},
    }
    for name, arguments in wanted.items():
        profile = _profile({"_target_": f"torchvision.models.{name}"})
        assert _offered(profile) == arguments, name
        assert ("neuropt.dropout" in [p.name for p in profile.offered]) is (not arguments), name


@pytest.mark.slow
def test_larger_torchvision_builders(models: ModuleType) -> None:
    """The end of a ramp over depth is told, also where the class's signature says zero."""
    profile = _profile({"_target_": "torchvision.models.convnext_tiny"})
    assert _offered(profile) == {"model.stochastic_depth_prob": 0.1}
    profile = _profile({"_target_": "torchvision.models.efficientnet_b0"})
    assert _offered(profile) == {"model.dropout": 0.2, "model.stochastic_depth_prob": 0.2}


def test_timm_models(models: ModuleType) -> None:
    """All rates are zero, no layer holds them, and yet they can be raised; wide offers every one."""
    pytest.importorskip("timm")
    node = {
        "_target_": "timm.create_model",
        "model_name": "vit_tiny_patch16_224",
        "img_size": 32,
        "depth": 2,
        "embed_dim": 24,
    }
    profile = _profile(node)
    assert _offered(profile) == {"model.drop_rate": 0.0, "model.attn_drop_rate": 0.0, "model.drop_path_rate": 0.0}
    assert [p.role for p in profile.offered if p.name.startswith("model.")] == ["dropout", "mha_dropout", "drop_path"]
    assert "model.proj_drop_rate" in profile.left_out["other arguments"]
    assert {"model.proj_drop_rate", "model.pos_drop_rate", "model.drop_rate"} < set(
        _offered(_profile(node, space="wide"))
    )


def test_transformers_configs(tmp_path: Path, models: ModuleType) -> None:
    """Rates stand in the nested config, or beside the name of a checkpoint, whose weights stay loaded."""
    transformers = pytest.importorskip("transformers")
    node = {"_target_": "transformers.AutoModelForSequenceClassification.from_config", "config": BERT}
    rates = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
    assert _offered(_profile(node)) == {f"model.config.{name}": rate for name, rate in rates.items()}
    config = transformers.BertConfig(**{k: v for k, v in BERT.items() if k != "_target_"})
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path)
    node = {
        "_target_": "transformers.AutoModelForSequenceClassification.from_pretrained",
        "pretrained_model_name_or_path": str(tmp_path),
    }
    profile = _profile(node, pretrained=True)
    assert _offered(profile) == {f"model.{name}": rate for name, rate in rates.items()}


def test_finding_and_proving_leave_the_generators_and_the_node() -> None:
    """A search of arguments draws nothing from the generators, and a build changes no later one."""
    factory = _factory({"_target_": "apps.dropping.wrapped", "backbone": {"_target_": "apps.dropping.passing"}})
    state = torch.random.get_rng_state()
    profile = inspect_model(lambda: factory.build({}), target="net", factory=factory)
    assert torch.equal(torch.random.get_rng_state(), state)
    (dropout, _) = (p for p in profile.offered if p.name.startswith("model."))
    assert isinstance(dropout, Float)
    assert (dropout.name, dropout.default) == ("model.backbone.dropout", 0.3)
    assert [m.p for m in factory.build({}).modules() if isinstance(m, nn.Dropout)] == [0.3]
