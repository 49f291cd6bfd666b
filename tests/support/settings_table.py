"""The table of docs/settings.md, made from the schema: `python tests/support/settings_table.py` writes it anew."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "hydra_plugins" / "neuropt_sweeper" / "config.py"
PAGE = ROOT / "docs" / "settings.md"
_TABLE = re.compile(r"(@TABLE@|\| setting \|.*?\n)(?=\n[^|])", re.DOTALL)


def rows() -> Iterator[tuple[str, str, str]]:
    """Yields (setting, default, meaning) of everything below `hydra.sweeper`."""
    classes = {node.name: node for node in ast.parse(SCHEMA.read_text()).body if isinstance(node, ast.ClassDef)}
    yield from _rows(classes, classes["NeuroptSweeperConf"], "")


def _rows(classes: dict[str, ast.ClassDef], node: ast.ClassDef, prefix: str) -> Iterator[tuple[str, str, str]]:
    for field, after in zip(node.body, [*node.body[1:], None], strict=True):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        name, kind = field.target.id, ast.unparse(field.annotation)
        if kind in classes:
            yield from _rows(classes, classes[kind], f"{prefix}{name}.")
        elif name != "_target_":
            told = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            meaning = str(after.value.value) if told else ""  # type: ignore[union-attr]
            yield f"{prefix}{name}", _default(field), meaning


def _default(field: ast.AnnAssign) -> str:
    if not isinstance(field.value, ast.Constant):
        return "{}"
    value = field.value.value
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value) or '""'


def table() -> str:
    """Returns the table in Markdown."""
    lines = [f"| `{name}` | `{default}` | {' '.join(meaning.split())} |" for name, default, meaning in rows()]
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *lines]) + "\n"


def page() -> str:
    """Returns docs/settings.md with the table of today's schema."""
    return _TABLE.sub(lambda match: table(), PAGE.read_text(), count=1)


if __name__ == "__main__":
    PAGE.write_text(page())
