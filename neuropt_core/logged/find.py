"""Which log files are a trial's: W&B's as the job has recorded them, TensorBoard's by place, process and time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from neuropt_core.ticket import Ticket
from neuropt_core.tracking import files_of

_PREFIX = ".tfevents."
_PLACES = ("runs", "lightning_logs", "tb_logs", "logs")
"""Folders below the job's working directory where loggers put their files unless they are told otherwise."""
_DEEP, _MOST_ENTRIES = 8, 50_000
"""How far a search goes below such a folder, and how many entries of folders it looks at."""
_SKIPPED = frozenset({".git", "__pycache__", "checkpoints", "wandb", "artifacts"})
MOST_FILES = 64
"""The most files of one start that are read."""


@dataclass(frozen=True, slots=True)
class StartOf:
    """One start of an attempt.

    Attributes:
        origin: The attempt's number, and the start's within the attempt.
        host: Where it ran.
        pid: In which process.
        began: When, in seconds since the epoch by the clock of that machine.
        ended: When it had ended at the latest; infinite if that is not known.
        cwd: The working directory in which it began; "" if it is not known.
    """

    origin: tuple[int, int]
    host: str
    pid: int
    began: float
    ended: float
    cwd: str


@dataclass(frozen=True, slots=True)
class EventName:
    """What the name of an event file says: ``events.out.tfevents.<time>.<host>.<pid>.<number>``.

    Attributes:
        path: The file.
        time: When it was opened, in whole seconds since the epoch.
        rest: Host, process and number; tensorboardX leaves out the last two.
    """

    path: Path
    time: int
    rest: str

    def is_of(self, start: StartOf) -> bool:
        """Tells whether the process of a start wrote it while that ran; its name alone tells only whole seconds."""
        return self.in_time(start) and f"{self.rest}.".startswith(f"{start.host}.{start.pid}.")

    def in_time(self, start: StartOf) -> bool:
        """Tells whether it was opened while a start ran."""
        return int(start.began) <= self.time <= start.ended


def starts_of(ticket: Ticket) -> tuple[StartOf, ...]:
    """Returns all starts of all attempts up to a ticket's, oldest first."""
    found: list[StartOf] = []
    for attempt in range(ticket.attempt + 1):
        one = replace(ticket, attempt=attempt)
        starts = one.starts()
        for number, start in enumerate(starts):
            over = float("inf")
            if number == len(starts) - 1 and (result := one.result()) is not None:
                over = start["time"] + result.seconds - sum(s.get("seconds", 0.0) for s in starts[:-1])
            found.append(_start((attempt, number), start, over))
    later = [start.began for start in found[1:]] + [float("inf")]
    return tuple(replace(start, ended=min(start.ended, after)) for start, after in zip(found, later, strict=False))


def _start(origin: tuple[int, int], data: Mapping[str, Any], ended: float) -> StartOf:
    return StartOf(origin, data["host"], data["pid"], data["time"], ended, data.get("cwd", ""))


def wandb_files(ticket: Ticket) -> tuple[Path, ...]:
    """Returns the local files of the runs in W&B that the trial's script has made, over all its attempts."""
    attempts = (replace(ticket, attempt=attempt) for attempt in range(ticket.attempt + 1))
    return tuple(dict.fromkeys(file for attempt in attempts for file in files_of(attempt.runs_path)))


def event_files(ticket: Ticket, starts: Iterable[StartOf]) -> dict[tuple[int, int], list[Path]]:
    """Returns the event files of each start that has any, in the order of their names.

    In the job's own output folder, and in `_PLACES`, a file belongs to the process that its name says. Where there is
    none, as when the process that trains is a child of the job's or the name does not say, those that were opened in
    the job's own folder while it ran are taken, of the process that was the first to open one.
    """
    own, alone = _output_folder(ticket)
    mine = list(_events(own))
    shared: dict[str, list[EventName]] = {}
    found = {}
    for start in starts:
        if start.cwd not in shared:
            places = [(Path(start.cwd) / name).resolve() for name in _PLACES] if start.cwd else []
            shared[start.cwd] = [file for place in places for file in _events(place)]
        files = [file for file in (*mine, *shared[start.cwd]) if file.is_of(start)]
        if not files and alone and (timely := [file for file in mine if file.in_time(start)]):
            first = min(timely, key=lambda file: (file.time, file.rest))
            files = [file for file in timely if _process(file) == _process(first)]
        if files:
            named = sorted(files, key=lambda file: (file.time, _counted(file.rest), str(file.path)))
            found[start.origin] = list(dict.fromkeys(file.path for file in named))[:MOST_FILES]
    return found


def _output_folder(ticket: Ticket) -> tuple[Path, bool]:
    """Returns the job's output folder, and whether no other job has it: see the porch's `_tickets.new_ticket`."""
    shared = ticket.folder.name == "job"
    return (ticket.folder.parent.parent if shared else ticket.folder.parent).resolve(), not shared


def _process(file: EventName) -> str:
    """Returns host and process as far as a name says them, without the number of the file."""
    return file.rest.rpartition(".")[0] if file.rest.count(".") > 1 else file.rest


def _counted(rest: str) -> tuple[int, ...]:
    return tuple(int(part) for part in rest.split(".") if part.isdecimal())


def _events(folder: Path) -> Iterator[EventName]:
    """Yields the event files below a folder, breadth first and within bounds; links are not followed."""
    level, seen = [str(folder)], 0
    for _ in range(_DEEP):
        below: list[str] = []
        for place in level:
            try:
                with os.scandir(place) as entries:
                    for entry in entries:
                        seen += 1
                        if seen > _MOST_ENTRIES:
                            return
                        if _PREFIX in entry.name:
                            if (name := _named(Path(entry.path))) is not None:
                                yield name
                        elif entry.is_dir(follow_symlinks=False) and entry.name not in _SKIPPED:
                            below.append(entry.path)
            except OSError:  # Absent, closed to us, or deleted meanwhile.
                continue
        level = below


def _named(path: Path) -> EventName | None:
    time, _, rest = path.name.partition(_PREFIX)[2].partition(".")
    return EventName(path, int(time), rest) if time.isdecimal() and not path.name.endswith(".profile-empty") else None
