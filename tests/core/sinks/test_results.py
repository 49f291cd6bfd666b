"""The files that a person reads after a sweep."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from sink_scenes import BASE, Story, ended

from neuropt_core.budget import Limits, Used
from neuropt_core.sinks.results import ResultsSink, results_yaml, trials_csv
from neuropt_core.space import Categorical, Float, SearchSpace
from neuropt_core.trial import Failure, Outcome, TrialState

_RATIONALE = st.text(min_size=1).filter(lambda text: text.strip() != "")


@pytest.fixture
def story(tmp_path: Path) -> Story:
    """A study in a folder that does not exist yet."""
    return Story(tmp_path / "sweep")


def read(story: Story) -> dict:
    """Returns what `results.yaml` holds."""
    return yaml.safe_load((story.folder / "results.yaml").read_text(encoding="utf-8"))


def rows(story: Story) -> list[dict[str, str]]:
    """Returns the lines of `trials.csv`."""
    return list(csv.DictReader((story.folder / "trials.csv").read_text(encoding="utf-8").splitlines()))


def test_both_files_are_there_after_every_told_trial(story: Story) -> None:
    """Both files exist after the first told trial and count each further one."""
    sink = ResultsSink(story.folder)
    sink.study_started(story.scene)
    assert not story.folder.exists()
    for done, value in enumerate((0.4, "boom", 0.3), start=1):
        story.run(value, sink)
        assert read(story)["study"]["trials"]["done"] == done
        assert len(rows(story)) == done


def test_the_first_keys_are_those_of_the_optuna_sweeper(story: Story) -> None:
    """The file begins with name, best_params and best_value, in which an Optuna-sweeper user feels at home."""
    story.run(0.4, ResultsSink(story.folder))
    story.run(0.25, ResultsSink(story.folder), {"optimizer.lr": 3e-05})
    loaded = read(story)
    assert list(loaded)[:3] == ["name", "best_params", "best_value"]
    assert loaded["best_params"] == {**BASE, "optimizer.lr": 3e-05}
    assert loaded["best_value"] == 0.25


def test_numbers_and_kinds_survive_yaml(story: Story) -> None:
    """A float in scientific notation, true, null and the string "-1" come back as what they were."""
    params = {"optimizer": "-1", "optimizer.lr": 1e-05, "neuropt.freeze": None}
    story.run(0.4, ResultsSink(story.folder), params)
    assert read(story)["best"]["params"] == params
    assert isinstance(read(story)["best"]["params"]["optimizer.lr"], float)


def test_the_best_trial_is_told_whole(story: Story) -> None:
    """The best trial stands with its number, overrides, exact command, source and rationale."""
    story.command = "python 'my train.py'"
    story.run(0.4)
    story.run(0.3, ResultsSink(story.folder), {"optimizer": "sgd"}, rationale="Two\nlines: here.", stands_in_for="llm")
    best = read(story)["best"]
    assert best["number"] == 1
    assert best["command"] == "python 'my train.py' optimizer=sgd optimizer.lr=0.001 neuropt.freeze=False"
    assert best["overrides"] == ["optimizer=sgd", "optimizer.lr=0.001", "neuropt.freeze=False"]
    assert (best["source"], best["stands_in_for"], best["rationale"]) == ("prior", "llm", "Two\nlines: here.")


@pytest.mark.parametrize(
    ("direction", "values", "words", "difference"),
    [
        ("minimize", (0.5, 0.4), "better by 0.1 (20 %) than your own configuration", -0.1),
        ("maximize", (0.5, 0.6), "better by 0.1 (20 %) than your own configuration", 0.1),
        ("minimize", (0.5, 0.6), "not better than your own configuration: trial 0 is the best of 2", 0.0),
        ("minimize", (0.5, 0.5), "not better than your own configuration: trial 0 is the best of 2", 0.0),
        ("minimize", (0.5, "boom"), "not better than your own configuration, since no other trial has a score", 0.0),
        ("minimize", ("boom", 0.4), "cannot be compared: trial 0, your own configuration, has no score", None),
        ("minimize", ("boom", "boom"), "no trial has a score yet", None),
        ("minimize", (0.0, -0.5), "better by 0.5 than your own configuration", -0.5),
        ("minimize", (-2.0, -3.0), "better by 1 (50 %) than your own configuration", -1.0),
    ],
)
def test_the_comparison_is_honest(tmp_path: Path, direction, values, words, difference) -> None:
    """The comparison with trial 0 never claims an improvement that is not there, whatever the direction or sign."""
    story = Story(tmp_path, direction=direction)
    for number, value in enumerate(values):
        story.run(value, params={"optimizer.lr": 1e-3 / (number + 1)})
    comparison = yaml.safe_load(results_yaml(story.scene))["comparison"]
    assert comparison["result"].startswith(words)
    assert comparison["difference"] == (None if difference is None else pytest.approx(difference))


def test_a_killed_trial_keeps_its_last_lines_and_what_the_study_made_of_it(story: Story) -> None:
    """Where there is no traceback the log is shown, harmless for a terminal; a machine's fault is told as one."""
    story.run(0.4)
    for kind in ("host_out_of_memory", "preempted"):
        failure = Failure(kind, "the job left no result", log="epoch 3\n\x1b[1mKilled")
        story.trials[-1] = replace(story.run(0.5), outcome=Outcome(TrialState.FAIL, failure=failure))
    memory, machine = yaml.safe_load(results_yaml(story.scene))["failures"]
    assert memory["reason"] == "host out of memory: the job left no result"
    assert (memory["told_as"], memory["log"]) == ("a broken constraint", "epoch 3\nKilled")
    assert "traceback" not in memory
    assert machine["told_as"] == "the fault of a machine, of which nothing is learnt"


