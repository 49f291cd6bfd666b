"""Search and pruning on recorded training curves: who finds more in as many trials, and what stopping early saves.

    python benchmarks/curves.py [--seeds 20] [--trials 40] [--part search pruning] [--out benchmarks/results/curves.md]

Nothing is trained: `record_curves.py` did that once for each point of a grid, and a proposal stands for the nearest
one. Prints a page and writes it. About ten minutes on one core.
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import shlex
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from _curve_pruning import RULES, Counted, replay
from _curves import Task, load, names, pairs
from _tables.arms import ARMS, REFERENCE
from _tables.ratios import ratio
from _tables.runs import Kept, Key, run_one

from neuropt_core.advice import Advisor
from neuropt_core.advisors.chance import RandomAdvisor
from neuropt_core.advisors.surrogate import SurrogateAdvisor
from neuropt_core.files import write_whole

SEARCHERS = (REFERENCE, "optuna_tpe", "random", "keyless")
PROPOSERS: Mapping[str, Callable[[], Advisor]] = {
    "random": RandomAdvisor,
    "surrogate": SurrogateAdvisor,
    "keyless": ARMS["keyless"],
}
"""Who proposes while rules are compared; to ``random`` it is all the same what became of the trials before."""
_RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Job:
    """Studies that differ in nothing but their seed.

    Attributes:
        task: The name of the task.
        arm: One of `ARMS`; with a rule one of `PROPOSERS`.
        seeds: How many, from 0.
        n_trials: The budget of each.
        rule: One of `RULES`, or "" for a study without pruning, run by the engine of `tables.py`.
        equal: Whether to go on until the epochs of `n_trials` whole trials are spent.
    """

    task: str
    arm: str
    seeds: int
    n_trials: int
    rule: str = ""
    equal: bool = False

    def search(self) -> dict[Key, Kept]:
        """Runs the studies without pruning."""
        keys = [Key(self.arm, self.task, seed, 1, self.n_trials) for seed in range(self.seeds)]
        return {key: run_one(key, ARMS[self.arm], load) for key in keys}  # type: ignore[arg-type]

    def prune(self) -> dict[Key, Counted]:
        """Replays the studies with the rule; the arm of their keys is ``proposer/rule``."""
        task, found = load(self.task), {}
        epochs = self.n_trials * task.epochs if self.equal else None
        for seed in range(self.seeds):
            run = replay(
                task, PROPOSERS[self.arm](), RULES[self.rule], seed=seed, n_trials=self.n_trials, epochs=epochs
            )
            # The trials themselves stay in their process.
            found[Key(f"{self.arm}/{self.rule}", self.task, seed, 1, self.n_trials)] = run.counted()
        return found


def run_all(jobs: Sequence[Job], processes: int, tell: Callable[[str], None]) -> dict[Job, dict[Key, Any]]:
    """Runs jobs in some processes and returns what came of each, in the order of `jobs`."""
    found = {}
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("fork")) as pool:
        futures = [pool.submit(job.prune if job.rule else job.search) for job in jobs]
        for job, future in zip(jobs, futures, strict=True):
            found[job] = future.result()
            tell(f"{job.task}: {job.arm} {job.rule}{', equal epochs' if job.equal else ''}")
    return found


def at_least_noise(kept: Mapping[Key, Kept]) -> dict[Key, Kept]:
    """Returns the runs with regrets below the noise between seeds counted as that noise: less is chance."""
    return {
        key: replace(run, regrets={cut: max(regret, load(key.task).noise) for cut, regret in run.regrets.items()})
        for key, run in kept.items()
    }


def as_kept(found: Mapping[Key, Counted]) -> dict[Key, Kept]:
    """Returns replays as runs, so that `ratio` reads them."""
    return {key: Kept(key, {key.n_trials: run.regret}, {}, 0.0, 0.0) for key, run in found.items()}


def describe(tasks: Sequence[Task]) -> str:
    """Returns what was recorded, as a table."""
    head = ["task", "configurations", "epochs", "CPU seconds in all", "best", "default", "median", "worst", "of twice",
            "seeds differ by"]  # fmt: skip
    rows = []
    for task in tasks:
        scores = sorted(task.scores.values())
        own = task.scores[task.place(task.space.defaults())]
        spent = sum(curve.points[-1].seconds for curve in task.curves.values())
        shown = [f"{value:.3g}" for value in (scores[0], own, statistics.median(scores), scores[-1])]
        rows.append([task.recorded.name, str(len(scores)), str(task.epochs), f"{spent:.0f}", *shown,
                     str(len(pairs(task.curves))), f"{task.noise * task.scale:.3g}"])  # fmt: skip
    return _table(head, rows)


def tell_search(kept: Mapping[Key, Kept], n_trials: int) -> str:
    """Returns the ratios of regret to the reference, for all tasks and for each."""
    cuts = next(iter(kept.values())).regrets
    arms = [arm for arm in dict.fromkeys(key.arm for key in kept) if arm != REFERENCE]
    parts = []
    for words, runs in (("regrets as they are", kept), ("at least the noise", at_least_noise(kept))):
        rows = []
        for task in ["", *names()]:
            for arm in arms:
                cells = [
                    ratio(runs, arm, REFERENCE, workers=1, n_trials=n_trials, cut=cut, family=task) for cut in cuts
                ]
                rows.append([task.partition("/")[2] or "all", arm, *map(str, cells)])
        parts.append(_table([words, "arm", *(f"@{cut}" for cut in cuts)], rows))
    rows = [
        [task.partition("/")[2], arm, *(f"{_mean(kept, task, arm, cut):.3g}" for cut in cuts)]
        for task in names()
        for arm in (REFERENCE, *arms)
    ]
    parts.append(_table(["mean regret", "arm", *(f"@{cut}" for cut in cuts)], rows))
    return "\n".join(parts)


def _mean(kept: Mapping[Key, Kept], task: str, arm: str, cut: int) -> float:
    return statistics.fmean(run.regrets[cut] for key, run in kept.items() if (key.task, key.arm) == (task, arm))


def tell_pruning(found: Mapping[Key, Counted], equal: Mapping[Key, Counted], n_trials: int) -> str:
    """Returns saved epochs against lost regret, for all tasks and for each."""
    kept = at_least_noise(as_kept(found))
    kept_equal = at_least_noise(as_kept(equal))
    head = ["task", "proposer / rule", "epochs saved", "trials stopped", "lost regret", "regret ratio",
            "worse by more than the noise", "trials in the same epochs", "regret ratio there"]  # fmt: skip
    rows = []
    for task in ["", *names()]:
        for arm in dict.fromkeys(key.arm for key in found):
            proposer, _, rule = arm.partition("/")
            if rule == "none":
                continue
            own = {key: run for key, run in found.items() if key.arm == arm and key.task.startswith(task)}
            whole = {key: found[replace(key, arm=f"{proposer}/none")] for key in own}
            saved = 1 - sum(r.epochs for r in own.values()) / sum(r.epochs for r in whole.values())
            stopped = sum(run.pruned for run in own.values()) / sum(run.trials for run in own.values())
            lost = statistics.fmean(run.regret - whole[key].regret for key, run in own.items())
            worse = sum(run.regret > whole[key].regret + load(key.task).noise for key, run in own.items())
            more = [run.trials for key, run in equal.items() if key.arm == arm and key.task.startswith(task)]
            ratios = [
                ratio(runs, arm, f"{proposer}/none", workers=1, n_trials=n_trials, cut=n_trials, family=task)
                for runs in (kept, kept_equal)
            ]
            rows.append([task.partition("/")[2] or "all", f"{proposer} / {rule}", f"{100 * saved:.0f} %",
                         f"{100 * stopped:.0f} %", f"{lost:+.4f}", str(ratios[0]), f"{worse} of {len(own)}",
                         f"{statistics.fmean(more):.0f}", str(ratios[1])])  # fmt: skip
    return _table(head, rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows]) + "\n"


_WORDS = """\
A score is the validation loss after the last epoch, of seed 0. Regret is the score of the best trial that ran to its
end minus the best of the grid, in units of the median configuration's; a ratio is the geometric mean over tasks and
seeds, with its 95 % interval (bootstrap over tasks and, within them, seeds). Below 1 the arm is better. "At least the
noise" counts a regret below the standard deviation between two seeds, measured on the best quarter, as that; so do the
ratios of pruning. "Lost regret" is the mean difference, in the same units. "The same epochs" are those of the whole
trials without pruning.
"""


def main() -> None:
    """Runs, prints the page and writes it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="how many, from 0")
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--part", nargs="+", choices=("search", "pruning"), default=["search", "pruning"])
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(SEARCHERS))
    parser.add_argument("--rules", nargs="+", choices=list(RULES), default=list(RULES))
    parser.add_argument("--proposers", nargs="+", choices=list(PROPOSERS), default=list(PROPOSERS))
    parser.add_argument("--out", type=Path, default=_RESULTS / "curves.md")
    options = parser.parse_args()

    def tell(line: str) -> None:
        sys.stderr.write(line + "\n")

    versions = ", ".join(f"{name} {version(name)}" for name in ("optuna", "numpy"))
    parts = [f"    {shlex.join(['python', 'benchmarks/curves.py', *sys.argv[1:]])}\n",
             f"Python {platform.python_version()}, {versions}; {options.seeds} seeds, {options.trials} trials.\n",
             _WORDS, "## What was recorded\n", describe([load(name) for name in names()])]  # fmt: skip
    if "search" in options.part:
        arms = list(dict.fromkeys([REFERENCE, *options.arms]))
        jobs = [Job(task, arm, options.seeds, options.trials) for task in names() for arm in arms]
        kept = {key: run for runs in run_all(jobs, options.jobs, tell).values() for key, run in runs.items()}
        parts += [f"## Search, against `{REFERENCE}`\n", tell_search(kept, options.trials)]
    if "pruning" in options.part:
        rules = list(dict.fromkeys(["none", *options.rules]))
        kinds = [(task, arm, rule) for task in names() for arm in options.proposers for rule in rules]
        found: tuple[dict[Key, Counted], ...] = ({}, {})
        jobs = [Job(t, a, options.seeds, options.trials, r, equal) for equal in (False, True) for t, a, r in kinds]
        for job, runs in run_all(jobs, options.jobs, tell).items():
            found[job.equal].update(runs)
        parts += ["## Pruning, against the same proposer without\n", tell_pruning(*found, options.trials)]
    text = "\n".join(parts)
    print(text)
    write_whole(options.out, text)


if __name__ == "__main__":
    main()
