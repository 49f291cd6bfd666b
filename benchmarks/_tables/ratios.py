"""Ratios of regret between arms, paired by task and seed, with bootstrap intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from _tables.arms import ARMS, REFERENCE
from _tables.runs import Kept, Key, plan, run_all
from neuropt_core.advice import Advisor

FLOOR = 1e-3
"""Normalised regrets below this count as this, so that the optimum itself has a logarithm."""

_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Ratio:
    """How an arm's regret compares with the reference's; below 1 it is the better one.

    Attributes:
        value: The geometric mean, over tasks and seeds, of the two normalised regrets' ratio.
        low: The 2.5 % quantile of the bootstrap.
        high: The 97.5 % quantile.
        tasks: How many tasks it rests on.
        seeds: How many seeds, in each of them.
    """

    value: float
    low: float
    high: float
    tasks: int
    seeds: int

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def ratio(
    kept: Mapping[Key, Kept],
    arm: str,
    reference: str,
    *,
    workers: int,
    n_trials: int,
    cut: int,
    floor: float = FLOOR,
    family: str = "",
) -> Ratio | None:
    """Returns the ratio over all tasks (of a family) and those seeds that both arms have on each; None without any.

    The interval is a bootstrap of both: tasks are drawn with replacement, and in each drawn task its seeds.
    """
    logs: dict[str, dict[int, float]] = {}
    for key, run in kept.items():
        if (key.arm, key.workers, key.n_trials) != (arm, workers, n_trials) or not key.task.startswith(family):
            continue
        other = kept.get(Key(reference, key.task, key.seed, workers, n_trials))
        if other is not None:
            mine, theirs = (max(r.regrets[cut], floor) for r in (run, other))
            logs.setdefault(key.task, {})[key.seed] = math.log(mine / theirs)
    seeds = sorted(set.intersection(*(set(found) for found in logs.values()))) if logs else []
    if not seeds:
        return None
    table = np.array([[found[seed] for seed in seeds] for _, found in sorted(logs.items())])
    low, high = np.exp(np.quantile(_bootstrap(table), (0.025, 0.975)))
    return Ratio(float(np.exp(table.mean())), float(low), float(high), *table.shape)


def _bootstrap(table: np.ndarray) -> np.ndarray:
    """Returns resampled means of a table (tasks, seeds)."""
    rng = np.random.default_rng(0)
    tasks, seeds = table.shape
    rows = rng.integers(tasks, size=(_RESAMPLES, tasks, 1))
    columns = rng.integers(seeds, size=(_RESAMPLES, tasks, seeds))
    means: np.ndarray = table[rows, columns].mean(axis=(1, 2))
    return means


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `compare` found; prints as a table.

    Attributes:
        ratios: (arm, trials) -> ratio to the reference.
        asks: Arm -> mean CPU seconds for one proposal.
        kept: The runs themselves.
    """

    ratios: Mapping[tuple[str, int], Ratio]
    asks: Mapping[str, float]
    kept: Mapping[Key, Kept]

    def __str__(self) -> str:
        cuts = sorted({cut for _, cut in self.ratios})
        rows = [["arm", *(f"@{cut}" for cut in cuts), "ms per ask"]]
        rows += [[arm, *(str(self.ratios[arm, cut]) for cut in cuts), f"{1e3 * s:.1f}"] for arm, s in self.asks.items()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def compare(
    arms: Mapping[str, Callable[[], Advisor]],
    tasks: Sequence[str],
    seeds: Iterable[int],
    n_trials: int = 40,
    workers: int = 1,
    jobs: int = 1,
    *,
    reference: str = REFERENCE,
    known: Mapping[Key, Kept] | None = None,
) -> Comparison:
    """Runs arms on tasks and compares them; for tuning from a prompt.

    Args:
        arms: Name -> a function that makes a fresh advisor.
        tasks: Names of tasks, see `tasks.names`.
        seeds: The seeds.
        n_trials: The budget of each run, which is also read at the cut-offs below it.
        workers: How many trials run at once.
        jobs: How many processes work.
        reference: The arm that the others are compared with: one of `arms`, or else of `ARMS`.
        known: Runs that need not be made again, e.g. an earlier comparison's `kept`. An arm whose code has changed
            needs a new name, or must be left out of it.

    Returns:
        The ratios, the time per proposal, and the runs.

    Raises:
        ConfigError: A task, or the reference, is not known.
    """
    if reference not in arms and reference in ARMS:
        arms = {reference: ARMS[reference], **arms}
    wanted = plan(arms, tasks, list(seeds), [workers], [n_trials])
    kept = dict(known or {})
    kept.update((run.key, run) for run in run_all([key for key in wanted if key not in kept], arms, jobs))
    ours = {key: run for key, run in kept.items() if key.task in tasks and key.seed in {k.seed for k in wanted}}
    cuts = next(kept[key].regrets for key in wanted)
    found = {
        (arm, cut): r
        for arm in arms
        for cut in cuts
        if (r := ratio(ours, arm, reference, workers=workers, n_trials=n_trials, cut=cut)) is not None
    }
    return Comparison(found, mean_asks(kept[key] for key in wanted), kept)


def mean_asks(runs: Iterable[Kept]) -> dict[str, float]:
    """Returns the mean CPU seconds for one proposal of each arm."""
    found: dict[str, list[float]] = {}
    for run in runs:
        found.setdefault(run.key.arm, []).append(run.ask)
    return {arm: sum(values) / len(values) for arm, values in found.items()}
