"""Tests of the guessed inputs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from neuropt_core.nn.example import candidates, shadow, tensors_in


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
