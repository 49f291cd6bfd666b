"""The estimate of the memory that training takes."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from neuropt_core.cli._footprint import footprints
from neuropt_core.nn.inspect import inspect_model
from neuropt_core.profile import ModelProfile


def _model() -> nn.Module:
    return nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 4))


def test_an_estimate_holds_what_adam_really_keeps() -> None:
    """Weights, gradients and moments are those of a real model after a real step of Adam, for each strategy's share."""
    profile = inspect_model(_model, target="net", pretrained=True)
    found = {item.strategy: item for item in footprints(profile, 8)}
    model = _model()
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.zeros(8, 16)).sum().backward()
    optimizer.step()
    assert found["full"].weights == sum(p.nbytes for p in model.parameters())
    assert found["full"].gradients == sum(p.grad.nbytes for p in model.parameters() if p.grad is not None)
    moments = [state[key] for state in optimizer.state.values() for key in ("exp_avg", "exp_avg_sq")]
    assert found["full"].optimizer == sum(moment.nbytes for moment in moments)
    head = sum(p.nbytes for p in model[4].parameters())
    assert found["head_only"].gradients == head
    assert found["head_only"].optimizer == 2 * head


def test_activations_grow_with_the_batch() -> None:
    """They are a sample's times the batch; where they are not known, neither is the sum."""
    profile = inspect_model(_model, target="net", pretrained=False)
    assert profile.facts is not None
    assert profile.facts.activation_bytes is not None
    (small,), (large,) = footprints(profile, 1), footprints(profile, 64)
    assert large.activations == 64 * profile.facts.activation_bytes
    assert large.total is not None
    assert small.total is not None
    assert large.total - small.total == 63 * profile.facts.activation_bytes
    (unknown,) = footprints(replace(profile, facts=replace(profile.facts, activation_bytes=None)), 8)
    assert unknown.activations is None
    assert unknown.total is None


def test_without_facts_there_is_no_estimate() -> None:
    """A model that was not looked into, as an estimator, has none."""
    assert footprints(None, 8) == ()
    assert footprints(ModelProfile("forest", 0), 8) == ()
