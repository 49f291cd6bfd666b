"""What one job is handed, and where it leaves what it made: the only thing that crosses the process border.

The sweeper writes `ticket.json` into a folder of the trial and names it in the job's environment; the job appends
to `curve.jsonl` there and, when it ends, writes `result.json`. While it runs, the sweeper may leave a newer rule in
`rule.json`. Each file has that one writer.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neuropt_core.curve import Curve, Point
from neuropt_core.errors import StudyError
from neuropt_core.files import append_line, read_lines, write_whole
from neuropt_core.stopping import StopRule
from neuropt_core.trial import Outcome

VARIABLE = "NEUROPT_TICKET"
"""The environment variable that holds the path of a job's ticket."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """One attempt at one trial.

    Attributes:
        folder: The trial's own folder, absolute.
        number: The trial's number.
        attempt: 0 for the first launch, more after the sweeper had to launch the trial again.
        sweeper: Process id of the sweeper, so that a job can tell whether it shares its process.
        rule: When to stop, as it was known at launch; `rule_path` may hold a later one.
        objectives: How many numbers the task function must return.
    """

    folder: Path
    number: int
    attempt: int = 0
    sweeper: int = field(default_factory=os.getpid)
    rule: StopRule = field(default_factory=StopRule)
    objectives: int = 1

    @property
    def path(self) -> Path:
        """The ticket's own file."""
        return self.folder / f"ticket{self._suffix}.json"

    @property
    def curve_path(self) -> Path:
        """Where the job reports."""
        return self.folder / f"curve{self._suffix}.jsonl"

    @property
    def started_path(self) -> Path:
        """Where the job says that it has begun, and in which process."""
        return self.folder / f"started{self._suffix}.json"

    @property
    def result_path(self) -> Path:
        """Where the job leaves its outcome."""
        return self.folder / f"result{self._suffix}.json"

    @property
    def rule_path(self) -> Path:
        """Where the sweeper leaves a newer rule while the job runs."""
        return self.folder / f"rule{self._suffix}.json"

    @property
    def stop_path(self) -> Path:
        """Where whoever wants the job to stop at its next report leaves the reason."""
        return self.folder / f"stop{self._suffix}"

    @property
    def _suffix(self) -> str:
        # Attempts never share a file: a late writer of an earlier one must not spoil the next.
        return f"-{self.attempt}" if self.attempt else ""

    def write(self) -> None:
        """Writes the ticket's file, for the job to find."""
        data = {
            "number": self.number,
            "attempt": self.attempt,
            "sweeper": self.sweeper,
            "rule": self.rule.to_json(),
            "objectives": self.objectives,
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
            objectives = data.get("objectives", 1)
            return cls(path.parent, data["number"], data["attempt"], data["sweeper"], rule, objectives)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StudyError(str(path), f"cannot be read as a ticket ({error!r})") from None

    @classmethod
    def current(cls, environ: Mapping[str, str] = os.environ) -> Ticket | None:
        """Returns the ticket of the job that runs in this process, or None outside a sweep."""
        path = environ.get(VARIABLE)
        return cls.read(Path(path)) if path else None

    def write_started(self) -> None:
        """Says that the job has begun, and in which process; called by the job."""
        pid = os.getpid()
        write_whole(self.started_path, json.dumps({"pid": pid, "host": os.uname().nodename, "born": _born(pid)}))

    def is_running(self) -> bool:
        """Tells whether the job's process is alive on this machine and has left no result.

        False also where that cannot be known: a job on another machine, or one that has not begun.
        """
        try:
            data: Any = json.loads(self.started_path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return False
        pid = data["pid"]
        here = data["host"] == os.uname().nodename and pid != os.getpid()
        return here and not self.result_path.exists() and _born(pid) is not None and _born(pid) == data["born"]

    def may_run_on(self) -> str | None:
        """Returns the other machine on which the job began and may still run, or None.

        A job that shared its process with the sweeper is dead with it, on whichever machine that was.
        """
        try:
            data: Any = json.loads(self.started_path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        apart = data["pid"] != Ticket.read(self.path).sweeper
        elsewhere = data["host"] != os.uname().nodename and not self.result_path.exists()
        return str(data["host"]) if elsewhere and apart else None

    def kill(self) -> None:
        """Ends the job's process, if it runs on this machine and is not this one."""
        if self.is_running():
            with contextlib.suppress(ProcessLookupError):  # It may end by itself in between.
                os.kill(json.loads(self.started_path.read_text(encoding="utf-8"))["pid"], signal.SIGKILL)

    def stop(self, reason: str) -> None:
        """Keeps that the job was told to stop, whatever its script makes of that; called by the job."""
        write_whole(self._stopped_path, reason)

    def stopped(self) -> str | None:
        """Returns why the job was told to stop, or None if it was not."""
        try:
            return self._stopped_path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    @property
    def _stopped_path(self) -> Path:
        return self.folder / f"stopped{self._suffix}.txt"

    def mark(self, helper: str) -> None:
        """Says that the job has called one of neuropt's helpers, e.g. ``param_groups``; called by the job."""
        (self.folder / f"called-{helper}").touch()

    def called(self) -> frozenset[str]:
        """Returns the helpers that the job has called."""
        return frozenset(path.name.removeprefix("called-") for path in self.folder.glob("called-*"))

    def append(self, point: Point) -> None:
        """Adds a point to the curve; called by the job."""
        append_line(self.curve_path, point.to_json())

    def curve(self) -> Curve:
        """Returns what the job has reported so far; a torn last line is left out."""
        if not self.curve_path.exists():
            return Curve()
        return Curve.from_json(read_lines(self.curve_path)[0])

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


def _born(pid: int) -> str | None:
    # The start time tells a process from a later one under the same number (proc(5), field 22 of stat).
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[19]
    except OSError:
        return None
