"""Trials whose scripts make runs of their own, and trials whose runs we make while they go on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from sink_scenes import Story, ended, falling
from wandb_file import read_folder, read_run
from wandb_server import WandbServer, serve
from wandb_studies import begun, environment, kill_child, make_runs, place, upload, wait_until

from neuropt_core.attempt_files import AttemptFiles
from neuropt_core.sinks.wandb import WandbSettings, WandbSink
from neuropt_core.tracking import RunRecord, record
from neuropt_core.trial import Trial

pytest.importorskip("wandb")
PLANS = (
    {"id": "first", "log": {"score": 99.0, "loss": 1.0}, "ends": True},
    {"id": "second", "log": {"loss": 2.0}, "ends": False},
)


@pytest.fixture(scope="module")
def annotated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WandbServer]:
    """A study online in which trial 0's script made two runs, and left one of them open, and trial 1's made none."""
    home = tmp_path_factory.mktemp("annotated")
    story = Story(home / "sweep")
    with serve() as server:
        env = environment(home, server.url)
        sink = WandbSink(WandbSettings(entity="me"), "online", environ=env)
        sink.study_started(story.scene)
        make_runs(place(story, 0), env, "online", *PLANS)
        story.about = {**story.about, "config": {"data.name": "digits", "optimizer.lr": 0.5}}
        story.run(0.5, sink, curve=falling(0.7, 0.5), rationale="Why.")
        place(story, 1)
        story.run("boom", sink, rationale="Again.")
        sink.study_finished(story.scene, "over")
        yield server


def test_the_scripts_own_runs_are_told_what_came_of_their_trial(annotated: WandbServer) -> None:
    """Each run of the script's gets the trial's outcome, keeps what it has said itself, and is closed."""
    assert annotated.unknown == []
    first, second = annotated.runs["first"], annotated.runs["second"]
    assert first.summary["score"] == 99.0
    assert second.summary["score"] == 0.5
    for run in (first, second):
        assert run.summary["neuropt/score"] == 0.5
        assert run.summary["neuropt/state"] == "COMPLETE"
        assert (run.complete, run.exit_code) == (True, 0)
        assert (run.fields["groupName"], run.fields["displayName"]) == ("mine", run.fields["name"])
        assert run.config["optimizer"] == "own"
        assert run.config["data"] == {"name": "digits"}
        assert run.config["neuropt_rationale"] == "Why."
    assert (first.summary["loss"], [row["loss"] for row in first.history.values()]) == (1.0, [1.0])


def test_a_trial_with_runs_of_its_own_gets_no_other(annotated: WandbServer) -> None:
    """Only the trial whose script made no run gets one of ours."""
    names = {run.fields.get("displayName") for run in annotated.runs.values()}
    assert names == {"story", "first", "second", "trial-001"}
    assert annotated.named("trial-001").exit_code == 1


def test_the_table_links_the_runs(annotated: WandbServer) -> None:
    """The table of trials leads to the pages of the script's runs, and to ours where there are none."""
    table = next(json.loads(body) for body in annotated.uploads.values() if b'"columns"' in body)
    links = [dict(zip(table["columns"], row, strict=True))["run"] for row in table["data"]]
    assert links[0].split(" ") == [f"{annotated.url}/me/theirs/runs/{name}" for name in ("first", "second")]
    ours = annotated.named("trial-001").fields["name"]
    assert links[1] == f"{annotated.url}/me/neuropt/runs/{ours}"


@pytest.mark.slow
def test_offline_runs_of_the_script_are_annotated_beside_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Offline, what is said of the script's runs is written as their continuation, and one command uploads both."""
    if version("wandb").startswith("0.28."):
        pytest.skip("wandb 0.28 writes nothing of a killed script's run within 15 s, and then syncs none of its folder")
    story, env = Story(tmp_path / "sweep"), environment(tmp_path, "http://127.0.0.1:9")
    sink = WandbSink(WandbSettings(), "offline", environ=env)
    sink.study_started(story.scene)
    make_runs(place(story, 0), env, "offline", *PLANS)
    with caplog.at_level("INFO"):
        story.run(0.5, sink, rationale="Why.")
        sink.study_finished(story.scene, "over")
    read_folder(story.folder / "wandb", 3)  # Waits for their ends.
    files = (story.folder / "wandb").glob("offline-run-*/*.wandb")
    runs = {run.fields["run_id"]: run for run in map(read_run, files)}
    assert "score" not in runs["first"].summary
    assert runs["first"].summary["neuropt/score"] == 0.5
    assert (runs["second"].summary["score"], runs["second"].exit_code) == (0.5, 0)
    with serve() as server:
        upload(caplog.text, environment(tmp_path, server.url))
        first, second = server.runs["first"], server.runs["second"]
        assert (first.summary["score"], first.summary["neuropt/score"]) == (99.0, 0.5)
        assert (second.summary["score"], second.summary["loss"], second.exit_code) == (0.5, 2.0, 0)
        assert (first.fields["groupName"], first.config["optimizer"]) == ("mine", "own")


