"""Text for the report in W&B."""

from __future__ import annotations

import pytest

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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("python /home/ada/x/train.py a=~/data/b.csv", "python .../train.py a=.../b.csv"),
        ("and/or 1/2 ./a/b.py http://w.example/a/b /x", "and/or 1/2 ./a/b.py http://w.example/a/b /x"),
        ("File '/scratch/ada/run/my.py', line 3", "File '.../my.py', line 3"),
    ],
)
def test_folders_that_may_name_people_are_left_out(text: str, shown: str) -> None:
    """Of an absolute path its last part is told; relative paths, fractions and addresses stay."""
    assert words(text, 200) == shown
    assert lines(text, 200) == shown
