"""Submission to a real SLURM: arrays, refusals, time-outs, and sweepers that die at the worst moments."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from clusters import PATIENCE, Watched, ask, release, until

pytestmark = [pytest.mark.slurm, pytest.mark.slow]
Begin = Callable[..., Watched]


def test_arrays_and_jobs_that_wait_outlive_the_sweeper(watched: Begin) -> None:
    """Six trials go as one array to four nodes; their sweeper dies while two wait, and all six are told once.

    Of an array no handle is in the journal, so that submitit's own files must tell which task is whose.
    """
    sweep = watched(
        "hydra.sweeper.n_trials=6", "hydra.sweeper.max_parallel=6", "hydra.sweeper.arrays=true", "seconds=[20]"
    )
    sweep.until(lambda: len(sweep.noted("start")) == 4, "four nodes work")
    assert ask("squeue", "-h", "-r", "-t", "PD", "-o", "%i").count("_") == 2
    sweep.kill()
    assert not sweep.journal("submit")
    sweep.start()
    done = sweep.end()
    assert done.code == 0, done.stderr
    assert sorted(done.told()) == list(range(6))
    assert {n: len(noted) for n, noted in sweep.noted("start").items()} == dict.fromkeys(range(6), 1)
    assert max(r["attempt"] for r in done.journal if r["op"] == "launch") == 0


def test_sbatchs_refusal_is_shown_in_its_own_words(watched: Begin) -> None:
    """A job that the cluster can never run ends the sweep at trial 0, with what sbatch says and no second attempt."""
    sweep = watched("hydra.launcher.gpus_per_node=5", "hydra.sweeper.n_trials=2")
    done = sweep.end()
    assert done.code == 1
    assert "the job did not begin (Batch job submission failed: Requested node configuration is not available" in (
        " ".join(done.stdout.split())
    )
    assert "Traceback" not in done.stdout
    assert done.told() == {}
    retried = [(r["number"], r["outcome"]["failure"]["kind"]) for r in done.journal if r["op"] == "retry"]
    assert retried == [(0, "refused")]


def test_a_time_out_goes_on_under_its_number(watched: Begin) -> None:
    """With max_num_timeout=1 a job at its time limit is requeued by submitit and goes on; the trial is told once."""
    sweep = watched("hydra.sweeper.n_trials=1", "hydra.launcher.max_num_timeout=1", "seconds=[6]")
    job_id = sweep.job_id(0)
    until(lambda: (sweep.folder / "0" / "neuropt" / "checkpoints" / "step").exists(), "the job works")
    ask("scancel", job_id, "--signal", "USR2")  # As SLURM does some time before the limit.
    release(job_id)
    done = sweep.end()
    assert [(n, outcome["state"]) for n, outcome in done.told().items()] == [(0, "COMPLETE")], done.stdout
    first, second = sweep.noted("start")[0]
    assert second["step"] > first["step"] == 0
    assert second["SLURM_RESTART_COUNT"] == "1"
    assert len(sweep.noted("end")[0]) == 1


def test_a_sweeper_that_dies_in_its_submission_launches_anew(watched: Begin, tmp_path: Path) -> None:
    """Killed when sbatch has taken the job, and before submitit gave it its arguments: the trial runs, and only once.

    The sbatch on the path is the genuine one, and then kills who called it, once. Such a job may be gone from the
    queue at once: its node finds no folder for its output, which submitit makes after sbatch has answered.
    """
    path = tmp_path / "bin"
    path.mkdir()
    (path / "armed").touch()
    genuine = ask("which", "sbatch")
    deadly = f'[ -e "{path}/armed" ] && rm "{path}/armed" && kill -9 $PPID'
    shim = f'#!/bin/sh\n"{genuine}" "$@" >"{path}/said"; code=$?\ncat "{path}/said"\n{deadly}\nexit $code\n'
    (path / "sbatch").write_text(shim)
    (path / "sbatch").chmod(0o755)
    sweep = watched("hydra.sweeper.n_trials=2", "hydra.sweeper.max_parallel=2", path=str(path))
    assert sweep.process.wait(PATIENCE) == -9
    assert 0 in sweep.journal("launch")
    assert 0 not in sweep.journal("submit")
    assert re.fullmatch(r"Submitted batch job \d+\n", (path / "said").read_text())
    sweep.start()
    done = sweep.end()
    assert done.code == 0, done.stderr
    assert sorted(done.told()) == [0, 1]
    assert {n: len(noted) for n, noted in sweep.noted("start").items()} == {0: 1, 1: 1}


def test_a_handle_that_was_not_journaled_is_found(watched: Begin) -> None:
    """Killed between the submission and its record: the job is found by its arguments, and runs but once."""
    sweep = watched("hydra.sweeper.n_trials=1", "seconds=[5]")
    sweep.job_id(0)
    sweep.until(lambda: 0 in sweep.journal("submit"), "its job is in the journal")
    sweep.kill()
    journal = sweep.folder / "neuropt" / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    assert json.loads(lines[-1])["op"] == "submit"
    journal.write_text("".join(lines[:-1]))
    sweep.start()
    done = sweep.end()
    assert sorted(done.told()) == [0]
    assert len(sweep.noted("start")[0]) == 1
    assert max(r["attempt"] for r in done.journal if r["op"] == "launch") == 0


def test_a_second_ctrl_c_leaves_no_job(watched: Begin) -> None:
    """Pressed twice, it ends the jobs on the cluster at once, and the same command launches their trials again."""
    sweep = watched("hydra.sweeper.n_trials=2", "hydra.sweeper.max_parallel=2", "seconds=[12]")
    sweep.until(lambda: len(sweep.noted("start")) == 2, "two trials run")
    for _ in range(2):
        sweep.process.send_signal(2)
        until(lambda: "Press Ctrl-C again" in sweep.output, "the first one is noticed")
    assert sweep.process.wait(PATIENCE) == 130
    until(lambda: not ask("squeue", "-h"), "no job is left")
    sweep.start()
    done = sweep.end()
    assert sorted(done.told()) == [0, 1]
    assert {outcome["state"] for outcome in done.told().values()} == {"COMPLETE"}
    assert {n: len(noted) for n, noted in sweep.noted("start").items()} == {0: 2, 1: 2}
    assert {n: len(noted) for n, noted in sweep.noted("end").items()} == {0: 1, 1: 1}


def test_a_controller_that_is_away_costs_no_trial(watched: Begin) -> None:
    """While slurmctld is down, a running trial is not taken for dead and the next one waits; then both are told.

    The last test, since nodes that could not report the end of a job keep its place for a while.
    """
    sweep = watched("hydra.sweeper.n_trials=3", "hydra.sweeper.max_parallel=2", "seconds=[8,20,1]")
    sweep.until(lambda: len(sweep.noted("start")) == 2, "two trials run")
    ask("scontrol", "shutdown", "slurmctld")
    try:
        sweep.until(lambda: "SLURM cannot take trial 2 now" in sweep.output, "a submission fails")
    finally:
        subprocess.run(["/usr/sbin/slurmctld", "-f", os.environ["SLURM_CONF"]], stdin=subprocess.DEVNULL, check=True)
    done = sweep.end()
    assert done.code == 0, done.stderr
    assert [outcome["state"] for outcome in done.told().values()] == ["COMPLETE"] * 3
    assert {n: len(noted) for n, noted in sweep.noted("start").items()} == {0: 1, 1: 1, 2: 1}
