"""Tests of the head."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from neuropt_core.nn.depth import depth_groups
from neuropt_core.nn.graph import Trace, trace
from neuropt_core.nn.head import find_head


class Many(nn.Module):
    """A body, and whatever heads `answer` makes of its features."""

    def __init__(self, answer: Callable[..., object], **layers: nn.Module) -> None:
        super().__init__()
        self.stem, self.body = nn.Linear(4, 4), nn.Linear(4, 4)
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.answer = answer

    def forward(self, x: torch.Tensor) -> object:
        """Maps ``(n, 4)`` to what `answer` returns."""
        return self.answer(self, self.body(self.stem(x).relu()).relu())


def _linear(inputs: int = 4, outputs: int = 3, bias: bool = True) -> nn.Linear:
    return nn.Linear(inputs, outputs, bias=bias)


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("resnet18", ("fc",)),
        ("squeezenet1_1", ("classifier.1",)),
        ("mobilenet_v3_small", ("classifier.3",)),
        ("googlenet", ("aux1.fc2", "aux2.fc2", "fc")),
    ],
)
def test_heads_of_real_architectures(models: ModuleType, name: str, head: tuple[str, ...]) -> None:
    """The last layer before the output is the head, be it linear or a convolution."""
    model = getattr(models, name)(num_classes=10, **({"init_weights": False} if name == "googlenet" else {}))
    assert find_head(model, trace(model)) == head


def test_fresh_layers_belong_to_the_head() -> None:
    """All layers of a fresh classifier are the head, as one module where it has one of its own."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 2)))
    fresh = ("1.0.weight", "1.0.bias", "1.2.weight", "1.2.bias")
    assert find_head(model, trace(model), fresh) == ("1",)


def test_a_wrapper_gives_way_to_its_layer() -> None:
    """A fresh Sequential around one layer is named by the layer."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Dropout(), nn.Linear(4, 2)))
    assert find_head(model, trace(model), ("1.1.weight", "1.1.bias")) == ("1.1",)


def test_two_outputs_two_heads() -> None:
    """Each output has a head."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.left, self.right = nn.Linear(4, 4), nn.Linear(4, 2), nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            hidden = self.body(x).relu()
            return self.left(hidden), self.right(hidden)

    assert find_head(Two(), trace(Two())) == ("left", "right")


def test_norm_behind_the_classifier_is_not_all() -> None:
    """A norm after the last layer is head, and the search goes on to the layer."""
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3), nn.BatchNorm1d(3))
    assert find_head(model, trace(model)) == ("2", "3")


def test_last_layer_stands_in_where_nothing_ran() -> None:
    """Without a trace the head is the last registered layer with a matrix."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3), nn.LayerNorm(3))
    assert find_head(model, Trace(reason="not run")) == ("1",)


def test_auxiliary_heads_run_only_in_training() -> None:
    """A second classifier that has an output in train mode alone is head too, and last in depth."""

    def answer(net: Any, h: torch.Tensor) -> object:
        return (net.fc(h), net.aux(net.neck(h).relu())) if net.training else net.fc(h)

    model = Many(answer, neck=_linear(outputs=4), aux=_linear(), fc=_linear())
    seen = trace(model)
    assert find_head(model, seen) == ("aux", "fc")
    assert depth_groups(model, seen, ("aux", "fc"))[-1].tensors == ("aux.weight", "aux.bias", "fc.weight", "fc.bias")
    assert seen.first["neck.weight"] == 3


def test_a_classifier_that_serves_training_alone_is_the_head() -> None:
    """A network that returns embeddings in use and logits in training learns through the layer that makes these."""

    def answer(net: Any, h: torch.Tensor) -> object:
        embedded = net.embed(h)
        return net.fc(embedded) if net.training else embedded

    model = Many(answer, embed=_linear(), fc=_linear(inputs=3))
    assert find_head(model, trace(model)) == ("fc",)


def test_features_beside_the_logits_have_no_head() -> None:
    """Hidden states and pooled features in the output name no layer of the body."""

    def answer(net: Any, h: torch.Tensor) -> object:
        normed = net.norm(h)
        return {"hidden": h, "features": normed * 2, "logits": net.fc(normed)}

    model = Many(answer, norm=nn.LayerNorm(4), fc=_linear())
    assert find_head(model, trace(model)) == ("fc",)


def test_detection_heads_go_over_several_levels() -> None:
    """Heads that are shared between levels of different depth are heads, all of them, with groups of their own."""

    class Detector(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
            self.tower = nn.Conv2d(4, 4, 1)
            self.boxes, self.classes = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 7, 1)

        def forward(self, x: torch.Tensor) -> dict[str, list[torch.Tensor]]:
            first = self.one(x).relu()
            levels = [self.tower(level).relu() for level in (first, self.two(first).relu())]
            return {"boxes": [self.boxes(f) for f in levels], "classes": [self.classes(f) for f in levels]}

    model = Detector()
    seen = trace(model)
    assert find_head(model, seen) == ("boxes", "classes")
    groups = depth_groups(model, seen, find_head(model, seen))
    assert {name.split(".")[0] for name in groups[-1].tensors} == {"boxes", "classes"}
    fresh = tuple(n for n, _ in model.named_parameters() if n.split(".")[0] in ("tower", "boxes", "classes"))
    assert find_head(model, seen, fresh) == ("tower", "boxes", "classes")
    groups = depth_groups(model, seen, ("tower", "boxes", "classes"))
    assert {name.split(".")[0] for name in groups[-1].tensors} == {"tower", "boxes", "classes"}


def test_two_heads_that_are_averaged() -> None:
    """Both classifiers of a distilled network are head, though its output is one tensor."""
    model = Many(lambda net, h: (net.head(h) + net.head_dist(h)) / 2, head=_linear(), head_dist=_linear())
    assert find_head(model, trace(model)) == ("head", "head_dist")


def test_a_head_of_several_layers() -> None:
    """Fresh, it is the whole; where all was loaded nothing tells its first layer from the body, and the last stands."""
    model = Many(
        lambda net, h: net.classifier(h),
        classifier=nn.Sequential(nn.Dropout(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)),
    )
    fresh = tuple(n for n, _ in model.named_parameters() if n.startswith("classifier"))
    assert find_head(model, trace(model), fresh) == ("classifier",)
    assert find_head(model, trace(model)) == ("classifier.3",)


class Language(nn.Module):
    """A language model in small, its decoder tied to the embedding, with or without what people put around it."""

    def __init__(self, *, bias: bool, transform: bool, decoder_first: bool = False, needs_mask: bool = False) -> None:
        super().__init__()
        names = ["embed", "body", "head"]
        parts: dict[str, nn.Module] = {"embed": nn.Embedding(9, 4), "body": nn.Linear(4, 4), "head": nn.ModuleDict()}
        for name in reversed(names) if decoder_first else names:
            self.add_module(name, parts[name])
        if transform:
            parts["head"]["dense"] = nn.Linear(4, 4)  # type: ignore[index]
        parts["head"]["decoder"] = nn.Linear(4, 9, bias=bias)  # type: ignore[index]
        self.head["decoder"].weight = self.embed.weight
        self.transform, self.needs_mask = transform, needs_mask

    def forward(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Maps token ids ``(n, t)`` to logits ``(n, t, 9)``."""
        if self.needs_mask and mask is None:
            raise ValueError("where is the mask?")
        hidden = self.body(self.embed(ids)).relu()
        return self.head["decoder"](self.head["dense"](hidden).relu() if self.transform else hidden)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("decoder_first", "needs_mask"), [(False, False), (True, False), (False, True)])
