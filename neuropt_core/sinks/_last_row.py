"""The last row of a terminal, kept out of the scrolling, where a progress bar can live beside anybody's output.

A bar that is redrawn among the lines needs to know of every line: it is garbled by a logging handler that kept the
real stdout, by a joblib worker, by a job's own tqdm. Instead the terminal is told to scroll all rows but the last
(DECSTBM, as apt does), and the last is drawn with the cursor put back where it was. Nobody's output is redirected.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import threading
from collections.abc import Callable

_SAVE, _RESTORE = "\x1b7", "\x1b8"


def takes(descriptor: int, wait: float = 0.0) -> bool:
    """Tells whether a short write would not block: not to a terminal that was held, nor to a pipe that nobody reads.

    Args:
        descriptor: Where it would go; a file always takes it.
        wait: Seconds to wait for it.
    """
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(1000 * wait))


class LastRow:
    """Draws one row at the bottom of a terminal, now and then, until it is closed.

    Args:
        descriptor: The terminal's file descriptor.
        render: Given the width in columns, returns the row, which may hold colours but no newline.
        encoding: The terminal's encoding.
        period: Seconds between two drawings.
    """

    def __init__(
        self, descriptor: int, render: Callable[[int], str], encoding: str = "utf-8", period: float = 1.0
    ) -> None:
        self._descriptor, self._render, self._encoding, self._period = descriptor, render, encoding, period
        self._rows = 0
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)
        self.draw()
        self._thread.start()
        atexit.register(self.close)  # A terminal left with a short scrolling region is a nuisance.

    def draw(self) -> None:
        """Draws the row at once."""
        with self._lock:
            if self._stop.is_set():
                return
            if not takes(self._descriptor):
                return  # Its output was held (Ctrl-S), and a write would wait for ever.
            size = os.get_terminal_size(self._descriptor)
            if size.lines < 4 or size.columns < 20:
                return  # Too small to give a row away.
            if size.lines != self._rows:
                self._reserve(size.lines)
            # One write, so that nothing of another writer comes between.
            self._write(f"{_SAVE}\x1b[{size.lines};1H\x1b[2K{self._render(size.columns)}{_RESTORE}")

    def close(self) -> None:
        """Clears the row and gives it back. Does nothing in a forked process, or the second time."""
        if os.getpid() != self._owner or self._stop.is_set():
            return
        self._stop.set()
        atexit.unregister(self.close)
        # A terminal that is gone needs no mending.
        with self._lock, contextlib.suppress(OSError):
            if self._rows:
                self._write(f"{_SAVE}\x1b[r\x1b[{self._rows};1H\x1b[2K{_RESTORE}")
        self._thread.join()

    def _reserve(self, rows: int) -> None:
        # The newline frees the last row if the cursor stands there. Setting the region sends the cursor home.
        self._write(f"\n\x1b[1A{_SAVE}\x1b[1;{rows - 1}r{_RESTORE}")
        self._rows = rows

    def _tick(self) -> None:
        while not self._stop.wait(self._period):
            try:
                self.draw()
            except OSError:
                return  # The terminal is gone; there is nobody to draw for.

    def _write(self, text: str) -> None:
        os.write(self._descriptor, text.encode(self._encoding, "replace"))
