"""A study as the sinks see it, told again from its journal alone: without Hydra, without its lock, writing nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from neuropt_core.assemble import importances
from neuropt_core.attempt_files import AttemptFiles
from neuropt_core.budget import Limits
from neuropt_core.curve import Curve
from neuropt_core.errors import StudyError
from neuropt_core.files import read_lines
from neuropt_core.heartbeat import SILENCE_SECONDS, is_alive, modified
from neuropt_core.lock import holder
from neuropt_core.replay import Replay, replayed
from neuropt_core.sinks.base import Scene
from neuropt_core.spending import spent
from neuropt_core.ticket import Ticket
from neuropt_core.trial import Failure, Outcome

_STOPPED = "the sweep was stopped"
"""How the message of a trial begins that ended since its sweep was stopped: no machine was at fault."""


def scene_of(sweep_dir: Path) -> Scene:
    """Returns the study in a sweep's folder, be it that a sweeper works on it or not.

    What only a running sweeper knows is not told: the budgets (GPU-hours are reckoned with one GPU a trial), and the
    user's own price of the LLM, in whose place stands the list's. What older journals do not hold is left empty.

    Args:
        sweep_dir: ``hydra.sweep.dir``, wherever it lies by now.

    Raises:
        StudyError: There is no such folder, no study in it, or its journal is damaged; the text says which line.
    """
    folder = sweep_dir.absolute()
    state = replayed(_records(folder), str(_journal(folder)))
    trials, current = state.in_order, state.current
    numbers = {trial.number for trial in trials}
    folders = {number: folder / place for number, place in state.folders.items()}
    works = bool(at_work(folder))
    running = _running(state, folders, works)
    now = time.monotonic()
    seconds = state.seconds + (max(0.0, time.time() - (state.last or time.time())) if works else 0.0)
    ran = [max(0.0, now - at) for at in running.values() if at is not None]
    return Scene(
        spec=state.spec,
        trials=trials,
        n_trials=int(state.about.get("n_trials") or len(trials)),
        folder=folder,
        command=str(state.about.get("command") or "python train.py"),
        overrides=dict(state.overrides),
        advisor=str(state.about.get("advisor") or ""),
        spent=spent(state.consulted),
        importance=_importance(state),
        used=Limits().used(seconds, trials, state.retried, ran),
        retries=_retries(state),
        running=running,
        left_out=frozenset(numbers - {trial.number for trial in current}),
        consulted=tuple(state.consulted),
        rejected=tuple(state.rejected),
        config=dict(state.setup.config or {}),
        folders=folders,
    )


def at_work(sweep_dir: Path) -> str:
    """Returns who works on the study in a folder, e.g. ``process 7 on node1``; "" if nobody does."""
    try:
        found = holder(sweep_dir / "neuropt" / "journal.lock")
    except OSError:
        return ""
    if found is None:
        return ""
    return f"process {found['pid']} on {found['host']}" if {"pid", "host"} <= found.keys() else "a process"


def curves_of(scene: Scene) -> Mapping[int, Curve]:
    """Returns what the trials that run have reported so far, by number; those that reported nothing are left out."""
    found = {}
    for number in scene.running:
        with suppress(OSError, ValueError, KeyError, TypeError):  # Its folder may lie on another machine's disk.
            folder = scene.folders[number]
            curve = Ticket(folder, number, _last_attempt(folder, number)).curve()
            if curve.points:
                found[number] = curve
    return found


def _journal(folder: Path) -> Path:
    return folder / "neuropt" / "journal.jsonl"


def _records(folder: Path) -> list[dict[str, Any]]:
    mend = "Name the folder that the sweep printed as its own (hydra.sweep.dir)."
    if not folder.is_dir():
        raise StudyError(str(folder), "is no folder" if folder.exists() else "does not exist", mend=mend)
    path = _journal(folder)
    try:
        records = read_lines(path)[0]  # A line on its way, or torn by a crash, is left out.
    except (FileNotFoundError, NotADirectoryError):
        raise StudyError(str(folder), "holds no neuropt study", mend=mend) from None
    except OSError as error:
        raise StudyError(str(path), f"cannot be read ({error.strerror or error})") from None
    except ValueError as error:
        raise StudyError(str(error), mend="Mend the journal, or put its backup back.") from None
    if not records:
        raise StudyError(str(folder), "holds no neuropt study yet: its journal is empty", mend=mend)
    return records


def _running(state: Replay, folders: Mapping[int, Path], at_work: bool) -> dict[int, float | None]:
    """Returns the trials in flight that live or wait for a machine, and when they began."""
    found: dict[int, float | None] = {}
    for number, trial in state.trials.items():
        if trial.outcome is None and _in_flight(state, number) and number in folders:
            ticket = Ticket(folders[number], number, state.attempts[number])
            with suppress(OSError, ValueError, KeyError):  # A torn or foreign file: then nothing is known of it.
                if (began := _began(ticket, at_work)) is not False:
                    found[number] = None if began is None else time.monotonic() - ticket.seconds()
    return found


def _began(ticket: Ticket, at_work: bool) -> float | bool | None:
    """Returns when the job of an attempt that lives began, by its file system's clock; None if it is still to begin.

    False if it has ended. On another machine its heartbeat tells, by the clock of the file system, which need not be
    ours: nothing is written here to ask for it, and nothing depends on the answer but what is shown.
    """
    if ticket.result_path.exists():
        return False
    if not ticket.started_path.exists():
        return None if at_work and ticket.path.exists() else False
    alive = is_alive(json.loads(ticket.started_path.read_text(encoding="utf-8")))
    if alive is None:
        alive = time.time() - ticket.heard < SILENCE_SECONDS
    return modified(ticket.started_path) if alive else False


def _in_flight(state: Replay, number: int) -> bool:
    return number in state.attempts and state.settled.get(number) != state.attempts[number]


def _last_attempt(folder: Path, number: int) -> int:
    attempt = 0
    while AttemptFiles(folder, number, attempt + 1).path.exists():
        attempt += 1
    return attempt


def _retries(state: Replay) -> dict[int, int]:
    """Returns how often trials were launched again since a machine, and not the end of a sweep, was at fault."""
    counts = {}
    for number, outcomes in state.retried.items():
        waits = state.trials[number].outcome is None and not _in_flight(state, number)
        counts[number] = sum(map(_is_fault, outcomes[:-1] if waits else outcomes))
    return {number: count for number, count in counts.items() if count}


def _is_fault(outcome: Outcome) -> bool:
    failure: Failure | None = outcome.failure
    return failure is not None and failure.says_nothing and not failure.message.startswith(_STOPPED)


def _importance(state: Replay) -> Mapping[str, float]:
    try:
        return importances(state.spec, state.current)
    except Exception:  # noqa: BLE001 - it is shown and nothing depends on it; Optuna raises many kinds
        return {}
