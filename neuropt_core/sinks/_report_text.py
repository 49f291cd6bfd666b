"""Text for the report in W&B: made harmless, without secrets, and bounded."""

from __future__ import annotations

import re
from collections.abc import Sequence

from neuropt_core.redact import redact
from neuropt_core.sinks.text import one_line, plain

CUT = " [...]"
"""What stands where text was cut off."""
_FOLDERS = re.compile(r"(?<![\w.:/\\~])~?/(?:[^\s/'\"=,:;|<>()\[\]]+/)+")
"""The folders of an absolute path: they may name people."""


def words(text: str, limit: int) -> str:
    """Returns text on one line, cut at `limit`, without anything that a reader's machine would obey.

    Secrets go, and the folders of absolute paths: the report may be read by people who see nothing else of the study.
    """
    return clipped(_FOLDERS.sub(".../", redact(text)), limit)


def lines(text: str, limit: int) -> str:
    """Returns text as `words` does, its lines kept."""
    kept = plain(_FOLDERS.sub(".../", redact(text))).strip("\n")
    return kept if len(kept) <= limit else kept[: limit - len(CUT)].rstrip() + CUT


def clipped(text: str, limit: int) -> str:
    """Returns text on one line, cut at `limit` characters."""
    shown = one_line(text)
    return shown if len(shown) <= limit else shown[: limit - len(CUT)].rstrip() + CUT


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table in Markdown whose cells hold no Markdown: all that could be such is escaped."""
    lines = [columns, ["---"] * len(columns), *rows]
    shown = [line if number == 1 else [cell(text) for text in line] for number, line in enumerate(lines)]
    return "\n".join(f"| {' | '.join(line)} |" for line in shown)


def cell(text: str) -> str:
    """Returns text as Markdown that shows exactly that text on one line.

    Every ASCII punctuation may be escaped (CommonMark 0.31, section 2.4); an address that a reader's page would make a
    link of is broken up.
    """
    escaped = re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(text.split()))
    return re.sub(r"(?i)\b(www)(?=\\\.)", "\\1\u200b", escaped)
