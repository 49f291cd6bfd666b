"""One writer at a time for a file: a lock that its holder signs, so that whoever is refused learns who holds it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neuropt_core.errors import StudyError
from neuropt_core.processes import born

_log = logging.getLogger(__name__)
_HELD = (errno.EWOULDBLOCK, errno.EACCES)
_PATIENCE = 1.0
"""Seconds for which a lock that is held is tried again: who only asks for its holder has it for a moment, too."""
_UNABLE = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
"""What `flock` says on file systems that have none, e.g. some mounts of NFS and Lustre."""


class Lock:
    """Holds a lock file until `close`, or until this process ends.

    Where the file system cannot lock, the signature in the file is the lock: a holder that is alive on this machine, or
    was on another one, keeps it; one that is dead on this machine has lost it.
    """

    def __init__(self, path: Path, of: str) -> None:
        """Takes the lock.

        Args:
            path: The lock file; it is made if need be, and stays.
            of: What is locked, for the error.

        Raises:
            StudyError: Another process holds it; the text says which, on which machine, since when.
            OSError: The file cannot be opened or written.
        """
        self._path, self._of = path, of
        # Not "w": the words of who holds it must stay.
        self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            self._take(self._descriptor)
            self._sign(self._descriptor, {**_signature(), "since": time.strftime("%Y-%m-%d %H:%M:%S %z")})
        except BaseException:
            self._drop()
            raise
        # A lock belongs to the open file: a forked child that outlives this process would keep it.
        mine = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _forget(mine()))

    def close(self) -> None:
        """Gives the lock back."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, 0)
        self._drop()

    def _take(self, descriptor: int) -> None:
        try:
            _lock(descriptor)
        except OSError as error:
            holder = _read(descriptor)
            if error.errno in _HELD:
                mend = "Wait for it, or give this one another hydra.sweep.dir."
                raise StudyError(self._of, f"is in use by another sweeper{_words(holder)}", mend=mend) from None
            if error.errno not in _UNABLE:
                raise
            if holder and not _is_gone(holder):
                rule = f"may be in use by another sweeper{_words(holder)}; its file system cannot lock files"
                raise StudyError(self._of, rule, mend=f"If that one is dead, delete {self._path}.") from None
            _log.warning(
                "%s: its file system cannot lock files (%s). Do not start two sweepers on one folder at a time.",
                self._of,
                error.strerror,
            )

    @staticmethod
    def _sign(descriptor: int, words: dict[str, Any]) -> None:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(words).encode(), 0)

    def _drop(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def holder(path: Path) -> Mapping[str, Any] | None:
    """Returns what the holder of a lock file has signed with (``pid``, ``host``, ``since``); None if nobody holds it.

    Empty for one that has not signed yet.

    Raises:
        OSError: The file is there and cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        signed = _read(descriptor)
        if error.errno in _HELD:
            return signed
        if error.errno not in _UNABLE:
            raise
        return signed if signed and not _is_gone(signed) else None
    finally:
        os.close(descriptor)  # Which gives the lock back.
    return None


def _lock(descriptor: int) -> None:
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _HELD or time.monotonic() > end:
                raise
            time.sleep(0.02)


def _forget(lock: Lock | None) -> None:
    if lock is not None:
        lock._drop()


def _signature() -> dict[str, Any]:
    return {"host": os.uname().nodename, "pid": os.getpid(), "born": born(os.getpid())}


def _read(descriptor: int) -> dict[str, Any]:
    try:
        found: Any = json.loads(os.pread(descriptor, 4096, 0))
    except (OSError, ValueError):
        return {}  # Written by nobody, or half written: then nothing is known of who holds it.
    return found if isinstance(found, dict) else {}


def _words(holder: dict[str, Any]) -> str:
    if not holder:
        return ""
    return f" (process {holder.get('pid')} on {holder.get('host')}, since {holder.get('since')})"


def _is_gone(holder: dict[str, Any]) -> bool:
    """Tells whether the process that signed has ended; of another machine nothing is known."""
    here = holder.get("host") == os.uname().nodename
    now = born(holder.get("pid", 0))
    return here and (now is None or now != holder.get("born"))
