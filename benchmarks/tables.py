"""Search engines on 15 tables of trainings that were all run beforehand: who finds more in as many trials.

    python benchmarks/tables.py [--seeds 20] [--gp-seeds 5] [--trials 40] [--workers 1 4] [--jobs 2]
    python benchmarks/tables.py --arms keyless llm_good --tasks HPOBench/car --seeds 3 --exact --out /tmp/tables.md

No model is asked: `_tables/advisers.py` stands in the place of an LLM. Each run is one line of the cache, so that an
interrupted command goes on where it was, and arms can be added; a run that is there is not made again, so give
``--fresh`` when an arm's code has changed. Prints the page of `_tables/report.py` and writes it. From a prompt:

    import sys; sys.path.insert(0, "benchmarks")
    from tables import compare, names
    compare({"mine": lambda: MyAdvisor()}, names()[:5], range(4), n_trials=40, workers=1, jobs=2)
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from pathlib import Path

from _tables.arms import ARMS, REFERENCE
from _tables.ratios import compare
from _tables.report import page
from _tables.runs import CUTS, fill, forget, plan, read
from _tables.tasks import names

from neuropt_core.files import write_whole

__all__ = ["ARMS", "compare", "main", "names"]
_RESULTS = Path(__file__).parent / "results"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS), metavar="ARM")
    parser.add_argument("--tasks", nargs="+", default=list(names()), choices=names(), metavar="FAMILY/SET")
    parser.add_argument("--seeds", type=int, default=20, help="how many, from 0")
    parser.add_argument(
        "--gp-seeds", type=int, default=5, help="how many for optuna_gp, which takes seconds to propose"
    )
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 4], help="how many trials run at once")
    parser.add_argument("--trials", type=int, default=40, help="the budget, read at 10, 20, 40 ... too")
    parser.add_argument("--exact", action="store_true", help="one run for each budget of 10, 20, 40, 80 instead")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--cache", type=Path, default=_RESULTS / "tables.jsonl")
    parser.add_argument("--fresh", action="store_true", help="forget what the cache holds of these arms")
    parser.add_argument("--no-run", action="store_true", help="tell only what the cache holds")
    parser.add_argument("--out", type=Path, default=_RESULTS / "tables.md")
    return parser.parse_args()


def main() -> None:
    """Makes the runs that are missing, prints the page, and writes it."""
    arguments = _arguments()
    arms = list(dict.fromkeys([REFERENCE, *arguments.arms]))
    budgets = list(CUTS) if arguments.exact else [arguments.trials]
    keys = [
        key
        for key in plan(arms, arguments.tasks, range(arguments.seeds), arguments.workers, budgets)
        if key.arm != "optuna_gp" or key.seed < arguments.gp_seeds
    ]
    if arguments.fresh and arguments.cache.exists():
        forget(arguments.cache, set(arguments.arms))
    began = time.monotonic()

    def tell(done: int, wanted: int) -> None:
        seconds = time.monotonic() - began
        left = seconds / done * (wanted - done)
        if done % 100 and done != wanted:
            return
        sys.stderr.write(f"{done} of {wanted} runs, {seconds:.0f} s, about {left:.0f} s left\n")

    if not arguments.no_run:
        fill(arguments.cache, keys, ARMS, arguments.jobs, tell)
    kept = read(arguments.cache)
    command = shlex.join(["python", "benchmarks/tables.py", *sys.argv[1:]])
    text = page({key: kept[key] for key in keys if key in kept}, command, exact=arguments.exact)
    print(text)
    write_whole(arguments.out, text)


if __name__ == "__main__":
    main()
