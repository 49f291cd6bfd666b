"""Many studies, each kept as one line, so that what was interrupted goes on and arms can be added."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from _tables import tasks
from _tables.simulate import simulate
from neuropt_core.advice import Advisor
from neuropt_core.errors import ConfigError
from neuropt_core.files import append_line, read_lines, write_whole

Arms = Mapping[str, Callable[[], Advisor]]
CUTS = (10, 20, 40, 80)
"""After how many trials a run is read, as far as it goes."""

_arms: dict[str, Callable[[], Advisor]] = {}  # A worker's own; closures from a prompt cannot be sent, only forked.


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """What a run is identified by.

    Attributes:
        arm: The name of the arm.
        task: The name of the task.
        seed: The source of chance.
        workers: How many trials run at once.
        n_trials: The budget, which the advisor knows.
    """

    arm: str
    task: str
    seed: int
    workers: int
    n_trials: int


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of a run.

    Attributes:
        key: Which run it is.
        regrets: Trials -> normalised regret of what would then be recommended.
        sources: Who proposed how many trials; ``a for b`` where a stood in for b.
        ask: Mean CPU seconds for one proposal.
        seconds: Seconds that the whole run took, on the wall clock.
    """

    key: Key
    regrets: Mapping[int, float]
    sources: Mapping[str, int]
    ask: float
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Returns plain data from which `from_json` makes the same."""
        regrets = {str(cut): float(f"{regret:.6g}") for cut, regret in self.regrets.items()}
        return {
            **asdict(self.key),
            "regrets": regrets,
            "sources": dict(self.sources),
            "ask": round(self.ask, 5),
            "seconds": round(self.seconds, 3),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Kept:
        """Makes what `to_json` described."""
        key = Key(*(data[name] for name in ("arm", "task", "seed", "workers", "n_trials")))
        regrets = {int(cut): regret for cut, regret in data["regrets"].items()}
        return cls(key, regrets, data["sources"], data["ask"], data["seconds"])


def plan(
    arms: Iterable[str], names: Iterable[str], seeds: Iterable[int], workers: Iterable[int], budgets: Iterable[int]
) -> list[Key]:
    """Returns all runs; seed by seed, so that what is there after an interruption covers all arms and tasks."""
    grid = itertools.product(seeds, workers, budgets, names, arms)
    return [Key(arm, task, seed, count, n_trials) for seed, count, n_trials, task, arm in grid]


def run_one(key: Key, make: Callable[[], Advisor], load: Callable[[str], tasks.Task] = tasks.load) -> Kept:
    """Runs one study and judges it; `load` may know other tasks."""
    began = time.perf_counter()
    task = load(key.task)
    run = simulate(task, make(), seed=key.seed, n_trials=key.n_trials, workers=key.workers)
    cuts = sorted({cut for cut in CUTS if cut < key.n_trials} | {key.n_trials})
    regrets = {cut: task.regret(run.recommended(cut).params) for cut in cuts}
    proposals = [trial.proposal for trial in run.trials]
    sources = Counter(f"{p.source} for {p.stands_in_for}" if p.stands_in_for else p.source for p in proposals)
    return Kept(key, regrets, dict(sources), run.asking / max(run.asks, 1), time.perf_counter() - began)


def run_all(keys: Sequence[Key], arms: Arms, jobs: int) -> Iterator[Kept]:
    """Runs studies in `jobs` processes and yields them as they end, in no particular order if `jobs` is above 1.

    Raises:
        ConfigError: A key names an arm that is not among `arms`.
    """
    if unknown := {key.arm for key in keys} - arms.keys():
        raise ConfigError("arms", f"must be among {', '.join(arms)}", got=sorted(unknown))
    for name in {key.task for key in keys}:
        tasks.load(name)  # Before the processes part, so that all of them share one copy of the tables.
    if jobs == 1:
        yield from (run_one(key, arms[key.arm]) for key in keys)
        return
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(arms,)) as pool:
        try:
            for future in as_completed([pool.submit(_run_named, key) for key in keys]):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _begin(arms: Arms) -> None:
    _arms.update(arms)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # Read by torch, which only the Gaussian process loads, and late.


def _run_named(key: Key) -> Kept:
    return run_one(key, _arms[key.arm])


def read(path: Path) -> dict[Key, Kept]:
    """Returns what a cache file holds; a line that was torn by a crash is cut off the file.

    Raises:
        ValueError: A line before the last is not JSON.
    """
    if not path.exists():
        return {}
    lines, torn = read_lines(path)
    if torn:
        whole = path.read_bytes()
        path.write_bytes(whole[: whole.rindex(b"\n") + 1] if b"\n" in whole else b"")
    found = (Kept.from_json(line) for line in lines)
    return {kept.key: kept for kept in found}


def fill(path: Path, keys: Collection[Key], arms: Arms, jobs: int, tell: Callable[[int, int], None]) -> None:
    """Runs what the cache file lacks and appends it.

    Args:
        path: The file.
        keys: The runs that it shall hold.
        arms: Where the arms are looked up.
        jobs: How many processes.
        tell: Called with (done, wanted) after each run.
    """
    kept = read(path)
    missing = [key for key in keys if key not in kept]
    for done, run in enumerate(run_all(missing, arms, jobs), start=1):
        append_line(path, run.to_json())
        tell(done, len(missing))


def forget(path: Path, arms: set[str]) -> None:
    """Takes all runs of `arms` out of a cache file."""
    kept = [run.to_json() for key, run in read(path).items() if key.arm not in arms]
    write_whole(path, "".join(json.dumps(line) + "\n" for line in kept))
