"""Tests of heads for another number of classes."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from libraries import small, timm_model
from torch import nn
from torch.nn.utils import parametrizations

from neuropt_core.errors import ConfigError
from neuropt_core.nn.classes import adapted
from neuropt_core.nn.example import run, tensors_in
from neuropt_core.nn.graph import trace
from neuropt_core.nn.inspect import inspect_model
from neuropt_core.nn.tuning import Settings, Tuning


def _sizes(model: nn.Module) -> set[int]:
    """Returns the sizes of the outputs' class axis, in train mode where that works."""
    seen = trace(model)
    assert seen.example is not None
    return {t.shape[1] if t.ndim == 4 else t.shape[-1] for t in tensors_in(run(model.train(), seen.example))}


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("resnet18", ("fc",)),
        ("squeezenet1_1", ("classifier.1",)),
        ("googlenet", ("aux1.fc2", "aux2.fc2", "fc")),
    ],
)
def test_torchvision_gets_a_fresh_last_layer(models: ModuleType, name: str, changed: tuple[str, ...]) -> None:
    """All classifiers, convolutions and auxiliary ones included, get the outputs asked for; a second time nothing."""
    model = getattr(models, name)(num_classes=10, **({"init_weights": False} if name == "googlenet" else {}))
    before = dict(model.named_parameters())
    assert adapted(model, 7) == changed
    assert _sizes(model) == {7}
    kept = {n for n, p in model.named_parameters() if before[n] is p}
    assert {n.rpartition(".")[0] for n in before if n not in kept} == set(changed)
    assert adapted(model, 7) == ()


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("levit_128s", ("head.linear", "head_dist.linear")),
        ("convnextv2_atto", ("head.fc",)),
    ],
)
def test_timm_does_it_itself(models: ModuleType, name: str, changed: tuple[str, ...]) -> None:
    """All of a model's classifiers are reset by timm, which knows of it."""
    model = timm_model(name)
    assert adapted(model, 7) == changed
    assert model.num_classes == 7
    assert _sizes(model) == {7}


@pytest.mark.parametrize(
    ("kind", "task", "changed"),
    [
        ("Bert", "ForSequenceClassification", ("classifier",)),
        ("Roberta", "ForSequenceClassification", ("classifier.out_proj",)),
        ("DistilBert", "ForSequenceClassification", ("classifier",)),
        ("Bart", "ForSequenceClassification", ("classification_head.out_proj",)),
        ("Segformer", "ForSemanticSegmentation", ("decode_head.classifier",)),
    ],
)
def test_transformers_computes_its_loss_after_it(
    models: ModuleType, kind: str, task: str, changed: tuple[str, ...]
) -> None:
    """The last layer is fresh, the rest of the head is not, and the model's own loss takes the new labels."""
    model: Any = small(kind, task)
    assert adapted(model, 7) == changed
    assert model.config.num_labels == 7
    assert _sizes(model) == {7}
    example = trace(model).example
    assert example is not None
    labels = torch.full((2, 64, 64) if kind == "Segformer" else (2,), 6)
    assert torch.isfinite(model(example, labels=labels).loss)


def test_a_users_head_on_a_librarys_model_keeps_all_but_its_last_layer(models: ModuleType) -> None:
    """An MLP in the classifier's place is not thrown away, nor one behind a model without a head."""
    options = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2}
    model = timm_model("vit_tiny_patch16_224", **options)
    model.head = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))
    assert adapted(model, 7) == ("head.2",)
    behind = nn.Sequential(timm_model("vit_tiny_patch16_224", num_classes=0, **options), nn.Linear(16, 3))
    assert adapted(behind, 7) == ("1",)
    inside = nn.Sequential(nn.Conv2d(1, 3, 1), timm_model("vit_tiny_patch16_224", **options))
    assert adapted(inside, 7) == ("1.head",)
    assert inside[1].num_classes == 7


def test_lazy_layers_stay_lazy() -> None:
    """A classifier that does not know its inputs yet still does not, and has the outputs asked for."""
    model = nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3, bias=False))
    assert adapted(model, 7) == ("3",)
    assert isinstance(model[3], nn.LazyLinear)
    assert model(torch.zeros(2, 3, 8, 8)).shape == (2, 7)
    assert model[3].bias is None
    before = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.LazyConv2d(3, 1))
    assert adapted(before, 7) == ("3",)
    assert before(torch.zeros(2, 3, 8, 8)).shape == (2, 7, 6, 6)


