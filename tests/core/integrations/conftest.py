"""Trials of which the callbacks are a part."""

from __future__ import annotations

from pathlib import Path

import pytest
from zoo import models as models

from neuropt_core.ticket import VARIABLE, Ticket


@pytest.fixture
def ticket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ticket:
    """This process is a trial's job, as its ticket says."""
    made = Ticket(tmp_path / "trial", 0)
    made.folder.mkdir()
    made.write()
    monkeypatch.setenv(VARIABLE, str(made.path))
    monkeypatch.chdir(tmp_path)
    return made
