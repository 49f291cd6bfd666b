"""Replicates folded into the trial that they repeat: its score becomes the mean, and how far they scatter is the noise.

Shown as trials of their own they would count a configuration several times in all that is told of its neighbourhood.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from statistics import fmean, stdev

from neuropt_core.advice import Request
from neuropt_core.trial import Trial, TrialState


@dataclass(frozen=True, slots=True)
class Repeated:
    """One configuration that was tried more than once.

    Attributes:
        others: The replicates, scored or not.
        values: The first score of all that are scored, the trial's own first.
    """

    others: tuple[Trial, ...]
    values: tuple[float, ...]

    @property
    def spread(self) -> str:
        """The standard deviation of the scores, e.g. `` ± 0.012``; "" where there is one score."""
        return f" ± {stdev(self.values):.2g}" if len(self.values) > 1 else ""

    @property
    def words(self) -> str:
        """Which trials the mean is of, e.g. `` (n=3 with #8, #9), 1 more seed running``."""
        listed = ", ".join(f"#{t.number}" for t in self.others if t.value is not None)
        words = f" (n={len(self.values)} with {listed})" if listed else ""
        left = [(sum(t.state is state for t in self.others), word) for state, word in _UNSCORED]
        return words + "".join(f", {count} more {word}" for count, word in left if count)


_UNSCORED = (
    (TrialState.RUNNING, "seed running"),
    (TrialState.FAIL, "seed failed"),
    (TrialState.PRUNED, "seed stopped early"),
)


@dataclass(frozen=True, slots=True)
class Folded:
    """A request without its replicates.

    Attributes:
        request: The trials with the mean scores of their replicates, and without these.
        repeated: By the number of the trial that was repeated.
        noise: The standard deviation of a first score over seeds, pooled; None where nothing was repeated.
    """

    request: Request
    repeated: Mapping[int, Repeated] = field(default_factory=dict)
    noise: float | None = None

    @property
    def noise_words(self) -> str:
        """What the noise is, and what it means; "" where it is not known."""
        if self.noise is None:
            return ""
        counted = [r for r in self.repeated.values() if len(r.values) > 1]
        runs = sum(len(r.values) for r in counted)
        return (
            f"Noise: another seed changes a score by {self.noise:.2g} (standard deviation, from {runs} runs of "
            f"{len(counted)} configuration{'' if len(counted) == 1 else 's'}); smaller differences are ties."
        )


def fold(request: Request) -> Folded:
    """Returns the request with each replicate folded into the scored trial that it repeats.

    A replicate of a trial without a score stays a trial of its own.
    """
    trials = {t.number: t for t in request.trials}
    others: dict[int, list[Trial]] = {}
    for trial in request.trials:
        root = _root(trial, trials)
        if root is not trial and root.value is not None:
            others.setdefault(root.number, []).append(trial)
    if not others:
        return Folded(request)
    away = {t.number for listed in others.values() for t in listed}
    kept = [_mean(t, others.get(t.number, [])) for t in request.trials if t.number not in away]
    repeated = {}
    for number, listed in others.items():
        values = (t.value for t in (trials[number], *listed))
        repeated[number] = Repeated(tuple(listed), tuple(v for v in values if v is not None))
    groups = [r.values for r in repeated.values() if len(r.values) > 1]
    freedom = sum(len(values) - 1 for values in groups)
    pooled = sum((len(values) - 1) * stdev(values) ** 2 for values in groups)
    return Folded(replace(request, trials=tuple(kept)), repeated, math.sqrt(pooled / freedom) if freedom else None)


def _root(trial: Trial, trials: Mapping[int, Trial]) -> Trial:
    # A parent has a smaller number, so this ends.
    while trial.proposal.source == "replicate" and trial.proposal.parent is not None:
        parent = trials.get(trial.proposal.parent)
        if parent is None or parent.number >= trial.number:
            break
        trial = parent
    return trial


def _mean(trial: Trial, others: list[Trial]) -> Trial:
    scored = [t.values for t in (trial, *others) if t.value is not None]
    if trial.outcome is None or len(scored) < 2:
        return trial
    first, *further = (fmean(column) for column in zip(*scored, strict=True))
    return replace(trial, outcome=replace(trial.outcome, value=first, further=tuple(further)))
