"""The search in a notebook: a live table, whose words are escaped; elsewhere plain lines."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from neuropt_core import ArchSearch
from neuropt_core.archsearch.notebook import in_notebook


def test_words_of_an_llm_are_text_and_no_markup(tmp_path: Path) -> None:
    """What stands in a choice, a name or a failure is escaped in the table, and the best trial is set apart."""

    def train(config: dict[str, Any]) -> float:
        if config["<b>kind</b>"] == "<script>alert(1)</script>":
            raise ValueError("<img src=x onerror=alert(2)>")
        return math.sqrt(config["x"])

    space = {"x": (0.1, 1.0), "<b>kind</b>": ["plain", "<script>alert(1)</script>"]}
    search = ArchSearch(train, space, backend="none", log_path=tmp_path / "search.jsonl", max_failure_rate=1.0)
    assert "0 trials" in search._repr_html_()
    search.run(max_evals=6)
    page = search._repr_html_()
    assert "FAIL" in page
    assert "&lt;b&gt;kind&lt;/b&gt;" in page
    assert "&lt;img src=x" in page
    assert page.count("font-weight:bold") == 1
    for tag in ("<script", "<img", "<b>"):
        assert tag not in page
    assert page.count("<tr") == 7
    assert not in_notebook()
