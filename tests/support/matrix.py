"""One sweep per launcher in which trial n misbehaves in way n; all cells of a launcher's column share it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matrix_table import WAYS
from sweeps import Sweep, environment

APP = Path(__file__).parent / "apps" / "matrix.py"
ORDER = ("ok", "raises", "exits", "killed", "unpicklable", "nan", "nothing", "hangs", "ok", "ok")
"""What trial n does. Trials that do well follow those that do not, so that it shows whether these leave anything."""


@dataclass(frozen=True)
class Column:
    """What a sweep under one launcher left behind."""

    sweep: Sweep
    order: tuple[str, ...]
    codes: tuple[int, ...]

    def recorded(self, way: str) -> str:
        """What the study recorded of the trial that behaved so: its state, or its failure's kind."""
        outcome = self.sweep.told()[self.order.index(way)]
        state, failure = outcome["state"], outcome["failure"]
        return str(state) if failure is None else f"{state}: {failure['kind']}"

    def jobs(self) -> list[dict[str, Any]]:
        """What each job told of itself, in the order in which they began."""
        return [json.loads(line) for line in (self.sweep.folder / "ran").read_text().splitlines()]


def column(
    folder: Path, *arguments: str, leave_out: Sequence[str] = (), within: Sequence[str] = (), timeout: float = 240
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
        *(f"hydra.sweeper.n_trials={len(order)}", "hydra.sweeper.max_failure_rate=1", "hydra.sweeper.trial_timeout=8"),
        *("hydra.sweeper.stop_grace=1", *arguments),
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
    return Column(Sweep(folder, done.returncode, done.stdout, done.stderr), order, tuple(codes))
