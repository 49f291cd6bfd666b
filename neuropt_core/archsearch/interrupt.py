"""Ctrl-C in a search: the first press lets the trial end, the second ends it; so does a notebook's interrupt."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any


class Interrupt:
    """While entered, counts what comes as SIGINT; the second one raises ``KeyboardInterrupt`` in the trial.

    Only the main thread may handle signals: entered in another one it changes nothing.

    Args:
        say: Tells the user that the first press was heard.

    Attributes:
        presses: How often it came.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self.presses = say, 0
        self._before: Any = None
        self._entered = False

    @property
    def requested(self) -> bool:
        """Whether the search is to end."""
        return self.presses > 0

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            self._before, self._entered = signal.signal(signal.SIGINT, self._handle), True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._entered:
            signal.signal(signal.SIGINT, signal.SIG_DFL if self._before is None else self._before)
            self._entered = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.presses += 1
        if self.presses > 1:
            raise KeyboardInterrupt
        self._say("Finishing this trial, then stopping. Interrupt again to stop at once.")
