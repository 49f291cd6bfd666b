"""Which process runs a job, since when, and whether it is alive: told by files, so that another machine can ask.

Times that are compared are those of the file system that holds the files, never the clocks of two machines.
"""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from neuropt_core.processes import born

BEAT_SECONDS = 5.0
"""Between two beats of a job."""
SILENCE_SECONDS = 120.0
"""After so long without a beat a job is taken for dead: many beats, and the delays of a network's disk."""


@dataclass(frozen=True, slots=True)
class Start:
    """One start of an attempt; a scheduler that requeues a job starts it again in its folder.

    Attributes:
        number: 0 for the first one.
        restarts: How often SLURM had requeued the job by then.
        time: Seconds since the epoch, by the clock of the job's machine.
    """

    number: int
    restarts: int
    time: float


class Heartbeat:
    """While entered, a thread touches a file every few seconds; nothing that goes wrong there hurts the job."""

    def __init__(self, path: Path, every: float = BEAT_SECONDS) -> None:
        """Starts nothing yet."""
        self._path, self._every = path, every
        self._over = threading.Event()
        # A daemon, so that it never keeps alive a process whose training has ended.
        self._thread = threading.Thread(target=self._beat, name="neuropt-heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        """Begins to beat."""
        with contextlib.suppress(RuntimeError, OSError):  # No thread to be had: the job runs without.
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Ends the thread; one that hangs in a disk that is gone is not waited for."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join(self._every)

    def _beat(self) -> None:
        while True:
            with contextlib.suppress(OSError):  # A full or absent disk: the next beat looks again.
                self._path.touch()
            if self._over.wait(self._every):
                return


def this_start(environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Returns what tells this process, now, from every other one: plain data for ``started.json``.

    ``job_id`` and ``restart`` are there under SLURM, ``submitit`` (the folder of its logs) under submitit, ``cwd`` (the
    working directory) unless that was deleted.
    """
    pid = os.getpid()
    found: dict[str, Any] = {"pid": pid, "host": os.uname().nodename, "born": born(pid), "time": time.time()}
    with contextlib.suppress(FileNotFoundError):
        found["cwd"] = os.getcwd()
    if job_id := _slurm_job(environ):
        found |= {"job_id": job_id, "restart": restarts(environ)}
    if folder := environ.get("SUBMITIT_FOLDER"):
        found["submitit"] = folder.replace("%j", job_id or environ.get("SUBMITIT_LOCAL_JOB_ID", "%j"))
    return found


def restarts(environ: Mapping[str, str] = os.environ) -> int:
    """Returns how often SLURM has requeued this job; 0 outside SLURM."""
    count = environ.get("SLURM_RESTART_COUNT", "")
    return int(count) if count.isdecimal() else 0


def _slurm_job(environ: Mapping[str, str]) -> str:
    array, task = environ.get("SLURM_ARRAY_JOB_ID"), environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else environ.get("SLURM_JOB_ID", "")


def is_alive(start: Mapping[str, Any] | None) -> bool | None:
    """Tells whether the process of a job lives; None if that cannot be known here.

    Args:
        start: What `this_start` returned to it; None if it has not begun. It cannot be known of this very process,
            whose job may have ended, nor of one on another machine.
    """
    if start is None or start["host"] != os.uname().nodename or start["pid"] == os.getpid():
        return None
    now = born(start["pid"])
    return now is not None and now == start["born"]


def kill(pid: int) -> None:
    """Ends a process, and the session if it leads one."""
    with contextlib.suppress(ProcessLookupError):  # It may end by itself in between.
        (os.killpg if os.getsid(pid) == pid else os.kill)(pid, signal.SIGKILL)


def modified(path: Path) -> float | None:
    """Returns when a file was last written or touched, by its file system's clock; None if it is not there."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None


def now_in(folder: Path) -> float:
    """Returns the time by the clock of the file system that holds a folder.

    Raises:
        OSError: The folder is not writable, or the disk is full.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"\n")
        file.flush()
        return os.fstat(file.fileno()).st_mtime