def test_mode_kind_and_type_are_kept() -> None:
    """The fresh layer is in the mode, of the class and in the precision of the old one, and trains."""

    class Scaled(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(x)

    model = nn.Sequential(nn.Linear(4, 4), Scaled(4, 3, bias=False)).double().eval().requires_grad_(False)
    assert adapted(model, 5) == ("1",)
    assert type(model[1]) is Scaled
    assert (model[1].weight.dtype, model[1].weight.requires_grad, model[1].training) == (torch.float64, True, False)
    assert model[1].weight.std() > 0
    upwards = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.ConvTranspose2d(8, 6, 2, groups=2))
    assert adapted(upwards, 4) == ("2",)
    assert _sizes(upwards) == {4}
    with pytest.raises(ConfigError, match="multiple of the groups of 2, 2, got 5"):
        adapted(upwards, 5)


class Boxes(nn.Module):
    """Classes and boxes."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.classes, self.boxes = nn.Linear(4, 4), nn.Linear(4, 6), nn.Linear(4, 24)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Maps ``(n, 4)`` to ``(n, 6)`` and ``(n, 24)``."""
        hidden = self.body(x).relu()
        return self.classes(hidden), self.boxes(hidden)


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda models: Boxes(), "equal numbers of outputs, found classes: 6, boxes: 24"),
        (
            lambda models: models.detection.fasterrcnn_mobilenet_v3_large_320_fpn(weights_backbone=None),
            "a detector",
        ),
        (lambda models: small("GPT2", "LMHeadModel"), "none was found"),
        (lambda models: small("Llama", "ForCausalLM"), "whose outputs are words"),
        (lambda models: small("Bert", "Model"), "none was found"),
        (lambda models: nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3), nn.BatchNorm1d(3)), "what follows 1"),
        (lambda models: nn.Sequential(nn.Linear(4, 4), parametrizations.weight_norm(nn.Linear(4, 3))), "parametrised"),
    ],
)
def test_what_cannot_be_adapted_is_told(models: ModuleType, make: Callable[[Any], nn.Module], rule: str) -> None:
    """Detection, language models, encoders alone and what counts on the old number are refused, with a way out."""
    with pytest.raises(ConfigError, match=rule) as error:
        adapted(make(models), 7)
    assert "neuropt.num_classes" in str(error.value)
    assert error.value.mend


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "ten"])
def test_the_number_is_checked(value: Any) -> None:
    """Only whole numbers of 1 or more are classes."""
    with pytest.raises(ConfigError, match=r"neuropt\.num_classes: must be a whole number of 1 or more"):
        Settings.read({"num_classes": value})


def test_a_trial_sees_the_new_head(make_loaded: Callable[[], nn.Module]) -> None:
    """Freezing trains it, L2-SP does not hold it, the optimizer gets it, and the rest has its loaded weights."""
    model, reference = make_loaded(), make_loaded()
    settings = Settings(num_classes=7, freeze_strategy="head_only", l2sp_regularization=True, fresh=())
    tuning = Tuning(model, settings)
    assert tuning.head == ("fc",)
    assert not any(n.startswith("fc.") for n in tuning.pretrained_weights)
    assert "stem.weight" in tuning.pretrained_weights
    (placed,) = [{id(p) for group in tuning.param_groups(lr=0.1) for p in group["params"]}]
    assert placed == {id(model.fc.weight), id(model.fc.bias)}
    assert torch.equal(model.stem.weight, reference.stem.weight)
    optimizer = torch.optim.SGD(tuning.param_groups(lr=0.1))
    nn.functional.cross_entropy(model(torch.randn(4, 3, 8, 8)), torch.tensor([0, 2, 4, 6])).backward()
    before = model.fc.weight.detach().clone()
    optimizer.step()
    assert not torch.equal(before, model.fc.weight)


def test_provenance_finds_the_new_head_fresh(make_loaded: Callable[[], nn.Module]) -> None:
    """Adapted in both builds, a head whose own weights were loaded is drawn anew and counts as fresh."""

    def make() -> nn.Module:
        model = make_loaded()
        with torch.no_grad():
            model.fc.weight.copy_(torch.arange(32.0).reshape(4, 8))
        adapted(model, 7)
        return model

    profile = inspect_model(make, target="net")
    assert profile.pretrained.verdict
    assert set(profile.pretrained.fresh) == {"fc.weight", "fc.bias"}
    assert profile.head == ("fc",)