def test_failures_and_pruned_trials_keep_their_reasons(story: Story) -> None:
    """A trial without a score is listed with the reason, and counted by state."""
    story.run(0.4)
    story.run("CUDA out of memory\nmore")
    story.run("pruned:val_loss is nan at step 3")
    story.ask()
    loaded = yaml.safe_load(results_yaml(story.scene))
    (failure,) = loaded["failures"]
    assert (failure["number"], failure["reason"]) == (1, "exception: CUDA out of memory more")
    assert failure["traceback"].startswith("Traceback")
    assert sum(loaded["study"]["proposed_by"].values()) == 4
    assert loaded["pruned"] == [{"number": 2, "reason": "val_loss is nan at step 3"}]
    counts = {"done": 3, "of": 6, "running": 1, "complete": 1, "pruned": 1, "fail": 1}
    assert loaded["study"]["trials"] == counts


def test_the_end_of_the_study_is_written(story: Story) -> None:
    """The status says why the study ended."""
    sink = ResultsSink(story.folder)
    story.run(0.4, sink)
    assert read(story)["study"]["status"] == "running"
    sink.study_finished(story.scene, "all 6 trials are done")
    assert read(story)["study"]["status"] == "ended: all 6 trials are done"


def test_a_study_without_trials_can_end(story: Story) -> None:
    """Results are written even if no trial ever ran."""
    ResultsSink(story.folder).study_finished(story.scene, "interrupted")
    assert read(story)["best"] is None
    assert rows(story) == []


@given(rationale=_RATIONALE, choice=st.text(), value=st.floats(allow_nan=False, allow_infinity=False))
@settings(deadline=None)
def test_any_text_and_number_round_trips(rationale: str, choice: str, value: float) -> None:
    """Whatever a rationale or a choice holds, the file stays YAML with the same keys and the choice unchanged."""
    space = SearchSpace((Categorical(name="x", choices=(choice,)), Float(name="y", low=0, high=1)))
    story = Story(Path("sweep"), space=space)
    story.run(value, params={"x": choice, "y": value}, rationale=rationale)
    text = results_yaml(story.scene)
    assert "\x1b" not in text
    loaded = yaml.safe_load(text)
    assert loaded["best"]["params"]["x"] == choice
    assert loaded["best"]["params"]["y"] == value
    assert loaded["best_value"] == value
    names = ["name", "best_params", "best_value", "study", "best", "recommended", "comparison", "failures", "pruned"]
    assert list(loaded) == names


def test_a_rationale_cannot_write_keys(story: Story) -> None:
    """Text that looks like YAML, or like the end of a block, stays text."""
    text = "good.\nbest_value: -1\n--- !!python/object:os.system\n# comment"
    story.run(0.4, rationale=text)
    loaded = yaml.safe_load(results_yaml(story.scene))
    assert loaded["best"]["rationale"] == text
    assert loaded["best_value"] == 0.4


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t=", "\r=", "\n@", " =", "\uff1d"])
def test_no_cell_is_a_formula(story: Story, begin: str) -> None:
    """Untrusted text that a spreadsheet would execute gets an apostrophe in front."""
    story.run(0.4, ResultsSink(story.folder), rationale=f'{begin}HYPERLINK("http://evil")')
    assert rows(story)[0]["rationale"].startswith("'")


