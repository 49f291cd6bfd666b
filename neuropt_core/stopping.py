"""When a running trial should stop: a rule as data, which travels with the ticket and is judged in the job.

Every job imports this: nothing here is heavy. A judgement costs a few milliseconds at most, on average far less.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from neuropt_core.curve import Curve
from neuropt_core.extrapolation import chance_by_gains, chance_by_shape
from neuropt_core.figures import alike_digits

_TIMES = 3.0
"""A loss that is this many times its first value has diverged."""
_SPACING = 1.15
"""From one extrapolation to the next the number of reported steps grows by this factor, and by 1 at least."""
_NEARLY = 0.9
"""Past this share of a full trial it may end: the rest costs little, and a score teaches more than a stop."""
_MANY = 200
"""Reports; a longer curve is judged at about so many of its reports between one length and ten times that."""


@dataclass(frozen=True, slots=True)
class Bar:
    """What the other trials had reached by a step.

    Attributes:
        step: The step.
        value: What `share` percent of them had reached or bettered.
        share: In percent, from 0 to 100.
        trials: How many had reported by then.
    """

    step: int
    value: float
    share: float
    trials: int


@dataclass(frozen=True, slots=True)
class Race:
    """What a trial must beat at its end.

    Attributes:
        number: The best trial so far.
        value: What it ended with, in the metric's own unit.
        chance: A trial stops below this chance to beat it, twice in a row; between 0 and 1.
        gains: (step, how far each of the finished trials still improved after it), the steps ascending; above 0 is
            better, whatever the direction.
    """

    number: int
    value: float
    chance: float
    gains: tuple[tuple[int, tuple[float, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class StopRule:
    """When a trial should stop, as `neuropt_core.pruning.make_rule` writes it; by default only the guard is on.

    Attributes:
        non_finite: Stop when a metric of the last point is nan or infinite.
        diverging: Losses that stop the trial once they are more than 3 times their first value, twice in a row.
        metric: The metric that is judged against other trials; "" for none.
        minimize: Whether a small value of `metric` is good.
        by_best: Whether the best value of the metric is the score, not the last: then a trial that had improved before
            it diverged runs on, and so does one that has beaten the best already.
        grace: Steps at which the metric is reported before a trial is judged against others.
        last_step: The last step of a full trial, or None if that is not known.
        bars: What the other trials had reached, the steps ascending.
        race: What must be beaten at the end, if anything.
    """

    non_finite: bool = True
    diverging: tuple[str, ...] = ()
    metric: str = ""
    minimize: bool = True
    by_best: bool = False
    grace: int = 0
    last_step: int | None = None
    bars: tuple[Bar, ...] = field(default=())
    race: Race | None = None

    def judge(self, curve: Curve) -> str | None:
        """Returns the reason to stop after the last point of `curve`, or None to go on.

        What a point does not hold is not judged there. Of a step that was reported again, after a restart or several
        times an epoch, the last value counts; steps beyond the last point's are those of an earlier round.
        """
        if not curve.points:
            return None
        last = curve.points[-1]
        broken = [name for name, value in last.metrics.items() if not math.isfinite(value)]
        if broken and self.non_finite:
            return f"{broken[0]} is {last.metrics[broken[0]]} at step {last.step}"
        if not _due(len(curve.points)):
            return None
        for name in self.diverging:
            if name in last.metrics and (reason := _diverged(curve, name, self.by_best)) is not None:
                return reason
        if not self.metric or self.metric not in last.metrics or self.metric in broken:
            return None
        points = progress(curve, self.metric)
        if len(points) <= self.grace or self._nearly_done(last.step):
            return None
        return self._behind(curve, last.step) or self._hopeless(curve, points)

    def _nearly_done(self, step: int) -> bool:
        return self.last_step is not None and step >= _NEARLY * self.last_step

    def _behind(self, curve: Curve, step: int) -> str | None:
        """Judges by what others had reached at the same step, or at the last one before it of which that is known."""
        bar = next((bar for bar in reversed(self.bars) if bar.step <= step), None)
        best = best_by(curve, self.metric, step, self.minimize)
        if bar is None or best is None or not self._worse(best, bar.value):
            return None
        mine, theirs = _texts(best, bar.value)
        when = "then" if bar.step == step else f"step {bar.step}"
        return (
            f"{self.metric} {mine} by step {step} is worse than what {bar.share:g} % of {bar.trials} trials had reached"
            f" by {when} ({theirs})"
        )

    def _hopeless(self, curve: Curve, points: list[tuple[int, float]]) -> str | None:
        """Judges by where the curve is heading: now, and at the check before."""
        checks = _checks(self.grace, len(points))
        if self.race is None or self.last_step is None or len(checks) < 2:
            return None
        if checks[-1] != len(points) and len(curve.points) <= _MANY:
            return None
        points = points[: checks[-1]]
        now = self._outlook(self.race, self.last_step, curve, points)
        if now is None or now[0] >= self.race.chance:
            return None
        before = self._outlook(self.race, self.last_step, curve, points[: checks[-2]])
        if before is None or before[0] >= self.race.chance:
            return None
        value, end, target = _texts(points[-1][1], now[1], self.race.value)
        return (
            f"{self.metric} {value} at step {points[-1][0]} is heading for {end} at step {self.last_step}: the"
            f" chance to beat trial {self.race.number} ({target}) is {_percent(now[0])}, and was {_percent(before[0])}"
            f" at step {points[checks[-2] - 1][0]}"
        )

    def _outlook(
        self, race: Race, last_step: int, curve: Curve, points: list[tuple[int, float]]
    ) -> tuple[float, float] | None:
        """Returns the chance to beat the race's value, and the end that is expected; the more hopeful view counts."""
        sign = 1.0 if self.minimize else -1.0
        best = best_by(curve, self.metric, points[-1][0], self.minimize)
        if self.by_best and best is not None and not self._worse(best, race.value):
            return 1.0, best
        losses = [(step, sign * value) for step, value in points]
        shape = chance_by_shape(losses, last_step, sign * race.value)
        if shape is None:
            return None
        gains = next((gains for step, gains in reversed(race.gains) if step <= points[-1][0]), ())
        value = min(value for _, value in losses[-2:])
        return max(shape[0], chance_by_gains(value, sign * race.value, gains) if gains else 0.0), sign * shape[1]

    def _worse(self, one: float, other: float) -> bool:
        return one > other if self.minimize else one < other

    def to_json(self) -> dict[str, Any]:
        """Returns plain data from which `from_json` makes an equal rule."""
        race = self.race
        return {
            "non_finite": self.non_finite,
            "diverging": list(self.diverging),
            "metric": self.metric,
            "minimize": self.minimize,
            "by_best": self.by_best,
            "grace": self.grace,
            "last_step": self.last_step,
            "bars": [[bar.step, bar.value, bar.share, bar.trials] for bar in self.bars],
            "race": None
            if race is None
            else {
                "number": race.number,
                "value": race.value,
                "chance": race.chance,
                "gains": [[step, list(gains)] for step, gains in race.gains],
            },
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StopRule:
        """Makes the rule that `to_json` described; what an older version did not know is off."""
        non_finite, race = bool(data["non_finite"]), data.get("race")
        return cls(
            non_finite=non_finite,
            diverging=tuple(data.get("diverging", ())),
            metric=data.get("metric", ""),
            minimize=data.get("minimize", True),
            by_best=data.get("by_best", False),
            grace=data.get("grace", 0),
            last_step=data.get("last_step"),
            bars=tuple(Bar(*bar) for bar in data.get("bars", ())),
            race=None
            if race is None
            else Race(**{**race, "gains": tuple((step, tuple(gains)) for step, gains in race["gains"])}),
        )


def progress(curve: Curve, metric: str) -> list[tuple[int, float]]:
    """Returns (step, value) of a metric in the order of the steps: the last finite value of each, no step twice.

    Steps beyond that of the metric's last report are left out: they were reported before a restart.
    """
    series = curve.series(metric)
    latest = {step: value for step, value in series if step <= series[-1][0] and math.isfinite(value)}
    return sorted(latest.items())


def best_by(curve: Curve, metric: str, step: int, minimize: bool) -> float | None:
    """Returns the best finite value that a metric had by a step, or None if it had none."""
    values = [value for at, value in curve.series(metric) if at <= step and math.isfinite(value)]
    return (min if minimize else max)(values, default=None)


def diverges(values: Sequence[float]) -> bool:
    """Tells whether a loss is anywhere more than 3 times its first value, twice in a row.

    What is not positive throughout is no loss whose multiples mean something: False.
    """
    if not all(math.isfinite(value) and value > 0 for value in values):
        return False
    return any(min(pair) > _TIMES * values[0] for pair in pairwise(values[1:]))


def _diverged(curve: Curve, metric: str, spare_improved: bool) -> str | None:
    values = [value for _, value in curve.series(metric)]
    first = values[0]
    if (spare_improved and min(values) < first) or not diverges(values) or not diverges([first, *values[-2:]]):
        return None
    now, then = _texts(values[-1], first)
    return (
        f"{metric} {now} at step {curve.points[-1].step} is, as the time before, more than {_TIMES:g} times its first"
        f" value ({then})"
    )


def _checks(grace: int, count: int) -> list[int]:
    """Returns the numbers of reported steps, up to `count`, after which a curve is extrapolated."""
    checks, at = [], grace + 1
    while at <= count:
        checks.append(at)
        at = max(at + 1, math.ceil(at * _SPACING))
    return checks


def _due(count: int) -> bool:
    """Tells whether a curve of so many points is judged now: who reports every batch must not pay for it each time.

    Spread by a hash (Knuth's multiplicative one), so that metrics that are reported in turn are all looked at.
    """
    return count <= _MANY or (count * 2654435761 >> 8) % (count // (_MANY // 2)) == 0


def _texts(*values: float) -> list[str]:
    digits = alike_digits(values)
    return [f"{value:.{digits}g}" for value in values]


def _percent(chance: float) -> str:
    return "under 1 %" if chance < 0.01 else f"{100 * chance:.0f} %"
