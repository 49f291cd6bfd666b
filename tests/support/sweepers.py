"""Starts sweepers that can be killed at any moment of their writing, and reads what they left."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from sweeps import BOWL, Sweep, command, environment

KILLED = -9


class Sweepers:
    """A process with all imports done, which forks a sweeper for each order."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(Path(__file__).with_name("killer.py"))],
            env=environment(OMP_NUM_THREADS="1"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, folder: Path, *arguments: str, script: Path = BOWL, limit: int = 0, **moment: Any) -> int:
        """Runs a sweep to its end, or to its killing at a moment; returns the exit code, -9 for SIGKILL.

        Args:
            folder: ``hydra.sweep.dir``.
            arguments: Of the command line.
            script: The app.
            limit: No file may grow beyond so many bytes; 0 for no limit.
            moment: See `killer._arm`; none for a sweep that is left alone.
        """
        folder.mkdir(parents=True, exist_ok=True)
        words = command(folder, *arguments, script=script)
        order = {
            "argv": words[words.index(str(script)) :],
            "cwd": str(folder),
            "log": str(folder / "said"),
            "limit": limit,
        }
        if moment:
            order["moment"] = moment
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        code: int = json.loads(self._process.stdout.readline())["code"]
        return code

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin and self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout and self._process.stdout.close()


def ran(folder: Path) -> Counter[int]:
    """How often each trial's job has run, by the job's own word."""
    path = folder / "ran"
    return Counter(json.loads(line)["number"] for line in path.read_text().splitlines()) if path.exists() else Counter()


def ended(folder: Path) -> set[int]:
    """The trials whose result is on disk."""
    return {json.loads(p.with_name("ticket.json").read_text())["number"] for p in folder.glob("*/neuropt/result*.json")}


def told(folder: Path) -> dict[int, dict[str, Any]]:
    """Trial number -> outcome; fails if a trial was told twice."""
    return Sweep(folder, 0, "", "").told()


def journal(folder: Path) -> list[dict[str, Any]]:
    """The journal's records."""
    return Sweep(folder, 0, "", "").journal
