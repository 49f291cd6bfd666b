"""Scripts that use W&B, well and badly, under every launcher: their runs say what trial they are, and end."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from loopback import loopback_only
from sweeps import sweep
from tracked import APP, WAYS, check, runs_of, settings, tags_of, tracked
from wandb_server import serve

from neuropt_core.tracking import recorded

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


def test_under_ray_each_trials_runs_come_out_right(tmp_path: Path) -> None:
    """Ray's workers run several trials each, and no run of one reaches the next."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("hydra-ray-launcher is not installed beside this Hydra")
    with loopback_only() as within:
        done = tracked(tmp_path / "s", "hydra/launcher=ray", TWO, "+hydra.launcher.ray.init.num_cpus=2", within=within)
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
        assert one.run.tags == tags_of(one)
        assert (one.run.exit_code, one.known.ended) == (0, 0)
        assert len([row for row in one.run.history if metric in row]) == 3
        assert one.run.summary["score"] == pytest.approx(done.told()[number]["value"])


def test_a_run_that_is_stopped_on_its_page_ends_its_trial_alone(tmp_path: Path) -> None:
    """Online, the stop button of a trial's run stops this trial, which never reports, and the sweep goes on."""
    ways = ("forgets", "waits", "finishes")
    with serve() as server:
        server.stopped.add("trial-001")
        env = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": "4" * 40, "NETRC": str(tmp_path / "netrc")}
        env |= {"WANDB__DISABLE_STATS": "true", "WANDB_ERROR_REPORTING": "false"}
        more = ("hydra.sweeper.wandb.mode=online", "hydra.sweeper.stop_grace=1")
        done = sweep(tmp_path / "s", *settings(ways), *more, script=APP, env=env)
        known = [one for number in range(3) for one in recorded(tmp_path / "s" / str(number) / "neuropt/runs.jsonl")]
    assert done.code == 0, done.stderr
    told = done.told()
    assert [told[number]["state"] for number in range(3)] == ["COMPLETE", "PRUNED", "COMPLETE"]
    assert "stopped on its W&B page" in told[1]["reason"]
    assert server.unknown == []
    runs = [server.runs[one.id] for one in known]
    assert [run.fields["displayName"] for run in runs] == ["trial-000", "trial-001", "trial-002"]
    assert {run.fields["groupName"] for run in runs} == {"bowls"}
    assert [run.exit_code for run in runs] == [0, 0, 0]
    assert [run.summary["neuropt/state"] for run in runs[:2]] == ["COMPLETE", "PRUNED"]
    assert [one.ended for one in known] == [0, 0, 0]
