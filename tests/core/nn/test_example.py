"""Tests of the guessed inputs."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from libraries import small, timm_model
from torch import nn

from neuropt_core.nn.example import candidates, run, shadow, tensors_in


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (nn.Sequential(nn.Linear(7, 2)), (2, 7)),
        (nn.Sequential(nn.Conv2d(1, 4, 3)), (2, 1, 64, 64)),
        (nn.Sequential(nn.Conv1d(5, 4, 3)), (2, 5, 256)),
        (nn.LSTM(6, 3), (2, 16, 6)),
    ],
)
def test_first_layer_gives_the_shape(model: nn.Module, shape: tuple[int, ...]) -> None:
    """The first candidate fits the first layer and the model runs on it."""
    example = next(candidates(model))
    assert tuple(example.shape) == shape
    model(example)


def test_tokens_are_in_the_vocabulary() -> None:
    """An embedding gets token ids that it has rows for."""
    example = next(candidates(nn.Embedding(11, 4)))
    assert example.dtype == torch.long
    assert 0 <= int(example.min()) <= int(example.max()) < 11


def test_encoder_decoders_get_what_they_ask_for(models: ModuleType) -> None:
    """The decoder has an input too, and each sequence ends with the token that says so, which is nowhere else."""
    model = small("Bart", "ForSequenceClassification")
    example = next(candidates(model))
    end = example == model.config.eos_token_id
    assert end.sum(1).tolist() == [1, 1]
    assert end[:, -1].all()
    assert tensors_in(run(model, example))[0].shape == (2, 3)


def test_a_librarys_size_is_among_the_guesses(models: ModuleType) -> None:
    """A model that was made for one size of image, and takes no other, gets it."""
    model = timm_model("vit_tiny_patch16_224", img_size=48, patch_size=16, embed_dim=16, depth=1, num_heads=2)
    model.pretrained_cfg["input_size"] = (3, 48, 48)
    sides = [guess.shape[-1] for guess in candidates(nn.Sequential(model))]
    assert sides[1] == 48
    detector = models.detection.retinanet_resnet50_fpn(weights_backbone=None)
    assert len(list(candidates(detector))) == 1


def test_a_hint_comes_first() -> None:
    """An image size that the model names is tried before our own guesses."""
    model = nn.Sequential(nn.Conv2d(3, 4, 3))
    model.image_size = 96  # type: ignore[assignment]
    assert tuple(next(candidates(model)).shape) == (2, 3, 96, 96)


def test_candidates_repeat_themselves_and_leave_the_generator() -> None:
    """Two calls give equal numbers, and the global generator does not move."""
    model = nn.Linear(3, 1)
    before = torch.get_rng_state()
    one, two = next(candidates(model)), next(candidates(model))
    assert torch.equal(one, two)
    assert torch.equal(before, torch.get_rng_state())


def test_a_shadow_shares_memory_and_nothing_else(net: nn.Module) -> None:
    """A shadow costs no memory for weights, trains nothing of the model, and runs like it."""
    net.requires_grad_(False)
    twin = shadow(net)
    assert all(a.data_ptr() == b.data_ptr() for a, b in zip(net.parameters(), twin.parameters(), strict=True))
    before = net.bn.running_mean.clone()
    twin.train()(torch.randn(2, 3, 8, 8)).sum().backward()
    assert torch.equal(net.bn.running_mean, before)
    assert all(p.grad is None and not p.requires_grad for p in net.parameters())
    assert all(p.grad is not None for p in twin.parameters())


def test_a_head_registered_first_does_not_mislead(net: nn.Module) -> None:
    """A convolution gives the input away where a linear layer was registered before it."""
    assert any(tuple(example.shape) == (2, 3, 64, 64) for example in candidates(net))


def test_outputs_are_found_in_trees() -> None:
    """Tensors of real numbers are found in tuples and dicts, whole numbers are not; logits stand for all."""
    a, b = torch.zeros(1), torch.ones(1)
    assert tensors_in((a, {"x": [b], "ids": torch.tensor([1])})) == [a, b]

    class Output(dict):  # type: ignore[type-arg]
        logits = b

    assert tensors_in(Output(x=a)) == [b]
