"""The table of docs/failures.md, made from the taxonomy: `python tests/support/failures_table.py` writes it anew."""

from __future__ import annotations

import re
from pathlib import Path

from neuropt_core.taxonomy import KINDS

PAGE = Path(__file__).parents[2] / "docs" / "failures.md"
_TABLE = re.compile(r"(@TABLE@\n|\| kind \|.*?\n)(?=\n[^|])", re.DOTALL)


def table() -> str:
    """Returns the table in Markdown."""
    lines = [f"| `{kind.name}` | {kind.means} | {kind.recognised} | {kind.does} |" for kind in KINDS]
    titles = "| kind | what has happened | recognised by | what the study does |"
    return "\n".join([titles, "|---|---|---|---|", *lines]) + "\n"


def page() -> str:
    """Returns docs/failures.md with the table of today's kinds."""
    return _TABLE.sub(lambda match: table(), PAGE.read_text(), count=1)


if __name__ == "__main__":
    PAGE.write_text(page())
