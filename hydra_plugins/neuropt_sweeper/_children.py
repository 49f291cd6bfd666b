"""Processes of this machine that submitit started: whether they live, and their end with all that they started."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path


def is_alive(pid: int, named: str) -> bool:
    """Tells whether a process lives whose command line holds `named`; another one may have got its number."""
    try:
        return named.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()  # Empty once it has ended.
    except OSError:
        return False


def kill_tree(pid: int) -> None:
    """Ends a process and all that descends from it, by force.

    A process group cannot be asked: submitit's controllers share the sweeper's own.
    """
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # It may end while we look.
            parents[int(path.parent.name)] = int(path.read_text().rsplit(")", 1)[1].split()[1])
    family = [pid]
    for member in family:  # Grows while it is walked.
        family += [child for child, parent in parents.items() if parent == member]
    for member in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)
