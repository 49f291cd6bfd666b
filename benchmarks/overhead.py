"""What a study costs beside the training: ask, tell and resume, next to Optuna with its journal storage.

    python benchmarks/overhead.py [--out benchmarks/results/overhead.md] [--sizes 10 100 1000 10000] [--repeats 5]

Nothing is trained. The trials are random configurations of one space (8 parameters, one of them conditional) with made
up scores and curves of 15 points and 4 metrics; a tenth has failed, a tenth was stopped. All run in one process, in
turn, so that other work on the machine falls on each alike. An ask and a resume are computing, and told in milliseconds
of CPU; a tell waits for the disk, and is told in milliseconds of wall-clock time. Each is the median of the repeats,
with the least and the greatest. Optuna's sampler is TPE with the same arguments as ours.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState as OptunaState

from neuropt_core.advice import Advisor, Request
from neuropt_core.advisors._optuna import distributions, suggestion, tpe
from neuropt_core.advisors.chance import draw
from neuropt_core.advisors.surrogate import SurrogateAdvisor
from neuropt_core.assemble import make_advisor
from neuropt_core.curve import Curve, Point
from neuropt_core.files import append_line
from neuropt_core.journal import Journal
from neuropt_core.space import Categorical, Float, Int, SearchSpace, When
from neuropt_core.spec import StudySpec
from neuropt_core.study import Study
from neuropt_core.trial import Failure, Outcome, Proposal, TrialState

SPACE = SearchSpace(
    (
        Float(name="optimizer.lr", low=1e-5, high=1e-1, log=True, default=1e-3, has_default=True, role="lr"),
        Float(name="optimizer.weight_decay", low=1e-6, high=1e-1, log=True, default=1e-2, has_default=True, role="wd"),
        Categorical(name="optimizer.name", choices=("AdamW", "SGD", "Lion"), default="AdamW", has_default=True),
        Float(name="optimizer.momentum", low=0.0, high=0.99, when=(When("optimizer.name", ("SGD",)),)),
        Int(name="data.batch_size", low=16, high=512, log=True, default=64, has_default=True),
        Float(name="model.dropout", low=0.0, high=0.6, default=0.1, has_default=True, role="dropout"),
        Int(name="model.depth", low=2, high=16, default=4, has_default=True),
        Float(name="loss.label_smoothing", low=0.0, high=0.3, default=0.0, has_default=True),
    )
)
SPEC = StudySpec("overhead", SPACE)
STARTUP = 5


def outcome(number: int) -> Outcome:
    """Returns how a trial ended: a function of its number."""
    rng = random.Random(f"outcome/{number}")
    names = ("train_loss", "val_loss", "val_acc", "lr")
    points = tuple(Point(i, {name: rng.random() for name in names}, 3.1 * i) for i in range(15))
    kind = rng.random()
    if kind < 0.1:
        return Outcome(TrialState.FAIL, failure=Failure("out_of_memory", "CUDA out of memory"), curve=Curve(points[:2]))
    if kind < 0.2:
        return Outcome(TrialState.PRUNED, curve=Curve(points[:6]), reason="cannot win", seconds=20.0)
    return Outcome(TrialState.COMPLETE, points[-1].metrics["val_loss"], Curve(points), seconds=46.5)


def timed(action: Callable[[], object], repeats: int, clock: Callable[[], float] = time.perf_counter) -> list[float]:
    """Returns the milliseconds of each call."""
    found = []
    for _ in range(repeats):
        began = clock()
        action()
        found.append(1000 * (clock() - began))
    return found


def shown(times: list[float], unit: str = "") -> str:
    """Returns the median with the least and the greatest: ``3.1 (2.9 to 4.0)``."""
    return f"{statistics.median(times):.3g}{unit} ({min(times):.3g} to {max(times):.3g})"


def grown(study: Study, n: int) -> list[float]:
    """Asks and tells until there are `n` trials; returns the milliseconds of each tell."""
    tells = []
    for number in range(len(study.trials), n):
        study.ask(Proposal(draw(SPACE, 0, number), "Made up for this measurement.", "random"))
        study.launch(number)
        tells += timed(lambda told=number: study.tell(told, outcome(told)), 1)  # type: ignore[misc]
    return tells


def filled(path: Path, n: int) -> Journal:
    """Writes a journal of `n` trials without waiting for the disk at each line, and opens it."""
    study = Study(SPEC, Unsynced(path))
    grown(study, n)
    path.with_suffix(".lock").unlink()
    return Journal(path)


class Unsynced(Journal):
    """A journal that is written in one go, to set the scene."""

    def append(self, record: object) -> None:
        """Adds a record without waiting for the disk."""
        append_line(self.path, record)


def asked(advisors: Sequence[Advisor], study: Study, others: Sequence[optuna.Study], repeats: int) -> list[list[float]]:
    """Returns the CPU milliseconds of each ask, by each advisor and then by Optuna on each of `others`, in turn.

    Before each round the study has grown by one trial; the first round, after a resume, is left out.
    """
    found: list[list[float]] = [[] for _ in (*advisors, *others)]
    for _ in range(repeats):
        grown(study, len(study.trials) + 1)
        for i, advisor in enumerate(advisors):
            found[i] += timed(lambda by=advisor: by.propose(request_of(study)), 1, time.process_time)  # type: ignore[misc]
        for i, other in enumerate(others, start=len(advisors)):
            found[i] += timed(lambda to=other: suggestion(to, SPACE), 1, time.process_time)  # type: ignore[misc]
    return found


def request_of(study: Study) -> Request:
    """Returns the question for one more trial."""
    return study.request(count=1, n_trials=20_000)


def optunas(path: Path | None, n: int) -> optuna.Study:
    """Returns Optuna's study with the same trials, in memory or in its journal."""
    storage = None if path is None else JournalStorage(JournalFileBackend(str(path)))
    study = optuna.create_study(storage=storage, sampler=tpe(seed=0, startup=STARTUP), study_name="overhead")
    known = distributions(SPACE)
    study.add_trials(optunas_trial(number, known) for number in range(n))
    return study


