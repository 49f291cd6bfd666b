"""What a trial prints in its own process: kept in a file, and shown as it comes where there is one trial at a time."""

from __future__ import annotations

import sys
from pathlib import Path

from neuropt_core.sinks._last_row import takes

_AT_ONCE = 1024
"""Bytes that are written at a time: what is known to take a write takes as much."""
_PATIENCE = 1.0
"""Seconds to wait for a terminal that was held, or a full pipe, when a trial has ended."""


class Follower:
    """Copies what is added to a file to this process's stdout, byte by byte as it was written."""

    def __init__(self, path: Path, *, at_end: bool = False, unshown: int = 0) -> None:
        """Begins at the file's end if `at_end`, as one does who takes over a running trial.

        Args:
            path: The file.
            at_end: Where to begin.
            unshown: How many bytes of earlier files nobody took; that is said first.
        """
        self._path, self._unshown = path, unshown
        self._position = path.stat().st_size if at_end and path.exists() else 0
        self._open_line = False

    def show(self) -> None:
        """Shows what is new, as far as it is taken: the sweep does not wait for a held terminal."""
        self._show(0.0)

    def close(self) -> int:
        """Shows the rest, and ends a line that the trial left open, so that the sweep's own begin at the left.

        Returns:
            How many bytes nobody took; they are in the file.
        """
        self._show(_PATIENCE)
        if self._open_line and _taken(0.0):
            self._write(b"\n")
        try:
            return self._unshown + max(0, self._path.stat().st_size - self._position)
        except FileNotFoundError:
            return self._unshown

    def _show(self, patience: float) -> None:
        try:
            if self._path.stat().st_size <= self._position:
                return
            with self._path.open("rb") as file:
                file.seek(self._position)
                while _taken(patience) and (new := file.read(_AT_ONCE)):
                    if self._unshown:
                        self._write(f"\n({self._unshown} bytes were not shown here: see output.log)\n".encode())
                        self._unshown = 0
                    self._position += len(new)
                    self._write(new)
        except FileNotFoundError:
            return  # The process has not come so far.

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


def _taken(patience: float) -> bool:
    try:
        return takes(sys.stdout.fileno(), patience)
    except (OSError, ValueError):  # No file behind it.
        return True