def shown(server: WandbServer, name: str) -> list[tuple[int, float]]:
    """Returns the points of a run's curve in the order in which they came, or none if there is no such run."""
    run = next((run for run in server.runs.values() if run.fields.get("displayName") == name), None)
    history = {} if run is None else run.history
    return [(row["step"], row["val_loss"]) for _, row in sorted(history.items()) if "val_loss" in row]


@pytest.fixture
def live(tmp_path: Path) -> Iterator[tuple[Story, WandbSink, WandbServer]]:
    """A study online whose trial 0 has begun."""
    with begun(tmp_path) as (story, sink, server):
        yield story, sink, server


def test_a_run_of_ours_grows_with_its_curve(live: tuple[Story, WandbSink, WandbServer]) -> None:
    """What a trial reports is in its run before the trial has ended, and each point is there once at its end."""
    story, sink, server = live
    for steps in (1, 2, 2, 3):
        sink.reported(story.trials[0], falling(*(1.0, 0.7, 0.5)[:steps]))
    wait_until(lambda: len(shown(server, "trial-000")) == 3)
    assert not server.named("trial-000").complete
    story.tell(ended(0.4, curve=falling(1.0, 0.7, 0.5, 0.4)), sink)
    sink.study_finished(story.scene, "over")
    assert shown(server, "trial-000") == [(0, 1.0), (1, 0.7), (2, 0.5), (3, 0.4)]
    assert server.named("trial-000").summary["neuropt/score"] == 0.4
    assert server.named("trial-000").exit_code == 0
    assert len(server.runs) == 2


@pytest.mark.parametrize("seen", [True, False], ids=["while it runs", "at its end"])
def test_what_a_second_start_replaces_is_put_aside(live: tuple[Story, WandbSink, WandbServer], seen: bool) -> None:
    """A job that begins again at step 0 gets a fresh run; what it had shown before is marked and no trial's run."""
    story, sink, server = live
    sink.reported(story.trials[0], falling(9.0, 8.0, 7.0))
    if seen:
        sink.reported(story.trials[0], falling(1.0))
    story.tell(ended(0.5, curve=falling(1.0, 0.5)), sink)
    sink.study_finished(story.scene, "over")
    assert shown(server, "trial-000") == [(0, 1.0), (1, 0.5)]
    assert shown(server, "trial-000 (interrupted)") == [(0, 9.0), (1, 8.0), (2, 7.0)]
    assert server.named("trial-000 (interrupted)").fields["jobType"] == "aside"
    assert "neuropt/score" not in server.named("trial-000 (interrupted)").summary
    assert server.named("trial-000").fields["jobType"] == "trial"


def test_a_script_that_makes_its_run_late_shows_one_trial(live: tuple[Story, WandbSink, WandbServer]) -> None:
    """If a run of the script's appears after ours, ours is put aside and the script's is told the outcome."""
    story, sink, server = live
    sink.reported(story.trials[0], falling(1.0))
    files = AttemptFiles(story.folder / "0" / "neuropt", 0)
    record(files.runs_path, RunRecord("late", "neuropt", "me", f"{server.url}/late", "late"))
    sink.reported(story.trials[0], falling(1.0, 0.7))
    story.tell(ended(0.5, curve=falling(1.0, 0.7)), sink)
    place(story, 1)
    story.ask(sink)
    sink.reported(story.trials[1], falling(1.0))
    sink.study_finished(story.scene, "over")
    names = {run.fields.get("displayName") for run in server.runs.values()} - {None}
    assert {"story", "trial-000 (neuropt's copy)"} <= names
    assert not {"trial-000", "trial-001"} & names
    assert server.runs["late"].summary["neuropt/score"] == 0.5


