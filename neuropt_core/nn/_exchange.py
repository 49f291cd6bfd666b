"""One weight tensor: how unlike independent draws from one law its entries are, whatever that law is.

At the start the entries of a tensor are exchangeable: no row, no column, no place in a kernel differs from another.
Training makes them differ. Each test below gives standard deviations of a normal variable, so that one bar fits all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from neuropt_core.nn._laws import heavy_tail, kurtosis, soft_edge

MOST_ROWS, MOST_COLUMNS = 384, 768
FEWEST_LINES, FEWEST_ENTRIES = 4, 64

_MOST_ZEROS = 0.03  # Sparse starts and pruned tensors: what is zero was not drawn, so nothing can be said.
_EQUAL = 1e-3  # Relative spread of the rows' energy; sinusoid tables and orthogonal starts are equal by construction.
_LONG_TAIL = 4.0  # Kurtosis from which outliers are cut, since the tests need four moments.
_GROSS_MEAN = 0.5  # In standard deviations: a law that is not centred (uniform on [0, 1]), not a drift.
_WITNESS = 3.0  # A start may draw from a heavy-tailed law: the tail counts where rows, columns or kernels stir, too.
_PACKS = (12, 6, 4, 3, 2)
_ITERATIONS, _VECTORS = 10, 6


@dataclass(frozen=True, slots=True)
class Finding:
    """The test that speaks loudest on one tensor.

    Attributes:
        score: Standard deviations beyond what exchangeable entries show; the largest over the tests.
        test: What that test looks at, in words, e.g. ``row energy``.
    """

    score: float
    test: str


def examine(weight: torch.Tensor, *, kernel: bool = False, centred: bool = False) -> Finding | None:
    """Returns the strongest sign that the entries are not independent draws; None where nothing can be said.

    Args:
        weight: Floating point, two or more dimensions, on any real device.
        kernel: Whether the dimensions from the third on are places of a convolution's kernel.
        centred: Whether all usual starts have mean zero (linear and convolution layers).
    """
    rows, entries = _sample(weight, kernel)
    if entries is None or not bool(torch.isfinite(entries).all()):
        return None
    table = entries.flatten(1)
    alive = (table != 0).any(dim=1)
    whole = bool(alive.all())
    if not whole:  # A padding row of an embedding is zero by design.
        entries, table = entries[alive], table[alive]
    if min(table.shape) < FEWEST_LINES or table.numel() < FEWEST_ENTRIES:
        return None
    deviation = float(table.std())
    if deviation <= 1e-6 * float(table.abs().max()) or float((table == 0).float().mean()) > _MOST_ZEROS:
        return None
    if rows is not None and _equal(rows[alive]):
        return Finding(0.0, "equal rows")
    mean, size = float(table.mean()), table.numel()
    findings = [Finding(soft_edge(table / deviation), "edge of the uniform law")]
    if centred and abs(mean) < _GROSS_MEAN * deviation:
        findings.append(Finding(abs(mean) / deviation * math.sqrt(size), "mean"))
    entries, parts = _level(entries, weight.shape[0] if whole else 1)
    findings += _lines(_cut(entries, parts), parts, kernel)
    best = max(findings, key=lambda finding: finding.score)
    if best.score < _WITNESS:
        return best
    return max(best, Finding(heavy_tail(entries.flatten()), "tail"), key=lambda finding: finding.score)


def _lines(entries: torch.Tensor, parts: int, kernel: bool) -> list[Finding]:
    table = entries.flatten(1)
    energy = table.square()
    findings = []
    for name, values in (("energy", energy), ("mean", table)):
        spread, excess = float(values.var()), kurtosis(values.flatten()) - 3
        # Levelled parts leave the rows as many degrees of freedom less; of the columns only the common mean is gone.
        for side, axis, lost in (("row", 1, parts), ("column", 0, 1)):
            means, freedom = values.mean(dim=axis), values.shape[1 - axis] - lost
            ratio = float((means - means.mean()).square().sum()) / freedom * values.shape[axis] / spread
            score = _chi_square(ratio, freedom, values.numel(), excess)
            findings.append(Finding(score, f"{side} {name}"))
    findings.append(Finding(_top_singular(table), "top singular value"))
    if kernel:
        findings += [Finding(_smoothness(entries, axis), "smooth kernels") for axis in range(2, entries.ndim)]
    return findings


def _sample(weight: torch.Tensor, kernel: bool) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Returns the sampled rows in full width, and at most 384 x 768 of their entries, evenly spaced.

    The i-th of k kept rows is row floor(i * n / k), and k is a multiple of 12: parts of a packed tensor keep their
    share and their order.
    """
    w = weight.detach()
    if not kernel:
        w = w.reshape(-1, w.shape[-1])  # Position tables (1, n, d) and experts (e, n, d) are rows of width d.
    if w.ndim < 2 or w.numel() == 0:
        return None, None
    w = _thin(w, 0, MOST_ROWS).float().cpu()
    places = math.prod(w.shape[2:])
    return w.flatten(1), _thin(w, 1, max(1, MOST_COLUMNS // places))


def _thin(w: torch.Tensor, axis: int, most: int) -> torch.Tensor:
    length = w.shape[axis]
    if length <= most:
        return w
    return w.index_select(axis, (torch.arange(most, device=w.device) * length) // most)


def _equal(rows: torch.Tensor) -> bool:
    energy = rows.square().mean(dim=1)
    return bool(energy.std() < _EQUAL * energy.mean())


def _level(entries: torch.Tensor, length: int) -> tuple[torch.Tensor, int]:
    """Gives each twelfth (or quarter, third, half) of the rows mean 0 and variance 1.

    Queries, keys and values, the halves of a gate and the gates of an LSTM are drawn apart and may differ by design;
    what differs inside each of them does not. The number of parts is returned with the levelled entries.
    """
    rows = entries.shape[0]
    parts = next((n for n in _PACKS if rows % n == 0 and length % n == 0 and rows // n >= 2), 1)
    return _scaled(entries, parts), parts


def _scaled(entries: torch.Tensor, parts: int) -> torch.Tensor:
    packed = entries.reshape(parts, -1)
    packed = packed - packed.mean(dim=1, keepdim=True)
    scale = packed.square().mean(dim=1, keepdim=True).sqrt().clamp_min(1e-30)
    return (packed / scale).reshape(entries.shape)


def _cut(entries: torch.Tensor, parts: int) -> torch.Tensor:
    """Cuts the outliers of a heavy-tailed law: the same function of every entry of a part keeps them exchangeable."""
    if kurtosis(entries.flatten()) <= _LONG_TAIL:
        return entries
    packed = entries.reshape(parts, -1)
    middle = packed.median(dim=1, keepdim=True).values
    bound = 4 * (packed - middle).abs().median(dim=1, keepdim=True).values / 0.6745  # Four deviations of a normal.
    cut = torch.minimum(torch.maximum(packed, middle - bound), middle + bound).reshape(entries.shape)
    return _scaled(cut, parts)


def _chi_square(ratio: float, degrees: int, size: int, excess: float) -> float:
    """Returns a variance ratio of line means as a normal score.

    The variance of n means of m entries, over its expectation, has mean 1 and variance 2 / (n - 1) + excess / (n m);
    here n - 1 is `degrees`, n m is `size` and excess is the entries' kurtosis less 3.
    Wilson and Hilferty (1931): the cube root of a chi-square over its degrees of freedom v is normal with mean
    1 - 2 / (9 v) and variance 2 / (9 v).
    """
    freedom = 2 / (2 / degrees + max(0.0, excess) / size)
    root: float = max(0.0, ratio) ** (1 / 3)
    return (root - (1 - 2 / (9 * freedom))) / math.sqrt(2 / (9 * freedom))


def _top_singular(table: torch.Tensor) -> float:
    """Returns how far the largest singular value lies beyond the edge of the Marchenko-Pastur law.

    Johnstone (2001), "On the distribution of the largest eigenvalue in principal components analysis", eq. 1.4: for n
    x m entries of variance 1, the largest eigenvalue less (sqrt(n - 1) + sqrt(m))^2, over (sqrt(n - 1) + sqrt(m)) *
    (1 / sqrt(n - 1) + 1 / sqrt(m))^(1/3), follows Tracy-Widom's law, whose right tail is exp(-2/3 x^(3/2)); a normal's
    is exp(-z^2 / 2), so that z = sqrt(4/3 x^(3/2)) speaks the language of the other tests.
    """
    tall = table if table.shape[0] >= table.shape[1] else table.T
    n, m = tall.shape
    edge = math.sqrt(n - 1) + math.sqrt(m)
    unit = edge * (1 / math.sqrt(n - 1) + 1 / math.sqrt(m)) ** (1 / 3)
    x = (_largest_eigenvalue(tall) / float(table.var()) - edge**2) / unit
    return math.sqrt(4 / 3 * x**1.5) if x > 0 else 0.0


def _largest_eigenvalue(tall: torch.Tensor) -> float:
    """Returns the largest eigenvalue of X'X by subspace iteration: from below, and close where it stands out."""
    width = tall.shape[1]
    if width <= 32:
        return float(torch.linalg.eigvalsh(tall.T @ tall)[-1])
    start = torch.randn(width, _VECTORS, generator=torch.Generator().manual_seed(0))
    vectors = torch.linalg.qr(start).Q
    for _ in range(_ITERATIONS):
        vectors = torch.linalg.qr(tall.T @ (tall @ vectors)).Q
    seen = tall @ vectors
    return float(torch.linalg.eigvalsh(seen.T @ seen)[-1])


def _smoothness(entries: torch.Tensor, axis: int) -> float:
    """Returns the correlation of neighbours in a kernel as a normal score: trained filters are smooth."""
    length = entries.shape[axis]
    if length < 3:
        return 0.0
    products = entries.narrow(axis, 0, length - 1) * entries.narrow(axis, 1, length - 1)
    return abs(float(products.sum())) / math.sqrt(float(products.square().sum()) + 1e-30)


def median(values: Sequence[float]) -> float:
    """Returns the upper median, as loevlie/neuropt takes it; 0 for none."""
    return sorted(values)[len(values) // 2] if values else 0.0
