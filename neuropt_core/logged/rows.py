"""What a log file yields: rows of numbers, and how far it could be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

LARGEST = 16 * 1024 * 1024
"""Bytes; a record that is larger holds media or a graph, and is stepped over without being kept in memory."""


@dataclass(frozen=True, slots=True)
class Row:
    """What was logged together.

    Attributes:
        step: The logger's own count.
        values: Numbers by the name under which they were logged; may be nan or infinite.
        time: Seconds since the epoch, by the clock of the job's machine.
    """

    step: int
    values: Mapping[str, float]
    time: float


class LogFile(Protocol):
    """A log that is read on from where the last reading ended.

    Attributes:
        path: Where it is.
        problem: Why it cannot be read beyond a place, in words; "" if it can. A torn tail is no problem: it may be on
            its way.
        ended: Whether the logger has closed it, as far as the format tells.
    """

    path: Path
    problem: str
    ended: bool

    def rows(self) -> Iterator[Row]:
        """Yields what is new. The iteration may be left at any row; the next one goes on behind it.

        Raises:
            OSError: The file cannot be read.
        """
        ...
