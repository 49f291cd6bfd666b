"""The real SDK: offline, read back from its files, and online, against a server on the loopback interface."""

from __future__ import annotations

import logging
import math
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sink_scenes import Story, falling
from wandb_file import read_folder
from wandb_server import WandbServer, serve
from wandb_studies import kill_child, upload, wait_until

from neuropt_core.errors import ConfigError
from neuropt_core.sinks.wandb import WandbSettings, WandbSink

pytest.importorskip("wandb")
CANARY = "canary-7f3a9c"


def environment(home: Path, url: str = "http://127.0.0.1:9") -> dict[str, str]:
    """Returns an environment in which W&B knows only `url`, with a secret and settings of the user's own runs in it."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    own = {"WANDB_RUN_ID": "mine", "WANDB_NAME": "mine", "WANDB_RUN_GROUP": "mine", "WANDB_MODE": "disabled"}
    secrets = {"ANTHROPIC_API_KEY": CANARY, "DATABASE_PASSWORD": CANARY}
    return {**env, **own, **secrets, "HOME": str(home), "WANDB_BASE_URL": url, "WANDB_API_KEY": "4" * 40}


def tell(story: Story, sink: WandbSink) -> None:
    """Three trials: trial 0, one that fails, and a better one with a curve that holds a nan."""
    story.run(0.5, sink, curve=falling(1.0, 0.7, 0.5), rationale="Your own configuration.")
    story.run("CUDA out of memory", sink, {"optimizer.lr": 0.1})
    story.run(0.4, sink, {"optimizer": "sgd"}, rationale="SGD *generalises*.", curve=falling(1.0, math.nan, 0.4))


def whole_study(story: Story, sink: WandbSink) -> None:
    """A study from its start to its end."""
    sink.study_started(story.scene)
    tell(story, sink)
    sink.study_finished(story.scene, "all 3 trials are done")


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """A study that was logged offline in two sessions."""
    home = tmp_path_factory.mktemp("offline")
    story = Story(home / "my sweep")
    for _ in range(2):
        whole_study(story, WandbSink(WandbSettings(), "offline", environ=environment(home)))
    return story


@pytest.fixture(scope="module")
def online(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Story, WandbServer]]:
    """A study that was logged online in two sessions, and the server that got it."""
    home = tmp_path_factory.mktemp("online")
    story = Story(home / "sweep")
    with serve() as server:
        for _ in range(2):
            whole_study(story, WandbSink(WandbSettings(entity="me"), "online", environ=environment(home, server.url)))
        yield story, server


def test_offline_each_trial_is_a_run_in_the_group(offline: Story) -> None:
    """Offline there is one run a trial and one for the study, all in the study's group, under their own names."""
    runs = read_folder(offline.folder / "wandb", 8)
    assert set(runs) == {"story", *(f"trial-{n:03d}" for n in range(6))}
    assert {run.fields["run_group"] for run in runs.values()} == {"story"}
    assert {run.fields["job_type"] for name, run in runs.items() if name != "story"} == {"trial"}
    assert runs["story"].fields["job_type"] == "controller"


def test_offline_curve_config_and_outcome_are_there(offline: Story) -> None:
    """A trial's run holds its curve by step, nested config, rationale and score; a failed one exits with 1."""
    runs = read_folder(offline.folder / "wandb", 8)
    run = runs["trial-002"]
    assert [row["_step"] for row in run.history] == [0, 1, 2]
    assert [row["val_loss"] for row in run.history][::2] == [1.0, 0.4]
    assert math.isnan(run.history[1]["val_loss"])
    assert run.config["optimizer"] == {"_self_": "sgd", "lr": 1e-3}
    assert run.config["neuropt"] == {"freeze": False, "trial": 2, "source": "prior"}
    assert run.config["neuropt_rationale"] == "SGD *generalises*."
    assert (run.summary["score"], run.summary["neuropt/state"], run.exit_code) == (0.4, "COMPLETE", 0)
    assert (runs["trial-001"].summary["neuropt/state"], runs["trial-001"].exit_code) == ("FAIL", 1)


def test_everything_lies_in_the_sweep_directory(offline: Story) -> None:
    """Runs, staged tables and caches are below <sweep dir>/wandb, and nothing is written to the user's home."""
    assert [path.name for path in offline.folder.iterdir()] == ["wandb"]
    assert {path.name for path in offline.folder.parent.iterdir()} == {"my sweep"}


