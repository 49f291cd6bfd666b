"""`ArchSearch` on a space: trials, failures, the log, resume, and who may not go on."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from sweeps import environment

from neuropt_core import ArchSearch, report
from neuropt_core.errors import ConfigError, StudyError
from neuropt_core.journal import Journal
from neuropt_core.retold import scene_of
from neuropt_core.trial import TrialState

SPACE = {"lr": (1e-5, 1e-1), "dropout": (0.0, 0.5), "n_layers": (2, 8), "activation": ["relu", "gelu"]}


def _train(config: dict[str, Any]) -> dict[str, Any]:
    ends = (math.log10(config["lr"]) + 3) ** 2 + config["dropout"]
    losses = [ends + 1 / (epoch + 1) for epoch in range(4)]
    return {"score": losses[-1], "val_losses": losses, "accuracy": 1 / (1 + ends), "note": "fine", "epochs": 4}


def _lines(path: Path) -> list[dict[str, Any]]:
    def refuse(word: str) -> float:
        raise ValueError(word)

    return [json.loads(line, parse_constant=refuse) for line in path.read_text().splitlines()]


@pytest.fixture
def make(tmp_path: Path) -> Any:
    """Makes a search without an LLM whose log lies in the test's folder."""

    def search(train_fn: Any = _train, space: Any = SPACE, **options: Any) -> ArchSearch:
        return ArchSearch(train_fn, space, **{"backend": "none", "log_path": tmp_path / "search.jsonl", **options})

    return search


