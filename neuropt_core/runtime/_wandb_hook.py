"""Wraps `wandb.init` while a trial's task runs; imported only where the script has imported wandb, too.

The call itself gets what is ours. W&B's settings of the process (`wandb.setup`, the environment) would serve as well,
but cannot be set back to nothing, so that in a worker that runs several trials one trial's name would be the next's.
"""

from __future__ import annotations

import functools
import inspect
import json
import logging
import math
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import wandb

from neuropt_core.runtime._wandb_arguments import Additions, Call, as_settings, merged_config, merged_tags
from neuropt_core.runtime.wandb_watch import guarded
from neuropt_core.stop_file import StopRequest, ask
from neuropt_core.ticket import Ticket
from neuropt_core.tracking import RunRecord, record, recorded, sweep_path
from neuropt_core.trial import Outcome, numbered

_log = logging.getLogger(__name__)
_PAUSE = 0.2
"""Seconds between two looks at whether the job is asked to stop."""


@dataclass(frozen=True)
class _Begun:
    """A run that the job has begun.

    Attributes:
        run: W&B's object.
        known: What is recorded of it.
        library: W&B's state at that time; another one follows a `wandb.teardown`, which ends all runs.
    """

    run: Any
    known: RunRecord
    library: Any


def _leave(run: Any) -> None:
    """Lets wandb's service forget a run whose end has begun and is not waited for.

    Else the service closes it once more when this process ends, and `wandb sync` gives up on a file with two ends.
    """
    if run._is_finished:  # Which `finish` sets first; what follows is what it does last.
        run._wl.assert_service().inform_finish(run_id=run.id)


class Hook:
    """Looks after the runs that one job makes.

    Args:
        ticket: The job's.
        rank: The process's among those that train together. Only the first one records its runs.
    """

    def __init__(self, ticket: Ticket, rank: int = 0) -> None:
        self._ticket, self._rank = ticket, rank
        self._before = wandb.run  # The process's own, which is not this trial's.
        self._runs: list[_Begun] = []
        self._genuine: Any = wandb.init
        self._signature = inspect.signature(self._genuine)
        self._spaces: list[dict[str, Any]] = []
        self._active = True

        @functools.wraps(self._genuine)
        def init(*args: Any, **kwargs: Any) -> Any:
            return self._init(*args, **kwargs) if self._active else self._genuine(*args, **kwargs)

        self._wrapper = init

    def install(self, *spaces: dict[str, Any]) -> None:
        """Puts the wrapper in the place of `wandb.init`, also where modules have imported that by its name.

        Args:
            *spaces: Further names to look at, beside those of all modules.
        """
        self._spaces = [*spaces]
        self._replace(self._genuine, self._wrapper)

    def remove(self) -> None:
        """Leaves all as it was; a wrapper that somebody has kept calls the genuine function."""
        self._active = False
        self._replace(self._wrapper, self._genuine)
        self._runs.clear()  # Somebody may keep the wrapper, and so this object.

    def finish(
        self, outcome: Outcome | None, exit_code: int, seconds: float, hurry: float, preempted: bool = False
    ) -> None:
        """Finishes the runs that are open, in the order in which they were, and records how each has ended.

        Args:
            outcome: What is said of the trial in their summaries; None for nothing.
            exit_code: 0 marks a run as finished, others as failed.
            seconds: How long to wait for that.
            hurry: The same from when the job is asked to stop.
            preempted: Whether the runs' job will begin again.
        """
        run = wandb.run
        if run is not None and self._is_new(run):  # Its script had got hold of `init` in a way that is not seen.
            self._opened(run)
            if self._ticket.note is not None and not run.group:
                _log.warning("W&B: the run %s is in no group: neuropt did not see it begin.", run.id)

        runs = [*self._runs]

        def finish() -> None:
            for begun in runs:
                guarded("finish a run", self._finish, begun, outcome, exit_code, preempted)

        # wandb waits without an end for a service that hangs.
        thread = threading.Thread(target=finish, name="neuropt-wandb", daemon=True)
        thread.start()
        end = time.monotonic() + seconds
        while thread.is_alive() and time.monotonic() < end:
            thread.join(_PAUSE)
            if self._ticket.stop_path.exists():  # Soon the job is ended by force, and its result is not written yet.
                end = min(end, time.monotonic() + hurry)
                hurry = math.inf
        if thread.is_alive():
            for begun in runs:
                guarded("leave a run", _leave, begun.run)
            text = "W&B has not taken all data of trial %d yet; they are in %s (see `wandb sync`)."
            files = ", ".join(str(Path(begun.known.file).parent) for begun in runs)
            _log.warning(text, self._ticket.number, files)

    def _init(self, *args: Any, **kwargs: Any) -> Any:
        told = guarded("tell a run of its trial", self._told, args, kwargs)
        run = self._genuine(*args, **kwargs) if told is None else self._genuine(**told)
        if run is not None and self._is_new(run):
            self._opened(run)
        return run

    def _told(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any] | None:
        """Returns the arguments with ours in them; None to call as the script does."""
        arguments = self._signature.bind_partial(*args, **kwargs).arguments
        if arguments.get("mode") == "disabled":
            return None
        call = Call(arguments, wandb.setup().settings, wandb.Settings.model_fields)
        if call.is_disabled:
            return None
        note = self._ticket.note
        additions = Additions(note)
        if note is not None:
            sweep = guarded("find the sweep", _sweep, note.sweep_dir)
            stop = None if self._rank else _stopper(self._ticket, note.sweep_dir)
            additions = Additions(note, self._name(note.name, call.said("id")), sweep, stop)
        ours, settings = call.ours(additions)
        # Raises for what wandb will not take: better here than in the script's call.
        wandb.Settings(**as_settings(ours), **settings)
        return call.completed(ours, settings)

    def _name(self, base: str, run_id: Any) -> str:
        """Returns the next run's name: the trial's for the first, then with a number; a resumed one keeps its own."""
        if self._rank:
            return f"{base}-rank{self._rank}"
        made = [begun.known.id for begun in self._runs]
        for attempt in range(self._ticket.attempt + 1):
            made += [known.id for known in recorded(replace(self._ticket, attempt=attempt).runs_path)]
        made = [*dict.fromkeys(made)]
        place = made.index(run_id) if run_id in made else len(made)
        return f"{base}-{place + 1}" if place else base

    def _is_new(self, run: Any) -> bool:
        """Tells whether a run was begun by this job, and is not known yet; a resumed one says that it began before."""
        return not run.disabled and run is not self._before and all(run is not begun.run for begun in self._runs)

    def _opened(self, run: Any) -> None:
        known = guarded("see where a run is", _record_of, run)
        self._runs.append(_Begun(run, known or RunRecord(str(run.id)), guarded("see W&B's state", wandb.setup)))
        if known is not None:
            self._record(known)
        if self._ticket.note is not None:
            guarded("tell a run of its trial", self._tell, run)

    def _tell(self, run: Any) -> None:
        note = self._ticket.note
        assert note is not None
        ours = merged_config(run.config, note.config)
        run.config.update(ours, allow_val_change=True)
        pinned = [name for name in ours if name.startswith("neuropt_")]
        if pinned and hasattr(run, "pin_config_keys"):
            run.pin_config_keys(pinned)
        if not set(note.tags) <= set(run.tags or ()):
            run.tags = merged_tags(run.tags, note.tags)

    def _finish(self, begun: _Begun, outcome: Outcome | None, exit_code: int, preempted: bool) -> None:
        run, known = begun.run, begun.known
        if wandb.setup() is not begun.library:
            self._record(replace(known, ended=0))
            return
        if not run._is_finished:
            if outcome is not None and self._ticket.note is not None:
                guarded("tell a run its score", _summarise, run, outcome)
            if preempted:
                run.mark_preempting()
            run.finish(exit_code=exit_code)
        code = getattr(run, "_exit_code", None)
        self._record(replace(known, name=run.name or known.name, ended=exit_code if code is None else int(code)))

    def _record(self, known: RunRecord) -> None:
        if not self._rank:
            guarded("record a run", record, self._ticket.runs_path, known)

    def _replace(self, old: Any, new: Any) -> None:
        for names in (*_namespaces(), *self._spaces):
            for name, value in [*names.items()]:
                if value is old:
                    names[name] = new


