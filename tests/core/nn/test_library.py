"""Tests of what libraries say of their models."""

from __future__ import annotations

import itertools
import logging
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from libraries import library, small, timm_model
from torch import nn

from neuropt_core.nn.depth import DepthGroup, depth_groups
from neuropt_core.nn.graph import trace
from neuropt_core.nn.head import find_head
from neuropt_core.nn.library import depth_chains, library_word

VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 3, "num_heads": 2, "num_classes": 5}


def _head(model: nn.Module) -> tuple[str, ...]:
    return find_head(model, trace(model))


def _groups(model: nn.Module) -> tuple[DepthGroup, ...]:
    seen = trace(model)
    groups = depth_groups(model, seen, find_head(model, seen))
    assert sorted(n for g in groups for n in g.tensors) == sorted(n for n, _ in model.named_parameters())
    return groups


class Wrapper(nn.Module):
    """A user's module around a library's, which takes of it what `answer` says."""

    def __init__(self, model: nn.Module, answer: Callable[[Any, torch.Tensor], object], **layers: nn.Module) -> None:
        super().__init__()
        self.model, self.answer = model, answer
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: torch.Tensor) -> object:
        """Maps what the library's model takes to what `answer` makes of it."""
        return self.answer(self, x)


@pytest.mark.parametrize(
    ("kind", "task", "head"),
    [
        ("Bert", "ForSequenceClassification", ("classifier",)),
        ("Roberta", "ForSequenceClassification", ("classifier",)),
        ("Electra", "ForSequenceClassification", ("classifier",)),
        ("DistilBert", "ForSequenceClassification", ("pre_classifier", "classifier")),
        ("Bart", "ForSequenceClassification", ("classification_head",)),
        ("Segformer", "ForSemanticSegmentation", ("decode_head",)),
        ("ViT", "ForImageClassification", ("classifier",)),
        ("Bert", "ForMaskedLM", ("cls.predictions",)),
        ("Llama", "ForCausalLM", ("lm_head",)),
        ("GPT2", "LMHeadModel", ()),
        ("T5", "ForConditionalGeneration", ()),
        ("Bert", "Model", ()),
        ("ViT", "Model", ()),
    ],
)
def test_heads_of_transformers(models: ModuleType, kind: str, task: str, head: tuple[str, ...]) -> None:
    """The head is all that lies outside the base model and is not tied to it; a base model has none."""
    model = small(kind, task)
    assert trace(model).example is not None
    assert _head(model) == head


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("resnet10t", ("fc",)),
        ("deit_tiny_distilled_patch16_224", ("head", "head_dist")),
        ("crossvit_tiny_240", ("head.0", "head.1")),
        ("efficientvit_m0", ("head.linear",)),
        ("convnextv2_atto", ("head.fc",)),
        ("mobilenetv3_small_050", ("classifier",)),
    ],
)
def test_heads_and_groups_of_timm(models: ModuleType, name: str, head: tuple[str, ...]) -> None:
    """Head and groups are what timm says; without a forward pass they are the same."""
    model = timm_model(name)
    assert _head(model) == head
    groups = _groups(model)
    timm = sys.modules["timm.models._manipulate"]
    depth = timm.group_parameters(model, model.group_matcher(coarse=False), reverse=True)
    found = [{depth[n] for n in group.tensors} for group in groups]
    assert all(max(early) <= min(late) for early, late in itertools.pairwise(found))
    assert all(len(ids) == 1 for ids in found[:-2])


def test_volo_has_a_second_head(models: ModuleType) -> None:
    """A head that timm does not name but training uses is found in the graph."""
    volo = pytest.importorskip("timm.models.volo").VOLO
    sizes = {"layers": (1, 1, 1, 1), "embed_dims": (8, 16, 16, 16), "num_heads": (1, 2, 2, 2)}
    model = volo(img_size=64, num_classes=5, post_layers=("ca", "ca"), use_mix_token=True, **sizes)
    assert _head(model) == ("aux_head", "head")


def test_encoders_without_a_head_have_none(models: ModuleType) -> None:
    """Of a timm model that was built to give features the last block is no head, alone or below a user's own."""
    model = timm_model("vit_tiny_patch16_224", **VIT | {"num_classes": 0})
    assert _head(model) == ()
    assert _head(nn.Sequential(model, nn.Linear(16, 3))) == ("1",)
    assert _head(timm_model("resnet10t", features_only=True)) == ()


def test_frozen_parameters_stay_in_their_groups(models: ModuleType) -> None:
    """Depth is a fact of the model, not of what trains."""
    model = timm_model("vit_tiny_patch16_224", **VIT)
    before = _groups(model)
    model.blocks.requires_grad_(False)
    assert _groups(model) == before
    names = {n: g.name for g in before for n in g.tensors}
    assert {names[n] for n in ("cls_token", "pos_embed", "patch_embed.proj.weight")} == {before[0].name}
    assert [g.name for g in before[1:]] == ["blocks.0", "blocks.1", "blocks.2", "head"]


