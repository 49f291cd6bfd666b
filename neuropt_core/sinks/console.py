"""What a person watches: a line per trial, a progress bar on a terminal, and the summary at the end.

The lines go to a stream, coloured and wrapped if it is a terminal, and as plain text to a log file. The bar has the
last row of the terminal to itself (see `_last_row`), so that trials that print, here or in other processes, do not
garble it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from rich.console import Console, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from neuropt_core.advice import Consultation
from neuropt_core.sinks._last_row import LastRow, takes
from neuropt_core.sinks._lines import Part, outcome_lines, running_words, table_rows, trial_parts, where_lines
from neuropt_core.sinks._objectives import score
from neuropt_core.sinks.base import Scene
from neuropt_core.sinks.text import duration, one_line, plain, writable
from neuropt_core.trial import Trial

_STYLES = {"head": "bold", "best": "bold green", "score": "bold", "bad": "red", "warn": "yellow", "dim": "dim", "": ""}

_PIECE = 950
"""Characters: whatever says that it takes something takes four bytes for each, and a line (PIPE_BUF)."""
_PATIENCE = 5.0
"""Seconds that are waited for a stream that takes nothing."""


class ConsoleSink:
    """Shows the study as it goes.

    Args:
        stream: Where to show it; stdout if None.
        log_path: A file that gets every line too, plain and unwrapped; appended to.
        clock: Seconds, for the time elapsed and left.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        log_path: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = sys.stdout if stream is None else stream
        self._log_path, self._clock = log_path, clock
        # Text objects only, never markup: what an LLM wrote must not style, link or break anything.
        self._console = Console(file=self._stream, markup=False, emoji=False, highlight=False)
        self._rich = self._stream.isatty() and not self._console.is_dumb_terminal
        self._row: LastRow | None = None
        self._scene: Scene | None = None
        self._began = self._clock()
        self._done_before = self._unshown = 0

    def say(self, text: str) -> None:
        """Shows text of one or more lines, e.g. what introspection found."""
        lines = plain(text).splitlines()
        self._show(lines, [Text(line) for line in lines])

    def study_started(self, scene: Scene) -> None:
        """Says where a resumed study stands, and starts the bar."""
        self._scene, self._began = scene, self._clock()
        self._done_before = _done(scene)
        if scene.trials:
            best = scene.best
            text = f"Resuming study {scene.spec.name}: {self._done_before} of {scene.n_trials} trials done"
            if best is not None and best.value is not None:
                text += f", best {score(best)} (trial {best.number})"
            self.say(text)
        if self._rich and self._row is None:
            self._row = LastRow(self._stream.fileno(), self._bar, self._console.encoding)

    def trial_asked(self, scene: Scene, trial: Trial) -> None:
        """Shows in the bar that the trial runs."""
        self.refresh(scene)

    def trial_told(self, scene: Scene, trial: Trial) -> None:
        """Shows the trial's line."""
        parts = trial_parts(scene, trial)
        self._show(["  ".join(text for text, _ in parts)], [_wrapping(parts, _width(self._stream))])
        self.refresh(scene)

    def consulted(self, scene: Scene, consultation: Consultation) -> None:
        """Says why the LLM's reply, or a part of it, could not be used."""
        complaints = consultation.complaints
        if complaints:
            more = f" (and {len(complaints) - 1} more)" if len(complaints) > 1 else ""
            self.say(one_line(f"{consultation.model}: {complaints[0]}{more}"))

    def study_finished(self, scene: Scene, reason: str) -> None:
        """Takes the bar away and shows the summary."""
        if self._row is not None:
            self._row.close()
            self._row = None
        first, last, rows = outcome_lines(scene, reason), where_lines(scene), table_rows(scene)
        shown: list[RenderableType] = [Text(), *map(Text, first)]
        lines = ["", *first]
        if len(rows) > 1:
            shown.append(_table(rows))
            lines += _columns(rows)
        self._show(lines, shown)
        # Left to the terminal to wrap: a command that rich has wrapped cannot be copied whole.
        self._write_lines(last)

    def refresh(self, scene: Scene) -> None:
        """Shows in the bar what has changed."""
        self._scene = scene
        if self._row is not None:
            self._row.draw()

    def _show(self, lines: Sequence[str], shown: Sequence[RenderableType]) -> None:
        if not self._rich:
            self._write_lines(lines)
            return
        width = _width(self._stream)
        with self._console.capture() as capture:
            for item in shown:
                self._console.print(item, width=width)
        self._write(capture.get(), lines)

    def _write_lines(self, lines: Sequence[str]) -> None:
        self._write("".join(f"{line}\n" for line in lines), lines)

    def _write(self, text: str, lines: Sequence[str]) -> None:
        try:
            self._push(writable(text, self._stream))
        finally:
            # Also when the stream is gone: the log is what is left then.
            if self._log_path is not None:
                self._log_path.parent.mkdir(parents=True, exist_ok=True)
                with self._log_path.open("a", encoding="utf-8") as log:
                    log.writelines(f"{line}\n" for line in lines)

    def _push(self, text: str) -> None:
        """Writes to the stream, unless nobody takes it: the sweep must not wait for a terminal that was held."""
        notice = f"({self._unshown} characters were not shown here)\n" if self._unshown else ""
        for at in range(0, len(text), _PIECE):
            # Who was not there the last time is not waited for again.
            if not self._takes(0.0 if self._unshown else _PATIENCE):
                self._unshown += len(text) - at
                return
            self._stream.write(notice + text[at : at + _PIECE])
            self._stream.flush()
            notice, self._unshown = "", 0

    def _takes(self, wait: float) -> bool:
        try:
            return takes(self._stream.fileno(), wait)
        except (OSError, ValueError):  # No file behind it: text that is kept in memory.
            return True

    def _bar(self, width: int) -> str:
        scene = self._scene
        if scene is None:
            return ""
        columns = max(8, min(30, width // 5))
        status, room = Text(f"  {self._status(scene)}"), width - columns - 1
        with self._console.capture() as capture:
            self._console.print(ProgressBar(scene.n_trials, _done(scene), columns), end="")
            self._console.print(status, width=room, end="", no_wrap=True, overflow="ellipsis")
        return capture.get()

    def _status(self, scene: Scene) -> str:
        done, elapsed = _done(scene), self._clock() - self._began
        parts = [f"{done}/{scene.n_trials}"]
        if scene.best is not None and scene.best.value is not None:
            parts.append(f"best {score(scene.best)} (trial {scene.best.number})")
        if scene.stopping:
            parts.append("ending")
        running = [trial.number for trial in scene.trials if trial.outcome is None]
        if running:
            shown = [running_words(number, scene.running, self._clock()) for number in running[:4]]
            parts.append(f"running: {', '.join(shown)}{' ...' if len(running) > 4 else ''}")
        parts.append(duration(elapsed, digits=0))
        here = done - self._done_before
        if here > 0 and done < scene.n_trials and not scene.stopping:
            left = elapsed / here * (scene.n_trials - done)
            parts.append(f"about {duration(left, digits=0)} left")
        return "  ".join(parts)


def _done(scene: Scene) -> int:
    return sum(trial.outcome is not None for trial in scene.trials)


def _width(stream: TextIO) -> int:
    with contextlib.suppress(OSError, ValueError):
        # Some pseudo terminals, e.g. of containers, say that they have no columns.
        return max(20, os.get_terminal_size(stream.fileno()).columns or 80)
    return 80


def _wrapping(parts: Sequence[Part], width: int) -> RenderableType:
    head, *others = (Text(text, style=_STYLES[kind]) for text, kind in parts)
    body = Text("  ").join(others)
    if width < 60:
        return Text("  ").join([head, body])
    # Two columns, so that what is too long for the terminal goes on below itself and not below the trial's number.
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(head, body)
    return grid


def _table(rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for index, title in enumerate(rows[0]):
        table.add_column(title, justify="right" if index < 3 else "left", overflow="fold")
    for row in rows[1:]:
        table.add_row(*map(Text, row))
    return table


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    cells = [
        [
            cell.rjust(width) if index < 3 else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    ]
    return ["  ".join(row).rstrip() for row in cells]
