"""What `neuropt results` tells beside the scores: who proposed how well, what failed, how the best came about."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from neuropt_core.sinks.base import Scene
from neuropt_core.sinks.text import source
from neuropt_core.trial import Trial, TrialState

BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Proposer:
    """What came of the trials that one proposer asked for.

    Attributes:
        who: ``llm``, ``prior`` and so on, for whom it stood in included.
        trials: How many it proposed.
        scored: How many of these have a score.
        better: How many of these are better than the user's own configuration, by the first objective.
        best: The number of its best trial; None without a score.
    """

    who: str
    trials: int
    scored: int
    better: int
    best: int | None


def proposers(scene: Scene) -> tuple[Proposer, ...]:
    """Returns each proposer with what came of its trials, in the order of their first ones."""
    found: dict[str, list[Trial]] = {}
    for trial in scene.present:
        found.setdefault("replicate" if trial.proposal.source == "replicate" else source(trial), []).append(trial)
    base = scene.baseline
    return tuple(
        Proposer(
            who,
            len(trials),
            sum(t.value is not None for t in trials),
            sum(_beats(scene, t, base) for t in trials),
            next((t.number for t in scene.spec.ranked(tuple(trials))), None),
        )
        for who, trials in found.items()
    )


def improvements(scene: Scene) -> tuple[Trial, ...]:
    """Returns the trials that were the best when their scores came, by number; empty for several objectives.

    Trials that break a constraint do not count, unless all do.
    """
    if scene.spec.further:
        return ()
    scored = [t for t in scene.present if t.value is not None]
    fair = [t for t in scored if scene.spec.feasible(t)] or scored
    found: list[Trial] = []
    for trial in fair:
        if not found or _beats(scene, trial, found[-1]):
            found.append(trial)
    return tuple(found)


def failures(scene: Scene) -> dict[str, list[Trial]]:
    """Returns kind of failure -> trials without a score for it, the most frequent first."""
    found: dict[str, list[Trial]] = {}
    for trial in scene.trials:
        if trial.state in (TrialState.FAIL, TrialState.PRUNED) and trial.outcome is not None:
            failure = trial.outcome.failure
            found.setdefault("pruned" if failure is None else failure.kind, []).append(trial)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def steps(scene: Scene, found: tuple[Trial, ...]) -> list[float]:
    """Returns the best score after each trial from the first improvement on."""
    every = [t.number for t in scene.trials if t.number >= found[0].number]
    values = [next(t.value for t in reversed(found) if t.number <= at) for at in every]
    return [value for value in values if value is not None]


def bars(values: Sequence[float], width: int) -> str:
    """Returns a chart of one row: the lowest value as the lowest block, the highest as the highest.

    Args:
        values: A series; what is not finite is shown as ``x``.
        width: The most blocks, 2 or more; of a longer series so many are shown, its first and last among them.
    """
    last = len(values) - 1
    shown = [values[i * last // (width - 1)] for i in range(width)] if len(values) > width else values
    finite = [value for value in shown if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    scale = (len(BARS) - 1) / (high - low) if math.isfinite(high - low) and high > low else 0.0
    return "".join(BARS[round((v - low) * scale)] if math.isfinite(v) else "x" for v in shown)


def _beats(scene: Scene, trial: Trial, other: Trial | None) -> bool:
    if other is None or trial.value is None or other.value is None:
        return False
    return trial.value < other.value if scene.spec.direction == "minimize" else trial.value > other.value
