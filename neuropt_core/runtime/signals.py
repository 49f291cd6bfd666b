"""What a scheduler does to a job while it trains reaches it as signals; here they become outcomes, or pass."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType


class AskedToEnd(BaseException):
    """Raised in the training code when the job gets SIGTERM.

    No `Exception`: a script's own ``except Exception`` must not keep alive a job that the machine is about to kill.
    """


class Termination:
    """While entered, SIGTERM raises `AskedToEnd` in the main thread, if nobody else handles the signal.

    A process that was forked meanwhile, e.g. a worker that loads data, dies of the signal as it would without us.
    """

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._armed = False

    def __enter__(self) -> Termination:
        """Installs the handler; not beside one of the user's or of the launcher's, nor in another thread."""
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            self._armed = True
            signal.signal(signal.SIGTERM, self._handle)
        return self

    def disarm(self) -> None:
        """From here on the signal does nothing: what came of the job is being written."""
        self._armed = False

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Puts the default back, unless the training code has installed a handler of its own meanwhile."""
        self.disarm()
        if signal.getsignal(signal.SIGTERM) == self._handle:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
        elif self._armed:
            self._armed = False  # Once: what follows must not interrupt the script's own cleaning up.
            raise AskedToEnd


def requeued_by_submitit(error: BaseException) -> SystemExit | None:
    """Returns the exit that submitit raised after it requeued the job, however the script has wrapped it; else None.

    submitit's handler of SLURM's signal runs within the training code, calls ``scontrol requeue`` and then exits.
    """
    for cause in _chain(error):
        if isinstance(cause, SystemExit) and _innermost(cause.__traceback__).endswith("job_environment"):
            return cause
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        yield one
        seen.add(id(one))
        one = one.__cause__ or one.__context__


def _innermost(tb: TracebackType | None) -> str:
    """Returns the module of the innermost frame if it is submitit's, or a plugin's of it; "" if there is none."""
    while tb is not None and tb.tb_next is not None:
        tb = tb.tb_next
    name = "" if tb is None else str(tb.tb_frame.f_globals.get("__name__", ""))
    return name if name.startswith("submitit.") else ""


def leave_interrupts_to_the_sweeper() -> None:
    """Ignores SIGINT: Ctrl-C reaches every process of the terminal; the sweeper alone decides what comes of it."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
