"""What the user knows and wants, in real sweeps: several objectives, constraints, conditions, priors, a warm start."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
from sweeps import BOWL, Sweep, proposals, sources, sweep

TRADE = BOWL.parent / "trade.py"
MOMENTUM = '{optimizer.momentum: {space: "interval(0.5, 0.99)", when: {optimizer._target_: torch.optim.SGD}}}'


def _trade(folder: Path, n_trials: int, *arguments: str) -> Sweep:
    return sweep(folder, f"hydra.sweeper.n_trials={n_trials}", *arguments, script=TRADE)


def test_a_study_of_all_that_a_user_may_say(tmp_path: Path) -> None:
    """Two objectives, a constraint, a condition, a list to begin with and beliefs work together, and all is shown."""
    done = _trade(
        tmp_path / "s",
        6,
        "returns=2",
        "width=choice(16,32,64)",
        "hydra.sweeper.direction=[minimize,maximize]",
        "hydra.sweeper.constraints=['latency_ms <= 10']",
        f"++hydra.sweeper.params={MOMENTUM}",
        "hydra.sweeper.enqueue=[{lr: 1e-3, width: 16},{optimizer: torch.optim.SGD, momentum: 0.9}]",
        "hydra.sweeper.priors={lr: {low: 1e-4, high: 1e-2}, width: 'Wider is better, but slow'}",
    )
    assert done.code == 0, done.stderr
    assert {o["state"] for o in done.told().values()} == {"COMPLETE"}  # AdamW was never given a momentum.
    assert [source for source, _ in sources(done)][:3] == ["default", "user", "user"]
    first, second = (p["params"] for p in proposals(done)[1:3])
    assert first == {"optimizer.lr": 1e-3, "optimizer._target_": "torch.optim.AdamW", "width": 16}
    assert second["optimizer.momentum"] == 0.9  # type: ignore[index]
    hints = done.journal[0]["spec"]["hints"]
    assert (hints["optimizer.lr"]["low"], hints["optimizer.lr"]["mode"]) == (1e-4, pytest.approx(1e-3))
    assert hints["width"]["why"] == "The user says: Wider is better, but slow"
    results = done.results
    assert results["study"]["direction"] == ["minimize", "maximize"]
    assert results["infeasible"][0] == {"number": 0, "value": [1.125, 15.625], "breaks": "latency_ms <= 10 by 6"}
    assert [0.5, 62.5] in [point["values"] for point in results["pareto_front"]]
    assert results["best_value"] in [point["values"] for point in results["pareto_front"]]
    assert "trial 0  1.125 / 15.625  your own configuration  breaks latency_ms <= 10 by 6" in done.stdout
    assert "Pareto front" in done.stdout
    with (done.folder / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0][name] for name in ("value", "value_1", "breaks")) == (
        "1.125",
        "15.625",
        "latency_ms <= 10 by 6",
    )
    assert rows[1]["optimizer.momentum"] == ""


def test_a_warm_start_begins_with_the_best_and_outlives_its_folder(tmp_path: Path) -> None:
    """An earlier sweep's trials are kept in the new journal, its best is tried first, and once."""
    old = _trade(tmp_path / "old", 4, "hydra.sweeper.enqueue=[{lr: 1e-3}]")
    assert old.code == 0, old.stderr
    before = {path: path.stat().st_mtime_ns for path in old.folder.rglob("*")}
    warm = f"hydra.sweeper.warm_start={old.folder}"
    new = _trade(tmp_path / "new", 3, warm, "width=choice(32,64)")
    assert new.code == 0, new.stderr
    assert {path: path.stat().st_mtime_ns for path in old.folder.rglob("*")} == before
    assert "Warm start: 4 trials of old, best 0.125 (trial 1)" in new.stdout
    first = proposals(new)[1]
    assert first["source"] == "user"
    assert first["params"] == {"optimizer.lr": 1e-3, "optimizer._target_": "torch.optim.AdamW", "width": 64}
    assert first["rationale"] == "The best of the earlier study old: its trial 1 scored 0.125."
    shutil.rmtree(old.folder)
    again = _trade(new.folder, 4, warm, "width=choice(32,64)")
    assert again.code == 0, again.stderr
    assert "Warm start: 4 trials, as when the study began" in again.stdout
    assert [source for source, _ in sources(again)].count("user") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["hydra.sweeper.direction=[minimize,up]"], "hydra.sweeper.direction: must be minimize or maximize, or a list"),
        (["hydra.sweeper.direction=[minimize,maximize]"], "trial 0: the task function must return 2 numbers"),
        (["returns=2"], "(tuple); hydra.sweeper.direction takes a list of several directions"),
        (["hydra.sweeper.constraints=['latency_ms < 20']"], "hydra.sweeper.constraints: must be a metric, <= or >="),
        (
            ["hydra.sweeper.constraints=['memory_gb <= 20']"],
            "trial 0: did not report memory_gb, which hydra.sweeper.constraints bounds (memory_gb <= 20). It reported "
            "latency_ms. Call neuropt_core.report(step, memory_gb=...) in the script.",
        ),
        ([f"++hydra.sweeper.params={MOMENTUM.replace('_target_:', '_targt_:')}"], "Did you mean optimizer._target_"),
        ([f"++hydra.sweeper.params={MOMENTUM.replace('SGD', 'SDG')}"], "got 'torch.optim.SDG'. Did you mean torch"),
        (["hydra.sweeper.priors={optimizer.ls: 1e-3}"], "got 'optimizer.ls'. Did you mean optimizer.lr"),
        (["hydra.sweeper.priors={lr: 7.0}"], "hydra.sweeper.priors.lr: must satisfy 1e-05 <= value <= 0.1, got 7.0"),
        (["hydra.sweeper.enqueue=[{lr: 7.0}]"], "hydra.sweeper.enqueue[0].lr: must satisfy 1e-05 <= value <= 0.1"),
        (["hydra.sweeper.enqueue=[{momentum: 0.5}]"], "counts only where optimizer._target_ is torch.optim.SGD"),
        (["hydra.sweeper.warm_start=nowhere"], "hydra.sweeper.warm_start: must be the folder of an earlier study"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(tmp_path: Path, arguments: list[str], says: str) -> None:
    """Each of these ends the sweep with a line that names the setting, before any trial that could be spared."""
    done = _trade(tmp_path / "s", 3, *arguments)
    assert done.code == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    journal = done.folder / "neuropt" / "journal.jsonl"
    asked = [r for r in done.journal if r["op"] == "ask"] if journal.exists() else []
    assert len(asked) == int("trial 0" in says or "tuple" in says)
