"""Global pools: average, maximum and attention, one in the place of another."""

from __future__ import annotations

import torch
from torch import nn

from neuropt_core.nn.activations import like

POOLS = ("avg", "max", "attention")

_AVG: tuple[type[nn.Module], ...] = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
_MAX: tuple[type[nn.Module], ...] = (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d)


class AttentionPool(nn.Module):
    """Pools positions by attention with one learned query: ``sum_p softmax_p(<x_p, q> / sqrt(c)) x_p``.

    Attention-based pooling with a linear score (Ilse, Tomczak & Welling 2018, "Attention-based Deep Multiple Instance
    Learning", eq. 7 and 8), scaled as in Vaswani et al. 2017, eq. 1. The query starts at zero, where every position
    weighs the same: a new layer computes the average and learns from there.

    Args:
        channels: Size c of the channel dimension.
        dimensions: How many dimensions of space follow it: 1, 2 or 3.
    """

    def __init__(self, channels: int, dimensions: int) -> None:
        super().__init__()
        self.dimensions = dimensions
        self.query = nn.Parameter(torch.zeros(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps ``(n, c, *space)`` or ``(c, *space)`` to the same with every dimension of space 1."""
        flat = x.flatten(-self.dimensions)
        scores = torch.einsum("...cp,c->...p", flat, self.query) * self.query.numel() ** -0.5
        pooled = torch.einsum("...cp,...p->...c", flat, scores.softmax(-1))
        return pooled.reshape(*pooled.shape, *[1] * self.dimensions)

    def extra_repr(self) -> str:
        """Returns what torch prints between the brackets."""
        return f"{self.query.numel()}, dimensions={self.dimensions}"


def pool_kind(module: nn.Module) -> str:
    """Returns the name in `POOLS` of a pool to a fixed size; "" for any other layer.

    Subclasses count as other layers, since they may do more than to pool.
    """
    if type(module) is AttentionPool:
        return "attention"
    if type(module) in _MAX:
        return "" if module.return_indices else "max"
    return "avg" if type(module) in _AVG else ""


def pools_to_one(module: nn.Module) -> bool:
    """Tells whether a pool leaves one position: only there can attention take its place (VGG pools to 7 x 7)."""
    if isinstance(module, AttentionPool):
        return True
    size = module.output_size
    return all(side == 1 for side in (size if isinstance(size, tuple) else (size,)))


def why_no_attention(reason: str) -> str:
    """Returns why attention cannot pool in a model that has a global pool; `reason` says why nothing ran, if so."""
    if reason:
        return f"how many positions the pool leaves is unknown, since {reason}"
    return "the pool leaves more than one position, or was seen on two widths"


def new_pool(kind: str, old: nn.Module, channels: int, model: nn.Module) -> nn.Module:
    """Returns a pool of `kind` for the place of `old`, to the same size.

    Args:
        kind: A name in `POOLS`; ``attention`` only where `pools_to_one`.
        old: The pool that it replaces.
        channels: How many channels `old` was seen to get; counts for ``attention`` alone.
        model: Tells the device and type of new parameters.
    """
    index = old.dimensions - 1 if isinstance(old, AttentionPool) else (*_AVG, *_MAX).index(type(old)) % 3
    if kind == "attention":
        return like(AttentionPool(channels, index + 1), model)
    size = 1 if isinstance(old, AttentionPool) else old.output_size
    return (_MAX if kind == "max" else _AVG)[index](size)
