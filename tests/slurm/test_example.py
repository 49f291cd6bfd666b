"""examples/slurm on the cluster, as a user would start it: the sweeper as a job of its own, and both kinds requeued."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from clusters import ask, release, until
from sweeps import environment

pytestmark = [pytest.mark.slurm, pytest.mark.slow]
_ROOT = Path(__file__).parents[2]
_EPOCHS = 400
_HERE = (  # What differs from sweep.yaml is this cluster: its partition, and nodes of one CPU with little memory.
    "hydra.launcher.partition=dev",
    "hydra.launcher.mem_gb=1",
    "hydra.launcher.cpus_per_task=1",
)


def _journal(folder: Path, op: str) -> list[dict[str, Any]]:
    path = folder / "neuropt" / "journal.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [record for record in map(json.loads, lines) if record["op"] == op]


def _start(folder: Path, *overrides: str) -> str:
    script, here = "examples/slurm/sweeper.sbatch", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**environment(), "PATH": here, "PYTHONPATH": os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")])}
    command = ["sbatch", "--parsable", "--mem=1G", f"--output={folder}.out", script]
    words = [f"hydra.sweep.dir={folder}", *_HERE, *overrides]
    done = subprocess.run(
        [*command, *words], cwd=_ROOT, env=env, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def test_trial_and_sweeper_are_requeued_and_go_on(tmp_path: Path) -> None:
    """A requeued job goes on from its checkpoint, and a requeued sweeper finds it: the curve has each epoch once.

    The cluster's GPUs are pretended: SLURM grants one to each job, and torch finds none.
    """
    folder = tmp_path / "sweep"
    sweeper = _start(folder, "hydra.sweeper.n_trials=2", f"epochs={_EPOCHS}", "hydra.sweeper.pruning.mode=off")
    until((folder / "0" / "neuropt" / "checkpoints" / "last.pt").exists, "trial 0 has a checkpoint")
    pid = json.loads((folder / "0" / "neuropt" / "started.json").read_text())["pid"]
    os.kill(pid, signal.SIGSTOP)  # On a fast machine it would reach its end in the seconds that SLURM leaves it.
    job = next(r["handle"]["job_id"] for r in _journal(folder, "submit") if r["number"] == 0)
    ask("scontrol", "requeue", job)
    with contextlib.suppress(ProcessLookupError):  # After five seconds SLURM has ended it itself.
        os.kill(pid, signal.SIGKILL)
    ask("scontrol", "requeue", sweeper)
    release(job)
    release(sweeper)
    until(lambda: not ask("squeue", "-h", "-j", f"{sweeper},{job}", "-t", "PD,R,CG"), "both have ended", patience=600)

    said = Path(f"{folder}.out").read_text()
    told = {r["number"]: r["outcome"] for r in _journal(folder, "tell")}
    assert {n: outcome["state"] for n, outcome in told.items()} == dict.fromkeys(range(2), "COMPLETE"), said
    assert [point["step"] for point in told[0]["curve"]] == list(range(_EPOCHS))
    assert [(r["number"], r["attempt"]) for r in _journal(folder, "launch")] == [(0, 0), (1, 0)]
    starts = [json.loads(line).get("start", 0) for line in (folder / "0/neuropt/curve.jsonl").read_text().splitlines()]
    assert (starts[0], starts[-1]) == (0, 1)
    assert len(starts) - _EPOCHS in (0, 1)  # Killed between an epoch's report and its checkpoint, it trains that again.
    assert "goes on with epoch" in (folder / "0" / "train.log").read_text()
    assert "Resuming study" in said
    assert len(list((folder / "wandb").glob("offline-run-*"))) >= 2
    assert f"wandb sync {folder}/wandb" in said
    handle = next(r["handle"] for r in _journal(folder, "submit"))
    asked = Path(handle["folder"].replace("%j", handle["job_id"])) / f"{handle['job_id']}_submission.sh"
    for line in ("--gpus-per-node=1", "--time=60", "--requeue", "--signal=USR2@120"):
        assert f"#SBATCH {line}\n" in asked.read_text()
