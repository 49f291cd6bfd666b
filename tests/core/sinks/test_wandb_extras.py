"""What is beside the runs: transcripts, alerts, reports and the stop button, with the real SDK."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import logging
import os
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
from sink_scenes import Story, ended, falling
from wandb_file import read_folder
from wandb_server import WandbServer, serve
from wandb_studies import begun, environment, wait_until

from neuropt_core.advice import Consultation, Lesson
from neuropt_core.sinks.base import Scene
from neuropt_core.sinks.wandb import REPORT_SECONDS, WandbSettings, WandbSink
from neuropt_core.stop_file import asked
from neuropt_core.transcript import write

pytest.importorskip("wandb")
SECRET = "hunter2-is-long"
ASKED = Consultation(
    "m",
    prompt=({"role": "user", "content": f"The prompt with {SECRET}."},),
    reply=f"The reply with {SECRET}.",
    diagnosis="It overfits.",
    learnt=(Lesson("Wide nets forget."),),
    usage={"input_tokens": 10, "output_tokens": 5},
)


def consulted(folder: Path, server: WandbServer, log_prompts: str) -> str:
    """Tells a study of an LLM; returns all that was uploaded as files."""
    story = Story(folder / "sweep", about={"consulted": (ASKED,)})
    write(story.folder / "neuropt" / "transcript.jsonl", ASKED)
    env = environment(folder, server.url, DATABASE_PASSWORD=SECRET)
    sink = WandbSink(WandbSettings(log_prompts=log_prompts), "online", environ=env)
    sink.study_started(story.scene)
    for value in (0.5, 0.4):
        trial = story.run(value, sink, params={"optimizer.lr": value / 100}, rationale=f"Since {SECRET} fits.")
        note = sink.note(story.scene, trial)
        assert note is not None
        assert SECRET not in str(note)
        assert "Since [redacted] fits." in note.notes
    sink.study_finished(story.scene, "over")
    assert server.unknown == []
    assert all(SECRET.encode() not in body for body in server.bodies)
    return b"\n".join(server.uploads.values()).decode()


@pytest.mark.parametrize(
    ("log_prompts", "there", "absent"),
    [
        ("none", (), ("It overfits.", "The prompt", "The reply")),
        ("summary", ("It overfits.", "input_tokens"), ("The prompt", "The reply")),
        ("full", ("The prompt with [redacted].", "The reply with [redacted]."), ()),
    ],
)
def test_a_transcript_is_one_artifact(tmp_path: Path, log_prompts: str, there: tuple[str], absent: tuple[str]) -> None:
    """As much of the exchanges is uploaded as is asked for, in one artifact, and a secret in none of it."""
    with serve() as server:
        uploaded = consulted(tmp_path, server, log_prompts)
        kinds = [artifact["artifactTypeName"] for artifact in server.artifacts]
        assert kinds.count("llm-transcript") == int(log_prompts != "none")
        for words in there:
            assert words in uploaded
        for words in absent:
            assert words not in uploaded
        for words in ("It overfits.", "Wide nets forget."):  # Also in the report and the run's summary.
            assert any(words.encode() in body for body in server.bodies) == (log_prompts != "none")
        assert [alert["title"] for alert in server.alerts] == ["New best"]
        assert server.named("story").exit_code == 0


def test_a_transcript_that_cannot_be_read_costs_only_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """If the transcript's file is gone, one warning says so, and the study's run still ends as it should."""
    story = Story(tmp_path / "sweep", about={"consulted": (ASKED,)})
    sink = WandbSink(WandbSettings(log_prompts="full"), "offline", environ=environment(tmp_path, "http://127.0.0.1:9"))
    sink.study_started(story.scene)
    story.run(0.5, sink)
    sink.study_finished(story.scene, "over")
    runs = read_folder(story.folder / "wandb", 2)
    assert (runs["story"].summary["ended"], runs["story"].exit_code) == ("over", 0)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "transcript.jsonl" in caplog.text


@pytest.mark.slow
def test_the_stop_button_of_a_run_is_a_request_to_the_sweeper(tmp_path: Path) -> None:
    """Stopping the run that we make of a trial asks for that trial, stopping the study's for the sweep."""
    with begun(tmp_path) as (story, sink, server):
        server.stopped = {"trial-000", "story"}
        sink.reported(story.trials[0], falling(1.0))
        wait_until(lambda: asked(story.folder, 0) and asked(story.folder), seconds=240)
        story.tell(ended(0.5, curve=falling(1.0)), sink)
        sink.study_finished(story.scene, "over")
        assert server.named("trial-000").exit_code == 0
    request = asked(story.folder)
    assert request is not None
    assert (request.how, request.by) == ("finish", "W&B")


