"""One trial in this process: `train_fn` is called as a job of a sweep is, and what it returned becomes the outcome."""

from __future__ import annotations

import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any

from neuropt_core.budget import spoken
from neuropt_core.curve import Curve, Point
from neuropt_core.files import write_whole
from neuropt_core.runtime.job import JobFailed, RecordedTask
from neuropt_core.ticket import VARIABLE, Ticket
from neuropt_core.trial import Failure, Outcome, TrialState

RETURNED = "returned.json"
"""In a trial's folder: what `train_fn` returned beside the score, as `Returned.to_json` has it."""

_AGAIN = 10.0
"""Seconds after which a trial that has caught its time-out is told again."""


class TimeIsUp(BaseException):
    """Raised in `train_fn` when its time is up; no `Exception`, so that a handler of these does not catch it."""


@dataclass(frozen=True, slots=True)
class Returned:
    """What `train_fn` returned beside the score.

    Attributes:
        curves: Name -> the numbers of a list, one an epoch.
        scalars: Name -> a number, text, true or false.
        left: The keys of what is neither, and is not kept.
    """

    curves: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    scalars: Mapping[str, bool | int | float | str] = field(default_factory=dict)
    left: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Returns plain data; a number that is not finite is None, since JSON has none."""
        return {
            "scalars": {name: finite(value) for name, value in self.scalars.items()},
            "curves": {name: [finite(value) for value in values] for name, values in self.curves.items()},
        }

    @classmethod
    def of(cls, result: Any) -> Returned:
        """Reads what a dictionary holds beside ``score``: lists of numbers, scalars, and the names of all else."""
        curves: dict[str, tuple[float, ...]] = {}
        scalars: dict[str, bool | int | float | str] = {}
        left = []
        for name, value in result.items() if isinstance(result, Mapping) else ():
            plain = _plain(value)
            if name == "score":
                continue
            numbers: list[Any] = [_plain(item) for item in plain] if isinstance(plain, (list, tuple)) else [None]
            if isinstance(name, str) and isinstance(plain, (bool, int, float, str)):
                # Of a whole number beyond all measure not even its digits can be written.
                scalars[name] = _float(plain) if type(plain) is int and abs(plain) > 10**300 else plain
            elif isinstance(name, str) and all(_is_number(n) for n in numbers):
                curves[name] = tuple(map(_float, numbers))
            else:
                left.append(name if isinstance(name, str) else repr(name))
        return cls(curves, scalars, tuple(left))

    def joined(self, reported: Curve) -> Curve:
        """Returns the curve of a trial: what was reported, the lists from step 0 on, the scalars at the last step.

        What was reported under a name stands; the same name in what was returned is left out.
        """
        points = {point.step: point for point in reported.points}
        known = set(reported.metrics)
        series = {name: dict(enumerate(values)) for name, values in self.curves.items() if name not in known}
        last = max((*points, *(step for values in series.values() for step in values)), default=0)
        for name, value in self.scalars.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool) and name not in known:
                series[name] = {last: _float(value)}
        for name, values in series.items():
            for step, value in values.items():
                before = points.get(step) or Point(step, {})
                points[step] = replace(before, metrics={**before.metrics, name: value})
        return Curve(tuple(points[step] for step in sorted(points)))


def run_trial(ticket: Ticket, train: Callable[[], Any], timeout: float | None, params: Mapping[str, Any]) -> Outcome:
    """Calls `train` under a ticket and returns what came of it.

    Args:
        ticket: Written already; `report` in the training code finds it.
        train: Makes the config and calls the user's function.
        timeout: Seconds; None for any time. In the main thread `TimeIsUp` is raised in `train`, as soon as Python gets
            control from whatever C code runs; in another thread the next `report` stops it.
        params: Of the trial, for telling secrets.

    Raises:
        KeyboardInterrupt: It came while the trial ran, which has no outcome then.
    """
    held: list[Any] = []

    def task(_: Any) -> Any:
        result = train()
        held.append(result)
        return result.get("score") if isinstance(result, Mapping) else result

    began = time.monotonic()
    try:
        with _named(ticket), _timed(ticket, timeout), suppress(JobFailed):
            RecordedTask(task)(dict(params))
    except TimeIsUp as up:
        failure = Failure("timeout", str(up))
        outcome = Outcome(TrialState.FAIL, curve=ticket.curve(), failure=failure, seconds=time.monotonic() - began)
        return replace(outcome, seconds=round(outcome.seconds, 3))
    returned = Returned.of(held[0]) if held else Returned()
    write_whole(ticket.folder / RETURNED, json.dumps(returned.to_json(), allow_nan=False))
    return completed(ticket, held[0] if held else None)


def completed(ticket: Ticket, result: Any = None) -> Outcome:
    """Returns the outcome that a trial has left on disk, with the curves that it returned.

    Args:
        ticket: Of the attempt.
        result: What `train_fn` returned, where that is known; else what is on disk.
    """
    outcome = ticket.result()
    if outcome is None:
        message = "train_fn ended and left no result"
        return Outcome(TrialState.FAIL, curve=ticket.curve(), failure=Failure("lost", message))
    returned = Returned.of(result) if result is not None else read_returned(ticket)
    outcome = replace(outcome, curve=returned.joined(outcome.curve))
    failure = outcome.failure
    if failure is None or failure.kind not in ("no_number", "non_finite") or failure.traceback:
        return outcome
    return replace(outcome, failure=replace(failure, message=_no_score(failure, result)))


def read_returned(ticket: Ticket) -> Returned:
    """Returns what `train_fn` has returned beside the score, from the trial's folder; nothing where nothing is."""
    try:
        data = json.loads((ticket.folder / RETURNED).read_text(encoding="utf-8"))
        curves = {n: tuple(math.nan if v is None else float(v) for v in c) for n, c in data["curves"].items()}
        return Returned(curves, {n: math.nan if v is None else v for n, v in data["scalars"].items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # Cut off, or absent: the score stands alone.
        return Returned()


def _no_score(failure: Failure, result: Any) -> str:
    if isinstance(result, Mapping) and "score" not in result:
        return f"train_fn must return a dictionary with a 'score', got one with {sorted(map(str, result))}"
    return failure.message.replace("the task function", "train_fn's score").replace("must return", "must be")


@contextmanager
def _named(ticket: Ticket) -> Iterator[None]:
    """Names the ticket in the environment, where `report` looks, also in processes that the training starts."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(ticket.path)
    try:
        yield
    finally:
        os.environ.pop(VARIABLE, None)  # What trains may have emptied the environment.
        if before is not None:
            os.environ[VARIABLE] = before


@contextmanager
def _timed(ticket: Ticket, timeout: float | None) -> Iterator[None]:
    if timeout is None:
        yield
        return
    said = f"it took longer than timeout={spoken(timeout)}"
    if threading.current_thread() is not threading.main_thread():
        timer = threading.Timer(timeout, lambda: write_whole(ticket.stop_path, said))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
        return

    armed = True

    def rise(number: int, frame: FrameType | None) -> None:
        if armed:
            raise TimeIsUp(said)

    before = signal.signal(signal.SIGALRM, rise)
    signal.setitimer(signal.ITIMER_REAL, timeout, _AGAIN)
    try:
        yield
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def finite(value: Any) -> Any:
    """Returns a value that JSON has a word for: None in the place of a number that is not finite."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(value: Any) -> Any:
    """Returns what a tensor or an array holds as plain numbers; anything else as it is."""
    if isinstance(value, (bool, int, float, str, list, tuple)) and type(value).__module__ != "numpy":
        return value
    try:
        if getattr(value, "shape", None) == () and hasattr(value, "item"):
            return value.item()
        if len(getattr(value, "shape", ())) == 1 and hasattr(value, "tolist"):
            return value.tolist()
    except (TypeError, ValueError, RuntimeError):
        pass  # No number after all.
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
