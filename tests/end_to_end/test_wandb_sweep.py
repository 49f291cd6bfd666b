"""A sweep that writes its story into W&B, offline, by the real SDK."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from sweeps import sweep
from wandb_file import read_folder
from wandb_server import WandbServer, serve

CURVES = Path(__file__).parents[1] / "support" / "apps" / "curves.py"


def online(home: Path, server: WandbServer) -> dict[str, str]:
    """Returns the variables under which W&B knows only the server of the test."""
    return {"HOME": str(home), "WANDB_BASE_URL": server.url, "WANDB_API_KEY": "4" * 40}


def test_every_trial_and_the_study_are_runs_of_one_group(tmp_path: Path) -> None:
    """Offline, a sweep leaves a run for each trial, failed ones included, and one for the study, under one group."""
    done = sweep(
        tmp_path / "s",
        "hydra.sweeper.n_trials=3",
        "hydra.sweeper.wandb.mode=offline",
        "hydra.sweeper.study_name=bowls",
        "bad.numbers=[2]",
    )
    assert done.code == 0, done.stderr
    runs = read_folder(done.folder / "wandb", count=4)
    assert {run.fields["run_group"] for run in runs.values()} == {"bowls"}
    kinds = sorted(run.fields["job_type"] for run in runs.values())
    assert kinds == ["controller", "trial", "trial", "trial"]
    trials = {name: run for name, run in runs.items() if run.fields["job_type"] == "trial"}
    assert sorted(trials) == ["trial-000", "trial-001", "trial-002"]
    assert trials["trial-001"].config["neuropt_rationale"]
    assert trials["trial-001"].config["optimizer"]["lr"] != 0.1
    assert [trials[name].exit_code for name in sorted(trials)] == [0, 0, 1]
    assert "wandb sync" in done.stdout


def test_a_mode_that_wandb_does_not_have_is_refused(tmp_path: Path) -> None:
    """A wrong mode ends in one sentence before anything is launched."""
    done = sweep(tmp_path / "s", "hydra.sweeper.wandb.mode=sideways")
    assert done.code == 1
    assert "hydra.sweeper.wandb.mode: must be one of" in done.stderr
    assert not (done.folder / "ran").exists()


@pytest.mark.slow
def test_a_study_that_is_stopped_on_its_page_ends_gracefully(tmp_path: Path) -> None:
    """The stop button of the study's run begins no more trials, lets the last one end, and is named as the reason."""
    with serve() as server:
        server.stopped = {"bowls"}
        done = sweep(
            tmp_path / "s",
            "hydra.sweeper.n_trials=300",
            "hydra.sweeper.wandb.mode=online",
            "hydra.sweeper.study_name=bowls",
            "seconds=1",
            env=online(tmp_path, server),
        )
    assert done.code == 0, done.stderr
    assert "neuropt stop by W&B: the run was stopped on its W&B page" in done.stdout
    told = done.told()
    assert 1 <= len(told) < 300
    assert sorted(done.ran()) == sorted(told)
    assert {outcome["state"] for outcome in told.values()} == {"COMPLETE"}
    assert not (done.folder / "neuropt" / "stop").exists()
    assert server.unknown == []
    study = server.named("bowls")
    assert (study.complete, study.exit_code) == (True, 0)
    assert study.summary["ended"].startswith("neuropt stop by W&B")


@pytest.mark.slow
def test_a_native_sweep_holds_the_runs_together(tmp_path: Path) -> None:
    """With wandb.sweep=true all runs are attached to one W&B sweep, which a study that goes on keeps."""
    with serve() as server:
        for n_trials in (1, 2):
            done = sweep(
                tmp_path / "s",
                f"hydra.sweeper.n_trials={n_trials}",
                "hydra.sweeper.wandb.mode=online",
                "hydra.sweeper.wandb.sweep=true",
                env=online(tmp_path, server),
            )
            assert done.code == 0, done.stderr
    assert server.unknown == []
    assert len(server.sweeps) == 1
    assert yaml.safe_load(server.sweeps[0]["config"])["method"] == "custom"
    assert [run.fields["sweep"] for run in server.runs.values()] == ["sweep1"] * 3
    kept = json.loads((done.folder / "wandb" / "sweep.json").read_text())
    assert kept == {"id": "sweep1", "project": "neuropt", "entity": "me"}


@pytest.mark.slow
def test_curves_are_shown_while_their_trials_run(tmp_path: Path) -> None:
    """Online, points of a reported curve arrive one after the other, and all of them, in one run for each trial."""
    with serve() as server:
        done = sweep(
            tmp_path / "s",
            "hydra.sweeper.n_trials=2",
            "hydra.sweeper.wandb.mode=online",
            "hydra.sweeper.study_name=curves",
            "hydra.sweeper.introspect=false",
            "hydra.sweeper.advisor=random",
            "floor=choice(0.5,0.7)",
            "fast=1.5",
            "slow=1.5",
            "epochs=10",
            script=CURVES,
            env=online(tmp_path, server),
        )
    assert done.code == 0, done.stderr
    assert server.unknown == []
    assert len(server.runs) == 3
    run = server.named("trial-001")
    rows = [run.history[offset] for offset in sorted(run.history)]
    assert [row["step"] for row in rows] == list(range(10))
    assert rows[-1]["_timestamp"] - rows[0]["_timestamp"] > 2  # Written when they were reported, not at the end.
    assert run.config["neuropt"]["trial"] == 1
    assert run.config["epochs"] == 10


def test_a_native_sweep_needs_wandb_online(tmp_path: Path) -> None:
    """Offline one sentence says that there is no native sweep, and the study goes on."""
    done = sweep(
        tmp_path / "s",
        "hydra.sweeper.n_trials=1",
        "hydra.sweeper.wandb.mode=offline",
        "hydra.sweeper.wandb.sweep=true",
    )
    assert done.code == 0, done.stderr
    assert (done.stdout + done.stderr).count("hydra.sweeper.wandb.sweep=true needs W&B online") == 1
    assert not (done.folder / "wandb" / "sweep.json").exists()