@pytest.mark.slow
def test_the_sync_command_uploads_an_offline_study(
    offline: Story, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The printed command uploads all runs, the two sessions of the study as one run with its steps going on."""
    sink = WandbSink(WandbSettings(), "offline", environ=environment(tmp_path))
    story = Story(offline.folder, trials=list(offline.trials))
    with caplog.at_level(logging.INFO):
        sink.study_started(story.scene)
        sink.study_finished(story.scene, "nothing to do")
    with serve() as server:
        upload(caplog.text, environment(tmp_path, server.url))
        assert server.unknown == []
        assert len(server.runs) == 7
        study = server.named("story")
        assert [row["trial"] for _, row in sorted(study.history.items()) if "failed" in row] == [0, 1, 2, 3, 4, 5]
        assert server.named("trial-005").summary["score"] == 0.4


def test_online_the_server_gets_curve_config_group_and_rationale(online: tuple[Story, WandbServer]) -> None:
    """Online the curve, nested config, group and rationale of each trial arrive, and no unknown question is asked."""
    _, server = online
    assert server.unknown == []
    assert len(server.runs) == 7
    run = server.named("trial-002")
    assert (run.fields["groupName"], run.fields["jobType"], run.fields["project"]) == ("story", "trial", "neuropt")
    assert (run.fields["entity"], run.fields["notes"]) == ("me", "SGD *generalises*.")
    assert [run.history[step]["val_loss"] for step in (0, 2)] == [1, 0.4]
    assert run.config["optimizer"] == {"_self_": "sgd", "lr": 1e-3}
    assert run.config["neuropt_rationale"] == "SGD *generalises*."
    assert (run.summary["score"], run.summary["neuropt/state"]) == (0.4, "COMPLETE")
    assert run.complete
    assert (run.exit_code, server.named("trial-001").exit_code) == (0, 1)


def test_online_a_resumed_study_goes_on_in_its_run(online: tuple[Story, WandbServer]) -> None:
    """The second session adds its steps to the study's run, which has the best so far and the table of all trials."""
    _, server = online
    study = server.named("story")
    rows = [study.history[step] for step in sorted(study.history)]
    progress = [row for row in rows if "failed" in row]
    assert [row["trial"] for row in progress] == [0, 1, 2, 3, 4, 5]
    assert [row["best"] for row in progress] == [0.5, 0.5, 0.4, 0.4, 0.4, 0.4]
    assert sum("trials" in row for row in rows) == 2
    assert study.summary["best_trial"] == 2
    assert study.summary["ended"] == "all 3 trials are done"
    assert any(b"SGD *generalises*." in body for body in server.uploads.values())


def test_no_secret_leaves_the_machine(online: tuple[Story, WandbServer]) -> None:
    """Neither secrets of the environment nor the host's name or the command line are in any request."""
    _, server = online
    text = b"\n".join(server.bodies)
    assert b"SGD *generalises*." in text
    for word in (CANARY, f'"{os.uname().nodename}"', "train.py"):
        assert word.encode() not in text


def test_the_users_own_wandb_settings_do_not_bend_ours(online: tuple[Story, WandbServer]) -> None:
    """WANDB_RUN_ID, WANDB_NAME and their kin, set for the user's own runs, are not taken for ours."""
    _, server = online
    assert "mine" not in server.runs
    assert not any(b'"mine"' in body for body in server.bodies)


def hang(seconds: float) -> Callable[[str], int]:
    """Returns a fault that keeps every request waiting."""

    def wait(what: str) -> int:
        time.sleep(seconds)
        return 200

    return wait


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [lambda what: 500, lambda what: 403, hang(5.0)],
    ids=["500", "403", "hang"],
)
def test_a_server_that_fails_at_the_start_makes_the_study_offline(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: Callable[[str], int]
) -> None:
    """One warning names the reason and a sync command, and that command uploads all runs."""
    story = Story(tmp_path / "sweep")
    with serve() as server:
        server.fault = fault
        environ = environment(tmp_path, server.url)
        sink = WandbSink(WandbSettings(), "online", environ=environ, init_timeout=2, finish_timeout=2)
        sink.study_started(story.scene)
        tell(story, sink)
        sink.study_finished(story.scene, "all done")
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "the study goes on offline" in caplog.text
        assert len(read_folder(story.folder / "wandb", 4)) == 4
        server.fault = lambda what: 200
        upload(caplog.text, environ)
        assert server.named("trial-002").summary["score"] == 0.4
        assert server.named("story").summary["best"] == 0.4


