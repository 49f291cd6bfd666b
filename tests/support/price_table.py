"""The table of docs/budgets.md, made from the price list: `python tests/support/price_table.py` writes it anew."""

from __future__ import annotations

import re
from pathlib import Path

from neuropt_core.spending import PRICES, PRICES_OF

PAGE = Path(__file__).parents[2] / "docs" / "budgets.md"
_TABLE = re.compile(r"\| model, .*?\n(?=\n)", re.DOTALL)


def table() -> str:
    """Returns the table in Markdown."""
    head = [f"| model, {PRICES_OF} | input | output | input read from the cache |", "|---|---|---|---|"]
    rows = [
        f"| `{model}` | {_usd(price.input)} | {_usd(price.output)} | {_usd(price.cache_read)} |"
        for model, price in PRICES.items()
    ]
    return "\n".join([*head, *rows]) + "\n"


def _usd(amount: float | None) -> str:
    return "" if amount is None else f"{amount:.2f}"


def page() -> str:
    """Returns docs/budgets.md with the table of today's prices."""
    return _TABLE.sub(lambda match: table(), PAGE.read_text(), count=1)


if __name__ == "__main__":
    PAGE.write_text(page())
