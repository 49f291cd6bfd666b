"""What the scores so far say of configurations that were not tried: a Gaussian process on ranks.

It judges candidates; it does not search. With 5 to 200 trials of a dozen mixed parameters a Gaussian process over
Gower-like differences is smoother than a forest, and is fitted in milliseconds. Scores become normal scores of their
ranks (Blom's), so that one diverged loss cannot flatten all the others.

Source: Rasmussen and Williams 2006, "Gaussian Processes for Machine Learning", algorithm 2.1 (prediction and marginal
likelihood) and section 4.2 (Matern 5/2); expected improvement: Jones, Schonlau and Welch 1998; normal scores: Blom
1958.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuropt_core.advisors.likeness import Array, Ruler
from neuropt_core.space import Value

MOST = 150
"""More trials than this do not make a judgement better, but slower: the best and the latest are taken."""

_FITTED = 60
"""The lengths are fitted to so many of them."""

_LENGTHS = (0.15, 0.35, 0.8, 2.0, 6.0)
_NOISES = (0.02, 0.1, 0.3)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a model says of candidates, in normal scores of the ranks: about -2 for the best of 40, less being better.

    Attributes:
        mean: ``(n,)``.
        sd: ``(n,)``.
        best: The least mean among the configurations that were tried.
    """

    mean: Array
    sd: Array
    best: float

    @property
    def improvement(self) -> Array:
        """The expected improvement on the best so far, ``(n,)``, 0 or more."""
        z = (self.best - self.mean) / self.sd
        cdf = 0.5 * (1 + np.vectorize(math.erf, otypes=[float])(z / math.sqrt(2)))
        pdf = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
        found: Array = np.maximum(0.0, self.sd * (z * cdf + pdf))
        return found


class Model:
    """A Gaussian process over one space, fitted once.

    Args:
        ruler: Of the space.
        tried: The configurations, ``n`` of them.
        losses: Their scores, less being better; ``n`` of them, at least 1.

    Attributes:
        losses: Those of the trials that it is made of, at most `MOST`, in order.
        scores: Their normal scores, in the order of the trials.
    """

    def __init__(self, ruler: Ruler, tried: Sequence[Mapping[str, Value]], losses: Sequence[float]) -> None:
        kept = _most_telling(losses, MOST)
        self._ruler = ruler
        self._places = ruler.places([tried[i] for i in kept])
        self.scores = normal_scores([losses[i] for i in kept])
        self.losses = np.sort(np.asarray([losses[i] for i in kept], dtype=float))
        few = _most_telling([losses[i] for i in kept], _FITTED)
        gaps = ruler.differences(self._places, self._places) ** 2
        self._lengths, self._noise = _fit(gaps[np.ix_(few, few)], normal_scores([losses[kept[i]] for i in few]))
        kernel = _kernel(gaps, self._lengths)
        self._chol = np.linalg.cholesky(kernel + self._noise * np.eye(len(kept)))
        self._weights = np.linalg.solve(self._chol.T, np.linalg.solve(self._chol, self.scores))
        self._best = float((kernel @ self._weights).min())

    def judge(self, candidates: Sequence[Mapping[str, Value]]) -> Judgement:
        """Returns what is expected of candidates."""
        gaps = self._ruler.differences(self._ruler.places(candidates), self._places) ** 2
        cross = _kernel(gaps, self._lengths)
        spread = np.linalg.solve(self._chol, cross.T)
        sd = np.sqrt(np.maximum(1.0 - (spread**2).sum(axis=0), 1e-6))
        return Judgement(cross @ self._weights, sd, self._best)

    def quantiles(self, normal_scores: Array) -> Array:
        """Returns the scores that stand where normal scores, ``(n,)``, do among those of the trials."""
        normal = statistics.NormalDist()
        shares = np.array([normal.cdf(float(z)) for z in normal_scores])
        found: Array = np.interp(shares * (len(self.losses) - 1), np.arange(len(self.losses)), self.losses)
        return found


def _most_telling(losses: Sequence[float], most: int) -> list[int]:
    """Returns the places of the best half and of the latest, `most` in all, in order."""
    order = sorted(range(len(losses)), key=lambda i: (losses[i], i))
    kept = set(order[: most // 2])
    latest = (i for i in reversed(range(len(losses))) if i not in kept)
    return sorted([*kept, *itertools.islice(latest, most - len(kept))])


def normal_scores(losses: Sequence[float]) -> Array:
    """Returns the normal scores of the ranks, ``(n,)``; equals share the mean of their ranks."""
    values = np.asarray(losses, dtype=float)
    ranks = (values < values[:, None]).sum(axis=1) + ((values == values[:, None]).sum(axis=1) + 1) / 2
    normal = statistics.NormalDist()
    return np.array([normal.inv_cdf((r - 0.375) / (len(values) + 0.25)) for r in ranks])


def _kernel(squares: Array, lengths: Array) -> Array:
    r = np.sqrt(5.0 * (squares @ lengths**-2))
    found: Array = (1.0 + r + r**2 / 3.0) * np.exp(-r)
    return found


def _fit(squares: Array, scores: Array) -> tuple[Array, float]:
    """Returns one length a parameter, and the noise: one round of coordinate ascent on the evidence."""
    d = squares.shape[-1]
    lengths, noise = np.full(d, 0.4 * math.sqrt(d)), 0.1
    below = np.tril_indices(len(scores), -1)
    pairs = squares[below]
    tries = np.repeat(lengths[None, :], 1 + len(_NOISES), axis=0)
    noises = np.array([noise, *_NOISES])
    found = _evidences(pairs, below, scores, tries, noises)
    noise, best = float(noises[found.argmax()]), float(found.max())
    for j in range(d):  # What is tried for one parameter does not depend on each other: it is one computation.
        tries = np.repeat(lengths[None, :], len(_LENGTHS), axis=0)
        tries[:, j] = _LENGTHS
        found = _evidences(pairs, below, scores, tries, np.full(len(_LENGTHS), noise))
        if found.max() > best:
            lengths, best = tries[found.argmax()], float(found.max())
    return lengths, noise


def _evidences(pairs: Array, below: tuple[Any, Any], scores: Array, lengths: Array, noises: Array) -> Array:
    """Returns the log marginal likelihood of each of ``(t, d)`` lengths with its noise, ``(t,)``.

    Args:
        pairs: The squared differences of each configuration and those before it, ``(n (n - 1) / 2, d)``.
        below: Where they stand in the kernel's matrix.
        scores: ``(n,)``.
        lengths: ``(t, d)``.
        noises: ``(t,)``.
    """
    n = len(scores)
    # The scores are one row more of the matrix: its Cholesky factor then holds what solving for them would give. The
    # corner only has to be great enough, and with noise on its diagonal the rest is positive definite anyway.
    matrix = np.zeros((len(lengths), n + 1, n + 1))
    matrix[:, below[0], below[1]] = _kernel(pairs, lengths.T).T
    matrix[:, range(n), range(n)] = 1.0 + noises[:, None]
    matrix[:, n, :n] = scores
    matrix[:, n, n] = 1.0 + 2.0 * float(scores @ scores) / noises
    chol = np.linalg.cholesky(matrix)
    fit = -0.5 * (chol[:, n, :n] ** 2).sum(axis=1) - np.log(chol[:, range(n), range(n)]).sum(axis=1)
    # Lengths around 1, the whole range, are expected, within a factor of 3 (log-normal).
    found: Array = fit - 0.5 * ((np.log(lengths) / 1.1) ** 2).sum(axis=1)
    return found
