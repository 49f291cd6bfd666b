"""Tests of the global pools."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from neuropt_core.nn.pooling import AttentionPool, new_pool, pool_kind, pools_to_one


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_attention_starts_as_the_average(dimensions: int) -> None:
    """A new attention pool computes what the average pool computes, on batches and single maps, and can learn."""
    old = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)[dimensions - 1](1)
    new = new_pool("attention", old, 5, nn.Linear(1, 1))
    x = torch.randn(3, 5, *[4] * dimensions)
    assert torch.allclose(new(x), old(x), atol=1e-6)
    assert torch.allclose(new(x[0]), old(x[0]), atol=1e-6)
    new(x).square().sum().backward()
    assert new.query.grad is not None
    assert bool(new.query.grad.abs().sum() > 0)


def test_attention_finds_what_its_query_asks_for() -> None:
    """A large query picks the position that agrees with it most."""
    pool = AttentionPool(2, 1)
    with torch.no_grad():
        pool.query.copy_(torch.tensor([100.0, 0.0]))
    x = torch.tensor([[[0.0, 3.0, 1.0], [7.0, 8.0, 9.0]]])
    assert torch.allclose(pool(x).flatten(), torch.tensor([3.0, 8.0]))


def test_pools_change_into_one_another() -> None:
    """Each kind can take another's place and keeps the output size; VGG's 7 x 7 is no place for attention."""
    like = nn.Linear(1, 1, dtype=torch.float64)
    pool: nn.Module = nn.AdaptiveAvgPool2d((1, 1))
    for kind in ("max", "attention", "avg", "attention", "max"):
        pool = new_pool(kind, pool, 5, like)
        assert pool_kind(pool) == kind
        assert pool(torch.randn(2, 5, 4, 4, dtype=torch.float64)).shape == (2, 5, 1, 1)
    assert new_pool("max", nn.AdaptiveAvgPool2d(7), 5, like)(torch.randn(2, 5, 9, 9)).shape == (2, 5, 7, 7)
    assert [pools_to_one(nn.AdaptiveAvgPool2d(size)) for size in (1, (1, 1), 7, (1, None))] == [
        True,
        True,
        False,
        False,
    ]


def test_other_layers_are_no_pools() -> None:
    """A subclass may do more than to pool, and a pool that returns indices has two outputs."""

    class More(nn.AdaptiveAvgPool2d):
        pass

    assert [pool_kind(m) for m in (More(1), nn.AdaptiveMaxPool2d(1, return_indices=True), nn.AvgPool2d(2))] == [""] * 3
