"""What the charts of report.html draw, as plain data: scores, expectations, parameters and thinned curves."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from neuropt_core.expectations import verdict
from neuropt_core.figures import alike_digits
from neuropt_core.sinks._html_markup import rounded
from neuropt_core.sinks._html_thin import thinned
from neuropt_core.sinks._objectives import broken, front
from neuropt_core.sinks.base import Scene
from neuropt_core.sinks.text import literal, one_line, source
from neuropt_core.space import Categorical, Parameter, Value
from neuropt_core.trial import Trial
from neuropt_core.tying import tie

_METRICS = 4
"""So many metrics are kept; the one that gives the score is the first."""
_ENOUGH, _OTHER = 2, 2
"""What is neither of a validation nor a loss or a score, such as a learning rate, only fills up to two metrics."""
_AXES = 10
"""So many parameters fit beside each other as parallel axes."""
_POINTS = 12_000
"""For all curves together, which bounds the size of the page whatever the study."""
_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_FEWEST, _MOST = 8, 60
"""Points of one curve: fewer show no shape, and a chart of 500 pixels shows no more."""


def report_data(scene: Scene) -> dict[str, Any]:
    """Returns what the page's script draws; JSON-able, all numbers finite, all texts harmless.

    Of each trial: ``n`` number, ``v`` scores, ``w`` who proposed it, ``k`` kind of source, ``e`` expected
    quantiles, ``d`` verdict, ``t`` seconds, ``p`` values along the axes, ``c`` a curve for each metric as [the first
    step and the distance of each later one to the one before it, or only the first if they are all 1; `coded` values],
    ``o`` whether it was left out, ``b`` whether it breaks a constraint. What is empty is left out.
    """
    metrics, hidden_metrics = _metrics(scene)
    axes, hidden_axes = _axes(scene)
    best, base, advised = scene.best, scene.baseline, scene.recommended
    count = sum(bool(trial.curve.points) for trial in scene.trials) * max(1, len(metrics))
    most = max(_FEWEST, min(_MOST, _POINTS // max(1, count)))
    digits = alike_digits([v for t in scene.trials for v in t.values], least=4)
    return {
        "study": one_line(scene.spec.name),
        "directions": list(scene.spec.directions),
        "best": None if best is None else best.number,
        "base": None if base is None else base.number,
        "take": None if advised is None else advised.trial.number,
        "front": [trial.number for trial in front(scene)] if scene.spec.further else [],
        "digits": digits,
        "metrics": [metric.to_json for metric in metrics],
        "hiddenMetrics": hidden_metrics,
        "axes": [axis.to_json for axis in axes],
        "hiddenAxes": hidden_axes,
        "trials": [_trial(scene, t, metrics, axes, most, digits) for t in scene.trials],
    }


@dataclass(frozen=True, slots=True)
class _Metric:
    """A metric whose curves are shown.

    Attributes:
        name: Its name.
        minimize: Whether a small value of it is good; None where that is not known.
        low: The smallest finite value of all trials.
        high: The largest.
    """

    name: str
    minimize: bool | None
    low: float
    high: float

    @property
    def log(self) -> bool:
        """Whether values are coded by their logarithm, so that small ones keep their digits."""
        return self.low > 0 and self.high / self.low > 5

    @property
    def to_json(self) -> dict[str, Any]:
        """Plain data for the script."""
        span = {"low": rounded(self.low, 8), "high": rounded(self.high, 8), "log": self.log}
        return {"name": one_line(self.name), "minimize": self.minimize, **span}

    def coded(self, values: Sequence[float]) -> str:
        """Returns each value as two of `_DIGITS`, which tell 4095 parts of the range: more than a chart has pixels."""
        put: Callable[[float], float] = math.log if self.log else float
        low, width = put(self.low), put(self.high) - put(self.low)
        text = []
        for value in values:
            place = round(4095 * (put(value) - low) / width) if 0 < width < math.inf else 0
            text.append(_DIGITS[place // 64] + _DIGITS[place % 64])
        return "".join(text)


def _metrics(scene: Scene) -> tuple[list[_Metric], int]:
    """Returns the metrics to show, the one that gives the score first, and how many more there are."""
    tied = tie(scene.spec, [trial for trial in scene.present if trial.value is not None], "auto")
    values: dict[str, list[float]] = {}
    for trial in scene.trials:
        for point in trial.curve.points:
            for name, value in point.metrics.items():
                if -1e300 < value < 1e300:
                    values.setdefault(name, []).append(value)
    first = [] if tied is None else [tied.metric]
    # Those of the validation tell more than those of the training, and these more than learning rates.
    names = [*first, *sorted((n for n in values if n not in first), key=lambda n: (_rank(n), -len(values[n])))]
    telling = [n for n in names if n in first or _rank(n) < _OTHER]
    names = [*telling, *(n for n in names if n not in telling)][: max(_ENOUGH, min(_METRICS, len(telling)))]
    shown = [
        _Metric(n, tied.minimize if tied is not None and n == tied.metric else None, min(values[n]), max(values[n]))
        for n in names
        if n in values
    ]
    return shown, len(values) - len(shown)


def _rank(name: str) -> int:
    lowered = name.lower()
    if any(word in lowered for word in ("val", "test", "eval", "dev")):
        return 0
    return 1 if any(word in lowered for word in ("loss", "acc", "err", "score")) else _OTHER


@dataclass(frozen=True, slots=True)
class _Axis:
    """A parameter along which trials are placed.

    Attributes:
        parameter: The parameter.
        places: Of a choice its place, by `_key`; empty for numbers.
        values: The values that trials had, choices in the order of the space.
    """

    parameter: Parameter
    places: dict[tuple[str, Value], int]
    values: tuple[Value, ...]

    @classmethod
    def of(cls, parameter: Parameter, trials: Sequence[Trial]) -> _Axis:
        """Makes the axis on which all `trials` have a place that the parameter is active in."""
        made = {_key(t.params[parameter.name]): t.params[parameter.name] for t in trials if parameter.name in t.params}
        if isinstance(parameter, Categorical):
            # What the user's own value adds to the choices comes last.
            ordered = [key for key in map(_key, parameter.choices) if key in made]
            ordered += [key for key in made if key not in ordered]
            return cls(parameter, {key: place for place, key in enumerate(ordered)}, tuple(made[k] for k in ordered))
        return cls(parameter, {}, tuple(v for v in made.values() if _fits(parameter, v)))

    @property
    def to_json(self) -> dict[str, Any]:
        """Plain data for the script."""
        name, parameter = one_line(self.parameter.name), self.parameter
        if isinstance(parameter, Categorical):
            return {"name": name, "choices": [_label(value) for value in self.values]}
        numbers = [float(value) for value in self.values]  # type: ignore[arg-type]
        span = {"low": rounded(min(numbers)), "high": rounded(max(numbers))}
        return {"name": name, "log": parameter.log, "whole": parameter.type == "int", **span}

    def place(self, trial: Trial) -> float | int | None:
        """Returns where a trial crosses the axis: its value, or the index of its choice; None if it does not."""
        if self.parameter.name not in trial.params:
            return None
        value = trial.params[self.parameter.name]
        if isinstance(self.parameter, Categorical):
            return self.places.get(_key(value))
        return rounded(float(value)) if _fits(self.parameter, value) else None  # type: ignore[arg-type]


def _axes(scene: Scene) -> tuple[list[_Axis], int]:
    """Returns the parameters in which trials differ, the most important first, and how many are left out."""
    axes = [_Axis.of(parameter, scene.present) for parameter in scene.spec.space.parameters]
    varied = [axis for axis in axes if len(axis.values) > 1]
    order = sorted(varied, key=lambda axis: -scene.importance.get(axis.parameter.name, 0.0))
    return order[:_AXES], max(0, len(order) - _AXES)


def _trial(
    scene: Scene, trial: Trial, metrics: Sequence[_Metric], axes: Sequence[_Axis], most: int, digits: int
) -> dict[str, Any]:
    expected = trial.proposal.predicted
    seconds = None if trial.outcome is None else rounded(trial.outcome.seconds, 4)
    quantiles = None if expected is None else [rounded(q, digits) for q in (expected.p10, expected.p50, expected.p90)]
    found = {
        "n": trial.number,
        "v": [rounded(value, digits + 3) for value in trial.values],
        "w": None if (who := source(trial)) == trial.proposal.source else who,
        "k": trial.proposal.source,
        "e": quantiles,
        "d": verdict(trial, scene.spec.direction),
        "t": seconds,
        "p": [] if trial.number in scene.left_out else [axis.place(trial) for axis in axes],
        "c": [_curve(trial, metric, most) for metric in metrics] if trial.curve.points else None,
        "o": 1 if trial.number in scene.left_out else None,
        "b": 1 if broken(scene.spec, trial) else None,
    }
    return {key: value for key, value in found.items() if value is not None and value != []}


def _curve(trial: Trial, metric: _Metric, most: int) -> list[Any]:
    pairs = sorted((float(step), v) for step, v in trial.curve.series(metric.name) if metric.low <= v <= metric.high)
    kept = thinned(pairs, most)
    steps = [round(step) for step, _ in kept]
    apart = [after - before for before, after in pairwise(steps)]
    return [steps[:1] if set(apart) == {1} else [*steps[:1], *apart], metric.coded([value for _, value in kept])]


def _key(value: Value) -> tuple[str, Value]:
    # 1, 1.0 and True are different choices.
    return type(value).__name__, value


def _fits(parameter: Parameter, value: Value) -> bool:
    """Tells whether a value has a place on a parameter's axis; a user's own may lie anywhere, or be no number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or isinstance(parameter, Categorical):
        return False
    return -1e300 < value < 1e300 and (value > 0 or not parameter.log)


def _label(value: Value) -> str:
    text = literal(value)
    return text if len(text) <= 24 else f"{text[:23]}…"
