"""Text for the report in W&B."""

from __future__ import annotations

from neuropt_core.sinks._report_text import cell, clipped, lines, table, words


def test_a_cell_shows_exactly_its_text() -> None:
    """Every mark that Markdown knows is escaped, and line breaks cannot end a row."""
    assert cell("a|b\n*c* `d` <e> [f](g) \\") == r"a\|b \*c\* \`d\` \<e\> \[f\]\(g\) \\"
    assert table(["x"], [["1"], ["-"]]).splitlines() == ["| x |", "| --- |", "| 1 |", r"| \- |"]


def test_text_is_cut_visibly_and_has_no_secrets() -> None:
    """What is too long ends in an ellipsis within its limit; keys are gone, be they at the cut or not."""
    assert clipped("a" * 30, 20) == "a" * 14 + " [...]"
    assert words("x\ty\nz", 20) == "x y z"
    assert "sk-" not in words("key: sk-0123456789abcdef0123", 12)
    assert lines("a\n  b\x1b[31m", 20) == "a\n  b"
