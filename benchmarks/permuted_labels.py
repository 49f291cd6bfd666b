"""Whether the history reaches the model and comes back: a scripted reader of it, with true and with permuted scores.

    python benchmarks/permuted_labels.py [--seeds 30] [--out benchmarks/results/permuted_labels.md]

No model is asked. The reader (tests/support/history_reader.py) sees the text of the prompts alone: it takes the rows
of the two best trials and proposes near one of them. In the second arm the scores of the trials are dealt anew among
them before each request. Random search knows no history at all. Prints a Markdown table: the median over the seeds of
the best value so far of a bowl over three parameters (0 is the optimum; the user's own configuration has 8.8), and in
how many seeds the true history did better.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from neuropt_core.advice import Request
from neuropt_core.advisors.chance import RandomAdvisor
from neuropt_core.spec import StudySpec

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))

from history_reader import SPACE, objective, run_study

SIZES = (10, 20, 30, 50)


def best_so_far(seed: int, arm: str) -> list[float]:
    """Returns the best value after each of `SIZES` trials."""
    if arm == "random":
        request = Request(StudySpec("s", SPACE, seed=seed), (), 1, max(SIZES) - 1, max(SIZES))
        values = [
            objective(SPACE.defaults()),
            *(objective(p.params) for p in RandomAdvisor().propose(request).proposals),
        ]
    else:
        with tempfile.TemporaryDirectory() as folder:
            trials = run_study(Path(folder), max(SIZES), seed, permuted=arm == "permuted").trials
        values = [t.value for t in trials if t.value is not None]
    return [min(values[:n]) for n in SIZES]


def table(seeds: int) -> str:
    """Returns the table."""
    found = {arm: [best_so_far(seed, arm) for seed in range(seeds)] for arm in ("true", "permuted", "random")}
    lines = [
        f"| best value, median of {seeds} seeds | {' | '.join(f'{n} trials' for n in SIZES)} |",
        "|---|" + "---|" * len(SIZES),
    ]
    for arm, words in (("true", "true history"), ("permuted", "permuted history"), ("random", "random search")):
        cells = (f"{statistics.median(values):.2f}" for values in zip(*found[arm], strict=True))
        lines.append(f"| {words} | {' | '.join(cells)} |")
    for arm in ("permuted", "random"):
        pairs = zip(zip(*found["true"], strict=True), zip(*found[arm], strict=True), strict=True)
        wins = (sum(a < b for a, b in zip(*pair, strict=True)) for pair in pairs)
        lines.append(f"| true better than {arm}, of {seeds} | {' | '.join(map(str, wins))} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Prints the table, and writes it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    made = table(arguments.seeds)
    print(made)
    if arguments.out is not None:
        arguments.out.write_text(made)


if __name__ == "__main__":
    main()
