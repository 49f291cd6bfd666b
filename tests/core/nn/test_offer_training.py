"""What is offered for any training."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from odd_models import Uncopyable
from torch import nn

from neuropt_core.nn._offer import Preset
from neuropt_core.nn.inspect import inspect_model
from neuropt_core.profile import ModelProfile
from neuropt_core.space import Categorical, Float

ALL = ["label_smoothing", "warmup_share", "ema_decay"]


def _offered(profile: ModelProfile) -> list[str]:
    return [p.role for p in profile.offered if p.role in ALL]


def _wide(make: Callable[[], nn.Module]) -> ModelProfile:
    return inspect_model(make, target="net", space="wide")


@pytest.mark.parametrize("space", ["seed", "standard"])
def test_only_the_wide_space_has_them(make_net: Callable[[], nn.Module], space: Preset) -> None:
    """The other presets neither offer them nor speak of them."""
    profile = inspect_model(make_net, target="net", space=space)
    assert _offered(profile) == []
    assert not set(ALL) & set(profile.left_out)


def test_they_need_no_loaded_weights(make_net: Callable[[], nn.Module]) -> None:
    """A model that starts at random is offered all three, off by default, in their ranges."""
    smoothing, warmup, decay = _wide(make_net).offered[-3:]
    assert isinstance(smoothing, Float)
    assert isinstance(warmup, Float)
    assert isinstance(decay, Categorical)
    assert (smoothing.name, smoothing.low, smoothing.high, smoothing.default) == ("neuropt.label_smoothing", 0, 0.2, 0)
    assert (warmup.name, warmup.low, warmup.high, warmup.default) == ("neuropt.warmup_share", 0, 0.3, 0)
    assert (decay.name, decay.choices, decay.default) == ("neuropt.ema_decay", (0.0, 0.9, 0.99, 0.999), 0.0)


def test_present_values_are_their_defaults(make_net: Callable[[], nn.Module]) -> None:
    """What the user has set is where the search starts."""
    profile = inspect_model(make_net, target="net", space="wide", current={"warmup_share": 0.05})
    assert [p.default for p in profile.offered[-3:]] == [0.0, 0.05, 0.0]


class _Tokens(nn.Module):
    """Logits of every token, as a language model has them."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 8)
        self.body = nn.Linear(8, 8)
        self.head = nn.Linear(8, 7)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(self.embed(ids)).relu())


def test_a_classifier_of_tokens_is_one() -> None:
    """Token ids in and a table of logits for each out is classification."""
    assert _offered(_wide(_Tokens)) == ALL


class _Body(nn.Module):
    """Token ids in, hidden states out; tied, they are multiplied with the embedding's table."""

    def __init__(self, *, tied: bool) -> None:
        super().__init__()
        self.embed, self.body, self.tied = nn.Embedding(50, 8), nn.Linear(8, 8), tied

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        hidden = self.body(self.embed(ids)).relu()
        return hidden @ self.embed.weight.T if self.tied else hidden


def test_a_tied_language_model_classifies_tokens() -> None:
    """Its logits come from the embedding's table, so that it needs no head of its own."""
    profile = _wide(lambda: _Body(tied=True))
    assert profile.head == ()
    assert _offered(profile) == ALL


def test_a_missing_head_is_a_reason_of_its_own() -> None:
    """A table of the right shape without a head is told as just that."""
    profile = inspect_model(lambda: _Body(tied=False), target="net", space="wide", current={"head": []})
    assert _offered(profile) == ALL[1:]
    assert profile.left_out["label_smoothing"] == "the model has no head of its own"


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1)),
        lambda: nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1)),
    ],
    ids=["one number", "an image"],
)
def test_what_is_no_classifier_has_no_labels_to_smooth(make: Callable[[], nn.Module]) -> None:
    """One number or an image comes out: the reason is told, the other two are offered."""
    profile = _wide(make)
    assert _offered(profile) == ALL[1:]
    assert "is no table of logits" in profile.left_out["label_smoothing"]


def test_a_model_that_does_not_run_is_not_guessed_at() -> None:
    """Without an output nobody knows whether it classifies."""

    class Silent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 3)

    profile = _wide(Silent)
    assert _offered(profile) == ALL[1:]
    assert "whether it classifies is unknown" in profile.left_out["label_smoothing"]


def test_what_cannot_be_copied_is_not_averaged() -> None:
    """A model that holds a lock cannot be copied, which is told before any trial fails of it."""
    profile = _wide(Uncopyable)
    assert _offered(profile) == ["warmup_share"]
    assert "the model cannot be copied" in profile.left_out["ema_decay"]


@pytest.mark.slow
def test_real_classifiers_are_known(models: ModuleType) -> None:
    """Networks of torchvision for classification are offered all three, one for segmentation no smoothing."""
    for name in ("squeezenet1_1", "mobilenet_v3_small"):
        assert _offered(_wide(lambda name=name: getattr(models, name)(num_classes=10))) == ALL, name  # type: ignore[misc]
    segmentation = models.segmentation.lraspp_mobilenet_v3_large
    assert _offered(_wide(lambda: segmentation(num_classes=5, weights_backbone=None))) == ALL[1:]
