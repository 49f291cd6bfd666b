"""The code blocks of Markdown pages, and what each language's blocks are checked for.

Languages: ``python`` (type-checked, and executed behind the marker ``<!-- run -->``), ``bash`` and ``console``
(commands, see `command_lines`), ``yaml`` and ``json`` (parsed; what stands under hydra.sweeper is merged into
the schema), ``text`` (output and pictures: free).

Markers stand on a line of their own, directly before the fence:

    <!-- run -->               a python block that is complete: it is executed as well, in one namespace for each page
    <!-- not checked: why -->  a block that cannot be checked here, with the reason
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LANGUAGES = ("python", "bash", "console", "yaml", "json", "text")
_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,})(?P<info>.*)$")
_MARKER = re.compile(r"^\s*<!-- (?P<what>run|not checked: [^>]+) -->\s*$")


@dataclass(frozen=True, slots=True)
class Block:
    """One code block.

    Attributes:
        where: The page below the project's root and the line of the fence, e.g. ``docs/slurm.md:5``.
        language: The first word after the fence; "" where there is none.
        text: What stands in it, without the fence's own indentation.
        marker: ``run``, ``not checked: why`` or "".
    """

    where: str
    language: str
    text: str
    marker: str = ""

    @property
    def page(self) -> str:
        """The page alone, e.g. ``docs/slurm.md``."""
        return self.where.rpartition(":")[0]


def pages() -> list[Path]:
    """Returns the pages whose blocks are checked."""
    tops = (ROOT / "README.md", ROOT / "CONTRIBUTING.md")
    return [page for page in (*tops, *sorted((ROOT / "docs").glob("*.md"))) if page.exists()]


def blocks(text: str, page: str) -> Iterator[Block]:
    """Yields the code blocks of a page: fenced ones, and indented ones, whose language is "".

    Args:
        text: The page.
        page: What it is called.
    """
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        fence = _FENCE.match(lines[at])
        if fence:
            end = next(
                (n for n in range(at + 1, len(lines)) if lines[n].strip() == fence["ticks"]),
                len(lines),
            )
            words = fence["info"].split()
            marker = _MARKER.match(lines[at - 1]) if at else None
            body = "\n".join(line.removeprefix(fence["indent"]) for line in lines[at + 1 : end])
            yield Block(f"{page}:{at + 1}", words[0] if words else "", body, marker["what"] if marker else "")
            at = end + 1
        elif _begins_indented(lines, at):
            end = next((n for n in range(at, len(lines)) if lines[n].strip() and lines[n][:4].strip()), len(lines))
            yield Block(f"{page}:{at + 1}", "", textwrap.dedent("\n".join(lines[at:end])))
            at = end
        else:
            at += 1


def _begins_indented(lines: list[str], at: int) -> bool:
    """Says whether a line begins an indented block; in a list, four spaces continue an item."""
    if not lines[at].startswith("    ") or not lines[at].strip() or (at and lines[at - 1].strip()):
        return False
    before = next((line for line in reversed(lines[:at]) if line.strip() and not line.startswith(" ")), "")
    return not re.match(r"([-*+]|\d+\.) ", before) and not before.startswith(("??? ", "!!! ", '=== "', "<"))


def all_blocks() -> list[Block]:
    """Returns the blocks of all pages."""
    return [block for page in pages() for block in blocks(page.read_text(), page.relative_to(ROOT).as_posix())]


def of(*languages: str) -> list[Block]:
    """Returns the blocks in these languages that are to be checked."""
    return [b for b in all_blocks() if b.language in languages and not b.marker.startswith("not checked")]
