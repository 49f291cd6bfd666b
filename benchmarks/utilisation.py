"""How busy the workers are: trials one by one as places come free, against batches; and what each trial costs beside.

    python benchmarks/utilisation.py [--out benchmarks/results/utilisation.md] [--parts mix long overhead]
        [--launchers submitit_local submitit_slurm] [--repeats 1]

Real sweeps of `benchmarks/sleeper/train.py`, whose jobs sleep for times that are a function of the trial's number, so
that all arms run the same work. Three parts:

* mix: 24 jobs, log-normal from 2.7 to 30 s, 4 workers: one by one, and in batches through the launcher's own `launch`.
* long: 24 jobs, log-normal from 20 to 120 s, 4 workers, one by one only.
* overhead: 8 jobs of half a second, one worker, for each backend: from the journal's launch to its tell, less the
  job's own time. `torch` means that the job imports torch.

Utilisation is the sum of the jobs' times over workers times wall-clock time, from the first launch to the last tell.
The ideal is the same work, in the same order, each job starting on the first free of the workers without any cost.
SLURM's arms need a cluster that `squeue` sees (docs/slurm.md has one for contributors); without it they are left out.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "benchmarks" / "sleeper" / "train.py"
WORKERS, JOBS = 4, 24
OVERHEAD = {
    "basic, process": ("hydra/launcher=basic",),
    "basic, in the sweeper's process": ("hydra/launcher=basic", "hydra.sweeper.isolate=false"),
    "joblib, batch": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=1"),
    "submitit_local, submitit": ("hydra/launcher=submitit_local",),
    "submitit_local, batch": ("hydra/launcher=submitit_local", "hydra.sweeper.backend=batch"),
    "submitit_slurm, submitit": ("hydra/launcher=submitit_slurm",),
    "submitit_slurm, batch": ("hydra/launcher=submitit_slurm", "hydra.sweeper.backend=batch"),
    "ray, ray": ("hydra/launcher=ray",),
}
"""Launcher and backend -> overrides."""


@dataclass(frozen=True)
class Run:
    """One sweep, as its journal tells it: per trial the seconds of its job, of its launch and of its tell."""

    own: tuple[float, ...]
    launched: tuple[float, ...]
    told: tuple[float, ...]

    @property
    def wall(self) -> float:
        """Seconds from the first launch to the last tell."""
        return max(self.told) - min(self.launched)

    def busy(self, workers: int) -> float:
        """Returns the share of the workers' time in which they ran a job."""
        return sum(self.own) / (workers * self.wall)

    @property
    def beside(self) -> list[float]:
        """Returns for each trial but the first the seconds from launch to tell, less the job's own."""
        return [t - b - s for t, b, s in zip(self.told[1:], self.launched[1:], self.own[1:], strict=True)]


def lengths(least: float, most: float, count: int = JOBS, seed: int = 0) -> list[float]:
    """Returns log-normal times in seconds, scaled so that the shortest and the longest are as asked."""
    rng = random.Random(f"{seed}/lengths")
    drawn = sorted(rng.lognormvariate(0, 1) for _ in range(count))
    low, high = drawn[0], drawn[-1]
    power = math.log(most / least) / math.log(high / low)
    times = [round(least * (value / low) ** power, 1) for value in drawn]
    rng.shuffle(times)
    return times


def ideal(times: Sequence[float], workers: int = WORKERS) -> float:
    """Returns the wall-clock seconds of a schedule in this order, each job on the first free worker, at no cost."""
    free = [0.0] * workers
    for seconds in times:
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)