def test_a_search_and_all_that_it_leaves(make: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Trials run, the attributes tell of the best, each trial has its line, and the report and results are there."""
    search = make(device="cpu", ml_context="A toy of 300 images.")
    assert (search.best_config, search.best_score, search.total_experiments) == (None, None, 0)
    search.run(max_evals=4)
    first, *others = _lines(search.options.log_path)
    assert first["config"] == pytest.approx({"lr": 1e-3, "dropout": 0.25, "n_layers": 5, "activation": "relu"})
    assert [line["id"] for line in (first, *others)] == [1, 2, 3, 4]
    assert first["scalars"] == {"accuracy": 0.8, "note": "fine", "epochs": 4}
    assert first["curves"] == {"val_losses": [1.25, 0.75, pytest.approx(0.25 + 1 / 3), 0.5]}
    best = min((first, *others), key=lambda line: line["score"])
    assert (search.best_score, search.best_config) == (best["score"], best["config"])
    assert search.best_accuracy == best["scalars"]["accuracy"]
    assert (search.total_experiments, search.llm_success, search.llm_fallback) == (4, 0, 0)
    assert search.config()["device"] == "cpu"
    assert yaml.safe_load((search.folder / "results.yaml").read_text())["best_value"] == search.best_score
    assert "A toy of 300 images." in (search.folder / "report.html").read_text()
    said = capsys.readouterr().out
    assert "not an LLM" in said
    assert f"train_fn(search.config({best['trial']}))" in said
    retold = scene_of(search.folder)
    assert [trial.value for trial in retold.trials] == [line["score"] for line in (first, *others)]
    search.run(max_evals=2)
    assert search.total_experiments == 6  # The same object runs so many more, as the original does.


def test_failures_are_told_and_the_search_goes_on(make: Any) -> None:
    """An exception, nan, a missing score and a time-out are failures of their kinds; the log stays valid JSON."""
    count = 0

    def train(config: dict[str, Any]) -> Any:
        nonlocal count
        count += 1
        if count == 2:
            raise RuntimeError("boom")
        if count == 3:
            return {"score": float("nan"), "val_losses": [1.0, float("inf")], "gap": float("nan")}
        if count == 4:
            return {"loss": 1.0}
        if count == 5:
            assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 60
            signal.setitimer(signal.ITIMER_REAL, 0.05)  # Its minute is over.
            with contextlib.suppress(Exception):
                time.sleep(30)
        return _train(config)

    search = make(train, timeout=60, max_failure_rate=1.0)
    search.run(max_evals=6)
    lines = _lines(search.options.log_path)
    kinds = ["", "exception", "non_finite", "no_number", "timeout", ""]
    assert [line["failure"] or "" for line in lines] == kinds
    assert [line["status"] for line in lines] == ["ok", *["failed"] * 4, "ok"]
    assert (lines[2]["curves"], lines[2]["score"]) == ({"val_losses": [1.0, None]}, None)
    assert "'score', got one with ['loss']" in lines[3]["error"]
    assert "timeout" in lines[4]["error"]
    assert "RuntimeError: boom" in lines[1]["error"]


def test_what_trial_0_shows_to_be_wrong_ends_the_search(make: Any) -> None:
    """A first trial without a score is a sentence in the user's words, and mended the same call goes on."""
    search = make(lambda config: {"loss": 1.0})
    with pytest.raises(ConfigError, match="Return the score from train_fn") as error:
        search.run(max_evals=3)
    assert [word for word in ("hydra", "task function") if word in str(error.value)] == []
    make().run(max_evals=2)
    with pytest.raises(StudyError, match=r"no trial got a score.*ZeroDivisionError"):
        make(lambda config: 1 / 0, log_path=search.folder / "other.jsonl").run(max_evals=2)


def test_training_that_reports_is_pruned(make: Any) -> None:
    """What a training loop reports becomes the curve, and a trial whose loss is nan is stopped at its report."""
    after: list[float] = []

    def train(config: dict[str, Any]) -> dict[str, Any]:
        first = not after
        for epoch in range(3):
            report(epoch, val_loss=1.0 if first or epoch < 1 else float("nan"))
            after.append(config["lr"])
        return {"score": 1.0, "val_loss": [9.0]}

    search = make(train)
    search.run(max_evals=2)
    assert [trial.state for trial in search.trials] == [TrialState.COMPLETE, TrialState.PRUNED]
    assert search.trials[0].curve.series("val_loss") == ((0, 1.0), (1, 1.0), (2, 1.0))
    assert len(after) == 4
    assert _lines(search.options.log_path)[1]["status"] == "pruned"


def test_a_thread_of_its_own(make: Any) -> None:
    """Outside the main thread a search runs too, and a trial whose time is up is stopped at its next report."""

    def train(config: dict[str, Any]) -> float:
        for step in range(0 if config["lr"] == search.subject.first().params["lr"] else 10_000):
            time.sleep(0.01)
            report(step, loss=1.0)
        return 1.0

    search = make(train, timeout=0.3)
    thread = threading.Thread(target=search.run, args=(2,))
    thread.start()
    thread.join(60)
    first, second = search.trials
    assert (first.state, second.state) == (TrialState.COMPLETE, TrialState.PRUNED)
    assert second.outcome is not None
    assert "timeout=0.3 s" in second.outcome.reason


def test_what_lies_in_a_trials_place_is_not_its_result(make: Any) -> None:
    """With the journal deleted the study begins anew, and results of before are moved aside and not believed."""
    search = make()
    search.run(max_evals=1)
    shutil.rmtree(search.folder / "neuropt")
    search.options.log_path.unlink()
    other = make(lambda config: {"score": 77.0})
    other.run(max_evals=1)
    assert other.best_score == 77.0
    assert (search.folder / "trials" / "0-before-1" / "result.json").exists()


def test_a_changed_space_is_refused_with_what_changed(make: Any) -> None:
    """The same call goes on; another range or direction is refused, and force takes the range."""
    make().run(max_evals=2)
    again = make()
    again.run(max_evals=2)
    assert again.total_experiments == 2
    other = {**SPACE, "n_layers": (2, 12)}
    with pytest.raises(StudyError, match="n_layers") as error:
        make(space=other).run(max_evals=3)
    assert ("force=True" in str(error.value), "hydra" in str(error.value)) == (True, False)
    with pytest.raises(StudyError, match="direction"):
        make(minimize=False).run(max_evals=3)
    taken = make(space=other, force=True)
    taken.run(max_evals=3)
    assert taken.total_experiments == 3
    fresh = make(space=other)
    fresh.run(max_evals=1, resume=False)
    assert fresh.total_experiments == 1
    assert {"search.jsonl.1", "search.neuropt.1"} <= {path.name for path in fresh.folder.parent.iterdir()}


def test_one_search_at_a_time_and_no_foreign_log(make: Any, tmp_path: Path) -> None:
    """A folder in use is refused with who holds it, and a log without a study is not written to."""
    search = make()
    journal = Journal(search.folder / "neuropt" / "journal.jsonl")
    with pytest.raises(StudyError, match=f"in use by another search .process {os.getpid()}"):
        search.run(max_evals=1)
    journal.close()
    foreign = tmp_path / "theirs.jsonl"
    foreign.write_text('{"id": 1}\n')
    with pytest.raises(StudyError, match="no study lies in"):
        make(log_path=foreign).run(max_evals=1)
    assert foreign.read_text() == '{"id": 1}\n'


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"backend": "qwen"}, "base_url"),
        ({"backend": "gpt"}, "must be one of auto, claude"),
        ({"backend": "claude"}, "ANTHROPIC_API_KEY"),
        ({"bach_size": 3}, "batch_size"),
        ({"batch_size": 0}, "batch_size"),
        ({"timeout": -1}, "timeout"),
        ({"wandb": {"mode": "on"}}, "wandb.mode"),
        ({"gate": {"warm": 1}}, "gate"),
        ({"device": "cpu", "space": {"device": ["cpu"]}}, "device"),
        ({"train_fn": 3}, "train_fn"),
    ],
)
def test_a_wrong_argument_is_one_sentence(make: Any, options: dict[str, Any], words: str) -> None:
    """Nothing runs under a wrong argument, and the text speaks of the argument and not of Hydra's settings."""
    with pytest.raises(ConfigError, match=words) as error:
        make(**options).run(max_evals=1)
    assert "hydra" not in str(error.value)