REPORTER = """
    import sys, types
    module = types.ModuleType("neuropt_core.sinks._wandb_report")
    def save(plan, *, folder, project, entity):
        with open(folder / "reports", "a") as file:
            print(plan["trials"], plan["draft"], project, entity, file=file)
        if plan["trials"] == 2 and plan["draft"]:
            raise RuntimeError("no report today")
        return "https://report"
    module.save = save
    sys.modules[module.__name__] = module
"""


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A report's plan and its writer that tell what they are asked for; the real ones have tests of their own."""
    name = "neuropt_core.sinks._report_plan"
    spec = importlib.machinery.ModuleSpec(name, None)
    module: Any = importlib.util.module_from_spec(spec)

    def report_plan(scene: Scene, *, project: str, entity: str, draft: bool) -> dict[str, Any]:
        return {"trials": len(scene.trials), "draft": draft}

    module.report_plan = report_plan
    monkeypatch.setitem(sys.modules, name, module)
    customs = tmp_path / "customs"
    customs.mkdir()
    (customs / "sitecustomize.py").write_text(textwrap.dedent(REPORTER))
    return customs


def test_a_report_is_sent_seldom_and_at_the_end(
    tmp_path: Path, reports: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The report is a draft until the end, no more often than its pause allows, and one that fails is one sentence."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)  # wandb-workspaces may not be there.
    story = Story(tmp_path / "sweep")
    with serve() as server:
        path = os.pathsep.join(filter(None, (str(reports), os.environ.get("PYTHONPATH"))))
        env = environment(tmp_path, server.url, PYTHONPATH=path)
        sink = WandbSink(WandbSettings(entity="me"), "online", environ=env)
        sink.study_started(story.scene)
        story.run(0.5, sink)
        assert sink._reported_at is not None
        sink._reported_at -= REPORT_SECONDS  # A minute later.
        story.run(0.4, sink)
        story.run(0.3, sink)
        sink.study_finished(story.scene, "over")
        assert server.named("story").exit_code == 0
    lines = (story.folder / "reports").read_text().splitlines()
    assert lines == ["1 True neuropt me", "2 True neuropt me", "3 False neuropt me"]
    assert caplog.text.count("no report today") == 1


def test_without_wandb_workspaces_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A report that is asked for and cannot be written is told once; one that is not asked for is not missed."""
    monkeypatch.setattr("neuropt_core.sinks._wandb_mode.makes_reports", lambda: False)
    monkeypatch.setattr("neuropt_core.sinks.wandb.makes_reports", lambda: False)
    with serve() as server, caplog.at_level(logging.INFO):
        env = environment(tmp_path, server.url)
        for report in (True, False):
            story = Story(tmp_path / f"sweep{report}")
            sink = WandbSink(WandbSettings(report=report), "online", environ=env)
            sink.study_started(story.scene)
            story.run(0.5, sink)
            sink.study_finished(story.scene, "over")
    assert caplog.text.count("wandb-workspaces is not installed") == 1


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["500", "403", "hang"])
def test_a_sweep_that_cannot_be_made_costs_only_its_page(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    """If W&B refuses the native sweep, fails or does not answer, one sentence says so and the runs are online."""

    def answer(what: str) -> int:
        if what != "UpsertSweep":
            return 200
        if fault == "hang":
            time.sleep(20)
        return 200 if fault == "hang" else int(fault)

    story = Story(tmp_path / "sweep")
    with serve() as server:
        server.fault = answer
        env = environment(tmp_path, server.url)
        sink = WandbSink(WandbSettings(sweep=True), "online", environ=env, init_timeout=12)
        sink.study_started(story.scene)
        story.run(0.5, sink)
        sink.study_finished(story.scene, "over")
        assert server.named("trial-000").summary["neuropt/score"] == 0.5
        assert server.named("story").fields.get("sweep") is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "no native W&B sweep" in caplog.text
    assert not (story.folder / "wandb" / "sweep.json").exists()
