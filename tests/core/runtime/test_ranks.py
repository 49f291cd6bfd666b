"""Several processes that train one trial together: one writes, all stop at the same step."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from neuropt_core.curve import Point
from neuropt_core.runtime.job import RecordedTask
from neuropt_core.runtime.ranks import Follower, global_rank
from neuropt_core.ticket import VARIABLE, Ticket


@pytest.mark.parametrize(
    ("environ", "rank"),
    [
        ({}, 0),
        ({"RANK": "2", "WORLD_SIZE": "4", "LOCAL_RANK": "0"}, 2),
        ({"RANK": "16"}, 0),
        ({"RANK": "x", "WORLD_SIZE": "4"}, 0),
        ({"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}, 1),
        ({"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2"}, 1),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4", "LOCAL_RANK": "0"}, 0),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2"}, 1),
        ({"LOCAL_RANK": "3"}, 0),
        ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}, 1),
    ],
)
def test_the_rank_is_the_launchers(environ: dict[str, str], rank: int) -> None:
    """Only a rank of which the launcher also says of how many it is one counts."""
    assert global_rank(environ) == rank


_TRAIN = """
import os
import torch
import torch.distributed as dist
import neuropt_core
from neuropt_core.runtime.job import RecordedTask

def task(cfg):
    dist.init_process_group("gloo", init_method=os.environ["STORE"], rank=int(os.environ["RANK"]), world_size=3)
    rank = dist.get_rank()
    try:
        for step in range(50):
            total = torch.ones(1)
            dist.all_reduce(total)  # Would wait for ever for a rank that had stopped at an earlier step.
            print(step, flush=True)
            neuropt_core.report(step, val_loss=float("nan") if step == 3 and rank == 0 else 1.0)
    finally:
        dist.destroy_process_group()
    return 0.5

RecordedTask(task)(None)
"""


@pytest.mark.slow
def test_all_ranks_stop_at_the_same_step_and_one_writes(tmp_path: Path) -> None:
    """Three processes with gloo: the first one's loss breaks, and all end at that step; no collective call hangs."""
    ticket = Ticket(tmp_path / "neuropt", 0)
    ticket.write()
    # They meet at a file: a port that is free now may be another's when they come to it.
    world = {"STORE": f"file://{tmp_path}/store", "WORLD_SIZE": "3", "GLOO_SOCKET_IFNAME": "lo"}
    jobs = [
        subprocess.Popen(
            [sys.executable, "-c", _TRAIN],
            env={**os.environ, **world, "RANK": str(rank), VARIABLE: str(ticket.path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(3)
    ]
    said = [job.communicate(timeout=120) for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0, 0], said
    assert [out.split() for out, _ in said] == [["0", "1", "2", "3"]] * 3
    outcome = ticket.result()
    assert outcome is not None
    assert outcome.reason == "val_loss is nan at step 3"
    assert [record["step"] for record in ticket.records()] == [0, 1, 2, 3]


def test_a_rank_that_is_not_the_first_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs the task and passes its value on; that the trial began, and how it ended, the first rank says."""
    ticket = Ticket(tmp_path, 0)
    ticket.write()
    for name, value in {VARIABLE: str(ticket.path), "RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    assert RecordedTask(lambda cfg: 0.5)(None) == 0.5
    assert [path.name for path in tmp_path.iterdir()] == ["ticket.json"]


def test_a_verdict_is_of_the_same_report_of_the_same_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies there of the start before the requeue is no answer, nor is the first of two reports of one step."""
    ticket = Ticket(tmp_path, 0)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    ticket.write_started()
    ticket.append(Point(0, {"a": 1.0}), stopped="the earlier start was told to stop")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    follower = Follower(patience=0.1)
    with pytest.MonkeyPatch.context() as quiet:
        quiet.setattr(logging.getLogger("neuropt_core.runtime.ranks"), "disabled", True)
        assert follower.verdict(ticket, 0) is None  # Rank 0 has not begun again.
    follower = Follower(patience=20)
    ticket.write_started()
    ticket.append(Point(0, {"a": 1.0}), start=1)
    assert follower.verdict(ticket, 0) is None
    ticket.append(Point(0, {"b": 1.0}), start=1, stopped="b is bad")
    assert follower.verdict(ticket, 0) == "b is bad"


def test_who_waits_in_vain_goes_on_and_says_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """If rank 0 never reports, the others wait once and not at every step."""
    ticket = Ticket(tmp_path, 0)
    ticket.write_started()
    follower = Follower(patience=0.2)
    assert follower.verdict(ticket, 0) is None
    assert follower.verdict(ticket, 1) is None
    assert follower._patience == 0
    assert "call neuropt_core.report there too" in caplog.text
