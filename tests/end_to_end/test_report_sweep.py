"""report.html of a real sweep."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from apps import curves
from sweeps import sweep


@pytest.mark.slow
def test_a_sweep_leaves_its_page(tmp_path: Path) -> None:
    """A sweep writes the page beside its results and names it last; the page holds every trial and its curve."""
    given = ("hydra.sweeper.introspect=false", "hydra.sweeper.advisor=random", "floor=choice(0.5,3.0)")
    done = sweep(tmp_path / "s", *given, "hydra.sweeper.n_trials=5", script=Path(curves.__file__))
    assert done.code == 0, done.stderr
    file = done.folder / "report.html"
    assert f"Report: {file}" in done.stdout
    page = file.read_text()
    block = re.search(r'id="data">(.*?)</script>', page, flags=re.DOTALL)
    assert block is not None
    data = json.loads(block[1])
    assert [trial["n"] for trial in data["trials"]] == [0, 1, 2, 3, 4]
    assert all("c" in trial for trial in data["trials"])
    assert "all 5 trials are done" in page
    assert "not an LLM" in page
    assert str(done.folder) not in page  # A page is passed on; where it was made is nobody's business.
