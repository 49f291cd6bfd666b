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


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_lose_nothing(kind: torch.dtype) -> None:
    """Half precision neither overflows nor swallows small terms, the gradient has the weights' type, double stays."""
    model = nn.Linear(64, 64, bias=False).to(kind)
    with torch.no_grad():
        model.weight.zero_()
    anchor = Anchor(model, ["weight"], 2.0)
    with torch.no_grad():
        model.weight += 0.5
        model.weight[0, 0] = 300.0
    penalty = anchor.penalty()
    assert penalty.dtype == (torch.float64 if kind == torch.float64 else torch.float32)
    assert penalty.item() == pytest.approx(90_000 + (64 * 64 - 1) * 0.25, rel=1e-6)
    penalty.backward()
    assert model.weight.grad is not None
    assert model.weight.grad.dtype == kind
    assert float(model.weight.grad[1, 1]) == 1.0


def test_autocast_leaves_the_penalty_alone() -> None:
    """Under autocast the penalty is what it is without, and its gradient too, beside a task in bfloat16."""
    model = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.Linear(8, 2))
    anchor = Anchor(model, [name for name, _ in model.named_parameters()], 1.0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 1e-3 * torch.randn_like(parameter)
    plain = anchor.penalty()
    expected = torch.autograd.grad(plain, list(model.parameters()))
    with torch.autocast("cpu", torch.bfloat16):
        out = model(torch.randn(4, 8))
        penalty = anchor.penalty()
        loss = 0.0 * out.float().square().mean() + penalty
    assert out.dtype == torch.bfloat16
    assert torch.equal(penalty, plain)
    loss.backward()
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_a_model_may_change_its_type_after_the_snapshot() -> None:
    """A snapshot in float32 and a model made bfloat16 differ by the rounding alone."""
    model = nn.Linear(16, 16, bias=False)
    start = model.weight.detach().clone()
    anchor = Anchor(model, ["weight"], 2.0)
    model.to(torch.bfloat16)
    rounding = (start.to(torch.bfloat16).float() - start).square().sum()
    assert 0 < anchor.penalty().item() == pytest.approx(float(rounding))


def test_it_follows_the_model_to_its_device() -> None:
    """The penalty lies where the model lies, also when that changes after the snapshot."""
    model = nn.Linear(2, 2)
    anchor = Anchor(model, ["weight"], 1.0)
    assert anchor.penalty().device.type == "cpu"
    model.to("meta")
    assert anchor.penalty().device.type == "meta"
