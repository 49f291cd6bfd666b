"""What a reader may count on in every file."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = [p for folder in ("neuropt_core", "hydra_plugins", "examples") for p in sorted((ROOT / folder).rglob("*.py"))]
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
LONGEST_FILE, LONGEST_FUNCTION = 300, 60


def test_a_file_is_one_room() -> None:
    """No source file is longer than 300 lines."""
    lengths = {p.relative_to(ROOT).as_posix(): len(p.read_text().splitlines()) for p in SOURCES}
    assert {name: n for name, n in lengths.items() if n > LONGEST_FILE} == {}


def test_a_function_fits_on_a_page() -> None:
    """No function is longer than 60 lines, its docstring included."""
    long = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > LONGEST_FUNCTION:
                    long.append(f"{path.name}:{node.name} {lines}")
    assert long == []


def test_every_test_says_what_it_proves() -> None:
    """Each test has a docstring that is a sentence."""
    silent = []
    for path in TESTS:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                sentence = ast.get_docstring(node) or ""
                if not sentence.rstrip().endswith("."):
                    silent.append(f"{path.name}:{node.name}")
    assert silent == []


def test_the_map_shows_every_room() -> None:
    """docs/architecture.md names every module, so that a newcomer finds each of them there."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    missing = [p.relative_to(ROOT).as_posix() for p in SOURCES if p.name != "__init__.py" and f"{p.name} " not in page]
    assert missing == []
