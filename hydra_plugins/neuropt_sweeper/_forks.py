"""The fork server that trials are started from, and a hold on each process that it forked.

A fresh interpreter spends seconds on importing torch; a fork of one that has imported it begins at once. The server is
the standard library's, one of our own so that the user's use of multiprocessing keeps its own; it is asked to import
libraries but never the user's script, whose top level may initialise CUDA, which a fork does not survive.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import time
from collections.abc import Iterable
from multiprocessing import connection, forkserver, resource_tracker
from multiprocessing.forkserver import ForkServer
from typing import Any

from hydra_plugins.neuropt_sweeper._child import Order
from neuropt_core.processes import born

_ALWAYS = (
    "hydra._internal.hydra",
    "hydra._internal.core_plugins.basic_launcher",
    "hydra._internal.callbacks",
    "neuropt_core.runtime.report",
    "hydra_plugins.neuropt_sweeper._child",
)


class Forked:
    """A process that runs one trial.

    Attributes:
        pid: Its number, which is also that of its session and its group.
        born: When it began, as the kernel counts (proc(5)): tells it from a later process of the same number.
        code: Its exit code, negative for a signal; None while it runs, and if nobody knows it.
        error: What went wrong in it outside of the task function.
        prepared: Whether it could import the user's script, as far as it has said.
        loaded: The heavy libraries that it had imported at its end.
        seen: When it was last seen alive, in seconds since 1970; None if it never was.
    """

    def __init__(self, pid: int, born: str | None, status: int = -1, go: int = -1, said: int = -1) -> None:
        self.pid, self.born = pid, born
        self.code: int | None = None
        self.error, self.prepared, self.loaded = "", True, frozenset[str]()
        self._status, self._go, self._said = status, go, said
        self.seen: float | None = None
        self._over = False

    def release(self) -> None:
        """Lets it begin; until then it only prepares, and ends by itself if this process does."""
        if self._go >= 0:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._go, b"g")
            os.close(self._go)
            self._go = -1

    def is_over(self) -> bool:
        """Tells whether it has ended; does not wait."""
        if self._over:
            return True
        if self._status >= 0 and connection.wait([self._status], timeout=0):
            try:
                self.code = forkserver.read_signed(self._status)
                self._over = True
            except EOFError:
                pass  # The server was killed, the trial perhaps not: from now on only the process itself tells.
            self._close("_status")
        if self._status < 0 and not self._over:
            self._over = self.born is None or born(self.pid) != self.born
        if self._over:
            self._listen()
        else:
            self.seen = time.time()
        return self._over

    def signal(self, number: int) -> None:
        """Sends a signal to it and to all that it started, as far as these stayed in its group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def forget(self) -> None:
        """Ends what it left behind, and closes what led to it."""
        self.signal(signal.SIGKILL)
        for name in ("_status", "_go", "_said"):
            self._close(name)

    def _listen(self) -> None:
        if self._said < 0:
            return
        os.set_blocking(self._said, False)  # What it started may hold the other end still.
        with contextlib.suppress(BlockingIOError, ValueError):
            said = json.loads(os.read(self._said, 65536))
            self.error, self.prepared, self.loaded = said["error"], said["prepared"], frozenset(said["loaded"])
        self._close("_said")

    def _close(self, name: str) -> None:
        if (descriptor := getattr(self, name)) >= 0:
            os.close(descriptor)
            setattr(self, name, -1)


class Forks:
    """A fork server, begun again where it must know other libraries."""

    def __init__(self, preload: Iterable[str] = (), needed: Iterable[str] = ()) -> None:
        """Begins to import in the background; `fork` waits for it.

        Args:
            preload: Heavy libraries.
            needed: Hydra's own modules and its plugins', which are harmless.
        """
        self.preload = tuple(preload)
        self._server: Any = ForkServer()
        self._server.set_forkserver_preload([*_ALWAYS, *needed, *self.preload])
        _track_resources()
        self._server.ensure_running()

    def fork(self, order: Order) -> Forked:
        """Starts a process, which waits for its `Forked.release` before it runs anything of the user's task.

        Raises:
            OSError, EOFError: The server did not survive its imports, or the machine has no room for another process.
        """
        # As `multiprocessing.spawn._main` reads them: how to prepare, and the process. All is in the second, since what
        # is prepared there would come before the process has its own output and environment.
        data = pickle.dumps({"name": f"trial-{order.number}", "sys_path": order.main["sys_path"]}) + pickle.dumps(order)
        _track_resources()
        (go, go_w), (said, said_w) = os.pipe(), os.pipe()
        try:
            status, payload = self._server.connect_to_new_process([go, said_w])
        except BaseException:
            os.close(go_w)
            os.close(said)
            raise
        finally:
            os.close(go)
            os.close(said_w)
        try:
            with open(payload, "wb", closefd=True) as file:
                file.write(data)
            pid = forkserver.read_signed(status)
        except BaseException:
            for descriptor in (status, go_w, said):
                os.close(descriptor)
            raise
        return Forked(pid, born(pid), status, go_w, said)

    def close(self) -> None:
        """Ends the server, also in the midst of its imports; what it forked goes on."""
        # Asked politely, it would first wait for whatever a trial has left running.
        os.kill(self._server._forkserver_pid, signal.SIGKILL)
        self._server._stop()


def _track_resources() -> None:
    # A server starts this helper of the standard library first, which then unblocks SIGINT, whoever has blocked it: the
    # server would feel the terminal's Ctrl-C in the midst of its imports, and die of it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