def _namespaces() -> Iterator[dict[str, Any]]:
    for module in [*sys.modules.values()]:
        try:
            # Not through the module's own look-up, which would load what is to be loaded late.
            names = object.__getattribute__(module, "__dict__")
        except AttributeError:
            continue
        if type(names) is dict:
            yield names


def _record_of(run: Any) -> RunRecord:
    return RunRecord(
        id=str(run.id),
        project=run.project or "",
        entity=run.entity or "",
        url="" if run.offline else run.url or "",  # Offline, wandb warns whoever asks.
        name=run.name or "",
        mode="offline" if run.offline else "online",
        file=os.path.abspath(run.settings.sync_file),
    )


def _summarise(run: Any, outcome: Outcome) -> None:
    """Writes what came of the trial into a run's summary, but for what the script itself has written there."""
    ours: dict[str, Any] = {"neuropt/state": outcome.state.value}
    if outcome.value is not None and math.isfinite(outcome.value):
        ours |= numbered("score", (outcome.value, *outcome.further))
    theirs = set(run.summary.keys())
    run.summary.update({name: value for name, value in ours.items() if name not in theirs})


def _stopper(ticket: Ticket, sweep_dir: str) -> Any:
    # A plain function: wandb copies its settings deeply, which would copy all that an object holds.
    folder, number = Path(sweep_dir), ticket.number

    def stop() -> None:
        request = StopRequest("finish", "its run was stopped on its W&B page", by="W&B")
        guarded("pass on a stop", ask, folder, request, trial=number)

    return stop


def _sweep(sweep_dir: str) -> dict[str, str] | None:
    """Returns the W&B sweep to which the study's runs belong; None if there is none."""
    path = sweep_path(Path(sweep_dir))
    if not sweep_dir or not path.exists():
        return None
    data = json.loads(path.read_text(encoding="utf-8"))
    return {name: str(data.get(name) or "") for name in ("id", "project", "entity")}
