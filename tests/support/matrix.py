"""One sweep per launcher in which trial n misbehaves in way n; all cells of a launcher's column share it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matrix_table
from matrix_table import WAYS
from sweeps import Sweep, environment

APP = Path(__file__).parent / "apps" / "matrix.py"
ORDER = ("ok", "raises", "exits", "killed", "unpicklable", "diverges", "nothing", "hangs", "ok", "ok")
"""What trial n does. Trials that do well follow those that do not, so that it shows whether these leave anything."""
NOBODY = "goes on: nothing else runs that could end it"
"""The cell of what a launcher cannot be asked to survive."""


@dataclass(frozen=True)
class Column:
    """What a sweep under one launcher left behind."""

    sweep: Sweep
    order: tuple[str, ...]
    codes: tuple[int, ...]
    left_out: tuple[str, ...] = ()

    def recorded(self, way: str) -> str:
        """What the study recorded of the trial that behaved so: its state, or its failure's kind."""
        outcome = self.sweep.told()[self.order.index(way)]
        state, failure = outcome["state"], outcome["failure"]
        return str(state) if failure is None else f"{state}: {failure['kind']}"

    def jobs(self) -> list[dict[str, Any]]:
        """What each job told of itself, in the order in which they began."""
        return [json.loads(line) for line in (self.sweep.folder / "ran").read_text().splitlines()]


def column(
    folder: Path, *arguments: str, leave_out: Sequence[str] = (), within: Sequence[str] = (), timeout: float = 900
) -> Column:
    """Runs the sweep to its end; again as long as a trial kills it, as one without a process of its own does.

    Args:
        folder: The sweep's folder.
        arguments: Hydra's, such as the launcher.
        leave_out: Ways in which no trial may behave under this launcher.
        within: The words before the command, e.g. of a network namespace.
        timeout: Seconds for each run of the sweep.
    """
    order = tuple(way for way in ORDER if way not in leave_out)
    assert set(order) | set(leave_out) == set(WAYS)
    folder.mkdir(parents=True, exist_ok=True)
    words = [
        *within,
        sys.executable,
        *("-W", "ignore", str(APP), "--multirun", "hydra/sweeper=neuropt", "hydra.sweeper.wandb.mode=disabled"),
        *(f"hydra.sweep.dir={folder}", f"record={folder / 'ran'}", f"ways=[{','.join(order)}]"),
        *(
            f"hydra.sweeper.n_trials={len(order)}",
            "hydra.sweeper.max_failure_rate=1",
            "hydra.sweeper.trial_timeout=15",
            "hydra.sweeper.stop_grace=1",
        ),
        *arguments,
    ]
    codes: list[int] = []
    while not codes or (codes[-1] == -signal.SIGKILL and len(codes) < 5):
        done = subprocess.run(
            words,
            env=environment(),
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        codes.append(done.returncode)
    return Column(Sweep(folder, done.returncode, done.stdout, done.stderr), order, tuple(codes), tuple(leave_out))


EXPECTED = {
    "ok": "COMPLETE",
    "raises": "FAIL: exception",
    "exits": "FAIL: exception",
    "killed": "FAIL: lost",
    "unpicklable": "FAIL: exception",
    "hangs": "FAIL: timeout",
    "diverges": "FAIL: non_finite",
    "nothing": "FAIL: no_number",
}


def check(found: Column, launcher: str) -> None:
    """Proves a launcher's column: what the study recorded, that it went on, and what jobs saw of Hydra's settings.

    With ``NEUROPT_MATRIX=write`` in the environment the column is written into docs/matrix.md, else compared with it.
    """
    assert found.codes[-1] == 0, found.sweep.stderr
    assert sorted(found.sweep.told()) == list(range(len(found.order)))
    cells = {way: found.recorded(way) for way in WAYS if way in found.order}
    assert cells == {way: EXPECTED[way] for way in cells}
    assert [found.sweep.told()[n]["state"] for n, way in enumerate(found.order) if way == "ok"] == ["COMPLETE"] * 3
    _check_jobs(found)
    shown = {(launcher, way): cells.get(way, NOBODY) for way in (*cells, *found.left_out)}
    if os.environ.get("NEUROPT_MATRIX") == "write":
        matrix_table.write(shown)
    table = matrix_table.read(matrix_table.PAGE.read_text())
    assert {cell: table.get(cell) for cell in shown} == shown


def _check_jobs(found: Column) -> None:
    """Every job ran under its trial's number, in the folder and with the environment that Hydra's settings ask for."""
    jobs = found.jobs()
    again = max(0, len(found.codes) - 2)  # A trial that takes the sweep with it is launched again, and at last told.
    assert sorted({job["number"] for job in jobs}) == list(range(len(found.order)))
    for job in jobs:
        number, folder = job["number"], found.sweep.folder
        assert job["env"] == f"m{number}"
        assert job["output_dir"] == str(folder / f"t_{number}")
        assert (job["cwd"] == job["output_dir"]) == (number % 2 == 0), job
        assert job["id"] not in ("", "None")
        assert "NEUROPT" not in job["name"]
        assert f"record={folder / 'ran'}" in job["name"]
        assert not job["held"], "the model of an earlier trial is still in memory"
    assert len(jobs) >= len(found.order) + again