def test_groups_of_a_part_lie_between_what_stands_around_it(models: ModuleType) -> None:
    """In a wrapper the library's groups keep their order, an adapter before them is stem, a fresh head comes last."""
    part = timm_model("vit_tiny_patch16_224", **VIT | {"num_classes": 0})
    layers = {"fc": nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3)), "adapter": nn.Conv2d(1, 3, 1)}
    model = Wrapper(part, lambda net, x: net.fc(net.model(net.adapter(x))), **layers)
    seen = trace(model)
    fresh = tuple(n for n, _ in model.named_parameters() if n.startswith("fc."))
    head = find_head(model, seen, fresh)
    assert head == ("fc",)
    groups = depth_groups(model, seen, head)
    assert [g.name for g in groups[-4:]] == ["model.blocks.0", "model.blocks.1", "model.blocks.2", "fc"]
    assert "adapter.weight" in groups[0].tensors
    assert "model.norm.weight" in groups[-2].tensors


def test_a_classifier_that_makes_no_output_is_no_head(models: ModuleType) -> None:
    """A wrapper that takes the features of a whole classifier has its own head and not the classifier's."""
    model = Wrapper(
        small("Bert", "ForSequenceClassification"),
        lambda net, ids: net.fc(net.model.bert(ids).last_hidden_state[:, 0]),
        fc=nn.Linear(16, 3),
    )
    assert _head(model) == ("fc",)
    passed_on = Wrapper(small("Roberta", "ForSequenceClassification"), lambda net, ids: net.model(ids).logits)
    assert _head(passed_on) == ("model.classifier",)


def test_a_replaced_classifier_is_taken_as_it_is(models: ModuleType) -> None:
    """Where a user put an MLP in the classifier's place, all of it is head; where timm no longer knows, the graph."""
    model = timm_model("vit_tiny_patch16_224", **VIT)
    model.head = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))
    assert _head(model) == ("head",)
    other = timm_model("convnextv2_atto")
    other.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(320, 3))
    assert _head(other) == ("head.2",)


def test_the_encoder_comes_before_the_decoder(models: ModuleType) -> None:
    """Both begin with token ids, but the decoder needs all of the encoder; the embedding that they share is stem."""
    groups = _groups(small("T5", "ForConditionalGeneration"))
    assert [g.name for g in groups] == [
        "stem",
        *(f"{part}.block.{i}" for part in ("encoder", "decoder") for i in (0, 1)),
    ]
    assert groups[0].tensors == ("shared.weight",)
    names = [g.name for g in _groups(small("Bart", "ForSequenceClassification"))]
    assert names == [
        "stem", *(f"model.{part}.layers.{i}" for part in ("encoder", "decoder") for i in (0, 1)), "classification_head"
    ]  # fmt: skip


def test_stages_are_opened(models: ModuleType) -> None:
    """Blocks that run one after the other within a stage are groups of their own, also where no library says so."""
    groups = _groups(small("ConvNextV2", "ForImageClassification"))
    assert len(groups) == 1 + 9 + 1
    assert groups[-1].name == "classifier"


def test_nothing_is_imported(models: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without timm in memory its matcher is not asked, and our own groups stand in."""
    model = timm_model("vit_tiny_patch16_224", **VIT)
    assert depth_chains(model)
    monkeypatch.delitem(sys.modules, "timm.models._manipulate")
    assert depth_chains(model) == []
    assert [g.name for g in _groups(model)] == ["stem", "blocks.0", "blocks.1", "blocks.2", "head"]


def test_a_matcher_that_fails_is_told(models: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    """A matcher that does not fit its model any more is named in the log, and the graph orders the model."""
    library("timm")

    class Odd(nn.Sequential):
        def group_matcher(self, coarse: bool = False) -> object:
            raise KeyError("stage")

    model = Odd(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    with caplog.at_level(logging.WARNING):
        assert [g.name for g in _groups(model)] == ["0", "2"]
    assert "group_matcher of Odd fails" in caplog.text


def test_odd_attributes_are_no_word() -> None:
    """What only looks like a library's interface is not listened to."""

    class Odd(nn.Linear):
        base_model_prefix = 3
        group_matcher = "stem"

        def get_classifier(self) -> str:
            return "fc"

        def reset_classifier(self, classes: int) -> None: ...

    model = nn.Sequential(nn.Linear(4, 4), Odd(4, 2))
    assert library_word(model).heads == {}
    assert library_word(model).bodies == ()
    assert depth_chains(model) == []
    assert _head(model) == ("1",)
