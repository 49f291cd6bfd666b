"""The page on troubleshooting quotes what is really printed."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import hydra

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "troubleshooting.md"


@cache
def _sources() -> str:
    """Returns all text that our sources and Hydra's config loader can print, each piece on a line of its own."""
    own = [path for room in ("neuropt_core", "hydra_plugins") for path in sorted((ROOT / room).rglob("*.py"))]
    theirs = Path(hydra.__file__).parent / "_internal"
    files = [*own, theirs / "config_loader_impl.py", theirs / "defaults_list.py"]
    nodes = (node for file in files for node in ast.walk(ast.parse(file.read_text())))
    return "\n".join(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


def _missing(quote: str) -> list[str]:
    """Returns the pieces of a quoted message that no source holds; `...` and `: ` stand between pieces."""
    pieces = [piece.strip() for piece in re.split(r"\.{3,}|: ", quote)]
    return [piece for piece in pieces if len(piece) > 3 and piece not in _sources()]


def test_messages_are_those_that_are_printed() -> None:
    """Each message that heads a section is in the sources, and there are 25 or more of them."""
    quotes = re.findall(r"^### `(.+)`$", PAGE.read_text(), flags=re.MULTILINE)
    assert [(quote, missing) for quote in quotes if (missing := _missing(quote))] == []
    assert len(quotes) >= 25
    assert len(set(quotes)) == len(quotes)


def test_a_message_that_is_gone_is_found() -> None:
    """A quote that nothing prints is told, in whichever of its pieces it differs."""
    assert _missing("is in use by another sweepers") == ["is in use by another sweepers"]
    assert _missing("the first ... trials all ended unlike: ...") == ["trials all ended unlike"]


def test_each_symptom_has_an_answer() -> None:
    """No section of a symptom is empty."""
    sections = re.split(r"^### ", PAGE.read_text(), flags=re.MULTILINE)[1:]
    assert [section for section in sections if len(section.partition("\n")[2].strip()) < 5] == []
