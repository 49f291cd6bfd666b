"""What one job is handed, and where it leaves what it made: the only thing that crosses the process border.

The sweeper writes `ticket.json` into a folder of the trial and names it in the job's environment; the job says in
`started.json` that it has begun, touches `heartbeat` while it lives, appends to `curve.jsonl` and, when it ends, writes
`result.json`. While it runs, the sweeper may leave a newer rule in `rule.json`. Each file has that one writer.

A scheduler may start one attempt several times in its folder (a job that SLURM requeues): that is a *start*.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from neuropt_core.attempt_files import AttemptFiles
from neuropt_core.curve import Curve, Joining, Point
from neuropt_core.errors import StudyError
from neuropt_core.files import append_line, read_lines, write_whole
from neuropt_core.heartbeat import (
    BEAT_SECONDS,
    SILENCE_SECONDS,
    Start,
    is_alive,
    kill,
    modified,
    now_in,
    this_start,
)
from neuropt_core.stopping import StopRule
from neuropt_core.tracking import RunNote
from neuropt_core.trial import Outcome

VARIABLE = "NEUROPT_TICKET"
"""The environment variable that holds the path of a job's ticket."""


@dataclass(frozen=True, slots=True)
class Ticket(AttemptFiles):
    """One attempt at one trial, and what its job has to know beside where its files are.

    Attributes:
        sweeper: Process id of the sweeper, so that a job can tell whether it shares its process.
        rule: When to stop, as it was known at launch; `rule_path` may hold a later one.
        objectives: How many numbers the task function must return.
        note: What the script's own runs in W&B are told; None where the sweep leaves W&B alone.
    """

    sweeper: int = field(default_factory=os.getpid)
    rule: StopRule = field(default_factory=StopRule)
    objectives: int = 1
    note: RunNote | None = None

    def write(self) -> None:
        """Writes the ticket's file, for the job to find."""
        data = {
            "number": self.number,
            "attempt": self.attempt,
            "sweeper": self.sweeper,
            "rule": self.rule.to_json(),
            "objectives": self.objectives,
            **({} if self.note is None else {"note": self.note.to_json()}),
        }
        write_whole(self.path, json.dumps(data))

    def refresh(self, rule: StopRule) -> None:
        """Gives the running job a newer rule; called by the sweeper.

        Raises:
            OSError: The disk is full or the folder is not writable; the job then keeps the rule that it has.
        """
        write_whole(self.rule_path, json.dumps(rule.to_json()))

    @classmethod
    def read(cls, path: Path) -> Ticket:
        """Reads a ticket's file.

        Raises:
            StudyError: It is not there or cannot be read.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            rule = StopRule.from_json(data["rule"])
            note = RunNote.from_json(data["note"]) if "note" in data else None
            objectives = data.get("objectives", 1)
            return cls(path.parent, data["number"], data["attempt"], data["sweeper"], rule, objectives, note)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StudyError(str(path), f"cannot be read as a ticket ({error!r})") from None

    @classmethod
    def current(cls, environ: Mapping[str, str] = os.environ) -> Ticket | None:
        """Returns the ticket of the job that runs in this process, or None outside a sweep."""
        path = environ.get(VARIABLE)
        return cls.read(Path(path)) if path else None

    def write_started(self) -> float:
        """Says that the job has begun, and in which process; called by the job.

        Returns:
            For how many seconds earlier starts of this attempt ran; 0 for the first one.
        """
        earlier: list[dict[str, Any]] = []
        if (before := self._started()) is not None:
            own = {name: value for name, value in before.items() if name != "earlier"}
            earlier = [*before.get("earlier", ()), own | {"seconds": self._seconds_since_start()}]
            with contextlib.suppress(OSError):  # The earlier start's; older than this start, it does no harm either.
                self.heartbeat_path.unlink()
        data = this_start() | ({"earlier": earlier} if earlier else {})
        write_whole(self.started_path, json.dumps(data))
        return float(sum(start["seconds"] for start in earlier))

    def start(self) -> Start | None:
        """Returns the newest start of this attempt; None if it has not begun."""
        data = self._started()
        if data is None:
            return None
        return Start(len(data.get("earlier", ())), int(data.get("restart", 0)), float(data.get("time", 0.0)))

    def starts(self) -> tuple[Mapping[str, Any], ...]:
        """Returns what each start of this attempt has said of itself, oldest first; see `heartbeat.this_start`."""
        data = self._started()
        if data is None:
            return ()
        return (*data.get("earlier", ()), {name: value for name, value in data.items() if name != "earlier"})

    def seconds(self, seen: float | None = None) -> float:
        """Returns how long the attempt has run, over all its starts, to its last sign of life; 0 if it never began.

        Args:
            seen: When its process was last seen alive, by the clock of its machine.
        """
        if (data := self._started()) is None:
            return 0.0
        newest = max(self._seconds_since_start(), (seen or 0.0) - float(data.get("time", math.inf)))
        return round(sum(float(start["seconds"]) for start in data.get("earlier", ())) + newest, 3)

    def is_running(self) -> bool:
        """Tells whether the job's process is alive on this machine and has left no result.

        False also where that cannot be known: a job on another machine, or one that has not begun.
        """
        return is_alive(self._started()) is True and not self.result_path.exists()

    def may_live(self) -> bool:
        """Tells whether nothing speaks against the job's being alive now, be it that it hangs.

        Raises:
            OSError: See `silence`.
        """
        alive = is_alive(self._started())
        return self.silence() < 2 * BEAT_SECONDS if alive is None else alive

    def may_run_on(self) -> str | None:
        """Returns the other machine on which the job began and may still run, or None.

        A job that shared its process with the sweeper is dead with it, on whichever machine that was; so is one that
        has given no sign of life for `SILENCE_SECONDS`.
        """
        if (data := self._started()) is None:
            return None
        apart = data["pid"] != Ticket.read(self.path).sweeper
        elsewhere = data["host"] != os.uname().nodename and not self.result_path.exists()
        return str(data["host"]) if elsewhere and apart and self.silence() < SILENCE_SECONDS else None

    def silence(self) -> float:
        """Returns the seconds since the job's last sign of life; infinite if it never gave one.

        Raises:
            OSError: The folder is not writable, so that its file system cannot be asked for the time.
        """
        return max(0.0, now_in(self.folder) - self.heard) if self.heard else math.inf

    def submitit_folder(self) -> Path | None:
        """Returns the folder in which submitit keeps what the job printed; None if the job does not run under it."""
        folder = (self._started() or {}).get("submitit")
        return Path(folder) if folder else None

    def is_superseded(self) -> bool:
        """Tells whether a newer attempt at the trial has been launched."""
        return replace(self, attempt=self.attempt + 1).path.exists()

    def _started(self) -> dict[str, Any] | None:
        try:
            data: dict[str, Any] = json.loads(self.started_path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return data

    def _seconds_since_start(self) -> float:
        began = modified(self.started_path)
        return max(0.0, self.heard - began) if began is not None else 0.0

    def kill(self) -> None:
        """Ends the job's process, if it runs on this machine and is not this one, and the session that it leads."""
        if self.is_running():
            kill((self._started() or {})["pid"])

    def stop(self, reason: str) -> None:
        """Keeps that the job was told to stop, whatever its script makes of that; called by the job."""
        write_whole(self.stopped_path, reason)

    def stopped(self) -> str | None:
        """Returns why the job was told to stop, or None if it was not."""
        try:
            return self.stopped_path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def mark(self, helper: str) -> None:
        """Says that the job has called one of neuropt's helpers, e.g. ``param_groups``; called by the job."""
        (self.folder / f"called-{helper}").touch()

    def called(self) -> frozenset[str]:
        """Returns the helpers that the job has called."""
        return frozenset(path.name.removeprefix("called-") for path in self.folder.glob("called-*"))

    def append(self, point: Point, start: int = 0, stopped: str | None = None) -> None:
        """Adds a point to the curve; called by the job.

        Args:
            point: What was measured.
            start: Which start of the attempt measured it, from 0.
            stopped: Why the job is told to stop at this very point: one line holds both, so that whoever reads the
                point (another rank of the job) knows the verdict.
        """
        more: dict[str, Any] = {"start": start} if start else {}
        append_line(self.curve_path, point.to_json() | more | ({} if stopped is None else {"stopped": stopped}))

    def records(self) -> list[dict[str, Any]]:
        """Returns the lines of this attempt's curve as they were appended; a torn last one is left out."""
        return read_lines(self.curve_path)[0] if self.curve_path.exists() else []

    def cut_torn(self) -> None:
        """Takes away half a line that a killed process left at the curve's end; called by the job before it appends."""
        if self.curve_path.exists() and read_lines(self.curve_path)[1]:
            whole = self.curve_path.read_bytes().rpartition(b"\n")
            os.truncate(self.curve_path, len(whole[0]) + len(whole[1]))

    def curve(self) -> Curve:
        """Returns what the trial has reported so far, over all its attempts up to this one and all their starts."""
        return self.joining().curve

    def joining(self, own: bool = True) -> Joining:
        """Returns the curve so far, ready to be added to; with or without this attempt's own points."""
        joining = Joining()
        for attempt in range(self.attempt + own):
            for record in replace(self, attempt=attempt).records():
                joining.add((attempt, record.get("start", 0)), Point.from_json(record))
        return joining

    def write_result(self, outcome: Outcome) -> None:
        """Leaves the outcome; called by the job, once, at its end."""
        write_whole(self.result_path, json.dumps(outcome.to_json(), allow_nan=False))

    def result(self) -> Outcome | None:
        """Returns the outcome that the job left, or None if it left none yet."""
        try:
            data: Any = json.loads(self.result_path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return Outcome.from_json(data)
