"""The quick start does what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "quickstart.md"


@pytest.mark.slow
def test_the_quick_start_sweeps(tmp_path: Path) -> None:
    """The page's two files, put into an empty folder and swept as it says, are told of as it says, and are improved."""
    text = PAGE.read_text()
    for name, language in (("train.py", "python"), ("config.yaml", "yaml")):
        (block,) = re.findall(rf"`{re.escape(name)}`:\n\n```{language}\n(.*?)```", text, flags=re.DOTALL)
        (tmp_path / name).write_text(block)
    (command,) = re.findall(r"^python (train\.py --multirun .*n_trials=12)$", text, flags=re.MULTILINE)
    words = command.replace("n_trials=12", "n_trials=2").split()
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    ended = subprocess.run(
        [sys.executable, *words, "hydra.sweep.dir=sweep"],
        cwd=tmp_path,
        env={**environment, "WANDB_MODE": "disabled", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    told = ended.stdout + ended.stderr
    assert ended.returncode == 0, told
    (found,) = re.findall(r"```text\n(Introspected.*?)```", text, flags=re.DOTALL)
    lines = [line.replace("12 trials", "2 trials") for line in found.splitlines() if "Launcher:" not in line]
    assert [line for line in lines if line not in told] == []
    scores = {int(n): float(v) for n, v in re.findall(r"trial (\d+)  ([\d.]+)  (?:your own|best)", told)}
    assert scores[1] < scores[0]
    assert "The textbook's values throughout" in told
    assert (tmp_path / "sweep" / "report.html").exists()
