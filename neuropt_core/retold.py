"""A study as the sinks see it, told again from its journal alone: without Hydra, without its lock, writing nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from neuropt_core.assemble import importances
from neuropt_core.budget import Limits
from neuropt_core.curve import Curve
from neuropt_core.errors import StudyError
from neuropt_core.faults import relaunched
from neuropt_core.heartbeat import SILENCE_SECONDS, is_alive, modified
from neuropt_core.journal import PLACE, read_study
from neuropt_core.lock import holder
from neuropt_core.replay import Replay, replayed
from neuropt_core.sinks.base import Scene
from neuropt_core.spending import Price, spent
from neuropt_core.ticket import Ticket
from neuropt_core.trial import Trial


def scene_of(sweep_dir: Path) -> Scene:
    """Returns the study in a sweep's folder, be it that a sweeper works on it or not.

    What older journals do not hold is left empty; without the budgets GPU-hours are reckoned with one GPU a trial, and
    without the user's own price of the LLM the list's stands in its place.

    Args:
        sweep_dir: ``hydra.sweep.dir``, wherever it lies by now.

    Raises:
        StudyError: There is no such folder, no study in it, or its journal is damaged; the text says which line.
    """
    folder = sweep_dir.absolute()
    state = replayed(records_of(folder), str(folder / PLACE))
    scene = _scene(folder, state)
    works = bool(at_work(folder))
    running = _running(state, scene.folders, works)
    since = max(0.0, time.time() - state.last) if works and state.last is not None else 0.0
    ran = [max(0.0, time.monotonic() - at) for at in running.values() if at is not None]
    return replace(
        scene,
        importance=_importance(state),
        used=scene.limits.used(state.seconds + since, scene.trials, state.retried, ran),
        running=running,
        curves=_curves(state, scene.folders, running),
    )


def scenes_of(sweep_dir: Path) -> Iterator[tuple[Scene, Trial]]:
    """Yields each trial that has ended, in the order in which they did, with the study as it stood then.

    Raises:
        StudyError: As of `scene_of`.
    """
    for record, state, scene in moments(sweep_dir):
        if record["op"] == "tell":
            yield scene(), state.trials[record["number"]]


def moments(
    sweep_dir: Path, further: Iterable[dict[str, Any]] = ()
) -> Iterator[tuple[Mapping[str, Any], Replay, Callable[[], Scene]]]:
    """Yields each record of a study, the state as it was then, and what makes the scene of it.

    Args:
        sweep_dir: ``hydra.sweep.dir``.
        further: Records that come after those that are there now.

    Raises:
        StudyError: As of `scene_of`.
    """
    folder = sweep_dir.absolute()
    records = records_of(folder)
    about = replayed(records, str(folder / PLACE)).about  # Damage must show before anything is told.
    state = Replay(records[0])

    def scene() -> Scene:
        state.about = {**about, **state.about}
        return _scene(folder, state)

    yield records[0], state, scene
    for record in chain(records[1:], further):
        state.take(record)
        yield record, state, scene


def wandb_settings(sweep_dir: Path) -> dict[str, Any]:
    """Returns what the study's last session had below ``hydra.sweeper.wandb``; empty of an older journal.

    Raises:
        StudyError: As of `scene_of`.
    """
    folder = sweep_dir.absolute()
    return dict(replayed(records_of(folder), str(folder / PLACE)).about.get("wandb") or {})


def _scene(folder: Path, state: Replay) -> Scene:
    trials, limits, price = state.in_order, Limits(**state.about.get("limits") or {}), state.about.get("price")
    return Scene(
        spec=state.spec,
        trials=trials,
        n_trials=int(state.about.get("n_trials") or len(trials)),
        folder=folder,
        command=str(state.about.get("command") or "python train.py"),
        overrides=dict(state.overrides),
        advisor=str(state.about.get("advisor") or ""),
        spent=spent(state.consulted, None if price is None else Price(**price)),
        limits=limits,
        used=limits.used(state.seconds, trials, state.retried),
        retries=relaunched(state.retried, trials, state.in_flight),
        left_out=frozenset({t.number for t in trials} - {t.number for t in state.current}),
        consulted=tuple(state.consulted),
        rejected=tuple(state.rejected),
        config=dict(state.setup.config or {}),
        folders={number: folder / place for number, place in state.folders.items()},
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


def records_of(folder: Path) -> list[dict[str, Any]]:
    """Returns the journal's records.

    Raises:
        StudyError: As of `scene_of`.
    """
    records = read_study(folder)
    if not records:
        mend = "Look again when the sweep has begun its study."
        raise StudyError(str(folder), "holds no neuropt study yet: its journal is empty", mend=mend)
    return records


def _running(state: Replay, folders: Mapping[int, Path], at_work: bool) -> dict[int, float | None]:
    """Returns the trials in flight that live or wait for a machine, and when they began."""
    found: dict[int, float | None] = {}
    for number, trial in state.trials.items():
        if trial.outcome is None and state.in_flight(number) and number in folders:
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


def _curves(state: Replay, folders: Mapping[int, Path], running: Iterable[int]) -> dict[int, Curve]:
    found = {}
    for number in running:
        with suppress(OSError, ValueError, KeyError, TypeError):
            curve = Ticket(folders[number], number, state.attempts[number]).curve()
            if curve.points:
                found[number] = curve
    return found


def _importance(state: Replay) -> Mapping[str, float]:
    try:
        return importances(state.spec, state.current)
    except Exception:  # noqa: BLE001 - it is shown and nothing depends on it; Optuna raises many kinds
        return {}