def test_numbers_stay_numbers_in_the_table(story: Story) -> None:
    """Negative numbers keep their sign and precision; only text is guarded."""
    story.run(-0.1234567890123, ResultsSink(story.folder), {"optimizer": "-1", "optimizer.lr": 1e-05})
    row = rows(story)[0]
    assert float(row["value"]) == -0.1234567890123
    assert float(row["optimizer.lr"]) == 1e-05
    assert row["optimizer"] == "'-1"
    assert row["neuropt.freeze"] == "false"


def test_one_line_a_trial(story: Story) -> None:
    """Newlines in a reason or a rationale never break the table; the columns stand in the order of the space."""
    story.run("a\nb", rationale="one\r\ntwo\u2028three")
    lines = trials_csv(story.scene).splitlines()
    assert len(lines) == 2
    assert lines[0].split(",") == [
        *("number", "state", "value", "seconds", "source", "stands_in_for", "failure"),
        *("repeats", "seed", "retries"),
        *("optimizer", "optimizer.lr", "neuropt.freeze", "rationale"),
    ]
    assert lines[1].endswith("one two three")


def test_a_parameter_named_like_a_column_keeps_its_own(tmp_path: Path) -> None:
    """A parameter called `seconds` does not hide the trial's seconds."""
    story = Story(tmp_path, space=SearchSpace((Float(name="seconds", low=0, high=9),)))
    story.run(0.4, ResultsSink(tmp_path), {"seconds": 7.0}, seconds=12.0)
    assert (rows(story)[0]["seconds"], rows(story)[0]["params.seconds"]) == ("12.0", "7.0")


def test_an_inactive_parameter_leaves_its_cell_empty(story: Story) -> None:
    """A parameter that a trial does not have is an empty cell, not null."""
    trial = story.ask()
    story.trials[0] = type(trial)(0, type(trial.proposal)({"optimizer": "adam"}, "Because.", "default"), ended(0.4))
    ResultsSink(story.folder).trial_told(story.scene, story.trials[0])
    assert rows(story)[0]["optimizer.lr"] == ""


def test_nothing_half_written_is_left(story: Story) -> None:
    """No temporary file stays behind, and every version on disk is whole."""
    sink = ResultsSink(story.folder)
    for value in (0.4, 0.3):
        story.run(value, sink)
    assert sorted(os.listdir(story.folder)) == ["results.yaml", "trials.csv"]


def test_a_resumed_study_shows_its_trials_at_once(story: Story) -> None:
    """At the start of a resumed study the files show what the journal holds."""
    story.run(0.4)
    ResultsSink(story.folder).study_started(story.scene)
    assert read(story)["best_value"] == 0.4
    assert rows(story)[0]["state"] == TrialState.COMPLETE.value


def test_what_is_recommended_says_how_sure_it_is(story: Story) -> None:
    """The lucky single run is the best, and what was run twice is recommended, with its error, ties and command."""
    story.run(0.5)
    story.run(0.30, params={"optimizer": "sgd"})
    story.run(0.34, params={"optimizer": "sgd"}, source="replicate", parent=1, seed=7)
    story.run(0.29, params={"optimizer": "-1"})
    loaded = yaml.safe_load(results_yaml(story.scene))
    assert loaded["best"]["number"] == 3
    found = loaded["recommended"]
    assert (found["number"], found["runs"], found["ties"]) == (1, 2, [3])
    assert found["noise"] == pytest.approx(0.0283, abs=1e-4)
    assert 0 < found["standard_error"] < found["noise"]
    assert "optimizer=sgd" in found["command"]
    assert loaded["comparison"]["best_value"] == found["mean"]
    row = list(csv.DictReader(io.StringIO(trials_csv(story.scene))))[2]
    assert (row["source"], row["repeats"], row["seed"], row["retries"]) == ("replicate", "1", "7", "0")


def test_retries_and_budgets_are_counted(story: Story) -> None:
    """The study's part says how often a trial was launched again, and what was used of each limit that is set."""
    story.run(0.5)
    plain_study = yaml.safe_load(results_yaml(story.scene))["study"]
    assert "retries" not in plain_study
    assert "budget" not in plain_study
    limits = Limits(wall_clock=60.0, gpu_hours=2.0, gpus=4)
    scene = replace(story.scene, retries={0: 2, 3: 1}, limits=limits, used=Used(12.34, 0.5))
    study = yaml.safe_load(results_yaml(scene))["study"]
    assert study["retries"] == 3
    assert study["budget"]["wall_clock"] == {"seconds": 12.3, "of": 60.0}
    assert study["budget"]["gpu_hours"] == {"hours": 0.5, "of": 2.0, "gpus_per_trial": 4}
