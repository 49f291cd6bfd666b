"""What people ask of a sweep that runs, through files in its folder: to stop, or to stop one of its trials.

`<sweep_dir>/neuropt/stop` asks the sweep, `<sweep_dir>/neuropt/stop-7` asks for trial 7. Whoever asks writes them
whole; the sweeper reads and removes them. An empty ``stop``, as ``touch`` leaves it, asks to finish what runs.
"""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from neuropt_core.errors import ConfigError
from neuropt_core.files import write_whole

HOWS = ("finish", "now")
"""``finish`` lets the trials that run end; ``now`` asks them to stop, too, and ends those that do not."""
_NAME = "stop"
_SWEEPER = "sweeper.json"


def _whoever() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # A container's user may have no name.
        user = f"user {os.getuid()}"
    return f"{user}@{os.uname().nodename}"


@dataclass(frozen=True, slots=True)
class StopRequest:
    """One request.

    Attributes:
        how: One of `HOWS`; of no meaning for a single trial.
        reason: Why, in words; may be empty.
        by: Who asks, e.g. ``ada@login1``.
        time: When, in seconds since 1970.

    Raises:
        ConfigError: `how` is none of `HOWS`.
    """

    how: str = "finish"
    reason: str = ""
    by: str = field(default_factory=_whoever)
    time: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        if self.how not in HOWS:
            raise ConfigError("neuropt stop", f"must be one of {HOWS}", got=self.how)

    @property
    def words(self) -> str:
        """The request for a reader, e.g. ``neuropt stop by ada@login1: enough``."""
        return f"neuropt stop by {self.by}" + (f": {self.reason}" if self.reason else "")


def ask(sweep_dir: Path, request: StopRequest, trial: int | None = None) -> Path:
    """Leaves a request for the sweeper, in the place of an earlier one of the same kind; returns its file.

    Raises:
        OSError: The disk is full or the folder is not writable.
    """
    path = _path(sweep_dir, trial)
    write_whole(path, json.dumps(asdict(request)))
    return path


def asked(sweep_dir: Path, trial: int | None = None) -> StopRequest | None:
    """Returns the request that lies there, or None."""
    try:
        text = _path(sweep_dir, trial).read_text(encoding="utf-8", errors="replace")
    except OSError:  # Absent; or a network's disk has no answer now, and the next look will have one.
        return None
    try:
        data = json.loads(text)
        return StopRequest(str(data["how"]), str(data["reason"]), str(data["by"]), float(data["time"]))
    except (ValueError, KeyError, TypeError):
        return StopRequest(reason=text.strip(), by="hand")  # The wish to stop is plain, whatever the file holds.


def trials_asked(sweep_dir: Path) -> tuple[int, ...]:
    """Returns the numbers of the trials for which a request lies there."""
    names = (re.fullmatch(rf"{_NAME}-(\d+)", path.name) for path in (sweep_dir / "neuropt").glob(f"{_NAME}-*"))
    return tuple(sorted(int(name[1]) for name in names if name))


def forget(sweep_dir: Path, trial: int | None = None) -> None:
    """Removes a request that was obeyed, or that no longer concerns anybody."""
    _path(sweep_dir, trial).unlink(missing_ok=True)


def forget_all(sweep_dir: Path) -> None:
    """Removes all requests: what was asked of an earlier sweeper must not stop the next one."""
    forget(sweep_dir)
    for number in trials_asked(sweep_dir):
        forget(sweep_dir, number)


def announce(sweep_dir: Path) -> None:
    """Says which process works on the study; called by the sweeper, which holds the journal's lock."""
    data = {"pid": os.getpid(), "host": os.uname().nodename, "since": round(time.time(), 3)}
    write_whole(sweep_dir / "neuropt" / _SWEEPER, json.dumps(data))


def sweeper(sweep_dir: Path) -> Mapping[str, Any] | None:
    """Returns ``pid``, ``host`` and ``since`` of the sweeper that works on the study; None if there is none.

    Empty for a sweeper that has said nothing of itself yet. That it lives, the lock tells that it holds: the file alone
    would outlive it.
    """
    try:
        lock = (sweep_dir / "neuropt" / "journal.lock").open("rb")
    except FileNotFoundError:
        return None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            return None
    try:
        data: Mapping[str, Any] = json.loads((sweep_dir / "neuropt" / _SWEEPER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data


def _path(sweep_dir: Path, trial: int | None) -> Path:
    return sweep_dir / "neuropt" / (_NAME if trial is None else f"{_NAME}-{trial}")
