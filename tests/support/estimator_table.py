"""The table of docs/estimators.md, made from the rows: `python tests/support/estimator_table.py` writes it anew."""

from __future__ import annotations

import re
from pathlib import Path

from neuropt_core.estimators.known import FAMILIES, STRANGER
from neuropt_core.estimators.rows import Needs, Row

PAGE = Path(__file__).parents[2] / "docs" / "estimators.md"
_TABLE = re.compile(r"\| estimator \|.*?\n(?=\n|\Z)", re.DOTALL)


def table() -> str:
    """Returns all rows in Markdown."""
    lines = ["| estimator | argument | range | choices | only | source |", "|---|---|---|---|---|---|"]
    for family in (*FAMILIES, STRANGER):
        lines += [f"| `{family.name}` | {_cells(row)} |" for row in family.rows]
    return "\n".join(lines) + "\n"


def _cells(row: Row) -> str:
    span = "" if row.low is None or row.high is None else f"{row.low:g} to {row.high:g}{', log' if row.log else ''}"
    span += ", whole" if row.whole else ""
    choices = ", ".join(f"`{choice!r}`" for choice in (*row.words, *row.points))
    only = "; ".join([*_conditions(row.needs), *_conditions(row.when), *(["`space=wide`"] if row.wide else [])])
    return " | ".join((f"`{row.argument}`", span, choices, only, row.source))


def _conditions(needs: Needs) -> list[str]:
    return [f"`{name}` is {' or '.join(f'`{value!r}`' for value in values)}" for name, values in needs]


def page() -> str:
    """Returns docs/estimators.md with the table of today's rows."""
    return _TABLE.sub(lambda match: table(), PAGE.read_text(encoding="utf-8"), count=1)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
