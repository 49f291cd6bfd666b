"""A study retold from its journal: event after event, at once, in its own rhythm, or as it happens."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from neuropt_core.cli._events import Event, event_of
from neuropt_core.errors import StudyError
from neuropt_core.files import whole_lines
from neuropt_core.journal import PLACE
from neuropt_core.redact import GONE, redact, secrets_of
from neuropt_core.retold import at_work, moments
from neuropt_core.sinks.text import one_line

LONGEST_PAUSE = 3.0
"""Seconds: with --speed no pause is longer."""
_LOOKS = 0.5
"""Seconds between two looks at the journal of a sweep that runs."""


@dataclass(frozen=True, slots=True)
class Told:
    """One event, and when it was.

    Attributes:
        time: Seconds since 1970; None in journals of older versions.
        since: Seconds since the study began; None where that is not known.
        event: What happened.
    """

    time: float | None
    since: float | None
    event: Event

    def line(self) -> str:
        """Returns it for people: when, what, and what belongs to it below."""
        when = " " * 9 if self.since is None else clock(self.since).rjust(9)
        below = [f"\n{' ' * 11}{one_line(text)}" for text in self.event.details]
        return f"{when}  {one_line(self.event.words)}{''.join(below)}"

    def to_json(self) -> dict[str, Any]:
        """Returns plain data for other programs."""
        return {"time": self.time, "since": self.since, **self.event.to_json()}


def retold(sweep_dir: Path, *, until: int | None = None, follow: bool = False) -> Iterator[Told]:
    """Yields what happened in a study.

    Args:
        sweep_dir: ``hydra.sweep.dir``.
        until: The trial with whose outcome to end; None for the end of the journal.
        follow: Whether to wait for what still happens, as long as a sweeper works on the study.

    Raises:
        StudyError: There is no study, or its journal is damaged.
    """
    began: float | None = None
    bests: list[int] = []
    seen: list[None] = []
    for record, state, scene in moments(sweep_dir, _coming(sweep_dir, seen) if follow else ()):
        seen.append(None)
        now = record.get("time")
        began = now if began is None else began
        since = None if now is None or began is None else max(0.0, now - began)
        event = event_of(record, state, scene, bests)
        if event is not None:
            yield Told(now, since, clean(event))
        if until is not None and record["op"] == "tell" and record["number"] == until:
            return


def clean(event: Event) -> Event:
    """Returns an event without secrets: its journal may be of before one was recognised."""
    return replace(event, words=discreet(event.words), details=tuple(map(discreet, event.details)))


def discreet(text: str) -> str:
    """Returns text without secrets; what is redacted already stays as it is."""
    secrets = secrets_of(os.environ)
    return GONE.join(redact(piece, *secrets) for piece in text.split(GONE))


def paced(told: Iterable[Told], speed: float | None, wait: Callable[[float], None] = time.sleep) -> Iterator[Told]:
    """Yields events in the rhythm of the study, `speed` times as fast; None for all at once."""
    before: float | None = None
    for one in told:
        if speed is not None and before is not None and one.time is not None:
            wait(min(LONGEST_PAUSE, max(0.0, one.time - before) / speed))
        before = one.time if one.time is not None else before
        yield one


def clock(seconds: float) -> str:
    """Returns a duration as a clock shows it: ``0:01:05``."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def _coming(sweep_dir: Path, seen: Sequence[None]) -> Iterator[dict[str, Any]]:
    """Yields the records after those that have been `seen` when this is first asked, until nobody works there."""
    path, offset, skip = sweep_dir / PLACE, 0, len(seen)
    while True:
        works = bool(at_work(sweep_dir))  # Before the look, so that what it wrote last is seen.
        try:
            records, offset = whole_lines(path, offset)
        except (OSError, ValueError) as error:
            raise StudyError(str(path), f"cannot be read on ({error})") from None
        yield from records[skip:]
        skip = 0
        if not works:
            return
        time.sleep(_LOOKS)
