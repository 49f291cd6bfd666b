"""Whether the kernel has ended processes because memory ran out: its own counters, before and after."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Victims:
    """How many processes the kernel's out-of-memory killer had ended at some time, where this process can be hit."""

    count: int

    @classmethod
    def now(cls) -> Victims:
        """Reads the counter of this process's control group, else the whole machine's."""
        for path in _counters():
            try:
                lines = path.read_text(encoding="ascii").splitlines()
            except OSError:
                continue
            for name, _, value in (line.partition(" ") for line in lines):
                if name == "oom_kill":
                    return cls(int(value))
        return cls(0)

    def grew(self) -> bool:
        """Tells whether there were more since."""
        return Victims.now().count > self.count


def _counters() -> Iterator[Path]:
    # cgroups(7): one line `0::/path` for version 2, `n:memory:/path` for version 1. Within a container the paths are
    # those of the host, where the group itself is mounted as the root.
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    root = Path("/sys/fs/cgroup")
    for _, controllers, path in (line.split(":", 2) for line in lines):
        if not controllers:
            yield root / path.lstrip("/") / "memory.events"
            yield root / "memory.events"
        elif "memory" in controllers.split(","):
            yield root / "memory" / path.lstrip("/") / "memory.oom_control"
            yield root / "memory" / "memory.oom_control"
    yield Path("/proc/vmstat")
