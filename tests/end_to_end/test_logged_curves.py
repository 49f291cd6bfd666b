"""Sweeps over a script that reports nothing: its curves come from what it logs for itself.

The script says in `runs.jsonl` which run it has made in W&B where no hook of the job has done so before it: once the
hook does, `_record` in `apps/logged.py` and its call can go.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from log_files import wandb_flushes
from sweeps import Sweep, sweep

LOGGED = Path(__file__).parents[1] / "support" / "apps" / "logged.py"
EPOCHS = [0, 1, 2, 3, 4]
ENV = {"WANDB_MODE": "offline", "WANDB_SILENT": "true"}


def _sweep(folder: Path, *arguments: str) -> Sweep:
    given = (
        "hydra.sweeper.introspect=false",
        "hydra.sweeper.advisor=random",
        "hydra.sweeper.n_trials=3",
        "hydra.sweeper.max_failure_rate=1",
        "floor=interval(0.1,0.9)",
    )
    return sweep(folder, *given, *arguments, script=LOGGED, env=ENV)


def _series(outcome: Mapping[str, Any], metric: str) -> tuple[list[int], list[float]]:
    points = [(p["step"], p["metrics"][metric]) for p in outcome["curve"] if metric in p["metrics"]]
    return [step for step, _ in points], [value for _, value in points]


def _asked(done: Sweep) -> dict[int, float]:
    return {r["number"]: r["proposal"]["params"]["floor"] for r in done.journal if r["op"] == "ask"}


def _assert_each_has_its_own_curve(done: Sweep, killed: int | None = None) -> None:
    assert done.code == 0, done.stderr
    told, floors = done.told(), _asked(done)
    assert sorted(told) == [0, 1, 2]
    for number, outcome in told.items():
        epochs = EPOCHS[:4] if number == killed else EPOCHS
        steps, values = _series(outcome, "loss/val")
        assert steps == epochs, (number, outcome)
        assert values == pytest.approx([floors[number] + 1 / (epoch + 1) for epoch in epochs], rel=1e-6)
        assert _series(outcome, "loss/train")[0] == epochs
        assert outcome["state"] == ("FAIL" if number == killed else "COMPLETE")
        seconds = [point["seconds"] for point in outcome["curve"]]
        assert seconds == sorted(seconds)


def test_tensorboard_tells_each_trial_its_curve(tmp_path: Path) -> None:
    """From a folder that all trials share each gets its own curve, and one that was killed keeps what it had logged."""
    done = _sweep(tmp_path / "s", "killed=[1]", "slow=0.3", "hydra.sweeper.constraints=['loss/val <= 1.3']")
    _assert_each_has_its_own_curve(done, killed=1)
    assert len(list((done.folder / "runs").rglob("events.out.tfevents.*"))) == 3


@pytest.mark.parametrize("arguments", [("logger=tensorboard",), ("logger=wandb", "finish=true")], ids=lambda a: a[0])
def test_trials_within_the_sweepers_own_process(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Trials that share one process, and follow each other within a second, are told apart by when they ran."""
    _assert_each_has_its_own_curve(_sweep(tmp_path / "s", "hydra.sweeper.isolate=false", *arguments))


@pytest.mark.slow
def test_trials_in_workers_that_are_used_again(tmp_path: Path) -> None:
    """Joblib's workers run one trial after another, and batches end together: each trial still has its own curve."""
    done = _sweep(tmp_path / "s", "hydra/launcher=joblib", "hydra.sweeper.max_parallel=2", "hydra.sweeper.n_trials=5")
    assert done.code == 0, done.stderr
    floors = _asked(done)
    for number, outcome in done.told().items():
        assert _series(outcome, "loss/val")[1][-1] == pytest.approx(floors[number] + 0.2, rel=1e-6)
        assert _series(outcome, "loss/val")[0] == EPOCHS


def test_wandb_tells_each_trial_its_curve(tmp_path: Path) -> None:
    """What is logged to W&B is counted by its epochs, nested names get dots, and a trial that was killed keeps it."""
    killed = 1 if wandb_flushes() else None
    done = _sweep(tmp_path / "s", "logger=wandb", "slow=0.3", *([] if killed is None else [f"killed=[{killed}]"]))
    _assert_each_has_its_own_curve(done, killed)
    assert set(done.told()[0]["curve"][0]["metrics"]) == {"loss/train", "loss/val", "optimizer.lr"}


@pytest.mark.slow
@pytest.mark.parametrize("logger", ["tensorboard", "wandb"])
def test_submitit_runs_them_too(tmp_path: Path, logger: str) -> None:
    """Jobs of submitit on this machine, two at a time, are told their own curves, a killed one included."""
    killed = 1 if logger == "tensorboard" or wandb_flushes() else None
    done = _sweep(
        tmp_path / "s",
        "hydra/launcher=submitit_local",
        "hydra.sweeper.max_parallel=2",
        "hydra.sweeper.retries=0",
        f"logger={logger}",
        f"killed=[{'' if killed is None else killed}]",
        "slow=0.3",
    )
    _assert_each_has_its_own_curve(done, killed)