def sweep(arguments: Iterable[str], times: Sequence[float], n_trials: int, workers: int, *, torch: bool = False) -> Run:
    """Runs a sweep and returns what its journal says.

    Raises:
        RuntimeError: It did not end well.
    """
    folder = Path(tempfile.mkdtemp(prefix="utilisation-", dir=os.environ.get("TMPDIR")))
    words = [
        "hydra/sweeper=neuropt",
        f"hydra.sweep.dir={folder}",
        "hydra.sweeper.wandb.mode=disabled",
        "hydra.sweeper.advisor=prior",
        "hydra.sweeper.replicates=0",
        f"hydra.sweeper.n_trials={n_trials}",
        f"hydra.sweeper.max_parallel={workers}",
        "x=interval(0,1)",
        f"seconds=[{','.join(map(str, times))}]",
        *arguments,
    ]
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environ |= {"SLEEPER_TORCH": "1"} if torch else {}
    try:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", str(SCRIPT), "--multirun", *words],
            env=environ,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(words)}: {done.stderr[-2000:]}{done.stdout[-2000:]}")
        records = [json.loads(line) for line in (folder / "neuropt" / "journal.jsonl").read_text().splitlines()]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    launched = {r["number"]: r["time"] for r in records if r["op"] == "launch"}
    told = {r["number"]: r for r in records if r["op"] == "tell"}
    if bad := [n for n, r in told.items() if r["outcome"]["state"] != "COMPLETE"]:
        raise RuntimeError(f"{' '.join(words)}: trials {bad} have no score")
    return Run(
        tuple(told[n]["outcome"]["seconds"] for n in sorted(told)),
        tuple(launched[n] for n in sorted(told)),
        tuple(told[n]["time"] for n in sorted(told)),
    )


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Returns the median with the least and the greatest."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def mix(launchers: Sequence[str], repeats: int) -> list[str]:
    """Compares one by one with batches on the short mix."""
    times = lengths(2.7, 30.0)
    best = ideal(times)
    lines = [
        f"## Short trials: {JOBS} jobs, {min(times)} to {max(times)} s, {sum(times):.0f} s in all, {WORKERS} workers",
        "",
        f"Ideal: {best:.1f} s, {sum(times) / WORKERS / best:.1%} busy. Median (least to greatest) of {repeats}.",
        "",
        "| launcher | how | wall, s | busy | of the ideal | times the barrier's |",
        "|---|---|---|---|---|---|",
    ]
    for launcher in launchers:
        runs: dict[str, list[Run]] = {"batches": [], "one by one": []}
        for _ in range(repeats):  # In turn, so that other work on the machine falls on both alike.
            for how, found in runs.items():
                extra = ("hydra.sweeper.backend=batch",) if how == "batches" else ()
                found.append(sweep((f"hydra/launcher={launcher}", *extra), times, JOBS, WORKERS))
        barrier = statistics.median(run.busy(WORKERS) for run in runs["batches"])
        for how, found in runs.items():
            busy = [100 * run.busy(WORKERS) for run in found]
            lines.append(
                f"| {launcher} | {how} | {spread([run.wall for run in found], 1)} | {spread(busy, 1)} % "
                f"| {best / statistics.median(run.wall for run in found):.2f} "
                f"| {statistics.median(busy) / 100 / barrier:.2f} |"
            )
    return lines


def long(launchers: Sequence[str]) -> list[str]:
    """Measures one by one where trials last as long as the shortest real ones."""
    times = lengths(20.0, 120.0)
    best = ideal(times)
    lines = [
        f"## Longer trials: {JOBS} jobs, {min(times)} to {max(times)} s, {sum(times):.0f} s in all, {WORKERS} workers",
        "",
        f"Ideal: {best:.1f} s, {sum(times) / WORKERS / best:.1%} busy.",
        "",
        "| launcher | wall, s | busy | of the ideal |",
        "|---|---|---|---|",
    ]
    for launcher in launchers:
        run = sweep((f"hydra/launcher={launcher}",), times, JOBS, WORKERS)
        lines.append(f"| {launcher} | {run.wall:.1f} | {run.busy(WORKERS):.1%} | {best / run.wall:.2f} |")
    return lines


def overhead(cluster: bool) -> list[str]:
    """Measures what each backend adds to a trial."""
    lines = [
        "## Seconds per trial beside the job's own, one at a time",
        "",
        "From the journal's launch to its tell, less the time within the task function; 7 trials after the first.",
        "Median (least to greatest). With torch the script imports it at its top, as training scripts do.",
        "",
        "| launcher, backend | without torch | with torch |",
        "|---|---|---|",
    ]
    for name, arguments in OVERHEAD.items():
        if "slurm" in name and not cluster:
            lines.append(f"| {name} | no cluster | no cluster |")
            continue
        plain = sweep(arguments, [0.5], 8, 1)
        torch = sweep(arguments, [0.5], 8, 1, torch=True)
        lines.append(f"| {name} | {spread(plain.beside)} | {spread(torch.beside)} |")
    return lines


def main() -> None:
    """Runs the parts that are asked for and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--parts", nargs="+", default=["mix", "long", "overhead"])
    parser.add_argument("--launchers", nargs="+", default=["submitit_local", "submitit_slurm"])
    parser.add_argument("--repeats", type=int, default=1)
    args = parser.parse_args()
    cluster = shutil.which("squeue") is not None and subprocess.run(["squeue"], capture_output=True).returncode == 0
    launchers = [name for name in args.launchers if cluster or "slurm" not in name]
    page = [
        "# How busy the workers are",
        "",
        f"`{' '.join(['python', 'benchmarks/utilisation.py', *sys.argv[1:]])}`",
        "",
    ]
    for part in args.parts:
        made = {"mix": lambda: mix(launchers, args.repeats), "long": lambda: long(launchers[-1:])}
        page += [*(made[part]() if part in made else overhead(cluster)), ""]
        print("\n".join(page), flush=True)
    load = os.getloadavg()[0]
    page += [f"Python {platform.python_version()}, {os.cpu_count()} cores, load {load:.1f} at the end."]
    if args.out:
        args.out.write_text("\n".join(page) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
