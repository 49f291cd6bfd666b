"""What `train_fn` may do and return that nobody would expect."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from neuropt_core import ArchSearch
from neuropt_core.cli.replay import Retelling, told_all
from neuropt_core.errors import ConfigError, StudyError
from neuropt_core.trial import TrialState


class _Mute(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


class _Odd(dict[str, Any]):
    def items(self) -> Any:
        raise RuntimeError("no items")


def _search(path: Path, train: Any, **options: Any) -> ArchSearch:
    return ArchSearch(train, {"x": (0.1, 1.0)}, backend="none", log_path=path, **options)


def test_no_nonsense_ends_a_search(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Lone surrogates, numbers beyond all measure, mute errors and an emptied environment cost one trial at most."""
    number = iter(range(9))

    def train(config: dict[str, Any]) -> Any:
        now = next(number)
        if now == 1:
            raise ValueError("caf\udce9 \x1b[31mred")
        if now == 2:
            raise _Mute
        if now == 3:
            return _Odd(score=1.0)
        os.environ.pop("NEUROPT_TICKET")
        return {"score": config["x"], "note": "a\ud800", "many": 10**5000, 3: 4, "flags": [True], "grid": [[1.0]]}

    search = _search(tmp_path / "log.jsonl", train, max_failure_rate=1.0)
    search.run(5)
    states = [trial.state for trial in search.trials]
    assert states == [TrialState.COMPLETE, *3 * [TrialState.FAIL], TrialState.COMPLETE]
    assert "Not kept of what train_fn returned: 3, flags, grid; " in capsys.readouterr().out
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines[0]["scalars"] == {"note": "a\ud800", "many": None}
    assert [line["error"][:11] for line in lines[1:4]] == ["ValueError:", "_Mute: its ", "RuntimeErro"]
    again = _search(tmp_path / "log.jsonl", train, max_failure_rate=1.0)
    again.run(6)
    assert again.total_experiments == 6  # The journal can be read and gone on with.
    assert told_all(Retelling(again.folder, check=True), print)  # What lies beside it is what it yields.


def test_an_interrupt_that_training_raises_is_one(tmp_path: Path) -> None:
    """Where training handles SIGINT itself and raises KeyboardInterrupt, the search says that it was interrupted."""

    def train(config: dict[str, Any]) -> float:
        raise KeyboardInterrupt

    search = _search(tmp_path / "log.jsonl", train)
    search.run(2)
    assert (search.interrupted, search.total_experiments) == (True, 0)


def test_a_folder_is_no_log(tmp_path: Path) -> None:
    """A log_path that is a folder is refused before anything runs."""
    with pytest.raises(StudyError, match="is a folder"):
        _search(tmp_path, lambda config: 1.0).run(1)


def test_a_backend_is_an_object_with_a_name(tmp_path: Path) -> None:
    """A client's class in place of a client, and a client without a name, are refused in one sentence."""

    class Client:
        def complete(self, messages: Any, *, schema: Any) -> Any: ...

    for backend, words in ((Client, "is a class"), (Client(), "needs a name")):
        with pytest.raises(ConfigError, match=words):
            ArchSearch(lambda config: 1.0, {"x": (0.1, 1.0)}, backend=backend, log_path=tmp_path / "log.jsonl").run(1)


def test_settings_that_the_loop_does_not_read_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After trial 0 each helper that was not called is told with what it would have read, and those called are not."""
    blocks = [torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU()) for _ in range(3)]
    model = torch.nn.Sequential(torch.nn.Flatten(), *blocks, torch.nn.Linear(8, 2))

    def train(config: dict[str, Any]) -> float:
        groups = config["tuning"].param_groups(lr=config["lr"], weight_decay=config["wd"])
        optimizer = torch.optim.AdamW(groups)
        config["tuning"].scheduler(optimizer, 10)
        config["tuning"].update()
        return 1.0

    log = tmp_path / "search.jsonl"
    search = ArchSearch.from_model(model, train, backend="none", pretrained=True, space="wide", log_path=log)
    search.run(max_evals=1)
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Trial 0 called no")]
    assert [line.split(":")[0].removeprefix("Trial 0 called no ") for line in told] == [
        "tuning.step",
        "tuning.cross_entropy",
        "tuning.averaged",
    ]
    assert "freeze_strategy=lp_ft" in told[0]
    assert told[2].endswith("unless train_fn reads it from the config itself, nothing reads ema_decay.")


def test_the_log_of_the_original_is_evidence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is not written to; handed over as a warm start its trials are learnt from, and the best is tried again."""
    theirs = tmp_path / "search.jsonl"
    rows = [{"id": n, "config": {"x": x}, "score": x, "status": "ok"} for n, x in enumerate((0.5, 0.25, 9.0), start=1)]
    theirs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    before = theirs.read_bytes()
    with pytest.raises(StudyError, match=r"name another log_path and pass warm_start=.search\.jsonl"):
        _search(theirs, lambda config: config["x"]).run(max_evals=1)
    search = _search(tmp_path / "new.jsonl", lambda config: config["x"], warm_start=theirs)
    search.run(max_evals=2)
    assert "2 trials of search, best 0.25 (trial 2); 1 left out" in capsys.readouterr().out
    assert (search.trials[1].proposal.source, search.trials[1].params["x"]) == ("user", 0.25)
    again = _search(tmp_path / "new.jsonl", lambda config: config["x"], warm_start=theirs)
    again.run(max_evals=3)
    assert [trial.proposal.source for trial in again.trials].count("user") == 1
    assert "Warm start: 2 trials, as when the study began" in capsys.readouterr().out
    assert theirs.read_bytes() == before
    late = _search(tmp_path / "late.jsonl", lambda config: config["x"])
    late.run(max_evals=1)
    with pytest.raises(ConfigError, match="warm_start: counts only when a study begins"):
        _search(tmp_path / "late.jsonl", lambda config: config["x"], warm_start=theirs).run(max_evals=2)
    with pytest.raises(ConfigError, match=r"warm_start: is this search's own study.* The same call goes on"):
        _search(tmp_path / "own.jsonl", lambda config: config["x"], warm_start=tmp_path / "own.jsonl").run(max_evals=2)
    with pytest.raises(ConfigError, match="warm_start: must be the path of an earlier search"):
        _search(tmp_path / "late.jsonl", lambda config: config["x"], warm_start=3)
