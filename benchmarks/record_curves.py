"""Trains every configuration of a grid once, keeps its whole curve, and packs all into one small table a task.

    DATA_DIR=data nice python benchmarks/record_curves.py [--tasks digits_cnn] [--work curves_work] [--pack-only]

One line of JSON a run goes to <work>/<task>.jsonl; a second start goes on where the first was stopped. FashionMNIST is
read from $DATA_DIR/FashionMNIST/raw. About an hour on one core. The tables go to benchmarks/curves/<task>.json.gz.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from _curve_tasks import TASKS, CurveTask

from neuropt_core.space import Value

CURVES = Path(__file__).parent / "curves"
METRICS = ("train_loss", "val_loss", "val_accuracy", "seconds")
Train = Callable[[Mapping[str, Any], Mapping[str, Value], int], Sequence[Sequence[float]]]
"""(config, params, seed) -> for each epoch the `METRICS`."""


def record(
    task: CurveTask, work: Path, train: Train, say: Callable[[str], None] = print, *, reverse: bool = False
) -> None:
    """Trains what `work` does not hold yet and appends a line to it after each run.

    Seed 0 is recorded of the whole grid, then seed 1 of `replicas`. The work file is read again before each run, so
    that a second process may take the same grid from its other end.

    Args:
        task: What to record.
        work: The work file; need not exist.
        train: Trains one configuration.
        say: Is told each tenth run.
        reverse: From the grid's end.
    """
    _cut_torn(work)
    for seed in (0, 1):
        wanted = list(task.grid()) if seed == 0 else replicas(task, read_work(work))
        began = time.monotonic()
        for done, params in enumerate(reversed(wanted) if reverse else wanted, start=1):
            if key(params, seed) in read_work(work):
                continue
            rows = [list(row) for row in train(task.config, params, seed)]
            with work.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"key": key(params, seed), "rows": rows}) + "\n")
            if done % 10 == 0:
                say(f"{task.name}: {done} of {len(wanted)} with seed {seed}, {time.monotonic() - began:.0f} s")


def key(params: Mapping[str, Value], seed: int) -> str:
    """Returns the name of a run in the work file."""
    return json.dumps([dict(sorted(params.items())), seed])


def read_work(work: Path) -> dict[str, list[list[float]]]:
    """Returns the runs that a work file holds by `key`; a last line without its end is left out."""
    lines = work.read_text(encoding="utf-8").split("\n")[:-1] if work.exists() else []
    return {run["key"]: run["rows"] for run in map(json.loads, lines)}


def _cut_torn(work: Path) -> None:
    """Takes away a last line that an interruption has cut off, so that the next one begins on its own."""
    if work.exists():
        text = work.read_text(encoding="utf-8")
        work.write_text(text[: text.rfind("\n") + 1], encoding="utf-8")


def replicas(task: CurveTask, runs: Mapping[str, Sequence[Sequence[float]]]) -> list[dict[str, Value]]:
    """Returns what is trained with a second seed: the user's own, then the best by seed 0, then random ones.

    The best alone would mislead about noise, since seed 0 was kind to them.
    """
    grid = list(task.grid())
    best = sorted(grid, key=lambda params: _last(runs[key(params, 0)]))[: task.replicas // 2]
    others = random.Random(f"{task.name}/replicas").sample(grid, len(grid))
    own = task.space.defaults()
    ordered = {key(params, 1): params for params in (own, *best, *others)}
    return list(ordered.values())[: task.replicas]


def _last(rows: Sequence[Sequence[float]]) -> float:
    loss = rows[-1][METRICS.index("val_loss")]
    return loss if math.isfinite(loss) else math.inf


def pack(task: CurveTask, runs: Mapping[str, Sequence[Sequence[float]]], path: Path) -> None:
    """Writes a task's table: the axes, and of each run its place on them, its seed and its epochs.

    Numbers are rounded to 4 significant digits; what is not finite is written as its name. The bytes depend on the
    runs alone.
    """
    axes = {name: list(task.axis(name)) for name in task.space.names}
    packed = []
    for params, seed in ((params, seed) for seed in (0, 1) for params in task.grid()):
        if key(params, seed) in runs:
            place = [axes[name].index(params[name]) if name in params else None for name in axes]
            columns = zip(*runs[key(params, seed)], strict=True)
            packed.append([place, seed, [[_short(value) for value in column] for column in columns]])
    table = {"task": task.name, "config": task.config, "metrics": METRICS, "axes": axes, "runs": packed}
    text = json.dumps(table, separators=(",", ":"))
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


def _short(value: float) -> float | int | str:
    if not math.isfinite(value):
        return str(value)
    short = float(f"{value:.4g}")
    return int(short) if short.is_integer() and abs(short) < 1e6 else short


def main(arguments: Iterable[str] | None = None) -> None:
    """Records and packs."""
    from _curve_training import train  # Only here, so that the tables can be packed without torch.

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--work", type=Path, default=Path("curves_work"))
    parser.add_argument("--pack-only", action="store_true", help="pack what the work files hold")
    parser.add_argument("--reverse", action="store_true", help="from the grid's end, beside another process")
    options = parser.parse_args(None if arguments is None else list(arguments))
    options.work.mkdir(parents=True, exist_ok=True)
    for name in options.tasks:
        work = options.work / f"{name}.jsonl"
        if not options.pack_only:
            record(TASKS[name], work, train, reverse=options.reverse)
        CURVES.mkdir(exist_ok=True)
        pack(TASKS[name], read_work(work), CURVES / f"{name}.json.gz")


if __name__ == "__main__":
    main()
