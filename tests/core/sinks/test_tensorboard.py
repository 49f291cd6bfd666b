"""TensorBoard's files, written by the real library in its child and read back by TensorBoard's own readers."""

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
from sink_scenes import Story, falling, scored

from neuropt_core.errors import ConfigError, MissingExtraError
from neuropt_core.sinks.tensorboard import TensorBoardSink, check_tensorboard

pytest.importorskip("tensorboard")
pytest.importorskip("torch")


def read(folder: Path) -> Any:
    """Returns TensorBoard's own view of one run."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    view = EventAccumulator(str(folder))
    view.Reload()
    return view


def session(folder: Path) -> tuple[dict[str, Any], int]:
    """Returns a trial's parameters and how it ended, as the HParams page reads them."""
    from google.protobuf.json_format import MessageToDict
    from tensorboard.plugins.hparams import plugin_data_pb2

    contents = read(folder).SummaryMetadata
    kept = {}
    for tag in ("_hparams_/session_start_info", "_hparams_/session_end_info"):
        data = plugin_data_pb2.HParamsPluginData.FromString(contents(tag).plugin_data.content)
        kept[tag.rpartition("/")[2]] = data
    params = {
        name: MessageToDict(value) for name, value in kept["session_start_info"].session_start_info.hparams.items()
    }
    return params, kept["session_end_info"].session_end_info.status


def scalars(view: Any, tag: str) -> list[tuple[int, float]]:
    """Returns the points of one curve."""
    return [(event.step, event.value) for event in view.Scalars(tag)]


def until(done: Callable[[], bool]) -> None:
    """Waits, at most a minute, until something holds."""
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """A study in two sessions: the second is told of a trial that the first did not write, and adds one."""
    story = Story(tmp_path_factory.mktemp("board") / "my sweep")
    story.folder.mkdir()
    sink = TensorBoardSink({**os.environ, "DB_PASSWORD": "canary-hunter2"})
    sink.study_started(story.scene)
    story.run(0.5, sink, curve=falling(1.0, 0.5), rationale="Yours, canary-hunter2 <b>\nand more.")
    story.run("CUDA out of memory", sink, {"optimizer.lr": 0.1, "neuropt.freeze": None}, curve=falling(2.0, math.nan))
    sink.study_finished(story.scene, "it was interrupted")
    story.run(0.45, None)
    again = TensorBoardSink()
    again.study_started(story.scene)
    story.ask(again, {"neuropt.freeze": True})
    story.tell(scored(0.4, 7.0, score=0.9), again)
    again.study_finished(story.scene, "all are done")
    return story


def test_each_trial_is_one_folder_with_its_curve_and_score(written: Story) -> None:
    """Metrics keep their names and steps; the score stands at the last step, and beside a metric of that name."""
    folder = written.folder / "tensorboard"
    assert sorted(path.name for path in folder.iterdir()) == ["study", *(f"trial-{n:03d}" for n in range(4))]
    first = read(folder / "trial-000")
    assert scalars(first, "val_loss") == [(0, 1.0), (1, 0.5)]
    assert scalars(first, "score") == [(1, 0.5)]
    failed = read(folder / "trial-001")
    assert math.isnan(scalars(failed, "val_loss")[1][1])
    assert "score" not in failed.Tags()["scalars"]
    last = read(folder / "trial-003")
    assert scalars(last, "score") == [(0, pytest.approx(0.9))]
    assert scalars(last, "neuropt/score") == [(0, pytest.approx(0.4))]
    assert scalars(last, "score_1") == [(0, 7.0)]


def test_a_resumed_study_doubles_nothing_and_adds_what_is_missing(written: Story) -> None:
    """The best so far has one point for each ended trial with a score before it, over both sessions."""
    points = scalars(read(written.folder / "tensorboard" / "study"), "best")
    assert points == [(1, 0.5), (2, 0.5), (3, pytest.approx(0.45)), (4, pytest.approx(0.4))]
    for number in range(4):
        files = list((written.folder / "tensorboard" / f"trial-{number:03d}").iterdir())
        assert len(files) == 1


def test_parameters_and_ends_are_on_the_hparams_page(written: Story) -> None:
    """Numbers are numbers, null and booleans text; a failed trial has failed."""
    from tensorboard.plugins.hparams.api_pb2 import STATUS_FAILURE, STATUS_SUCCESS

    folder = written.folder / "tensorboard"
    params, status = session(folder / "trial-000")
    assert (params, status) == ({"optimizer": "adam", "optimizer.lr": 1e-3, "neuropt.freeze": "false"}, STATUS_SUCCESS)
    params, status = session(folder / "trial-001")
    assert (params["optimizer.lr"], params["neuropt.freeze"], status) == (0.1, "null", STATUS_FAILURE)


def test_the_hparams_page_finds_all_parameters_and_metrics(written: Story) -> None:
    """TensorBoard's own backend of that page makes one experiment of the folder, with a column for each parameter."""
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.hparams.api_pb2 import GetExperimentRequest
    from tensorboard.plugins.hparams.backend_context import Context
    from tensorboard.plugins.hparams.get_experiment import Handler

    several = EventMultiplexer()
    several.AddRunsFromDirectory(str(written.folder / "tensorboard"))
    several.Reload()
    context = Context(TBContext(data_provider=MultiplexerDataProvider(several, str(written.folder))))
    columns = Handler(RequestContext(), context, "", GetExperimentRequest(include_metrics=True)).run()
    assert {info.name for info in columns.hparam_infos} == {"optimizer", "optimizer.lr", "neuropt.freeze"}
    assert {"score", "val_loss"} <= {info.name.tag for info in columns.metric_infos}


def test_the_rationale_is_there_without_secrets_and_marks(written: Story) -> None:
    """The rationale is text of the trial; a secret of the environment and HTML in it do no harm."""
    view = read(written.folder / "tensorboard" / "trial-000")
    text = view.Tensors("rationale/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "canary" not in text
    assert "[redacted]" in text
    assert "\\<b\\>" in text


def test_a_child_that_is_killed_is_started_again_and_at_last_given_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """After one kill all trials are there; after a second one the study ends without them, each said once."""
    story, sink = Story(tmp_path), TensorBoardSink()
    sink.study_started(story.scene)
    os.kill(_child(sink), signal.SIGKILL)
    story.run(0.5, sink)
    until((tmp_path / "tensorboard" / "trial-000").is_dir)
    os.kill(_child(sink), signal.SIGKILL)
    until(lambda: caplog.text.count("ended with exit code -9") == 2)
    story.run(0.4, sink)
    sink.study_finished(story.scene, "done")
    assert "goes on without it" in caplog.text
    assert not (tmp_path / "tensorboard" / "trial-001").exists()


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What the child cannot do is a warning, and the study goes on."""
    story, sink = Story(tmp_path), TensorBoardSink()
    sink.study_started(story.scene)
    (tmp_path / ".tensorboard").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        story.run(0.5, sink)
        sink.study_finished(story.scene, "done")
    assert "TensorBoard: " in caplog.text
    assert "the rest goes on" in caplog.text


def test_settings_and_what_is_missing_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no boolean is refused, and a missing package is one sentence with the command that installs it."""
    assert check_tensorboard(False) is False
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.tensorboard: must be true or false, got 'yes'"):
        check_tensorboard("yes")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert check_tensorboard(False) is False
    with pytest.raises(MissingExtraError, match=r"pip install 'hydra-neuropt-sweeper\[tensorboard\]'"):
        check_tensorboard(True)


def _child(sink: TensorBoardSink) -> int:
    assert sink._feed is not None
    return sink._feed._child.pid