def test_a_trial_that_still_runs_when_the_study_ends(live: tuple[Story, WandbSink, WandbServer]) -> None:
    """Its run is closed as failed, and the next session shows the trial in a run of its own."""
    story, sink, server = live
    sink.reported(story.trials[0], falling(1.0))
    sink.study_finished(story.scene, "interrupted")
    assert [run.exit_code for run in server.runs.values() if run.fields.get("jobType") == "trial"] == [1]
    again = WandbSink(WandbSettings(), "online", environ=environment(story.folder.parent, server.url))
    again.study_started(story.scene)
    again.reported(story.trials[0], falling(1.0, 0.5))
    story.tell(ended(0.5, curve=falling(1.0, 0.5)), again)
    again.study_finished(story.scene, "over")
    runs = [run for run in server.runs.values() if run.fields.get("jobType") == "trial"]
    assert sorted(run.fields["displayName"] for run in runs) == ["trial-000", "trial-000"]
    assert [run.summary.get("neuropt/score") for run in runs] == [None, 0.5]


def test_a_trial_whose_place_is_not_known_waits(tmp_path: Path) -> None:
    """As long as nobody knows where a trial lies, it may have runs of its own, and gets none of ours."""
    story = Story(tmp_path / "sweep")
    env = environment(tmp_path, "http://127.0.0.1:9")
    sink = WandbSink(WandbSettings(), "offline", environ=env)
    sink.study_started(story.scene)
    trial: Trial = story.ask(sink)
    sink.reported(trial, falling(1.0))
    sink.study_finished(story.scene, "over")
    assert set(read_folder(story.folder / "wandb", 1)) == {"story"}


@pytest.mark.slow
@pytest.mark.parametrize("fault", [500, 403])
def test_a_server_that_fails_while_trials_run_loses_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: int
) -> None:
    """What cannot be told online, of our runs and of the script's, lies on the disk, and one command uploads it."""
    story = Story(tmp_path / "sweep")
    with serve() as server:
        env = environment(tmp_path, server.url)
        sink = WandbSink(WandbSettings(report=False), "online", environ=env, init_timeout=10, finish_timeout=5)
        sink.study_started(story.scene)
        for number in range(2):
            place(story, number)
            story.ask(sink)
        sink.reported(story.trials[0], falling(1.0))
        wait_until(lambda: shown(server, "trial-000"))
        server.fault = lambda what: fault
        sink.reported(story.trials[0], falling(1.0, 0.7))
        story.tell(ended(0.5, curve=falling(1.0, 0.7, 0.5)), sink, 0)
        record(AttemptFiles(story.folder / "1" / "neuropt", 1).runs_path, RunRecord("theirs", "neuropt", "me"))
        story.tell(ended(0.4), sink, 1)
        sink.study_finished(story.scene, "over")
        warnings = [line for line in caplog.messages if "takes no data" not in line]  # Told first, where it is 403.
        assert len(warnings) == 1
        server.fault = lambda what: 200
        upload(caplog.text, env)
        assert set(shown(server, "trial-000")) == {(0, 1.0), (1, 0.7), (2, 0.5)}
        assert server.named("trial-000").summary["neuropt/score"] == 0.5
        assert server.runs["theirs"].summary["neuropt/score"] == 0.4
        assert {row["trial"] for row in server.named("story").history.values() if "failed" in row} == {0, 1}


@pytest.mark.slow
def test_a_child_that_dies_while_a_trial_runs_loses_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The next child gets the whole curve of a trial whose run the first had open, once the trial has ended."""
    story, env = Story(tmp_path / "sweep"), environment(tmp_path, "http://127.0.0.1:9")
    sink = WandbSink(WandbSettings(), "offline", environ=env)
    sink.study_started(story.scene)
    place(story, 0)
    story.ask(sink)
    sink.reported(story.trials[0], falling(1.0))
    wait_until(lambda: any((story.folder / "wandb").glob("*-run-*-000")))
    kill_child(story.folder)
    sink.reported(story.trials[0], falling(1.0, 0.7))
    story.tell(ended(0.5, curve=falling(1.0, 0.7, 0.5)), sink, 0)
    sink.study_finished(story.scene, "over")
    assert [entry.levelname for entry in caplog.records] == ["WARNING"]
    run = read_folder(story.folder / "wandb", 2)["trial-000"]
    assert [(row["step"], row["val_loss"]) for row in run.history] == [(0, 1.0), (1, 0.7), (2, 0.5)]
    assert run.summary["score"] == 0.5
