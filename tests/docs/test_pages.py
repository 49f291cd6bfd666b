"""The pages say what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import settings_table

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_every_setting_is_documented() -> None:
    """The table of settings is the schema's, with a meaning for each; settings_table.py writes it anew."""
    assert settings_table.page() == settings_table.PAGE.read_text()
    assert [name for name, _, meaning in settings_table.rows() if not meaning] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page names a file of the project."""
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_the_example_is_short_enough_to_copy() -> None:
    """The script that people copy stays under 120 lines."""
    assert len((ROOT / "examples" / "finetune" / "train.py").read_text().splitlines()) < 120
