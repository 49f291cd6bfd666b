"""The study's journal: an append-only file of what was asked, answered and told. What a replay yields is the truth."""

from __future__ import annotations

import fcntl
import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neuropt_core.errors import StudyError
from neuropt_core.files import append_line, read_lines


@contextmanager
def many_objects() -> Iterator[None]:
    """Puts garbage collection off while many objects are made that will all be kept.

    The collector walks over all of them again and again as they grow: half of the time that a resume of 10,000 trials
    took.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


class Journal:
    """One JSON line per event, flushed and fsynced before `append` returns. Has one writer at a time.

    Records carry an ``op``: ``study`` (space, direction, seed ...), ``session`` (a sweeper begins), ``card``,
    ``consult``, ``reject``, ``ask``, ``launch``, ``submit``, ``retry`` or ``tell``, and the ``time`` in seconds
    since 1970.
    """

    def __init__(self, path: Path) -> None:
        """Opens the journal, creating it if need be, and locks it for this process.

        A last line torn by a crash is cut off; it had not been acted upon.

        Raises:
            StudyError: Another sweeper holds it, or a line before the last is damaged.
        """
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = path.with_suffix(".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise StudyError(
                str(path), "is in use by another sweeper", mend="Wait for it, or give this one another hydra.sweep.dir."
            ) from None
        path.touch()
        try:
            self._read: list[dict[str, Any]] | None
            with many_objects():
                self._read, torn = read_lines(path)
        except ValueError as error:
            self.close()
            raise StudyError(str(error), mend="Mend or move the journal; nothing was launched.") from None
        if torn:
            data = path.read_bytes()
            os.truncate(path, data.rfind(b"\n") + 1)

    def append(self, record: Mapping[str, Any]) -> None:
        """Adds a record; when this returns it is on disk.

        Raises:
            OSError: The disk is full or gone; the study must not act on the record.
        """
        self._read = None
        append_line(self.path, dict(record), sync=True)

    def records(self) -> list[dict[str, Any]]:
        """Returns all records in order."""
        # Reading took half of a long study's resume: what was read to find a torn line is handed out once, not kept.
        read, self._read = self._read, None
        return read_lines(self.path)[0] if read is None else read

    def close(self) -> None:
        """Gives the lock back."""
        self._lock.close()
