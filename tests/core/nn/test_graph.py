"""Tests of the trace: what one forward pass shows."""

from __future__ import annotations

import copy

import torch
from torch import nn

from neuropt_core.nn.graph import trace


def test_depth_counts_parametrised_operations() -> None:
    """Depth grows by one with each layer on the longest path; a shared layer has a first and a last use."""

    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.a(self.b(self.a(x).relu()).relu() + x)

    seen = trace(Shared())
    assert (seen.first["a.weight"], seen.first["b.weight"], seen.last["a.weight"]) == (1, 2, 3)
    assert set(seen.frontier) == seen.shared == {"a.weight", "a.bias"}
    assert seen.called == {"", "a", "b"}


def test_token_ids_have_a_depth_too() -> None:
    """An embedding is the first layer although token ids have no gradient."""
    seen = trace(nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 2)))
    assert seen.first == {"0.weight": 1, "1.weight": 2, "1.bias": 2}


def test_trace_leaves_everything_as_it_was(net: nn.Module) -> None:
    """Parameters, buffers, modes, hooks and the random generator are what they were."""
    net.train()
    net.fc.requires_grad_(False)
    before, generator = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    assert trace(net).example is not None
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    assert torch.equal(generator, torch.get_rng_state())
    assert net.training
    assert not net.fc.weight.requires_grad
    assert not any(module._forward_pre_hooks for module in net.modules())


def test_the_example_serves_in_train_mode_too() -> None:
    """Where training asks for a larger input than inference does, the larger one is taken."""

    class Auxiliary(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head, self.extra = nn.Conv2d(3, 4, 3), nn.Linear(4, 2), nn.Conv2d(4, 2, 100)

        def forward(self, x: torch.Tensor) -> object:
            features = self.conv(x)
            answer = self.head(features.mean((2, 3)))
            return (answer, self.extra(features)) if self.training else answer

    example = trace(Auxiliary()).example
    assert example is not None
    assert tuple(example.shape) == (2, 3, 224, 224)


def test_lazy_models_are_told_apart() -> None:
    """A model without weights yet is not run."""
    assert "no values yet" in trace(nn.Sequential(nn.LazyLinear(3))).reason


def test_the_way_out_is_told_where_no_guess_ran() -> None:
    """The reason names the setting that gives the shape, unless that is what did not run."""

    class Odd(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x.reshape(len(x), 7, 3).mean(1))

    assert trace(Odd(3, 2)).reason.endswith("; neuropt.example names the shape")
    assert trace(Odd(3, 2), (21,)).reason == ""
    wrong = trace(Odd(3, 2), (5,)).reason
    assert "it does not run on (2, 5)" in wrong
    assert "neuropt.example" not in wrong
