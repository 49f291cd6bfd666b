"""The study's journal: an append-only file of what was asked, answered and told. What a replay yields is the truth."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neuropt_core.errors import StudyError
from neuropt_core.files import append_line, read_lines
from neuropt_core.lock import Lock

PLACE = Path("neuropt") / "journal.jsonl"
"""Where a sweep's journal lies in its folder."""


def read_study(sweep_dir: Path) -> list[dict[str, Any]]:
    """Returns the records of the study in a sweep's folder, be it that a sweeper works on it or not.

    Nothing is locked or written; a line that is on its way, or was torn by a crash, is left out.

    Raises:
        StudyError: There is no such folder or no journal in it, or it cannot be read; the text says which line.
    """
    mend = "Name the folder that the sweep printed as its own (hydra.sweep.dir)."
    path = sweep_dir / PLACE
    try:
        return read_lines(path)[0]
    except (FileNotFoundError, NotADirectoryError):
        why = "holds no neuropt study" if sweep_dir.is_dir() else "is no folder" if sweep_dir.exists() else ""
        raise StudyError(str(sweep_dir), why or "does not exist", mend=mend) from None
    except OSError as error:
        raise StudyError(str(path), f"cannot be read ({error.strerror or error})") from None
    except ValueError as error:
        raise StudyError(str(error), mend="Mend the journal, or put its backup back.") from None


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
    ``consult``, ``reject``, ``ask``, ``launch``, ``submit``, ``retry``, ``tell`` or ``changed`` (the user has taken
    another space or config), and the ``time`` in seconds since 1970.
    """

    def __init__(self, path: Path) -> None:
        """Opens the journal, creating it if need be, and locks it for this process.

        A last line torn by a crash is cut off; it had not been acted upon.

        Raises:
            StudyError: Another sweeper holds it, or a line before the last is damaged.
        """
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = Lock(path.with_suffix(".lock"), of=str(path))
        try:
            self._read: list[dict[str, Any]] | None = self._opened()
        except BaseException:
            self.close()
            raise

    def _opened(self) -> list[dict[str, Any]]:
        self.path.touch()
        try:
            with many_objects():
                records, torn = read_lines(self.path)
        except ValueError as error:
            raise StudyError(str(error), mend="Mend or move the journal; nothing was launched.") from None
        strange = next((n for n, r in enumerate(records, start=1) if not (isinstance(r, dict) and "op" in r)), None)
        if strange is not None:
            rule = f"line {strange}: is not a record of a journal"
            raise StudyError(f"{self.path}, {rule}", mend="Mend or move the journal; nothing was launched.")
        if torn:
            data = self.path.read_bytes()
            os.truncate(self.path, data.rfind(b"\n") + 1)
        return records

    def append(self, record: Mapping[str, Any]) -> None:
        """Adds a record; when this returns it is on disk.

        Raises:
            OSError: The disk is full or gone; the study must not act on the record, and the journal is as it was.
        """
        self._read = None
        size = self.path.stat().st_size if self.path.is_file() else None
        try:
            append_line(self.path, dict(record), sync=True)
        except OSError:
            # Half a line would join with the next one to a line that nobody can read.
            if size is not None:
                with contextlib.suppress(OSError):
                    os.truncate(self.path, size)
            raise

    def records(self) -> list[dict[str, Any]]:
        """Returns all records in order."""
        # Reading took half of a long study's resume: what was read to find a torn line is handed out once, not kept.
        read, self._read = self._read, None
        return read_lines(self.path)[0] if read is None else read

    def close(self) -> None:
        """Gives the lock back."""
        self._lock.close()
