"""Headings, lines and tables for a person: in colour and fitted to a terminal, else plain and aligned for a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TextIO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from neuropt_core.sinks.text import one_line, plain

NARROW = 40
"""Columns that every table may take, whatever the terminal says of itself."""
_FOLDED = 2.0
"""A table that is wider than so many terminals is shown row by row, since folded columns cannot be read."""


@dataclass(frozen=True, slots=True)
class Heading:
    """The title of a part."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text.

    Attributes:
        rows: The titles first, then the rows, all of one length.
        right: The columns that are numbers, from 0, which stand at the right of their column.
    """

    rows: Sequence[Sequence[str]]
    right: frozenset[int] = field(default_factory=frozenset)

    def lines(self, indent: str = "") -> list[str]:
        """Returns the table as plain aligned text, a line a row; cells hold no line break and no escape sequence."""
        rows = [[one_line(cell) for cell in row] for row in self.rows]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return [
            f"{indent}{'  '.join(self._fitted(index, cell, widths[index]) for index, cell in enumerate(row))}".rstrip()
            for row in rows
        ]

    def _fitted(self, index: int, cell: str, width: int) -> str:
        return cell.rjust(width) if index in self.right else cell.ljust(width)


Item = Heading | Table | str


def page(items: Iterable[Item], stream: TextIO, width: int | None = None) -> str:
    """Returns the text that shows `items` on a stream.

    On a terminal it is coloured, unless ``NO_COLOR`` is set, and wraps at its width; elsewhere nothing is cut or
    wrapped, so that ``grep`` and ``cut`` find whole rows. Untrusted text is made harmless.

    Args:
        items: What is shown, in this order; a heading gets an empty line before it.
        stream: Where it will be written.
        width: Columns; None asks the terminal.
    """
    # Text objects only, never markup: what an LLM or a config wrote must not style or link anything.
    console = Console(file=stream, markup=False, emoji=False, highlight=False, width=width)
    if not stream.isatty() or console.is_dumb_terminal:
        return "".join(f"{line}\n" for line in _plain(items))
    with console.capture() as capture:
        for at, item in enumerate(items):
            if isinstance(item, Heading):
                console.print(Text(("\n" if at else "") + one_line(item.text), style="bold"))
            elif isinstance(item, Table):
                _print(console, item)
            else:
                # Left to the terminal to wrap: a command that rich has wrapped cannot be copied whole.
                console.print(Text(plain(item)), soft_wrap=True)
    return capture.get()


def _plain(items: Iterable[Item]) -> list[str]:
    lines: list[str] = []
    for item in items:
        if isinstance(item, Heading):
            lines += [*([""] if lines else []), one_line(item.text)]
        else:
            lines += item.lines("  ") if isinstance(item, Table) else plain(item).splitlines()
    return lines


def _print(console: Console, table: Table) -> None:
    titles, *rows = [[one_line(cell) for cell in row] for row in table.rows]
    natural = sum(max(map(len, column)) + 2 for column in zip(titles, *rows, strict=True))
    if len(titles) > 2 and natural > max(NARROW, _FOLDED * console.width):
        for head, *cells in rows:
            console.print(Text.assemble((f"  {titles[0]} ", "dim"), (head, "bold")), soft_wrap=True)
            told = [
                Text.assemble((f"{title} ", "dim"), cell)
                for title, cell in zip(titles[1:], cells, strict=True)
                if cell not in ("", "-")
            ]
            console.print(Padding(Text("; ").join(told), (0, 0, 0, 6), expand=False))
        return
    shown = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    first = max(len(row[0]) for row in (titles, *rows))
    for index, title in enumerate(titles):
        whole = index == 0 and first <= console.width // 3  # A name that is folded cannot be copied.
        shown.add_column(title, justify="right" if index in table.right else "left", overflow="fold", no_wrap=whole)
    for row in rows:
        shown.add_row(*map(Text, row))
    console.print(Padding(shown, (0, 0, 0, 2), expand=False))
