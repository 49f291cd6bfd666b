"""MLflow by its own client in the child: into a database, read back by the same client, and over REST."""

from __future__ import annotations

import logging
import math
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow_server import serve
from sink_scenes import Story, falling

from neuropt_core.errors import ConfigError, MissingExtraError
from neuropt_core.sinks._mlflow_terms import legal_names, shortened, without_login
from neuropt_core.sinks.mlflow import MlflowSettings, MlflowSink

pytest.importorskip("mlflow")
ENVIRON = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW")}


def sink_to(uri: str | None = None, **environ: str) -> MlflowSink:
    """Returns a sink whose server may be slow to be found out as down, but not long."""
    return MlflowSink(MlflowSettings("bowls", uri), {**ENVIRON, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", **environ})


def until(done: Callable[[], bool]) -> None:
    """Waits, at most a minute, until something holds."""
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def tell(story: Story, sink: MlflowSink) -> None:
    """Three trials: one with a curve that holds a nan, one that fails and one that is stopped."""
    story.run(0.5, sink, curve=falling(1.0, math.nan, 0.5), rationale="See [this](http://x), hunter2-canary.")
    story.run("CUDA out of memory", sink, {"optimizer.lr": 0.1, "neuropt.freeze": None})
    story.run("pruned:it is slow", sink, {"optimizer": "sgd"}, curve=falling(3.0))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own, of SQLAlchemy.
def test_a_study_is_in_the_database_as_nested_runs(tmp_path: Path) -> None:
    """Without a server the runs lie in the sweep's folder: parameters, curves, tags, notes, states, each trial once."""
    from mlflow.tracking import MlflowClient

    story = Story(tmp_path / "s")
    story.folder.mkdir()
    for session in range(2):
        sink = sink_to(DB_PASSWORD="hunter2-canary")
        sink.study_started(story.scene)
        if session == 0:
            tell(story, sink)
        else:
            story.run(0.25, sink)
        sink.study_finished(story.scene, f"session {session} is over")
    client = MlflowClient(f"sqlite:///{story.folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("bowls")
    runs: dict[str, Any] = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert sorted(runs) == ["story", *(f"trial-{n:03d}" for n in range(4))]
    study = runs.pop("story")
    assert (study.info.status, study.data.tags["neuropt.ended"]) == ("FINISHED", "session 1 is over")
    assert [(m.step, m.value) for m in client.get_metric_history(study.info.run_id, "best")] == [
        *((n, 0.5) for n in range(3)),
        (3, 0.25),
    ]
    assert {run.data.tags["mlflow.parentRunId"] for run in runs.values()} == {study.info.run_id}
    assert [runs[name].info.status for name in sorted(runs)] == ["FINISHED", "FAILED", "KILLED", "FINISHED"]
    first, failed = runs["trial-000"], runs["trial-001"]
    assert first.data.params == {"optimizer": "adam", "optimizer.lr": "0.001", "neuropt.freeze": "false"}
    curve = client.get_metric_history(first.info.run_id, "val_loss")
    assert [m.step for m in curve] == [0, 1, 2]
    assert [m.value for m in curve][::2] == [1.0, 0.5]
    assert first.data.metrics["score"] == 0.5
    assert first.data.tags["mlflow.note.content"] == r"See \[this\](http://x), [redacted]."
    assert failed.data.params["neuropt.freeze"] == "null"
    told = {name: failed.data.tags[f"neuropt.{name}"] for name in ("source", "state", "failure", "reason")}
    assert told == {
        "source": "prior",
        "state": "FAIL",
        "failure": "exception",
        "reason": "exception: CUDA out of memory",
    }
    assert b"hunter2-canary" not in (story.folder / "mlflow.db").read_bytes()


def test_over_rest_nothing_is_asked_that_is_not_known(tmp_path: Path) -> None:
    """A server gets the study and its trials, nothing of the machine; half a trial of a killed child is replaced."""
    story = Story(tmp_path)
    with serve() as server:
        killed = []

        def kill_once(what: str) -> int:
            if what == "runs/log-batch" and not killed:
                killed.append(feed._child.pid)
                os.kill(killed[0], signal.SIGKILL)
            return 200

        server.fault = kill_once
        sink = sink_to(server.url)
        sink.study_started(story.scene)
        feed = sink._feed
        assert feed is not None
        tell(story, sink)
        sink.study_finished(story.scene, "done")
        assert server.unknown == []
        assert [run["lifecycle_stage"] for run in server.runs.values()].count("deleted") == 1
        assert server.named("trial-000")["metrics"]["score"] == [(2, 0.5)]
        assert [server.named(f"trial-{n:03d}")["status"] for n in range(3)] == ["FINISHED", "FAILED", "KILLED"]
        assert server.named("story")["status"] == "FINISHED"
        sent = b"".join(server.bodies)
        assert os.uname().nodename.encode() not in sent
        assert str(tmp_path).encode() not in sent


def test_a_server_that_is_down_costs_one_warning_and_gets_all_when_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """While it fails the study goes on, with one sentence; with the next trial it is sent what it has missed."""
    story = Story(tmp_path)
    with serve() as server, caplog.at_level(logging.WARNING):
        server.fault = lambda what: 500
        sink = sink_to(server.url)
        sink.study_started(story.scene)
        tell(story, sink)
        until(lambda: len(server.bodies) >= 3 and "MLflow: " in caplog.text)
        server.fault = lambda what: 200
        story.run(0.25, sink)
        sink.study_finished(story.scene, "done")
        assert len([r for r in caplog.records if "MLflow" in r.getMessage()]) == 1
        assert [run["run_name"] for run in server.runs.values()] == ["story", *(f"trial-{n:03d}" for n in range(4))]


def test_without_any_server_the_study_ends_in_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody listens: two sentences, of which the last says how the runs get there."""
    story, sink = Story(tmp_path), sink_to("http://127.0.0.1:9")
    sink.study_started(story.scene)
    story.run(0.5, sink)
    began = time.monotonic()
    sink.study_finished(story.scene, "done")
    assert time.monotonic() - began < 300
    said = [r.getMessage() for r in caplog.records]
    assert len(said) == 2
    assert "the sweep goes on" in said[0]
    assert said[1].endswith("the same command, run again, sends what is missing.")


def test_what_is_refused_does_not_hold_up_the_others(tmp_path: Path) -> None:
    """A trial that the server will never take is left out; those after it arrive."""
    story = Story(tmp_path)
    with serve() as server:
        refused: list[str] = []

        def refuse(what: str) -> int:
            if what == "runs/log-batch" and not refused:
                refused.append(what)
                return 400
            return 200

        server.fault = refuse
        sink = sink_to(server.url)
        sink.study_started(story.scene)
        tell(story, sink)
        sink.study_finished(story.scene, "done")
        assert server.named("trial-000")["status"] == "RUNNING"
        assert server.named("trial-002")["status"] == "KILLED"


def test_names_and_values_become_what_mlflow_takes() -> None:
    """Characters that it refuses become underscores, equal names are numbered, and long values end in an ellipsis."""
    from mlflow.utils.validation import _validate_metric_name, _validate_param_name

    names = ["model/x@y", "model/x#y", "../up", "a//b", "/root", ".", "größe", "x" * 400, "val loss", "ok.lr"]
    found = legal_names({name: place for place, name in enumerate(names)})
    assert list(found.values()) == list(range(len(names)))
    assert list(found)[:2] == ["model/x_y", "model/x_y_2"]
    assert list(found)[-2:] == ["val loss", "ok.lr"]
    for name in found:
        _validate_param_name(name)
        _validate_metric_name(name)
    assert shortened("y" * 6000) == "y" * 6000
    assert shortened("y" * 7000) == "y" * 5999 + "…"


def test_settings_are_checked_before_anything_is_launched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are text, a server needs an experiment, and a missing package is one sentence."""
    assert MlflowSettings().experiment is None
    with pytest.raises(ConfigError, match=r"mlflow\.experiment: must be text or null, got 3"):
        MlflowSettings(3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"needs hydra\.sweeper\.mlflow\.experiment beside it"):
        MlflowSettings(tracking_uri="http://x")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'hydra-neuropt-sweeper\[mlflow\]'"):
        MlflowSettings("bowls")


def test_a_login_travels_apart_from_the_address_and_telemetry_is_off() -> None:
    """User and password of an address become MLflow's own variables, and its usage data stays at home."""
    assert without_login("sqlite:////a@b/x.db") == ("sqlite:////a@b/x.db", {})
    assert without_login("https://h:5000/x") == ("https://h:5000/x", {})
    plain, variables = without_login("https://me:p%40ss@h:5000/x?y=1")
    assert plain == "https://h:5000/x?y=1"
    assert variables == {"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "p@ss"}
    sink = MlflowSink(MlflowSettings("e", "https://me:pw@h"), {"MLFLOW_DISABLE_TELEMETRY": "false"})
    assert sink._uri == "https://h"
    assert sink._environ["MLFLOW_TRACKING_PASSWORD"] == "pw"
    assert sink._environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
