"""The table of docs/matrix.md: what a study records of each way to misbehave, under each launcher."""

from __future__ import annotations

import re
from pathlib import Path

import hydra

PAGE = Path(__file__).parents[2] / "docs" / "matrix.md"
SERIES = ".".join(hydra.__version__.split(".")[:2])
"""Of the Hydra that runs the tests, e.g. ``1.3``; each has a table of its own."""
WAYS = {
    "ok": "returns a number",
    "raises": "raises an exception",
    "exits": "calls `sys.exit(3)`",
    "killed": "is killed (SIGKILL)",
    "unpicklable": "raises what cannot be pickled",
    "hangs": "hangs (`trial_timeout`)",
    "diverges": "returns NaN",
    "nothing": "returns nothing",
}
LAUNCHERS = ("basic", "basic, isolate=false", "joblib", "submitit_local", "submitit_slurm", "ray")
UNKNOWN = "not run"


def read(text: str) -> dict[tuple[str, str], str]:
    """Returns (launcher, way) -> the cell of this Hydra's table; empty if the page has none."""
    lines = [line for line in _section(text).splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    if not rows:
        return {}
    shown = {words: way for way, words in WAYS.items()}
    return {
        (launcher, shown[words]): cell
        for words, *cells in rows[2:]
        for launcher, cell in zip(rows[0][1:], cells, strict=True)
    }


def write(cells: dict[tuple[str, str], str]) -> None:
    """Writes the cells that were just seen into the page; the others stay."""
    text = PAGE.read_text()
    known = read(text) | cells
    lines = ["| the trial | " + " | ".join(LAUNCHERS) + " |", "|---" * (1 + len(LAUNCHERS)) + "|"]
    for way, words in WAYS.items():
        row = " | ".join(known.get((launcher, way), UNKNOWN) for launcher in LAUNCHERS)
        lines.append(f"| {words} | {row} |")
    section = f"## Hydra {SERIES}\n\n" + "\n".join(lines) + "\n"
    before = _section(text)
    PAGE.write_text(text.replace(before, section) if before else f"{text.rstrip()}\n\n{section}")


def _section(text: str) -> str:
    found = re.search(rf"^## Hydra {re.escape(SERIES)}\n\n(\|.*\n)+", text, flags=re.MULTILINE)
    return found[0] if found else ""
