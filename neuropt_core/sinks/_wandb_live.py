"""The runs that we make of running trials, while their curves grow, as the sweeper knows them."""

from __future__ import annotations

import re
import threading
from pathlib import Path

from neuropt_core.curve import Curve, Point
from neuropt_core.sinks._wandb_payload import Message, aside_message, live_message, run_id, trial_run
from neuropt_core.sinks.base import Scene
from neuropt_core.trial import Trial

_INTERRUPTED = "interrupted"
_DUPLICATE = "neuropt's copy"


class Live:
    """Which runs of ours are open, and what they have been told; for use by several threads.

    A run whose trial begins again at an earlier step shows points that no longer count. W&B cannot take them back, so
    the run is put aside, and the trial gets another one.

    Args:
        scene: The study when this process began.
        project: Where runs are made.
        entity: Whose that is.
        anew: Whether trials keep the ids that they had last, since all is told again.
    """

    def __init__(self, scene: Scene, project: str, entity: str | None, *, anew: bool = False) -> None:
        self._where = (project, entity)
        self._lock = threading.Lock()
        self._scene = scene
        self._anew = anew
        self._open: dict[int, tuple[Message, tuple[Point, ...]]] = {}
        self._ids: dict[int, str] = {}
        self._ended: set[int] = set()
        self._used = _ids_in(scene.folder / "wandb")
        # One script is like its next run of itself: if it has made a run, it will make one again.
        self._theirs = any(scene.runs(trial) for trial in scene.trials)

    def see(self, scene: Scene) -> None:
        """Takes in the study as it is now."""
        with self._lock:
            self._scene = scene

    def reported(self, trial: Trial, curve: Curve) -> list[Message]:
        """Returns the messages that show what a running trial has reported so far."""
        with self._lock:
            if trial.number in self._ended or not curve.points or trial.number not in self._scene.folders:
                return []  # Where it lies, and so whether it has runs of its own, is not known yet.
            if self._has_its_own(trial):
                return self._aside(trial.number, _DUPLICATE)
            run, known = self._open.get(trial.number, ({}, ()))
            put_aside = []
            if run and curve.points[: len(known)] != known:
                put_aside, run, known = self._aside(trial.number, _INTERRUPTED), {}, ()
            if not run:
                run = trial_run(self._scene, trial, *self._where, self._new_id(trial.number))
            self._open[trial.number] = (run, curve.points)
            if len(curve) == len(known):
                return put_aside
            return [*put_aside, live_message(run, curve, len(known))]

    def refused(self, trial: Trial, known: int) -> None:
        """Takes a message back that could not be sent: its trial's run has the first `known` points only."""
        with self._lock:
            if trial.number in self._open:
                run, points = self._open[trial.number]
                self._open[trial.number] = (run, points[:known])

    def ended(self, scene: Scene, trial: Trial) -> list[Message]:
        """Returns the messages that put a trial's run aside before the trial's end is told, where that is needed."""
        with self._lock:
            self._scene = scene
            self._ended.add(trial.number)  # A report that comes after its trial's end opens no run.
            _, known = self._open.get(trial.number, ({}, ()))
            if self._has_its_own(trial):
                return self._aside(trial.number, _DUPLICATE)
            if trial.curve.points[: len(known)] != known:
                put_aside = self._aside(trial.number, _INTERRUPTED)
                self._new_id(trial.number)
                return put_aside
            if self._open.pop(trial.number, None) is None:
                self._new_id(trial.number)
            return []

    def id_of(self, trial: Trial) -> str:
        """Returns the id of the newest run that we have made of a trial."""
        with self._lock:
            return self._ids.get(trial.number) or self._newest(trial.number)[0]

    def _has_its_own(self, trial: Trial) -> bool:
        self._theirs = bool(own := self._scene.runs(trial)) or self._theirs
        # While it runs, a script whose trials before had runs will make one soon; once ended, only its own count.
        return bool(own) or (self._theirs and trial.outcome is None and trial.number not in self._open)

    def _aside(self, number: int, why: str) -> list[Message]:
        run, _ = self._open.pop(number, ({}, ()))
        return [aside_message(run, why)] if run else []

    def _new_id(self, number: int) -> str:
        """Returns an id that no run of this study had; the last one that the trial's had if all is told again."""
        last, free = self._newest(number)
        name = last if self._anew else free
        self._used.add(name)
        self._ids[number] = name
        return name

    def _newest(self, number: int) -> tuple[str, str]:
        """Returns the last id that was used for a trial's run, and the next one that is free."""
        last = name = run_id(self._scene, number)
        again = 0
        while name in self._used:
            last, again = name, again + 1
            name = f"{run_id(self._scene, number)}-{again}"
        return last, name


def _ids_in(logs: Path) -> set[str]:
    """Returns the ids of the runs that earlier processes have made: each has left a folder."""
    folders = (re.fullmatch(r"(?:offline-)?run-\d+_\d+-(.+)", path.name) for path in logs.glob("*run-*"))
    return {found[1] for found in folders if found}
