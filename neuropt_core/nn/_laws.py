"""The law of a tensor's entries, as far as it tells training from the usual starts."""

from __future__ import annotations

import math

import torch

_MOST_SORTED = 8192  # Entries for the distance between laws; more would only take longer.
_TAIL = 3.3  # Kurtosis above which no normal, truncated normal or uniform start lies.
_MISFIT = 2.0  # Kolmogorov's statistic sqrt(n) * D; for the right law 1.63 is exceeded once in a hundred.
_FLAT = 2.1  # Kurtosis up to which the bulk is uniform, whose own is 1.8.
_SOFT = 0.1 / 6  # Relative width of the last hundredth that makes one standard deviation: 6 of them at a tenth.
_FEWEST = 256


def kurtosis(values: torch.Tensor) -> float:
    """Returns the fourth moment about the mean over the squared variance: 3 for a normal, 1.8 for a uniform law."""
    square = (values - values.mean()).square()
    return float(square.square().mean() / square.mean().square().clamp_min(1e-30))


def heavy_tail(values: torch.Tensor) -> float:
    """Returns by how many standard deviations the kurtosis exceeds that of every usual start.

    The sample kurtosis of n normal entries has variance 24 / n. A heavy tail counts only where the entries fit neither
    the normal law nor Laplace's, which some starts draw from (Kolmogorov-Smirnov on a sample).

    Args:
        values: Entries ``(n,)`` of mean 0 and variance 1.
    """
    excess = (kurtosis(values) - _TAIL) / math.sqrt(24 / values.numel())
    if values.numel() < _FEWEST or excess <= 0:
        return 0.0
    sample = values[:: max(1, values.numel() // _MOST_SORTED)].sort().values
    normal = 0.5 * (1 + torch.erf(sample / math.sqrt(2)))
    scale = sample.abs().mean().clamp_min(1e-30)
    laplace = 0.5 * (1 + sample.sign() * (1 - torch.exp(-sample.abs() / scale)))
    return excess if min(_distance(normal), _distance(laplace)) > _MISFIT else 0.0


def soft_edge(values: torch.Tensor) -> float:
    """Returns how blurred the edge of a uniform bulk is: a uniform law ends at a wall, and training moves past it.

    The outermost hundredth of a uniform law covers a hundredth of its width. The score is 6 at a tenth.

    Args:
        values: Entries ``(n, m)``; only a bulk that is close to uniform gives a score.
    """
    flat = values.abs().flatten()
    # Entries of small orthogonal matrices have a low kurtosis too, and no wall.
    if flat.numel() < _FEWEST or min(values.shape) < 8 or kurtosis(values.flatten()) > _FLAT:
        return 0.0
    outer = torch.topk(flat, max(2, flat.numel() // 100)).values
    return float((outer[0] - outer[-1]) / outer[0]) / _SOFT


def one_law(samples: list[torch.Tensor]) -> float:
    """Returns how far samples are from draws of one law: about 1 if they are, the larger the less.

    The means of samples of n entries have variance s^2 / n, their variances s^4 (k - 1) / n, with the pooled variance
    s^2 and kurtosis k; the larger of the two mean squared deviations in these units is returned.

    Args:
        samples: Each ``(n,)``, two or more of them.
    """
    pooled = torch.cat(samples)
    mean, variance = pooled.mean(), pooled.var().clamp_min(1e-30)
    peak = max(kurtosis(pooled) - 1, 0.1)
    means = [float(len(s) * (s.mean() - mean).square() / variance) for s in samples]
    spreads = [float(len(s) * (s.var() - variance).square() / (variance.square() * peak)) for s in samples]
    return max(sum(means), sum(spreads)) / (len(samples) - 1)


def _distance(law: torch.Tensor) -> float:
    """Returns sqrt(n) times Kolmogorov's distance, from the law's values at the sorted sample."""
    n = len(law)
    steps = torch.arange(n + 1, dtype=law.dtype) / n
    return math.sqrt(n) * float(torch.maximum((law - steps[:-1]).abs(), (law - steps[1:]).abs()).max())