@pytest.mark.slow
@pytest.mark.parametrize("fault", [lambda what: 500 * (what == "file_stream") or 200, hang(20.0)], ids=["500", "hang"])
def test_a_server_that_fails_in_mid_study_loses_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: Callable[[str], int]
) -> None:
    """When uploads stop, the rest goes offline, and a sync brings all."""
    story = Story(tmp_path / "sweep")
    with serve() as server:
        environ = environment(tmp_path, server.url)
        sink = WandbSink(
            WandbSettings(report=False), "online", environ=environ, init_timeout=8, finish_timeout=5, patience=90
        )
        sink.study_started(story.scene)
        story.run(0.6, sink, curve=falling(0.6))
        wait_until(lambda: any(run.complete for run in server.runs.values()))
        server.fault = fault
        tell(story, sink)
        sink.study_finished(story.scene, "all done")
        assert "Upload it later with: wandb sync --include-online" in caplog.text
        server.fault = lambda what: 200
        upload(caplog.text, environ)
        assert {run.fields.get("displayName") for run in server.runs.values()} >= {"story", "trial-000", "trial-003"}
        assert server.named("trial-003").summary["score"] == 0.4
        assert server.named("trial-003").history[2]["val_loss"] == 0.4
        study = server.named("story")
        assert {row["trial"] for row in study.history.values() if "failed" in row} == {0, 1, 2, 3}


@pytest.mark.slow
def test_a_killed_child_is_replaced_offline(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """When the child is killed, one warning says so and every trial still gets its run."""
    story = Story(tmp_path / "sweep")
    with serve() as server:
        sink = WandbSink(WandbSettings(), "online", environ=environment(tmp_path, server.url))
        sink.study_started(story.scene)
        story.run(0.6, sink)
        wait_until(lambda: any(run.complete for run in server.runs.values()))
        read_folder(story.folder / "wandb", 1)  # Until its file is whole, too.
        kill_child(story.folder)
        tell(story, sink)
        sink.study_finished(story.scene, "all done")
    assert "its process ended with exit code -9" in caplog.text
    assert "wandb sync --include-online" in caplog.text
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 1
    runs = read_folder(story.folder / "wandb", 5)
    assert {"trial-001", "trial-002", "trial-003"} <= set(runs)


SWEEPER = """
    import os, signal, sys, time
    from pathlib import Path
    from sink_scenes import Story
    from neuropt_core.sinks.wandb import WandbSettings, WandbSink

    story = Story(Path(sys.argv[1]))
    sink = WandbSink(WandbSettings(), "offline", patience=170)
    sink.study_started(story.scene)
    story.run(0.5, sink)
    while sink._feed._sent < len(sink._feed._waiting):  # A message still in the sweeper when it is killed is lost.
        time.sleep(0.01)
    time.sleep(0.5)
    try:
        print("told", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        sink.study_finished(story.scene, "interrupted")
"""


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGKILL, 1), (signal.SIGINT, 0)], ids=["kill -9", "Ctrl-C"])
def test_the_child_flushes_when_the_sweeper_goes(tmp_path: Path, sent: signal.Signals, code: int) -> None:
    """A Ctrl-C ends the study's run in order; a kill -9 of the sweeper's process group closes it as failed."""
    environ = environment(tmp_path)
    environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[2] / "support"), *sys.path])
    command = [sys.executable, "-c", textwrap.dedent(SWEEPER), str(tmp_path / "sweep")]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, start_new_session=True) as sweeper:
        assert sweeper.stdout is not None
        assert sweeper.stdout.readline() == b"told\n"
        os.killpg(sweeper.pid, sent)
        sweeper.wait(timeout=180)
    runs = read_folder(tmp_path / "sweep" / "wandb", 2)
    assert runs["trial-000"].exit_code == 0
    assert runs["story"].exit_code == code


def test_without_a_start_the_end_does_nothing(tmp_path: Path) -> None:
    """A sink whose start failed can be told everything else."""
    story = Story(tmp_path)
    sink = WandbSink(WandbSettings(), "offline")
    story.run(0.4, sink)
    sink.study_finished(story.scene, "all done")
    assert list(tmp_path.iterdir()) == []


def test_the_sink_takes_resolved_modes_only() -> None:
    """A sink is made for online or offline; auto and disabled are decided before."""
    with pytest.raises(ConfigError, match="online or offline"):
        WandbSink(WandbSettings(), "disabled")
