"""Tests of the evidence of training."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from neuropt_core.nn.evidence import look_for_training, unevenness

_DRAWS: dict[str, Callable[[torch.Tensor], object]] = {
    "normal": lambda w: nn.init.normal_(w, std=0.02),
    "uniform": lambda w: nn.init.kaiming_uniform_(w, a=5**0.5),
    "xavier": nn.init.xavier_normal_,
    "truncated": lambda w: nn.init.trunc_normal_(w, std=0.02),
    "orthogonal": nn.init.orthogonal_,
    "constant": nn.init.ones_,
    "sparse": lambda w: nn.init.sparse_(w, 0.2),
}


@pytest.mark.parametrize("law", _DRAWS)
def test_random_draws_are_even(law: str) -> None:
    """No usual way to draw weights looks trained, whatever its law and its scale."""
    for seed, shape in enumerate(((64, 32), (256, 256), (16, 300))):
        torch.manual_seed(seed)
        weight = torch.empty(shape)
        _DRAWS[law](weight)
        assert unevenness(weight) < 6


def test_training_shows() -> None:
    """A small network after 150 steps on a real rule shows in its weights; before, it does not."""
    model = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 8))
    assert not look_for_training(model).trained
    x = torch.randn(256, 32)
    target = x[:, :8] * x[:, 8:16]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        (model(x) - target).square().mean().backward()
        optimizer.step()
    assert look_for_training(model).trained


def test_moved_norms_show() -> None:
    """Norm layers whose weights differ from each other were trained."""
    model = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8))
    assert not look_for_training(model).trained
    with torch.no_grad():
        model[1].bias += torch.arange(8.0)
    evidence = look_for_training(model)
    assert evidence.trained
    assert "1 of 1 norms have moved" in str(evidence)


def test_odd_tensors_say_nothing() -> None:
    """Meta tensors, empty models and tiny matrices give no evidence and no error."""
    assert look_for_training(nn.Linear(64, 64, device="meta")).weights == 0
    assert not look_for_training(nn.Identity()).trained
    assert look_for_training(nn.Linear(2, 2)).weights == 0