def optunas_trial(number: int, known: dict[str, optuna.distributions.BaseDistribution]) -> optuna.trial.FrozenTrial:
    """Returns one of our made up trials as Optuna has it."""
    params, told = draw(SPACE, 0, number), outcome(number)
    failed = told.state is TrialState.FAIL
    return optuna.trial.create_trial(
        state=OptunaState.PRUNED if told.state is TrialState.PRUNED else OptunaState.COMPLETE,
        values=[0.9] if failed else None if told.value is None else [told.value],
        params=params,
        distributions={name: known[name] for name in params},
        intermediate_values=dict(told.curve.series("val_loss")),
        constraints={"failed": 1.0} if failed else {},
    )


def optunas_told(study: optuna.Study, repeats: int) -> list[float]:
    """Returns the milliseconds in which a trial reports 15 values and is told."""
    found = []
    for _ in range(repeats):
        trial = study.ask()
        began = time.perf_counter()
        for step in range(15):
            trial.report(0.5, step)
        study.tell(trial, 0.5)
        found.append(1000 * (time.perf_counter() - began))
    return found


def resumed(ours: Path, theirs: Path, repeats: int) -> tuple[list[float], list[float]]:
    """Returns the CPU milliseconds in which each journal becomes a study again, in turn."""

    def our_own() -> None:
        journal = Journal(ours)
        Study(SPEC, journal)
        journal.close()

    def optunas_own() -> None:
        optuna.load_study(study_name="overhead", storage=JournalStorage(JournalFileBackend(str(theirs))))

    clock = time.process_time
    pairs = [(timed(our_own, 1, clock)[0], timed(optunas_own, 1, clock)[0]) for _ in range(repeats)]
    return [a for a, _ in pairs], [b for _, b in pairs]


def measured(n: int, repeats: int, folder: Path) -> tuple[str, str]:
    """Returns the row of asks and the row of tells and resumes at `n` trials."""
    path, theirs = folder / f"{n}.jsonl", folder / f"{n}.optuna"
    filled(path, n).close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna calls parts of itself experimental.
        others = [optunas(None, n), optunas(theirs, n)]
    our_resumes, optunas_resumes = resumed(path, theirs, repeats)
    size = path.stat().st_size / 1e6
    journal = Journal(path)
    study = Study(SPEC, journal)
    advisors = [SurrogateAdvisor("tpe"), make_advisor("prior", {}, {})]
    first, *_ = (timed(lambda by=by: by.propose(request_of(study)), 1, time.process_time)[0] for by in advisors)  # type: ignore[misc]
    ours, engine, in_memory, in_journal = asked(advisors, study, others, repeats)
    tells, optunas_tells = grown(study, len(study.trials) + repeats), optunas_told(others[1], repeats)
    journal.close()
    more = [a - b for a, b in zip(ours, in_memory, strict=True)]
    asks = (shown(ours), f"{first:.3g}", shown(engine), shown(in_memory), shown(in_journal), shown(more))
    rest = (shown(tells), shown(optunas_tells), shown(our_resumes), shown(optunas_resumes), f"{size:.3g}")
    return f"| {n:,} | {' | '.join(asks)} |", f"| {n:,} | {' | '.join(rest)} |"


def main() -> None:
    """Measures and writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "overhead.md")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 100, 1_000, 10_000])
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rows = []
    for n in given.sizes:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measured(n, given.repeats, Path(folder)))
            print(*rows[-1], sep="\n", flush=True)
    lines = [
        "# What a study costs beside the training",
        "",
        f"`python benchmarks/overhead.py --repeats {given.repeats}`: 8 parameters, one conditional; curves of 15",
        "points and 4 metrics. Median (least to greatest). "
        f"Optuna {optuna.__version__}, Python {platform.python_version()}, {os.cpu_count()} cores,",
        f"load {os.getloadavg()[0]:.1f} at the end: the wall-clock times are upper bounds where it is above the cores.",
        "",
        "## Ask, milliseconds of CPU",
        "",
        "`surrogate` is our TPE beside a growing study, `first` its first ask after a resume, `engine` what",
        "`advisor: prior` builds. Optuna's own is `TPESampler` with the same arguments. The last column is",
        "the surrogate less Optuna in memory, round by round; the target is below 10.",
        "",
        "| trials | surrogate | first | engine | Optuna, in memory | Optuna, journal | more than Optuna |",
        "|---|---|---|---|---|---|---|",
        *(row for row, _ in rows),
        "",
        "## Tell, milliseconds of wall-clock time, and resume, milliseconds of CPU",
        "",
        "Our tell journals the whole outcome with its curve and waits for the disk (fsync); Optuna's reports 15 values",
        "and tells. The target for the resume of 10,000 trials is below 2,000.",
        "",
        "| trials | tell | Optuna, journal: report and tell | resume | Optuna, journal: resume | our journal, MB |",
        "|---|---|---|---|---|---|",
        *(row for _, row in rows),
        "",
    ]
    given.out.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
