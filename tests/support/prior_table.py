"""The tables of docs/prior.md, made from the rules: `python tests/support/prior_table.py` writes them anew."""

from __future__ import annotations

import re
from pathlib import Path

from neuropt_core.advisors.moves import MOVES
from neuropt_core.advisors.rules import RULES
from neuropt_core.advisors.rules_base import Rule

PAGE = Path(__file__).parents[2] / "docs" / "prior.md"
_RULES = re.compile(r"\| role \|.*?\n(?=\n)", re.DOTALL)
_MOVES = re.compile(r"\| move \|.*?\n(?=\n|\Z)", re.DOTALL)


def rules() -> str:
    """Returns the table of rules in Markdown."""
    head = ["| role | when | low | mode | high | risk | why | source |", "|---|---|---|---|---|---|---|---|"]
    return "\n".join([*head, *map(_row, RULES)]) + "\n"


def _row(rule: Rule) -> str:
    if rule.likely:
        words = ", ".join("your own" if name == "*" else name for name in rule.likely)
        numbers = f"{words} | | "
    else:
        times = " x yours" if rule.times_own else ""
        numbers = " | ".join(f"{value:g}{times}" for value in (rule.low, rule.mode, rule.high) if value is not None)
    return f"| {rule.role.replace(' ', ', ')} | {rule.when} | {numbers} | {rule.risk} | {rule.why} | {rule.source} |"


def moves() -> str:
    """Returns the table of moves in Markdown."""
    rows = [f"| {move.why} | {move.source} |" for move in MOVES]
    return "\n".join(["| move | source |", "|---|---|", *rows]) + "\n"


def page() -> str:
    """Returns docs/prior.md with the tables of today's rules and moves."""
    text = _RULES.sub(lambda match: rules(), PAGE.read_text(), count=1)
    return _MOVES.sub(lambda match: moves(), text, count=1)


if __name__ == "__main__":
    PAGE.write_text(page())