SCRIPT = """
import os, signal, sys, time
from pathlib import Path
from neuropt_core import ArchSearch

mark = Path(sys.argv[1])

def train_fn(config):
    if len(list(Path("search.neuropt/trials").iterdir())) == 3 and not mark.exists():
        mark.touch()
        if sys.argv[2] == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)
    return {"score": config["x"] ** 2, "curve": [3.0, 2.0]}

search = ArchSearch(train_fn, {"x": (-1.0, 1.0)}, backend="none")
search.run(max_evals=4)
print("ENDED", search.interrupted, search.total_experiments)
"""


def test_a_killed_search_goes_on(tmp_path: Path) -> None:
    """Killed in the middle of trial 2 and with a torn log, the same call runs that trial again and then the rest."""
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "script.py", str(tmp_path / "mark"), "kill"]
    killed = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    log = tmp_path / "search.jsonl"
    before = _lines(log)
    assert len(before) == 2
    log.write_text(log.read_text()[:-20])
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert "ENDED False 4" in done.stdout, done.stderr
    after = _lines(log)
    assert after[:2] == before
    assert [line["trial"] for line in after] == [0, 1, 2, 3]
    assert scene_of(tmp_path / "search.neuropt").trials[2].value is not None


def test_two_interrupts_end_it_cleanly(tmp_path: Path) -> None:
    """The first Ctrl-C waits for the trial, the second ends it; the call returns, with the results of what was done."""
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-u", "script.py", str(tmp_path / "mark"), "sleep"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "mark").exists():
            assert process.poll() is None
            time.sleep(0.05)
        assert process.stdout is not None
        process.send_signal(signal.SIGINT)
        said = ""
        while "Finishing this trial" not in said:
            said = process.stdout.readline()
            assert said
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert "ENDED True 2" in rest
    assert "interrupted" in rest
    assert len(_lines(tmp_path / "search.jsonl")) == 2
