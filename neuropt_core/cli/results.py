"""`neuropt results`: how a study stands, from its journal alone, also while its sweep runs; nothing is written."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from neuropt_core.cli._standings import BARS, Proposer, bars, failures, improvements, proposers, steps
from neuropt_core.cli.report import status_of
from neuropt_core.errors import StudyError
from neuropt_core.files import write_whole
from neuropt_core.journal import PLACE
from neuropt_core.sinks._lines import changes, running_words
from neuropt_core.sinks._objectives import broken, difference, front, score
from neuropt_core.sinks.base import Scene
from neuropt_core.sinks.results import trials_csv
from neuropt_core.sinks.tables import Heading, Item, Table
from neuropt_core.sinks.text import (
    changed,
    compare,
    duration,
    first_sentence,
    literal,
    one_line,
    plain,
    reason,
    source,
)
from neuropt_core.taxonomy import kind_of
from neuropt_core.trial import Trial, TrialState

VERSION = 1
"""Of the JSON's form: it grows by new keys under the same number, and changes by a new one."""
_WIDEST = 60
"""Blocks of the chart of the best so far."""


def study_folder(path: Path) -> Path:
    """Returns the folder of the study that a path belongs to.

    The folder itself, ``neuropt`` in it, the journal, and files that a sweep writes beside it, e.g. ``report.html``,
    all name it, and so does the log of `neuropt_core.ArchSearch`. What is none of these is returned as it is, for the
    reader of the journal to refuse.
    """
    if path.is_file() and (beside := path.with_suffix(".neuropt") / PLACE).is_file():
        return beside.parent.parent
    for folder in (path, path.parent, path.parent.parent):
        if (folder / PLACE).is_file() and path in (
            folder,
            folder / "neuropt",
            folder / PLACE,
            *(folder / name for name in ("report.html", "results.yaml", "trials.csv", "neuropt.log", "multirun.yaml")),
        ):
            return folder
    return path


def results(scene: Scene, top: int | None = 10) -> dict[str, Any]:
    """Returns the study as plain data; docs/cli.md names the keys.

    Args:
        scene: The study.
        top: How many trials; None for all, in the order of their numbers.
    """
    best, advised, against = scene.best, scene.recommended, compare(scene)
    states = [trial.state for trial in scene.trials]
    spent = scene.spent
    return {
        "version": VERSION,
        "name": scene.spec.name,
        "folder": str(scene.folder),
        "status": status_of(scene),
        "directions": list(scene.spec.directions),
        "constraints": [str(c) for c in scene.spec.constraints],
        "advisor": scene.advisor,
        "n_trials": scene.n_trials,
        "counts": {state.value.lower(): states.count(state) for state in TrialState},
        "best": None if best is None else _trial(scene, best),
        "recommended": None if advised is None else {"number": advised.trial.number, "words": plain(advised.words)},
        "comparison": {"words": against.words, "difference": against.difference, "better": against.better},
        "trials": [_trial(scene, trial) for trial in _shown(scene, top)],
        "improvements": [{"number": t.number, "value": t.value} for t in improvements(scene)],
        "front": [trial.number for trial in front(scene)] if scene.spec.further else [],
        "importance": dict(sorted(scene.importance.items(), key=lambda item: (-item[1], item[0]))),
        "failures": [
            {"kind": kind, "trials": [t.number for t in trials], "reason": reason(trials[0])}
            for kind, trials in failures(scene).items()
        ],
        "proposers": [{name: getattr(p, name) for name in Proposer.__slots__} for p in proposers(scene)],
        "llm": {"calls": spent.calls, "tokens": spent.tokens, "usd": spent.usd},
    }


def items(scene: Scene, top: int | None = 10, *, chart: bool = True) -> list[Item]:
    """Returns what is shown to a person.

    Args:
        scene: The study.
        top: How many trials; None for all, in the order of their numbers.
        chart: Whether the stream takes block characters.
    """
    shown: list[Item] = [f"Study {one_line(scene.spec.name)}: {status_of(scene)}", f"  {_counts(scene)}"]
    if scene.best is None:
        shown.append("No trial has a score yet.")
    else:
        advised = scene.recommended
        shown.append(f"Best: trial {scene.best.number} with {score(scene.best)}; {compare(scene).words}.")
        if advised is not None and advised.noise is not None:
            shown.append(f"Recommended: {advised.words}.")
        take = scene.best if advised is None else advised.trial
        shown.append(_how(scene, take))
    if scene.running:
        now = time.monotonic()
        shown.append(f"Running: {', '.join(running_words(n, scene.running, now) for n in sorted(scene.running))}")
    rows = _shown(scene, top)
    if rows:
        title = "All trials, in their order" if top is None else "The best trials, and your own configuration"
        shown += [Heading(title), _table(scene, rows)]
    if scene.spec.further and (found := front(scene)):
        shown += [Heading("Pareto front: no trial beats one of these in all objectives"), _table(scene, found)]
    shown += _best_so_far(scene, chart=chart)
    if scene.importance:
        shown += [Heading("What mattered to a good score"), _importance(scene.importance, chart=chart)]
    return [*shown, *_failed(scene), *_who(scene)]


def _how(scene: Scene, trial: Trial) -> str:
    """Returns the command that runs a trial's configuration; of a search in Python, which has none, its parameters."""
    if not scene.in_python:
        return f"Run it once: {one_line(scene.reproduce(trial))}"
    return f"Its configuration: {', '.join(f'{name}={literal(value)}' for name, value in trial.params.items())}"


