"""A small terminal: a pseudo terminal, and the screen that its output makes."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_TOKENS = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|\x1b([78])|(\r)|(\n)|([^\x1b\r\n]+)|(\x1b.?)", re.DOTALL)


class Screen:
    """What a terminal shows after some output: enough of a VT100 for lines, colours and a scrolling region.

    Attributes:
        rows: The rows on the screen.
        gone: The rows that have scrolled out at the top.
        top, bottom: The scrolling region, as indices, both inclusive.
        strange: Sequences that it does not know.
    """

    def __init__(self, columns: int, lines: int) -> None:
        self.columns, self.lines = columns, lines
        self.rows = [""] * lines
        self.gone: list[str] = []
        self.top, self.bottom = 0, lines - 1
        self.strange: list[str] = []
        self._row = self._column = 0
        self._saved = (0, 0)

    @property
    def text(self) -> list[str]:
        """All rows that were ever completed, scrolled out or not, without trailing spaces."""
        return [row.rstrip() for row in (*self.gone, *self.rows)]

    def feed(self, output: str) -> Screen:
        """Shows output."""
        for match in _TOKENS.finditer(output):
            arguments, command, cursor, back, newline, text, other = match.groups()
            if command:
                self._command(arguments, command)
            elif cursor == "7":
                self._saved = (self._row, self._column)
            elif cursor == "8":
                self._row, self._column = self._saved
            elif back:
                self._column = 0
            elif newline:
                self._newline()
            elif text:
                self._print(text)
            else:
                self.strange.append(other)
        return self

    def _command(self, arguments: str, command: str) -> None:
        numbers = [int(n) for n in arguments.split(";") if n.isdigit()]
        if command == "H":
            self._row, self._column = (numbers or [1])[0] - 1, 0
        elif command == "A":
            self._row = max(0, self._row - (numbers or [1])[0])
        elif command == "K":
            self.rows[self._row] = ""
        elif command == "r":
            self.top, self.bottom = (numbers[0] - 1, numbers[1] - 1) if numbers else (0, self.lines - 1)
            self._row = self._column = 0
        elif command != "m":
            self.strange.append(command)

    def _newline(self) -> None:
        if self._row == self.bottom:
            self.gone.append(self.rows.pop(self.top))
            self.rows.insert(self.bottom, "")
        else:
            self._row = min(self._row + 1, self.lines - 1)

    def _print(self, text: str) -> None:
        for character in text:
            if self._column == self.columns:
                self._column = 0
                self._newline()
            row = self.rows[self._row].ljust(self._column)
            self.rows[self._row] = row[: self._column] + character + row[self._column + 1 :]
            self._column += 1


@contextmanager
def terminal(columns: int = 100, lines: int = 24) -> Iterator[tuple[TextIO, list[str]]]:
    """Opens a pseudo terminal; yields a stream that is one, and a list that has its output once the block is left."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    received: list[bytes] = []
    output: list[str] = []

    def read() -> None:
        while True:
            try:
                data = os.read(master, 4096)
            except OSError:
                return
            if not data:
                return
            received.append(data)

    reader = threading.Thread(target=read)
    reader.start()
    stream = os.fdopen(slave, "w", encoding="utf-8", buffering=1)
    try:
        yield stream, output
    finally:
        stream.close()
        reader.join()
        os.close(master)
        output.append(b"".join(received).decode())
