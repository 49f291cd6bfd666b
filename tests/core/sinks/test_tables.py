"""Pages for people: on a terminal and in a pipe."""

from __future__ import annotations

import io
import re

import pytest
from terminal import Screen, terminal

from neuropt_core.sinks.tables import Heading, Item, Table, page

ROWS = Table(
    [("trial", "score", "changed"), ("7", "0.25", "optimizer.lr=0.01, model.dropout=0.125"), ("12", "0.5", "-")],
    right=frozenset((0, 1)),
)
ITEMS: list[Item] = ["First.", Heading("Trials"), ROWS, "python train.py " + "key=value " * 12]


def _on_a_terminal(columns: int) -> str:
    with terminal(columns) as (stream, output):
        stream.write(page(ITEMS, stream, width=columns))
    return output[0]


def test_a_pipe_gets_whole_aligned_rows() -> None:
    """In a pipe a row is a line, aligned, without colours, and nothing is cut."""
    assert page(ITEMS, io.StringIO()).splitlines()[:6] == [
        "First.",
        "",
        "Trials",
        "  trial  score  changed",
        "      7   0.25  optimizer.lr=0.01, model.dropout=0.125",
        "     12    0.5  -",
    ]


def test_untrusted_text_stays_in_its_cell() -> None:
    """Escape sequences and line breaks of a cell, a heading or a line reach neither a pipe nor a terminal."""
    evil = "\x1b[31mred\nTrials: all fine\x1b]0;title\x07"
    items: list[Item] = [evil, Heading(evil), Table([("a", "b", "c"), (evil, evil, "[bold]x[/bold]")])]
    assert "\x1b" not in page(items, io.StringIO())
    assert page(items, io.StringIO()).splitlines()[-1].endswith("[bold]x[/bold]")
    with terminal(100) as (stream, _):
        shown = page(items, stream, width=100)
    assert "\x1b[31m" not in shown
    assert "title" not in shown
    assert "[bold]x[/bold]" in shown


def test_a_terminal_gets_a_table_or_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that fits is one; on a narrow terminal its rows follow each other, none wider than that."""
    monkeypatch.setenv("TERM", "xterm")
    wide, narrow = _on_a_terminal(100), _on_a_terminal(20)
    assert "      7   0.25  optimizer.lr=0.01, model.dropout=0.125" in Screen(100, 40).feed(wide).text
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in narrow.replace("\r", "").split("\n")]
    assert "  trial 7" in lines
    assert all(len(line) <= 20 for line in lines if "key=value" not in line)
    assert "\x1b[1m" in wide


def test_a_command_is_not_broken_into_lines() -> None:
    """A long line is left to the terminal to wrap, so that a command can be copied whole."""
    assert "python train.py " + "key=value " * 12 in _on_a_terminal(40).replace("\r", "").split("\n")
