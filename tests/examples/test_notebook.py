"""The notebook of the examples runs, and its table is drawn while it does."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from sweeps import environment

NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebook" / "search.ipynb"


def _outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells for output in cell.get("outputs", ())]


def _check(notebook: Any) -> None:
    outputs = _outputs(notebook)
    assert [output.output_type for output in outputs if output.output_type == "error"] == []
    assert [output for output in outputs if output.get("name") == "stderr"] == []
    tables = [output.data["text/html"] for output in outputs if "text/html" in output.get("data", {})]
    assert len(tables) == 2  # The live one, and the search itself in the last cell.
    for table in tables:
        assert table.count("<tr") == 7
        assert "ended: 6 trials are done" in table
    assert "Introspected PyTorch model (2,410 params)" in str(outputs)


def test_the_committed_notebook_shows_its_outputs() -> None:
    """Whoever reads the notebook without running it sees the table, and no path of the machine that ran it."""
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    _check(notebook)
    assert re.findall(r"/(?:tmp|root|home|work(?:space)?|Users)/", NOTEBOOK.read_text()) == []


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real kernel runs every cell; the live table is updated in place, and the study lies where the notebook does."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    pytest.importorskip("sklearn")
    for name, value in environment().items():
        if os.environ.get(name) != value:
            monkeypatch.setenv(name, value)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        cell.pop("outputs", None) if cell.cell_type != "code" else cell.update(outputs=[], execution_count=None)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3", resources=resources).execute()
    _check(notebook)
    assert len((tmp_path / "digits.jsonl").read_text().splitlines()) == 6
    assert (tmp_path / "digits.neuropt" / "report.html").exists()
