"""Runs real sweeps in a subprocess, as a user does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from llm_server import LLMServer

CANARY = "sk-canary-0123456789abcdef0123456789"
BOWL = Path(__file__).parent / "apps" / "bowl.py"


@dataclass(frozen=True)
class Sweep:
    """What a sweep left behind."""

    folder: Path
    code: int
    stdout: str
    stderr: str

    @property
    def results(self) -> dict[str, Any]:
        """What results.yaml says."""
        loaded: dict[str, Any] = yaml.safe_load((self.folder / "results.yaml").read_text())
        return loaded

    @property
    def journal(self) -> list[dict[str, Any]]:
        """The journal's records."""
        lines = (self.folder / "neuropt" / "journal.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def told(self) -> dict[int, dict[str, Any]]:
        """Trial number -> outcome; fails if a trial was told twice."""
        records = [r for r in self.journal if r["op"] == "tell"]
        outcomes = {r["number"]: r["outcome"] for r in records}
        assert len(outcomes) == len(records), "a trial was told twice"
        return outcomes

    def ran(self) -> list[int]:
        """The numbers of the jobs that really ran, in their order."""
        return [json.loads(line)["number"] for line in (self.folder / "ran").read_text().splitlines()]


def environment(**extra: str) -> dict[str, str]:
    """The environment without what would bend a test: keys, W&B, and the ban on byte code that slows every import."""
    banned = ("WANDB", "ANTHROPIC", "OPENAI", "PYTHONDONTWRITEBYTECODE", "HYDRA", "NEUROPT")
    return {k: v for k, v in os.environ.items() if not k.startswith(banned)} | extra


def command(folder: Path, *arguments: str, script: Path = BOWL) -> list[str]:
    """The command of a sweep in `folder`; a later argument wins over an earlier one of the same key."""
    given = {
        "hydra/sweeper": "neuropt",
        "hydra.sweeper.wandb.mode": "disabled",
        "hydra.sweep.dir": str(folder),
    }
    if script == BOWL:
        given["record"] = str(folder / "ran")
    given |= dict(argument.split("=", 1) for argument in arguments)
    return [sys.executable, "-W", "ignore", str(script), "--multirun", *(f"{k}={v}" for k, v in given.items())]


def gate(folder: Path) -> str:
    """The argument by which each trial of `bowl.py` and `noisy.py` waits at its end until its gate in `folder` opens.

    What a test does meanwhile so does not hang on the machine's speed.
    """
    return f"+gate='{folder}/go-${{hydra:job.num}}'"


def open_gates(folder: Path, *numbers: int) -> None:
    """Lets trials end."""
    for number in numbers:
        (folder / f"go-{number}").touch()


def sweep(
    folder: Path,
    *arguments: str,
    script: Path = BOWL,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float = 900,
    within: Sequence[str] = (),
) -> Sweep:
    """Runs a sweep to its end; `within` are the words before the command, e.g. of a network namespace."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [*within, *command(folder, *arguments, script=script)],
        env=environment(**(env or {})),
        cwd=cwd or folder,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return Sweep(folder, done.returncode, done.stdout, done.stderr)


def advised(tmp_path: Path, server: LLMServer, provider: str, *arguments: str) -> Sweep:
    """Runs a sweep of four trials in ``tmp_path/s`` that a server of the test advises."""
    env: Mapping[str, str] = server.environ(provider, key=CANARY)
    return sweep(
        tmp_path / "s",
        "hydra.sweeper.n_trials=4",
        "hydra.sweeper.advisor=llm",
        *server.arguments(provider),
        "hydra.sweeper.llm.deadline=20",
        *arguments,
        env=env,
    )


def sources(done: Sweep) -> list[tuple[str, str]]:
    """Who proposed each trial, and for whom he stood in."""
    asked = [r["proposal"] for r in done.journal if r["op"] == "ask"]
    return [(p["source"], p["stands_in_for"]) for p in asked]


def proposals(done: Sweep) -> list[Mapping[str, object]]:
    """All proposals of a sweep, in the order of their trials."""
    return [r["proposal"] for r in done.journal if r["op"] == "ask"]
