"""What a trial prints in its own process: kept in a file, and shown as it comes where there is one trial at a time."""

from __future__ import annotations

import sys
from pathlib import Path

_AT_ONCE = 1 << 20


class Follower:
    """Copies what is added to a file to this process's stdout, byte by byte as it was written."""

    def __init__(self, path: Path, *, at_end: bool = False) -> None:
        """Begins at the file's end if `at_end`, as one does who takes over a running trial."""
        self._path = path
        self._position = path.stat().st_size if at_end and path.exists() else 0
        self._open_line = False

    def show(self) -> None:
        """Shows what is new."""
        try:
            if self._path.stat().st_size <= self._position:
                return
            with self._path.open("rb") as file:
                file.seek(self._position)
                while new := file.read(_AT_ONCE):
                    self._position += len(new)
                    self._write(new)
        except FileNotFoundError:
            return  # The process has not come so far.

    def close(self) -> None:
        """Shows the rest, and ends a line that the trial left open, so that the sweep's own begin at the left."""
        self.show()
        if self._open_line:
            self._write(b"\n")

    def _write(self, data: bytes) -> None:
        self._open_line = not data.endswith(b"\n")
        buffer = getattr(sys.stdout, "buffer", None)
        if buffer is None:  # A notebook's, or a test's.
            sys.stdout.write(data.decode("utf-8", "replace"))
            sys.stdout.flush()
            return
        sys.stdout.flush()
        buffer.write(data)
        buffer.flush()
