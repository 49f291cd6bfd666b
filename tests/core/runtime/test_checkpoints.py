"""Where a trial keeps its checkpoints."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import neuropt_core
from neuropt_core.ticket import VARIABLE, Ticket

_APP = """
import hydra, neuropt_core

@hydra.main(version_base=None, config_path=None)
def main(cfg):
    print(neuropt_core.checkpoint_dir())

main()
"""


def test_the_folder_of_checkpoints_is_the_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All attempts share it, another trial has its own; outside a sweep and Hydra it is in the working directory."""
    ticket, other = Ticket(tmp_path / "0" / "neuropt", 0), Ticket(tmp_path / "1" / "neuropt", 1)
    folders = []
    for one in (ticket, replace(ticket, attempt=1), other):
        one.write()
        monkeypatch.setenv(VARIABLE, str(one.path))
        folders.append(neuropt_core.checkpoint_dir())
        assert folders[-1].is_dir()
    assert folders == [ticket.folder / "checkpoints", ticket.folder / "checkpoints", other.folder / "checkpoints"]
    monkeypatch.delenv(VARIABLE)
    monkeypatch.chdir(tmp_path)
    assert neuropt_core.checkpoint_dir() == tmp_path / "checkpoints"


def test_a_single_run_of_hydra_has_its_own(tmp_path: Path) -> None:
    """A run without a sweep never finds another run's checkpoints, unless its folder is named."""
    (tmp_path / "app.py").write_text(_APP)
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    said = subprocess.run(
        [sys.executable, "app.py", "hydra.run.dir=out"], cwd=tmp_path, env=environment, capture_output=True, check=True
    )
    assert said.stdout.decode().strip() == str(tmp_path / "out" / "checkpoints")
    assert not (tmp_path / "checkpoints").exists()