def test_a_decoder_tied_to_the_embedding_is_no_head(bias: bool, decoder_first: bool, needs_mask: bool) -> None:
    """Neither the embedding nor a lone bias nor the body's last layer is taken for one, also where nothing ran."""
    model = Language(bias=bias, transform=False, decoder_first=decoder_first, needs_mask=needs_mask)
    seen = trace(model)
    assert find_head(model, seen) == ()
    assert sorted(n for g in depth_groups(model, seen, ()) for n in g.tensors) == sorted(dict(model.named_parameters()))


def test_the_head_by_name_leaves_the_embedding_where_it_is() -> None:
    """Of a head that was named, what it shares with the embedding stays in the embedding's group."""
    model = Language(bias=True, transform=True, decoder_first=True)
    groups = depth_groups(model, trace(model), ("head",))
    assert set(groups[-1].tensors) == {"head.dense.weight", "head.dense.bias", "head.decoder.bias"}
    assert "head.decoder.weight" in groups[0].tensors


def test_a_recurrent_layer_may_be_the_last() -> None:
    """The steps of a recurrent layer are one layer, not weights that are shared with an earlier one."""

    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.out = nn.Embedding(9, 4), nn.GRU(4, 3, batch_first=True)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.out(self.embed(ids))[0]

    model = Tagger()
    seen = trace(model)
    assert find_head(model, seen) == ("out",)
    assert len(depth_groups(model, seen, ("out",))[-1].tensors) == 4


class Reader(nn.Module):
    """An LSTM between two linear layers, the last one registered first or last."""

    def __init__(self, *, first: bool = False) -> None:
        super().__init__()
        parts = {"proj": nn.Linear(8, 8), "lstm": nn.LSTM(8, 8, batch_first=True), "out": nn.Linear(8, 3)}
        for name in reversed(parts) if first else parts:
            self.add_module(name, parts[name])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps sequences ``(n, t, 8)`` to logits ``(n, 3)``."""
        return self.out(self.lstm(self.proj(x))[0][:, -1])


def _quantised(model: nn.Module, names: set[str]) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates what models still use.
        engines = [e for e in torch.backends.quantized.supported_engines if e != "none"]
        if not engines:
            pytest.skip("this torch quantises nothing")
        return torch.ao.quantization.quantize_dynamic(
            model, dict.fromkeys(names, torch.ao.quantization.default_dynamic_qconfig)
        )  # type: ignore[no-any-return]


@pytest.mark.parametrize("first", [False, True])
def test_a_quantised_head_is_none(first: bool) -> None:
    """Packed weights are no parameters: the layer before them is not taken for the head, a plain last layer is."""
    plain = Reader(first=first)
    assert find_head(plain, trace(plain, (4, 8))) == ("out",)
    whole = _quantised(Reader(first=first), {"proj", "out"})
    assert find_head(whole, trace(whole, (4, 8))) == ()
    body = _quantised(Reader(first=first), {"proj"})
    assert find_head(body, trace(body, (4, 8))) == ("out",)


def test_a_quantised_head_is_none_where_nothing_ran() -> None:
    """By the order of registration a packed last layer is known, too."""
    assert find_head(_quantised(Reader(), {"out"}), Trace(reason="it did not run")) == ()
    assert find_head(_quantised(Reader(), {"proj"}), Trace(reason="it did not run")) == ("out",)
