"""Scripts that use W&B, well and badly, under every launcher: their runs say what trial they are, and end."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from sweeps import sweep
from tracked import WAYS, check, runs_of, settings, tracked

pytest.importorskip("wandb")
pytestmark = pytest.mark.slow
TRACKED = [argument for argument in settings() if not argument.startswith(("ways", "hydra.sweeper.n_trials"))]
TRAINED = Path(__file__).parents[1] / "support" / "apps" / "trained.py"
TWO = "hydra.sweeper.max_parallel=2"


@pytest.mark.parametrize("launcher", ["basic", "joblib", "submitit_local"])
def test_each_trials_runs_come_out_right(tmp_path: Path, launcher: str) -> None:
    """In one sweep, two trials at a time, each way to use W&B leaves runs that say what they are, and end."""
    done = tracked(tmp_path / "s", f"hydra/launcher={launcher}", TWO)
    check(done)


def test_in_process_each_trials_runs_are_its_own(tmp_path: Path) -> None:
    """With isolate=false all trials share the sweeper's process, and none gets another one's run."""
    ways = tuple(way for way in WAYS if way != "killed")
    done = tracked(tmp_path / "s", "hydra.sweeper.isolate=false", ways=ways)
    check(done, ways)


def test_with_wandb_off_runs_are_left_alone(tmp_path: Path) -> None:
    """With hydra.sweeper.wandb.mode=disabled the script's runs are its own affair, but end with their trials."""
    done = tracked(tmp_path / "s", "hydra.sweeper.wandb.mode=disabled", ways=("forgets", "raises"))
    assert done.code == 0, done.stderr
    seen = [runs_of(done, number)[0] for number in range(2)]
    assert [one.run.fields["run_group"] for one in seen] == ["", ""]
    assert ["neuropt" in one.run.config for one in seen] == [False, False]
    assert [one.run.exit_code for one in seen] == [0, 1]
    assert [one.losses for one in seen] == [[0.9, 0.5, 0.3]] * 2


@pytest.mark.parametrize(
    ("library", "project", "metric"),
    [("lightning", "lightning-hydra-template", "train/loss"), ("transformers", "huggingface", "train/loss")],
)
def test_a_librarys_own_logger_is_seen(tmp_path: Path, library: str, project: str, metric: str) -> None:
    """The runs of Lightning's WandbLogger, as a known template sets it up, and of HF's Trainer are each their trial's.

    Both name a project by themselves, which stands; the empty group of the template is filled.
    """
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    arguments = (f"library={library}", "hydra.sweeper.n_trials=2", "hydra.sweeper.introspect=false")
    done = sweep(tmp_path / "s", *TRACKED, *arguments, script=TRAINED, env={"WANDB_MODE": "offline"}, timeout=400)
    assert done.code == 0, done.stderr
    assert "neuropt could not" not in done.stdout + done.stderr
    assert [outcome["state"] for outcome in done.told().values()] == ["COMPLETE"] * 2
    for number in range(2):
        (one,) = runs_of(done, number)
        assert one.place == (f"trial-{number:03d}", "bowls", project, "trial")
        assert one.run.config["neuropt"]["trial"] == number
        assert (one.run.exit_code, one.known.ended) == (0, 0)
        assert len([row for row in one.run.history if metric in row]) == 3
        assert one.run.summary["score"] == pytest.approx(done.told()[number]["value"])
