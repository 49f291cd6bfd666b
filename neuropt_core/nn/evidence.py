"""Evidence of training in the weights themselves: what no independent draw at the start looks like."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

_SURE = 6.0
"""Standard deviations from which a tensor counts as uneven; random ones reach about 4."""

_MOST_TENSORS = 32
_MOST_ROWS, _MOST_COLUMNS = 384, 768


@dataclass(frozen=True, slots=True)
class Evidence:
    """How many weight tensors and norm layers look trained.

    Attributes:
        uneven: Weight tensors whose rows or columns differ more in energy than independent entries can.
        weights: Weight tensors looked at, at most 32.
        moved: Norm layers whose weight or bias is no constant any more.
        norms: Norm layers looked at.
    """

    uneven: int = 0
    weights: int = 0
    moved: int = 0
    norms: int = 0

    @property
    def trained(self) -> bool:
        """True from a fifth of the norms, or of the weights (three tenths where there are norms), upwards."""
        by_weights = self.weights > 0 and self.uneven / self.weights >= (0.3 if self.norms else 0.2)
        by_norms = self.norms > 0 and self.moved / self.norms >= 0.2
        return by_weights or by_norms

    def __str__(self) -> str:
        text = f"{self.uneven} of {self.weights} weight tensors are uneven"
        return f"{text}, {self.moved} of {self.norms} norms have moved" if self.norms else text


def look_for_training(model: nn.Module) -> Evidence:
    """Returns what the weights say, without knowing which law they were drawn from.

    Whatever the law, entries of a fresh tensor are exchangeable, and training makes some rows or columns larger than
    others. Norms start at one constant.
    """
    weights = [p for p in model.parameters() if _is_matrix(p)]
    step = max(1, len(weights) // _MOST_TENSORS)
    sample = weights[::step][:_MOST_TENSORS]
    norms = [m for m in model.modules() if "Norm" in type(m).__name__ and _vectors(m)]
    return Evidence(
        uneven=sum(unevenness(p) > _SURE for p in sample),
        weights=len(sample),
        moved=sum(any(_varies(v) for v in _vectors(m)) for m in norms),
        norms=len(norms),
    )


def unevenness(weight: torch.Tensor) -> float:
    """Returns by how many standard deviations rows or columns differ more in energy than chance lets them.

    The mean square of m exchangeable entries has variance (k - 1) * s^4 / m, where s^2 is the entries' variance and
    k their kurtosis about zero; the ratio of the observed variance to this one is chi-square over its degrees of
    freedom, here in standard deviations. Constant tensors give 0.

    Args:
        weight: A tensor of two or more dimensions, ``(out, in, ...)``.
    """
    table = weight.detach().float().cpu().flatten(1)[:_MOST_ROWS, :_MOST_COLUMNS]
    energy = table.square()
    mean, spread = float(energy.mean()), float(energy.var())
    if not (math.isfinite(spread) and spread > 1e-12 * mean * mean):
        return 0.0
    scores = []
    for axis in (0, 1):
        lines, entries = table.shape[1 - axis], table.shape[axis]
        if lines < 8 or entries < 8:  # Too few for the normal limit to hold.
            continue
        ratio = float(energy.mean(dim=axis).var()) * entries / spread
        scores.append((ratio - 1) * math.sqrt((lines - 1) / 2))
    return max(scores, default=0.0)


def _is_matrix(p: torch.Tensor) -> bool:
    return p.ndim >= 2 and p.is_floating_point() and not p.is_meta and p.numel() >= 64


def _vectors(norm: nn.Module) -> list[torch.Tensor]:
    return [p for p in norm.parameters(recurse=False) if p.ndim == 1 and p.numel() > 1 and not p.is_meta]


def _varies(values: torch.Tensor) -> bool:
    flat = values.detach().float()
    return bool((flat != flat[0]).any())
