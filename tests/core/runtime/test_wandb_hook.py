"""The real SDK in a job, offline, read back from its files: what a script's own runs become."""

from __future__ import annotations

import logging
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from wandb_jobs import FAILED, SCORE, job

from neuropt_core.runtime.wandb_watch import WandbWatch
from neuropt_core.ticket import Ticket
from neuropt_core.tracking import recorded

wandb: Any = pytest.importorskip("wandb")
pytestmark = pytest.mark.usefixtures("wandb_alone")


def test_a_plain_run_is_told_of_its_trial(make: Callable[..., Ticket]) -> None:
    """A script that only calls `init` and `log`, and never `finish`, leaves a finished run that says what it is."""
    ticket = make()

    def script() -> None:
        wandb.init(config={"lr": 0.1})
        wandb.log({"loss": 0.5})

    (run,) = job(ticket, script)
    shown = {name: run.fields[name] for name in ("run_group", "job_type", "display_name", "project", "notes")}
    assert shown == {
        "run_group": "bowls",
        "job_type": "trial",
        "display_name": "trial-007",
        "project": "studies",
        "notes": "A smaller rate.",
    }
    assert run.config["neuropt"] == {"trial": 7, "source": "llm"}
    assert run.config["neuropt_rationale"] == "A smaller *rate*."
    assert run.config["lr"] == 0.1
    assert [row["loss"] for row in run.history] == [0.5]
    assert run.summary["score"] == 0.25
    assert run.summary["neuropt/state"] == "COMPLETE"
    assert run.exit_code == 0
    (known,) = recorded(ticket.runs_path)
    assert (known.project, known.entity, known.name, known.mode, known.url, known.ended) == (
        *("studies", "team", "trial-007", "offline", ""),
        0,
    )
    assert Path(known.file).is_absolute()


