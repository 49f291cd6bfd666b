"""Training curves: what a job reported, point by point."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class Point:
    """One report of a job.

    Attributes:
        step: The epoch, or whatever the job counts, from 0.
        metrics: What it measured there, e.g. ``{"train_loss": 0.41, "val_loss": 0.52}``; may hold nan or inf.
        seconds: Wall-clock seconds since the job's first report; they go on where a job goes on that was interrupted.
    """

    step: int
    metrics: Mapping[str, float]
    seconds: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", MappingProxyType(dict(self.metrics)))

    def to_json(self) -> dict[str, Any]:
        """Returns plain data; numbers that are not finite become their names, since JSON has none."""
        return {"step": self.step, "seconds": self.seconds, "metrics": {k: _out(v) for k, v in self.metrics.items()}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Point:
        """Makes the point that `to_json` described."""
        return cls(int(data["step"]), {k: float(v) for k, v in data["metrics"].items()}, float(data["seconds"]))


@dataclass(frozen=True, slots=True)
class Curve:
    """All points of one trial, in the order of their reports."""

    points: tuple[Point, ...] = ()

    def __len__(self) -> int:
        return len(self.points)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of all metrics, in the order of their first appearance."""
        return tuple(dict.fromkeys(name for point in self.points for name in point.metrics))

    def series(self, metric: str) -> tuple[tuple[int, float], ...]:
        """Returns (step, value) pairs of one metric."""
        return tuple((p.step, p.metrics[metric]) for p in self.points if metric in p.metrics)

    def to_json(self) -> list[dict[str, Any]]:
        """Returns plain data from which `from_json` makes an equal curve."""
        return [point.to_json() for point in self.points]

    @classmethod
    def from_json(cls, data: Iterable[Mapping[str, Any]]) -> Curve:
        """Makes the curve that `to_json` described."""
        return cls(tuple(Point.from_json(item) for item in data))


class Joining:
    """The one curve of a job that began more than once, put together point by point in the order of the reports.

    What an earlier start reported from the first step of a later one on is superseded: a script that goes on from its
    checkpoint continues the curve, one that begins again at step 0 replaces it.
    """

    def __init__(self) -> None:
        self._points: list[Point] = []
        self._origin: tuple[int, int] = (0, 0)

    @property
    def curve(self) -> Curve:
        """What counts so far."""
        return Curve(tuple(self._points))

    @property
    def origin(self) -> tuple[int, int]:
        """Where the newest point comes from; (0, 0) before there is any."""
        return self._origin

    @property
    def seconds(self) -> float:
        """Of the newest point that counts; 0 if there is none."""
        return self._points[-1].seconds if self._points else 0.0

    def begin(self, origin: tuple[int, int], step: int) -> None:
        """Says that a start reports next, at a step; what that supersedes is left out."""
        if origin > self._origin:
            self._points = [point for point in self._points if point.step < step]
            self._origin = origin

    def add(self, origin: tuple[int, int], point: Point) -> None:
        """Adds a point of a start, which is known by the attempt's number and the start's own within the attempt.

        A process that outlived its start, and reports though a later one has begun to, is not listened to.
        """
        self.begin(origin, point.step)
        if origin == self._origin:
            self._points.append(point)


def _out(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)
