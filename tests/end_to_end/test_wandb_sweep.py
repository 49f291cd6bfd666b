"""A sweep that writes its story into W&B, offline, by the real SDK."""

from __future__ import annotations

from pathlib import Path

from sweeps import sweep
from wandb_file import read_folder


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