def write_csv(scene: Scene, where: str) -> None:
    """Writes all trials as CSV.

    Args:
        scene: The study.
        where: The file; ``-`` is stdout.

    Raises:
        StudyError: It cannot be written.
    """
    text = trials_csv(scene)
    if where == "-":
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()
        return
    try:
        write_whole(Path(where), text)
    except OSError as error:
        raise StudyError(where, f"cannot be written ({error.strerror or error})") from None


def _counts(scene: Scene) -> str:
    states = [trial.state for trial in scene.trials]
    named = ((TrialState.COMPLETE, "with a score"), (TrialState.PRUNED, "pruned"), (TrialState.FAIL, "failed"))
    counts = [
        f"{states.count(state)} {word}"
        for state, word in (*named, (TrialState.RUNNING, "without an outcome"))
        if state in states
    ]
    aim = " and ".join(scene.spec.directions)
    begun = f"{len(scene.trials)} of {scene.n_trials} trials begun: {', '.join(counts) or 'none'}"
    return "; ".join(filter(None, (begun, aim, one_line(scene.advisor))))


def _shown(scene: Scene, top: int | None) -> tuple[Trial, ...]:
    if top is None:
        return scene.trials
    found = list(scene.spec.ranked(scene.present)[:top])
    base = scene.baseline
    return (*found, base) if base is not None and base not in found and found else tuple(found)


def _trial(scene: Scene, trial: Trial) -> dict[str, Any]:
    base, outcome = scene.baseline, trial.outcome
    gap = None if base is None or base.value is None or trial.value is None else trial.value - base.value
    return {
        "number": trial.number,
        "state": trial.state.value,
        "values": list(trial.values),
        "difference": gap,
        "breaks": broken(scene.spec, trial),
        "seconds": None if outcome is None else round(outcome.seconds, 3),
        "source": source(trial),
        "rationale": plain(trial.proposal.rationale),
        "reason": reason(trial),
        "params": {name: plain(v) if isinstance(v, str) else v for name, v in trial.params.items()},
        "changed": [*changed(scene, trial)],
        "overrides": [plain(text) for text in scene.overrides.get(trial.number, ())],
        "command": one_line(scene.reproduce(trial)),
    }


def _table(scene: Scene, trials: Iterable[Trial]) -> Table:
    base = scene.baseline
    own = 0 if base is None else base.number
    rows = [("trial", "score", f"vs trial {own}", "seconds", "state", "source", "changed")]
    for trial in trials:
        outcome = trial.outcome
        what = "your own configuration" if trial.number == own else changes(scene, trial)
        if note := broken(scene.spec, trial) or reason(trial):
            what = f"{what}; {first_sentence(note)}"
        if trial.number in scene.left_out:
            what += "; does not fit the study as it is now"
        rows.append(
            (
                str(trial.number),
                score(trial),
                "-" if base is None or trial.number == own else difference(trial, base),
                "-" if outcome is None else f"{outcome.seconds:.1f}",
                trial.state.value,
                source(trial),
                what,
            )
        )
    return Table(rows, right=frozenset(range(4)))


def _best_so_far(scene: Scene, *, chart: bool) -> list[Item]:
    found = improvements(scene)
    if not found:
        return []
    rows = [("trial", "best so far"), *((str(t.number), score(t)) for t in found)]
    lines: list[Item] = [Heading("Best so far"), Table(rows, right=frozenset((0, 1)))]
    return (
        [*lines, f"  {bars(steps(scene, found), _WIDEST)}  trials 0 to {scene.trials[-1].number}"]
        if chart and len(found) > 1
        else lines
    )


def _importance(shares: Mapping[str, float], *, chart: bool) -> Table:
    ranked = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    block = BARS[-1] if chart else "#"
    rows = [(name, f"{100 * share:.0f} %", block * round(30 * share)) for name, share in ranked]
    return Table([("parameter", "share", ""), *rows], right=frozenset((1,)))


def _failed(scene: Scene) -> list[Item]:
    rows = [
        (kind, str(len(trials)), _few(trials), "" if kind == "pruned" else kind_of(kind).told_as, reason(trials[0]))
        for kind, trials in failures(scene).items()
    ]
    titles = ("kind", "trials", "which", "told as", "the first one's reason")
    return [Heading("Without a score"), Table([titles, *rows], right=frozenset((1,)))] if rows else []


def _few(trials: list[Trial]) -> str:
    return ", ".join(str(t.number) for t in trials[:8]) + (" ..." if len(trials) > 8 else "")


def _who(scene: Scene) -> list[Item]:
    found = proposers(scene)
    if not found:
        return []
    by_number = {trial.number: trial for trial in scene.present}
    rows = [
        (p.who, str(p.trials), str(p.scored), str(p.better), "-" if p.best is None else score(by_number[p.best]))
        for p in found
    ]
    titles = ("who proposed", "trials", "scored", "better than yours", "best score")
    ran = sum(t.outcome.seconds for t in scene.trials if t.outcome is not None)
    told: list[Item] = [Heading("Who proposed"), Table([titles, *rows], right=frozenset((1, 2, 3, 4)))]
    told.append(f"  Trials took {duration(ran)} in all.")
    return [*told, f"  LLM: {scene.spent.words}."] if scene.spent.calls else told