def test_what_the_script_says_stands(make: Callable[..., Ticket], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name, group, project, notes, job type, summary and config are left alone; tags are added to its own."""
    monkeypatch.setenv("WANDB_ENTITY", "ada")

    def script() -> None:
        run = wandb.init(
            name="mine", group="ours", project="own", notes="why", job_type="train", tags=["a"], config={"neuropt": 3}
        )
        run.summary["score"] = 0.9

    ticket = make()
    (run,) = job(ticket, script)
    shown = {name: run.fields[name] for name in ("run_group", "job_type", "display_name", "project", "notes")}
    assert shown == {"run_group": "ours", "job_type": "train", "display_name": "mine", "project": "own", "notes": "why"}
    assert run.tags == ["a", "neuropt"]
    assert run.config["neuropt"] == 3
    assert run.config["neuropt_rationale"]
    assert run.summary["score"] == 0.9
    assert recorded(ticket.runs_path)[0].entity == "ada"


def test_what_the_environment_and_settings_say_stands(
    make: Callable[..., Ticket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group of the environment, and what a `Settings` object names, win; that object stays as it was."""
    monkeypatch.setenv("WANDB_RUN_GROUP", "theirs")
    heard: list[str] = []

    def own_stop() -> None:
        heard.append("theirs")

    settings = wandb.Settings(project="own", finish_timeout=99.0, stop_fn=own_stop)
    before = settings.model_copy()
    seen: list[Any] = []
    (run,) = job(make(), lambda: seen.append(wandb.init(settings=settings).settings))
    assert (run.fields["run_group"], run.fields["project"]) == ("theirs", "own")
    assert seen[0].finish_timeout == 99.0
    seen[0].stop_fn()
    assert heard == ["theirs"]
    assert settings.model_fields_set == before.model_fields_set


@pytest.mark.parametrize(("seconds", "given"), [("0", 0.0), ("600", 600.0), (None, 600.0)])
def test_how_long_a_run_may_take_to_end_is_the_users_to_say(
    make: Callable[..., Ticket], monkeypatch: pytest.MonkeyPatch, seconds: str | None, given: float
) -> None:
    """A time-out of the environment stands, be it 0 for none; else it is ten minutes."""
    if seconds is not None:
        monkeypatch.setenv("WANDB_FINISH_TIMEOUT", seconds)
    seen: list[float] = []
    job(make(), lambda: seen.append(wandb.init().settings.finish_timeout))
    assert seen == [given]


def test_an_empty_group_is_filled(make: Callable[..., Ticket]) -> None:
    """`group=""`, as templates pass it, does not put the run outside of the study's group."""
    (run,) = job(make(), lambda: wandb.init(group="", name=None))
    assert run.fields["run_group"] == "bowls"


def test_a_mapping_named_neuropt_is_merged(make: Callable[..., Ticket]) -> None:
    """What the script logs below `neuropt` stays beside what we add, which wins for our own keys only."""
    (run,) = job(make(), lambda: wandb.init(config={"neuropt": {"edits": "relu", "trial": 99}}))
    assert run.config["neuropt"] == {"edits": "relu", "trial": 7, "source": "llm"}


@pytest.mark.parametrize("how", [{"reinit": True}, {"reinit": "create_new"}])
def test_two_runs_of_a_job_are_two(make: Callable[..., Ticket], how: dict[str, Any]) -> None:
    """A second run gets the trial's name with a number; both are recorded in their order, and end."""
    ticket = make()

    def script() -> None:
        for loss in (0.5, 0.4):
            wandb.init(**how).log({"loss": loss})

    first, second = job(ticket, script)
    assert [run.fields["display_name"] for run in (first, second)] == ["trial-007", "trial-007-2"]
    assert [[row["loss"] for row in run.history] for run in (first, second)] == [[0.5], [0.4]]
    assert [run.exit_code for run in (first, second)] == [0, 0]
    assert [run.ended for run in recorded(ticket.runs_path)] == [0, 0]


def test_a_run_that_is_returned_again_is_one(make: Callable[..., Ticket]) -> None:
    """A second plain `init` is given the open run by W&B; it is recorded and told once."""
    ticket = make()
    assert len(job(ticket, lambda: [wandb.init(), wandb.init()])) == 1
    assert len(ticket.runs_path.read_text().splitlines()) == 2  # When it was opened, and when it ended.


def test_a_failed_trial_fails_its_open_run(make: Callable[..., Ticket]) -> None:
    """The exit code of a run that was left open is 1 when the trial failed; one that was finished keeps its own."""
    ticket = make()

    def script() -> None:
        wandb.init().finish()
        wandb.init().finish(exit_code=3)
        wandb.init()

    runs = job(ticket, script, FAILED)
    assert [run.exit_code for run in runs] == [0, 3, 1]
    assert [run.ended for run in recorded(ticket.runs_path)] == [0, 3, 1]
    assert "neuropt/state" not in runs[0].summary
    assert runs[2].summary["neuropt/state"] == "FAIL"


def test_init_imported_by_its_name_is_seen(make: Callable[..., Ticket], monkeypatch: pytest.MonkeyPatch) -> None:
    """`from wandb import init` above the task function is looked after, and undone; also in a task sent by value."""
    module: Any = types.ModuleType("a_script")
    module.init = wandb.init
    monkeypatch.setitem(sys.modules, "a_script", module)
    loose: dict[str, Any] = {"init": wandb.init}
    exec("def task(): init(reinit=True)", loose)  # As cloudpickle brings it: its names belong to no module.

    def script() -> None:
        module.init()
        loose["task"]()

    with WandbWatch(make(), loose["task"]) as runs:
        script()
        runs.settle(SCORE)
    assert [run.name for run in recorded(make().runs_path)] == ["trial-007", "trial-007-2"]
    assert module.init is loose["init"] is wandb.init


def test_an_init_that_is_out_of_sight_is_found_at_the_end(make: Callable[..., Ticket]) -> None:
    """A run begun through a reference that nobody can find is recorded and finished as the others are."""
    genuine = wandb.init
    (run,) = job(make(), lambda: genuine(project="own"))
    assert run.exit_code == 0
    assert run.config["neuropt"]["trial"] == 7


@pytest.mark.parametrize("how", ["argument", "environment", "settings"])
def test_a_disabled_run_is_not_touched(make: Callable[..., Ticket], monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """A run with mode disabled is neither recorded nor told anything, wherever that is said."""
    ticket, config = make(), []
    if how == "environment":
        monkeypatch.setenv("WANDB_MODE", "disabled")
    given: dict[str, Any] = {
        "argument": {"mode": "disabled"},
        "environment": {},
        "settings": {"settings": wandb.Settings(mode="disabled")},
    }[how]
    job(ticket, lambda: config.append(dict(wandb.init(**given).config)))
    assert config == [{}]
    assert not ticket.runs_path.exists()


def test_without_a_note_runs_are_only_recorded(tmp_path: Path) -> None:
    """Where the sweep leaves W&B alone, a run is left as it is, but for its file, its flush and its end."""
    ticket = Ticket(tmp_path / "7" / "neuropt", 7)
    ticket.write()
    seen: list[Any] = []
    (run,) = job(ticket, lambda: seen.append(wandb.init(config={"lr": 0.1}).settings))
    assert (run.fields["run_group"], run.fields["display_name"], run.exit_code) == ("", "", 0)
    assert set(run.config) - {"_wandb"} == {"lr"}
    assert "score" not in run.summary
    if "x_transaction_log_flush_interval" in wandb.Settings.model_fields:
        assert seen[0].x_transaction_log_flush_interval == 1.0
    assert seen[0].finish_timeout == 600.0


def test_what_wandb_will_not_take_costs_the_run_nothing(
    make: Callable[..., Ticket], caplog: pytest.LogCaptureFixture
) -> None:
    """A project name that W&B refuses is left out, with a warning; the script's run begins and is recorded."""
    (run,) = job(make(project="a/b"), lambda: wandb.init())
    assert run.exit_code == 0
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1
    assert "neuropt could not tell a run of its trial" in caplog.text


def test_a_disk_that_is_full_costs_the_run_nothing(make: Callable[..., Ticket]) -> None:
    """A record that cannot be written does not reach the script."""
    ticket = make()
    ticket.runs_path.mkdir()
    wandb_runs: list[Any] = []
    with WandbWatch(ticket) as runs:
        wandb_runs.append(wandb.init())
        runs.settle(SCORE)
    assert wandb_runs[0]._is_finished


def test_what_the_script_gets_wrong_reaches_it(make: Callable[..., Ticket]) -> None:
    """An error of the script's own call is raised as W&B raises it; there is no run then."""
    ticket = make()
    with WandbWatch(ticket), pytest.raises(TypeError, match="unexpected keyword"):
        wandb.init(projct="own")
    with WandbWatch(ticket), pytest.raises(wandb.errors.UsageError):
        wandb.init(project="a/b")
    assert not ticket.runs_path.exists()


def test_a_script_that_tears_wandb_down_costs_the_trial_nothing(
    make: Callable[..., Ticket], caplog: pytest.LogCaptureFixture
) -> None:
    """After `wandb.teardown()` in the script its run has ended, and the next one is told of the trial, too."""
    ticket = make()

    def script() -> None:
        wandb.init()
        wandb.teardown()
        wandb.init()

    runs = job(ticket, script)
    assert [run.exit_code for run in runs] == [0, 0]
    assert [run.fields["display_name"] for run in runs] == ["trial-007", "trial-007-2"]
    assert "neuropt could not" not in caplog.text


def test_what_a_user_adds_to_the_settings_of_his_process_stands(make: Callable[..., Ticket]) -> None:
    """A project and a group that he sets by `wandb.setup` win, as his arguments do, and tags of both come together."""

    def script() -> None:
        wandb.setup(wandb.Settings(project="own", run_group="theirs", run_tags=("a",)))
        wandb.init()

    (run,) = job(make(), script)
    assert (run.fields["project"], run.fields["run_group"], run.tags) == ("own", "theirs", ["a", "neuropt"])
