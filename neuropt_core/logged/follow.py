"""Follows what a trial's script logs for itself, as the job runs and to its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

from neuropt_core.curve import Curve
from neuropt_core.heartbeat import is_alive
from neuropt_core.logged._series import Values
from neuropt_core.logged.curve import StartLogged, in_turn, over_starts, side_by_side
from neuropt_core.logged.event_file import EventFile
from neuropt_core.logged.find import MOST_FILES, StartOf, event_files, starts_of, wandb_files
from neuropt_core.logged.gathering import MOST_METRICS, MOST_POINTS, Gathering
from neuropt_core.logged.wandb_file import WandbFile
from neuropt_core.ticket import Ticket

LOOK_SECONDS = 0.2
"""The most time that one look takes, but for a search; what it leaves, the next one reads."""
LONGEST = 60.0
"""The most seconds that the last look takes at the logs of a trial that has ended."""
_SETTLING = 2.0
"""Seconds within which W&B's helper completes the file of a job that has ended; measured: up to 15 ms."""
_SEARCH_EVERY, _SEARCH_SHARE = 2.0, 0.02
"""Seconds between two searches for event files, and the most of the time that they may take."""
_ROWS = 256
"""Rows between two looks at the clock."""


class Follower:
    """The curve of one trial as its logs tell it: W&B's if they hold any number, else TensorBoard's.

    May be used from several threads. What goes wrong with a file is no exception but in `said`; the rest still counts.
    """

    def __init__(self, ticket: Ticket) -> None:
        """Reads nothing yet; the curve is that of all attempts up to the ticket's."""
        self._ticket = ticket
        self._lock = threading.Lock()
        self._runs: dict[Path, _Log] = {}
        self._events: dict[tuple[int, int], dict[Path, _Log]] = {}
        self._starts: tuple[StartOf, ...] = ()
        self._search_at = 0.0
        self._curve: Curve | None = Curve()
        self._problems: dict[str, None] = {}

    @property
    def curve(self) -> Curve:
        """What was logged so far."""
        with self._lock:
            if self._curve is None:
                self._curve = self._joined()
            return self._curve

    @property
    def said(self) -> tuple[str, ...]:
        """What people should know of it, each once: what cannot be read, and what was left out."""
        with self._lock:
            logs = self._used()
            said = [log.file.problem for log in logs if log.file.problem]
            if any(log.gathering.crowded for log in logs):
                said.append(f"of the metrics that it logs, the first {MOST_METRICS} are kept")
            if any(log.gathering.thinned for log in logs):
                said.append(f"of the values that it logs, at most {MOST_POINTS} of a metric are kept, evenly chosen")
            return tuple(dict.fromkeys([*self._problems, *said]))

    def look(self, seconds: float = LOOK_SECONDS) -> bool:
        """Reads what is new for at most so long; tells whether anything was."""
        with self._lock:
            return self._look(time.monotonic() + seconds)

    def finish(self, seconds: float = LONGEST) -> Curve:
        """Reads to the end the logs of a job that has ended, and returns the curve."""
        until = time.monotonic() + seconds
        with self._lock:
            self._search_at = 0.0
            self._look(until)
            settled = time.monotonic() + (_SETTLING if self._ticket.result_path.exists() else 0.0)
            while self._is_open() and time.monotonic() < settled:
                if (starts := self._ticket.starts()) and is_alive(starts[-1]) is False:
                    settled = 0.0  # Nobody writes any more.
                else:
                    time.sleep(0.02)
                self._look(until)
            if time.monotonic() > until:
                self._problems[f"its logs could not be read to their end within {seconds:.0f} s"] = None
        return self.curve

    def _is_open(self) -> bool:
        return any(not log.file.ended and not log.file.problem for log in self._runs.values())

    def _look(self, until: float) -> bool:
        try:
            self._search()
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._problems[f"its logs cannot be found: {type(error).__name__}: {error}"] = None
        new = False
        for log in self._used():
            new |= log.read(until)
        if new:
            self._curve = None
        return new

    def _search(self) -> None:
        for path in wandb_files(self._ticket)[:MOST_FILES]:
            if path not in self._runs:
                self._runs[path] = _Log(WandbFile(path))
        began = time.monotonic()
        if began < self._search_at:
            return
        if (starts := starts_of(self._ticket)) != self._starts:
            self._starts, self._curve = starts, None
        if not self._told_by_runs:
            for origin, paths in event_files(self._ticket, starts).items():
                known = self._events.setdefault(origin, {})
                for path in paths:
                    if path not in known and len(known) < MOST_FILES:
                        known[path] = _Log(EventFile(path))
        for start in starts:  # Its end may have become known since.
            for log in self._events.get(start.origin, {}).values():
                log.start = start
        now = time.monotonic()
        self._search_at = now + max(_SEARCH_EVERY, (now - began) / _SEARCH_SHARE)

    @property
    def _told_by_runs(self) -> bool:
        return any(log.gathering.values for log in self._runs.values())

    def _used(self) -> Sequence[_Log]:
        runs = list(self._runs.values())
        if self._told_by_runs:
            return runs
        return [*runs, *(log for logs in self._events.values() for log in logs.values())]

    def _joined(self) -> Curve:
        if self._told_by_runs:
            return over_starts(self._from_runs())
        return over_starts(
            StartLogged(
                start.began,
                side_by_side(
                    (path.parent, log.gathering.values)
                    for path, log in self._events.get(start.origin, {}).items()
                    if not log.is_foreign()
                ),
            )
            for start in self._starts
        )

    def _from_runs(self) -> list[StartLogged]:
        starts = self._starts
        runs: dict[int, list[Values]] = {}
        for log in self._runs.values():
            if log.first is not None:
                # The newest start that had begun by then; W&B says not which one made a run.
                begun = [place for place, start in enumerate(starts) if start.began <= log.first]
                runs.setdefault(begun[-1] if begun else 0, []).append(log.gathering.values)
        began = [start.began for start in starts] or [0.0]
        return [StartLogged(began[place], in_turn(runs[place])) for place in sorted(runs)]


class _Log:
    """One file, and what it held so far.

    Attributes:
        file: The file.
        gathering: What it held.
        first: The time of its first row; None before there is one.
        start: The start of the job that opened an event file; None for a run in W&B.
    """

    def __init__(self, file: WandbFile | EventFile) -> None:
        self.file = file
        self.gathering = Gathering()
        self.first: float | None = None
        self.start: StartOf | None = None

    def read(self, until: float) -> bool:
        """Takes in the rows that are new, until a time of the monotonic clock; tells whether there were any."""
        new = False
        if self.is_foreign():
            return new
        try:
            for count, row in enumerate(self.file.rows(), start=1):
                self.gathering.add(row)
                self.first = row.time if self.first is None else self.first
                new = True
                if count % _ROWS == 0 and (time.monotonic() > until or self.is_foreign()):
                    break
        except OSError as error:
            self.file.problem = f"{self.file.path}: {error.strerror or error}"
        return new and not self.is_foreign()

    def is_foreign(self) -> bool:
        """Tells whether another job of the same process opened it; its name alone tells only whole seconds."""
        began = self.file.began if isinstance(self.file, EventFile) else None
        start = self.start
        return began is not None and start is not None and not start.began <= began <= start.ended
