"""Tests of L2-SP."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from neuropt_core.nn.l2sp import Anchor


def test_the_penalty_is_the_papers() -> None:
    """Half the strength times the sum of squared distances, and its gradient is strength times the distance."""
    model = nn.Linear(2, 2, bias=False)
    anchor = Anchor(model, ["weight"], 0.1)
    with torch.no_grad():
        model.weight += torch.tensor([[1.0, 2.0], [0.0, 0.0]])
    assert anchor.penalty().item() == pytest.approx(0.5 * 0.1 * 5)
    anchor.penalty().backward()
    torch.testing.assert_close(model.weight.grad, torch.tensor([[0.1, 0.2], [0.0, 0.0]]))


def test_only_named_and_trained_tensors_count() -> None:
    """Fresh and frozen tensors add nothing."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    anchor = Anchor(model, ["0.weight", "0.bias"], 1.0)
    assert set(anchor.weights) == {"0.weight", "0.bias"}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 1
    assert anchor.penalty().item() == pytest.approx(0.5 * 6)
    model[0].weight.requires_grad_(False)
    assert anchor.penalty().item() == pytest.approx(0.5 * 2)
    model.requires_grad_(False)
    assert anchor.penalty().item() == 0


def test_the_snapshot_does_not_move() -> None:
    """Training changes the model, never the snapshot."""
    model = nn.Linear(2, 2)
    start = model.weight.detach().clone()
    anchor = Anchor(model, ["weight"], 1.0)
    with torch.no_grad():
        model.weight += 1
    assert torch.equal(anchor.weights["weight"], start)


def test_it_follows_the_model_to_its_device() -> None:
    """The penalty lies where the model lies, also when that changes after the snapshot."""
    model = nn.Linear(2, 2)
    anchor = Anchor(model, ["weight"], 1.0)
    assert anchor.penalty().device.type == "cpu"
    model.to("meta")
    assert anchor.penalty().device.type == "meta"
