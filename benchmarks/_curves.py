"""The recorded curves as tasks: what is proposed is snapped to the grid, and its curve is replayed as it was."""

from __future__ import annotations

import functools
import gzip
import json
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from _curve_tasks import TASKS, CurveTask

from neuropt_core.curve import Curve, Point
from neuropt_core.errors import ConfigError
from neuropt_core.space import Categorical, SearchSpace, Value

FAMILY = "curves"
_FOLDER = Path(__file__).parent / "curves"
Place = tuple[int | None, ...]
"""Where a configuration lies on each axis of the grid; None where the parameter does not count."""


@dataclass(frozen=True, slots=True)
class Task:
    """A recorded task; has what `_tables.tasks.Task` has for the simulation, and the curves.

    The score is the validation loss after the last epoch, as examples/finetune/train.py returns it. The truth that
    regret is judged by is the score of seed 0, which is the one that was recorded of the whole grid.

    Attributes:
        name: ``curves/`` and the name of the recorded task.
        family: ``curves``.
        recorded: What was recorded, and how.
        curves: (place on the grid, seed) -> the curve; the points' metrics are ``train_loss``, ``val_loss`` and
            ``val_accuracy``, their seconds CPU time since the start of training.
        scores: Place -> the score with seed 0; infinite where training diverged.
        optimum: The best score.
        scale: The median score minus the optimum: what half of all configurations lose at least.
        noise: What a second seed changes, as the standard deviation of one score, in units of `scale`; of those
            configurations with two seeds whose mean score is in the best quarter; nan without such.
    """

    name: str
    family: str
    recorded: CurveTask
    curves: Mapping[tuple[Place, int], Curve] = field(repr=False)
    scores: Mapping[Place, float] = field(repr=False)
    optimum: float
    scale: float
    noise: float

    @property
    def space(self) -> SearchSpace:
        """What an advisor is offered; its defaults are the user's own configuration."""
        return self.recorded.space

    @property
    def epochs(self) -> int:
        """How many epochs a whole training has."""
        return int(self.recorded.config["epochs"])

    def snap(self, params: Mapping[str, Value]) -> dict[str, Value]:
        """Returns the nearest recorded configuration; of two equally near values the lower.

        Raises:
            ConfigError: `params` is not in the space.
        """
        axes = ((name, self.recorded.axis(name)) for name in self.space.names)
        return {name: axis[i] for (name, axis), i in zip(axes, self.place(params), strict=True) if i is not None}

    def curve(self, params: Mapping[str, Value], seed: int = 0) -> Curve:
        """Returns the whole curve of the nearest recorded configuration.

        Raises:
            ConfigError: `params` is not in the space, or was not recorded with this seed.
        """
        place = self.place(params)
        if (place, seed) not in self.curves:
            raise ConfigError(self.name, f"was not recorded with seed {seed} at {self.snap(params)}", got=dict(params))
        return self.curves[place, seed]

    def evaluate(self, params: Mapping[str, Value], seed: int, number: int) -> tuple[float, float]:
        """Returns the score with seed 0 and the seconds of CPU time; neither `seed` nor `number` has a say in it.

        Raises:
            ConfigError: `params` is not in the space.
        """
        return self.scores[self.place(params)], self.curve(params).points[-1].seconds

    def regret(self, params: Mapping[str, Value]) -> float:
        """Returns how far the score of `params` is from the optimum, in units of `scale`; 0 is the optimum.

        Raises:
            ConfigError: `params` is not in the space.
        """
        return (self.scores[self.place(params)] - self.optimum) / self.scale

    def place(self, params: Mapping[str, Value]) -> Place:
        """Returns where the nearest recorded configuration lies on the grid.

        Raises:
            ConfigError: `params` is not in the space.
        """
        if violations := self.space.check(params):
            raise ConfigError(self.name, "; ".join(map(str, violations)))
        return tuple(
            _nearest(params[name], name, self.recorded) if name in params else None for name in self.space.names
        )


def _nearest(value: Value, name: str, recorded: CurveTask) -> int:
    parameter, axis = recorded.space[name], recorded.axis(name)
    if isinstance(parameter, Categorical):
        return axis.index(value)
    scale = math.log if parameter.log else float
    return min(range(len(axis)), key=lambda i: (abs(scale(axis[i]) - scale(value)), i))  # type: ignore[arg-type]


def names() -> tuple[str, ...]:
    """Returns the names of all tasks."""
    return tuple(f"{FAMILY}/{name}" for name in TASKS)


@functools.cache
def load(name: str, folder: Path = _FOLDER) -> Task:
    """Returns a task; its table is read once in a process.

    Raises:
        ConfigError: There is no such task, or its table was recorded on another grid.
    """
    if name not in names():
        raise ConfigError("task", f"must be one of {', '.join(names())}", got=name)
    recorded = TASKS[name.removeprefix(f"{FAMILY}/")]
    table = json.loads(gzip.decompress((folder / f"{recorded.name}.json.gz").read_bytes()))
    axes = {axis: list(recorded.axis(axis)) for axis in recorded.space.names}
    if table["axes"] != axes or table["config"] != recorded.config:
        raise ConfigError(
            str(folder / f"{recorded.name}.json.gz"), "was recorded on another grid", mend="Run record_curves.py."
        )
    curves = {
        (tuple(place), seed): _curve(dict(zip(table["metrics"], columns, strict=True)))
        for place, seed, columns in table["runs"]
    }
    scores = {place: _score(curve) for (place, seed), curve in curves.items() if seed == 0}
    optimum = min(scores.values())
    scale = statistics.median(scores.values()) - optimum
    return Task(name, FAMILY, recorded, curves, scores, optimum, scale, _noise(curves, scores) / scale)


def _curve(columns: Mapping[str, list[float | str]]) -> Curve:
    seconds, points = 0.0, []
    metrics = [name for name in columns if name != "seconds"]
    for step, spent in enumerate(columns["seconds"]):
        seconds += float(spent)
        points.append(Point(step, {name: float(columns[name][step]) for name in metrics}, round(seconds, 4)))
    return Curve(tuple(points))


def _score(curve: Curve) -> float:
    """Returns the validation loss after the last epoch; infinite if there a loss is no finite number."""
    last = curve.points[-1].metrics
    return last["val_loss"] if all(map(math.isfinite, last.values())) else math.inf


def pairs(curves: Mapping[tuple[Place, int], Curve]) -> list[tuple[float, float]]:
    """Returns the scores with both seeds of those configurations that have two finite ones."""
    found = [(_score(curves[place, 0]), _score(curve)) for (place, seed), curve in curves.items() if seed == 1]
    return [pair for pair in found if all(map(math.isfinite, pair))]


def _noise(curves: Mapping[tuple[Place, int], Curve], scores: Mapping[Place, float]) -> float:
    quarter = statistics.quantiles(scores.values(), n=4)[0]
    better = [(one, other) for one, other in pairs(curves) if (one + other) / 2 <= quarter]
    return math.sqrt(statistics.fmean((one - other) ** 2 for one, other in better) / 2) if better else math.nan
