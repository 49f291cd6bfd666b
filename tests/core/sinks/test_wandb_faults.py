"""Faults of which wandb itself says nothing: a service that dies, data that is refused, a process that hangs."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from sink_scenes import Story, falling
from wandb_file import read_folder
from wandb_server import serve
from wandb_studies import environment, upload, wait_until

from neuropt_core.errors import StudyError
from neuropt_core.sinks._wandb_payload import live_message, trial_message, trial_run
from neuropt_core.sinks._wandb_process import start
from neuropt_core.sinks.wandb import WandbSettings, WandbSink

pytest.importorskip("wandb")
TOLD_ANEW = "Tell it all later with: neuropt report "


def processes_of(folder: Path, words: bytes) -> list[int]:
    """Returns the processes that work in a folder and have some words in their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if words in (entry / "cmdline").read_bytes() and (entry / "cwd").resolve() == folder.resolve():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.mark.slow
def test_a_dead_service_makes_the_study_offline(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """When wandb's own service is killed, one warning says so, and what it had not taken is in files on this disk."""
    story = Story(tmp_path / "sweep")
    sink = WandbSink(WandbSettings(), "offline", environ=environment(tmp_path, "http://127.0.0.1:9"))
    sink.study_started(story.scene)
    story.run(0.5, sink, curve=falling(0.7, 0.5))
    wait_until(lambda: any((story.folder / "wandb").glob("*run-*-000/*.wandb")))
    read_folder(story.folder / "wandb", 1)  # Until trial 0's run is whole: wandb says that it has ended before it is.
    for process in processes_of(story.folder, b"wandb-core"):
        os.kill(process, signal.SIGKILL)
    for score in (0.4, 0.3):
        story.run(score, sink, curve=falling(0.6, score))
    sink.study_finished(story.scene, "over")
    assert caplog.text.count("exit code 70") == 1
    assert caplog.text.count("WARNING") == 1
    runs = read_folder(story.folder / "wandb", 4)
    assert [runs[f"trial-{n:03d}"].summary["score"] for n in range(1, 3)] == [0.4, 0.3]


@pytest.mark.slow
def test_data_that_is_refused_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where W&B refuses what runs log, one warning names a command that brings all of it, once it can be."""
    story = Story(tmp_path / "sweep")
    with serve() as server:
        env = environment(tmp_path, server.url)
        server.fault = lambda what: 403 if what == "file_stream" else 200
        sink = WandbSink(WandbSettings(report=False), "online", environ=env)
        sink.study_started(story.scene)
        for score in (0.5, 0.4):
            story.run(score, sink, curve=falling(0.7, score))
        sink.study_finished(story.scene, "over")
        (said,) = [line for line in caplog.messages if "takes no data" in line]
        assert "403 Forbidden" in said
        assert not any(run.complete for run in server.runs.values())
        server.fault = lambda what: 200
        upload(said, env)
        assert [server.named(f"trial-{n:03d}").summary["score"] for n in range(2)] == [0.5, 0.4]


@pytest.mark.slow
def test_a_stopped_child_leaves_a_command_that_brings_all(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What a child that hangs was never told is in no file of W&B's: the command named tells the study anew."""
    story = Story(tmp_path / "my sweep")
    env = environment(tmp_path, "http://127.0.0.1:9")
    sink = WandbSink(WandbSettings(project="p", entity="me"), "offline", environ=env, patience=1.0)
    sink.study_started(story.scene)
    for process in processes_of(story.folder, b"_wandb_child"):
        os.kill(process, signal.SIGSTOP)
    story.run(0.5, sink)
    sink.study_finished(story.scene, "over")
    (said,) = [line for line in caplog.messages if "has not taken everything" in line]
    assert said.endswith(f"{TOLD_ANEW}'{story.folder}' --wandb --project p --entity me")
    assert not processes_of(story.folder, b"_wandb_child")


@pytest.mark.slow
def test_a_gap_in_a_curve_is_filled_at_its_end(tmp_path: Path) -> None:
    """Points that come after some that never came are not shown before these: the trial's end brings all in order."""
    story = Story(tmp_path / "sweep")
    (story.folder / "wandb").mkdir(parents=True)
    curve = falling(*(1.0 / (1 + n) for n in range(6)))
    trial = story.run(0.5, curve=curve)
    run = trial_run(story.scene, trial, "p", None)
    more = live_message(run, curve, 4)
    first = {**live_message(run, curve, 0), "rows": live_message(run, curve, 0)["rows"][:2]}
    study = {"id": "s", "name": "s", "project": "p", "entity": None}
    hello = {"mode": "offline", "folder": str(story.folder), "run": study, "init_timeout": 20, "finish_timeout": 20}
    lines = [hello, first, more, trial_message(story.scene, trial, "p", None)]
    child = start(story.folder, environment(tmp_path, "http://127.0.0.1:9"))
    child.communicate("".join(json.dumps(line) + "\n" for line in lines), timeout=60)
    rows = read_folder(story.folder / "wandb", 2)["trial-000"].history
    assert [row["step"] for row in rows] == [0, 1, 2, 3, 4, 5]


def test_a_folder_that_cannot_be_written_costs_w_and_b_alone(tmp_path: Path) -> None:
    """Where nothing can be kept for W&B, the sink says so in a sentence that names what to do, and is quiet then."""
    story = Story(tmp_path / "sweep")
    story.folder.mkdir()
    (story.folder / "wandb").write_text("in the way")
    sink = WandbSink(WandbSettings(), "offline", environ=environment(tmp_path, "http://127.0.0.1:9"))
    with pytest.raises(StudyError, match="the study goes on without W&B") as raised:
        sink.study_started(story.scene)
    assert f"neuropt report {story.folder} --wandb" in str(raised.value)
    story.run(0.5, sink)
    sink.study_finished(story.scene, "over")
