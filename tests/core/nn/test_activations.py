"""Tests of the kinds of activation."""

from __future__ import annotations

import torch
from torch import nn

from neuropt_core.nn.activations import ACTIVATIONS, activation_kind, new_activation


def test_every_choice_is_known_again() -> None:
    """What is put in by a name has that name."""
    assert [activation_kind(make()) for make in ACTIVATIONS.values()] == list(ACTIVATIONS)


def test_libraries_classes_are_known_by_name() -> None:
    """Timm and transformers bring classes of their own; with children or weights they do more than a function."""

    class NewGELUActivation(nn.Module):
        pass

    class SiLU(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.beta = nn.Parameter(torch.ones(1))

    kinds = [
        activation_kind(m) for m in (NewGELUActivation(), SiLU(), nn.Tanh(), nn.GLU(), nn.Softmax(-1), nn.Sigmoid())
    ]
    assert kinds == ["gelu", "", "", "", "", ""]


def test_new_layers_fit_in() -> None:
    """Settings come from the model, the type from its weights, and only ReLU works in place where the old one did."""
    model = nn.Sequential(nn.Linear(2, 2, dtype=torch.float64), nn.LeakyReLU(0.2, inplace=True), nn.SiLU(inplace=True))
    old, present = model[2], list(model)
    leaky, relu = (new_activation(kind, old, present, model) for kind in ("leaky_relu", "relu"))
    assert isinstance(leaky, nn.LeakyReLU)
    assert (leaky.negative_slope, leaky.inplace, relu.inplace) == (0.2, False, True)
    assert present[1].inplace is True
    assert next(new_activation("prelu", old, present, model).parameters()).dtype == torch.float64
