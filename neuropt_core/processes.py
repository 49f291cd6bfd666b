"""Which process is which: a number alone is given to another one when its process has ended."""

from __future__ import annotations

from pathlib import Path


def born(pid: int) -> str | None:
    """Returns when a process of this machine began, in the kernel's ticks since boot; None if it has ended.

    Together with the number it tells one process from every other. One that has ended and that nobody has asked for its
    exit code yet (a zombie) has ended. See proc(5), fields 3 and 22 of stat.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    except (OSError, IndexError):  # The latter of what is no number, in a file that somebody has damaged.
        return None
    return None if fields[0] == "Z" else fields[19]
