"""Sweeps on the cluster of tests/slurm/up.sh that a test can watch, disturb and kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sweeps import Sweep, command, environment

SCRIPT = Path(__file__).parents[1] / "slurm" / "app" / "train.py"
CLUSTER = Path(os.environ.get("NEUROPT_SLURM", "/var/tmp/neuropt-slurm"))
PATIENCE = 300.0
"""Seconds; far more than anything here takes, on a machine that does other things as well."""


def ask(*given: str) -> str:
    """Returns what one of SLURM's commands says."""
    return subprocess.run(given, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def until(holds: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """Waits until something holds, and returns it."""
    end = time.monotonic() + patience
    while not (held := holds()):
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.1)
    return held


def release(job_id: str) -> None:
    """Waits until a job is back in the queue, where SLURM would hold it for two minutes, and shortens that.

    Not to nothing: a node refuses a job that it has ended in the same second.
    """
    until(lambda: ask("squeue", "-h", "-j", job_id, "-o", "%T") == "PENDING", f"job {job_id} is requeued")
    ask("scontrol", "update", f"jobid={job_id}", "StartTime=now+3")


class Watched:
    """A sweep of the script in `app/` on the cluster, as it goes on."""

    def __init__(self, folder: Path, *arguments: str, path: str = "") -> None:
        self.folder = folder
        self._log = folder.parent / "log"
        self._path = path
        given = [f"record={folder.parent / 'record'}", "hydra/launcher=submitit_slurm", "hydra.sweeper.advisor=prior"]
        given.append("hydra.sweeper.pruning.mode=off")  # The curves tell of the work alone, and no trial is to stop.
        self._command = command(folder, *given, *arguments, script=SCRIPT)
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        """Starts the sweeper, or starts it again with the same command; not in the script's own folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        env = environment()
        env["PATH"] = f"{self._path}{os.pathsep}{env['PATH']}" if self._path else env["PATH"]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, cwd=self.folder, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        return self.process

    def kill(self) -> None:
        """Ends the sweeper as the machine would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def kill_between_submissions(self) -> None:
        """Kills it when each launch has its job: a trial whose submission is cut off is rightly launched anew."""

        def calm() -> bool:
            self.process.send_signal(signal.SIGSTOP)
            if self.journal("launch").keys() == self.journal("submit").keys():
                return True
            self.process.send_signal(signal.SIGCONT)
            return False

        self.until(calm, "each launch has its job")
        self.kill()

    def until(self, holds: Callable[[], Any], what: str) -> Any:
        """Waits until something holds, and returns it; fails at once if the sweep ends before."""
        ended, end = False, time.monotonic() + PATIENCE
        while not (held := holds()):
            assert time.monotonic() < end, f"waited in vain until {what}:\n{self.output}"
            assert not ended, f"the sweep ended before {what}:\n{self.output}"
            ended = self.process.poll() is not None
            time.sleep(0.1)
        return held

    def end(self, patience: float = PATIENCE) -> Sweep:
        """Waits for the sweeper's end."""
        try:
            code = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the sweep did not end:\n{self.output}\n{ask('squeue')}")
        return Sweep(self.folder, code, self.output, self.output)

    @property
    def output(self) -> str:
        """What the sweeper has said so far."""
        return self._log.read_text(errors="replace")

    def noted(self, what: str) -> dict[int, list[dict[str, Any]]]:
        """Trial number -> what its jobs noted at each ``start`` or ``end``."""
        notes: dict[int, list[dict[str, Any]]] = {}
        path = self.folder.parent / "record"
        for line in path.read_text().split("\n")[:-1] if path.exists() else ():
            note = json.loads(line)
            if note["what"] == what:
                notes.setdefault(note["number"], []).append(note)
        return notes

    def journal(self, op: str) -> dict[int, dict[str, Any]]:
        """Trial number -> the journal's last record of a kind, while it is written."""
        path = self.folder / "neuropt" / "journal.jsonl"
        lines = path.read_text().split("\n")[:-1] if path.exists() else []
        return {r["number"]: r for r in map(json.loads, lines) if r["op"] == op}

    def job_id(self, number: int) -> str:
        """The id of a trial's job that runs."""
        self.until(lambda: number in self.noted("start"), f"trial {number} runs")
        return str(self.noted("start")[number][-1]["SLURM_JOB_ID"])
