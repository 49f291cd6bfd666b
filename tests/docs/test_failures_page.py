"""The page on failures: its table is the code's, and its loop goes on where it was killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import failures_table

from neuropt_core.ticket import VARIABLE, Ticket

_AROUND = """
from neuropt_core.runtime.job import RecordedTask

report = neuropt_core.report

def kill_at_2(step, **metrics):
    print(step, flush=True)
    report(step, **metrics)
    if step == 2 and sys.argv[1] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)

neuropt_core.report = kill_at_2
RecordedTask(train)({"lr": 0.01, "epochs": 5})
"""


def test_the_table_is_the_taxonomys() -> None:
    """Every kind stands there with what the study does; failures_table.py writes it anew."""
    assert failures_table.page() == failures_table.PAGE.read_text()
    assert "| `host_out_of_memory` |" in failures_table.page()


def test_the_loop_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    """The page's own script, killed after its third epoch and started again, trains only the last two."""
    (code,) = re.findall(r"```python\n(.*?)```", failures_table.PAGE.read_text(), flags=re.DOTALL)
    script = tmp_path / "train.py"
    script.write_text(f"import signal, sys\n{code}{_AROUND}")
    ticket = Ticket(tmp_path / "neuropt", 0)
    ticket.write()

    def run(how: str) -> tuple[int, list[str]]:
        environment = {**os.environ, VARIABLE: str(ticket.path)}
        ended = subprocess.run(
            [sys.executable, str(script), how],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return ended.returncode, ended.stdout.split()

    assert run("kill") == (-signal.SIGKILL, ["0", "1", "2"])
    assert run("on") == (0, ["3", "4"])
    outcome = ticket.result()
    assert outcome is not None
    assert [point.step for point in outcome.curve.points] == [0, 1, 2, 3, 4]
    losses = [loss for _, loss in outcome.curve.series("val_loss")]
    assert losses == sorted(losses, reverse=True)
    assert outcome.value == losses[-1]
    assert run("on") == (0, [])  # SLURM ran a job again that had ended.
