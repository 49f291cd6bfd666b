"""Ctrl-C, once and twice, and only for the sweeper; and what a machine sends that shuts it down."""

from __future__ import annotations

import _thread
import contextlib
import select
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType

_SHUTDOWN = (signal.SIGTERM, signal.SIGHUP)
"""Sent by ``kill``, a scheduler or a shutdown; and by a terminal that is closed."""


class Interrupt:
    """While entered, the first Ctrl-C is only noted, so that what runs can end; the second one interrupts.

    A thread counts them, since Python calls a handler in the main thread only, and but once for all that came while
    that thread slept in a launcher. SIGTERM and SIGHUP interrupt at once, unless they were ignored or handled before
    (``nohup`` ignores SIGHUP, and shall).
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._presses = self._raised = self._woken = self._ours = 0
        self._shutdown = 0
        self._lock = threading.RLock()  # The handler may come upon its own thread's count.
        self._exits = contextlib.ExitStack()

    @property
    def requested(self) -> bool:
        """True after the first Ctrl-C, or a signal to shut down."""
        return self._presses > 0 or self._shutdown > 0

    @property
    def shutdown(self) -> str:
        """Which signal told the sweeper to end, e.g. ``SIGTERM``; "" while none did."""
        return signal.Signals(self._shutdown).name if self._shutdown else ""

    @property
    def code(self) -> int:
        """The exit code that a shell knows: 128 and the signal's number; 0 while there was none."""
        number = self._shutdown or (signal.SIGINT if self._presses else 0)
        return 128 + number if number else 0

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is not threading.main_thread():
            return self  # Only the main thread may handle signals; whoever runs us in another has his own way to stop.
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        listener = threading.Thread(target=self._listen, daemon=True)
        listener.start()
        before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._exits.callback(self._reader.close)
        self._exits.callback(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, self._handle))
        for number in _SHUTDOWN:
            if signal.getsignal(number) is signal.SIG_DFL:
                self._exits.callback(signal.signal, number, signal.signal(number, self._end))
        # At the exit these come first: the interrupt that a late listener sends must find our handler, not Python's.
        self._exits.callback(listener.join)
        self._exits.callback(self._writer.close)  # Ends the listener's reading.
        self._exits.callback(signal.set_wakeup_fd, before)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._exits.close()

    @contextlib.contextmanager
    def sparing_children(self) -> Iterator[None]:
        """While entered, processes started from this thread do not feel Ctrl-C, though the sweeper does.

        A terminal sends it to the whole group, and some launchers' helpers die of it before their job can say
        anything. A blocked signal is inherited by children; in this process the listener's thread still takes it.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _listen(self) -> None:
        while select.select([self._reader], [], []) and self._count():
            if self._presses > max(1, self._woken):
                # The main thread may not have felt it. This one, too, comes back through the socket.
                self._woken = self._presses
                self._ours += 1
                _thread.interrupt_main()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        # Called for the press itself and again by the listener: each press after the first raises once.
        self._count()
        if self._presses - 1 > self._raised:
            self._raised += 1
            raise KeyboardInterrupt

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._shutdown = self._shutdown or number
        raise KeyboardInterrupt

    def _count(self) -> bool:
        """Takes the presses that have come; False once there will be no more."""
        with self._lock:
            try:
                data = self._reader.recv(64)
            except BlockingIOError:
                return True  # The other thread has taken them.
            for _ in range(data.count(signal.SIGINT)):
                if self._ours:
                    self._ours -= 1
                    continue
                self._presses += 1
                if self._presses == 1:
                    self._say("Finishing what runs, then stopping. Press Ctrl-C again to stop at once.")
            return bool(data)
