"""The log of a search by loevlie/neuropt as ended trials: a JSON line for each, with its config, score and curves.

`ArchSearch` writes lines with the same keys, and more; its log is read likewise where the study beside it is gone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

from neuropt_core.curve import Curve, Point
from neuropt_core.files import read_lines
from neuropt_core.trial import Failure, Outcome, Proposal, Trial, TrialState

_OLD_CURVES = ("train_losses", "val_losses", "val_accuracies")
"""Keys under which its first versions wrote curves, beside ``val_loss`` for the score."""
_KINDS = {"ok": "non_finite", "timeout": "timeout"}
"""Status -> the kind of failure where there is no finite score; of any other status it is an exception."""


def is_log(path: Path) -> bool:
    """Tells whether a file begins with a line of such a log."""
    try:
        with path.open("rb") as file:
            first = file.readline(1_000_000)
    except OSError:
        return False
    return b'"config"' in first and b'"op"' not in first.partition(b'"config"')[0]


def read_log(path: Path) -> tuple[Trial, ...]:
    """Returns the trials of a log, numbered from 1 as there: none of them is the user's own configuration.

    Raises:
        ValueError: A line is none of such a log; the text says which. One that was cut off at the end is left out.
        OSError: The file cannot be read.
    """
    rows, _ = read_lines(path)
    return tuple(_trial(row, place) for place, row in enumerate(rows, start=1))


def _trial(row: Any, place: int) -> Trial:
    config = row.get("config") if isinstance(row, Mapping) else None
    if not isinstance(config, Mapping):
        raise ValueError(f"line {place}: has no config")
    # Ours number trials from 0, which is the user's own configuration; the original's have an id, from 1.
    number = row.get("trial", row.get("id", place))
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise ValueError(f"line {place}: has no number, but {number!r}")
    proposal = Proposal({str(name): value for name, value in config.items()}, "From an earlier search's log.", "user")
    return Trial(number, proposal, _outcome(row))


def _outcome(row: Mapping[str, Any]) -> Outcome:
    curve, elapsed = _curve(row), row.get("elapsed")
    seconds = float(elapsed) if _number(elapsed) and elapsed >= 0 else 0.0
    score, status = row.get("score", row.get("val_loss")), str(row.get("status", "ok"))
    if status == "ok" and _number(score):
        return Outcome(TrialState.COMPLETE, float(score), curve, seconds=seconds)
    error = " ".join(str(row.get("error") or "").split())
    if status == "pruned":
        return Outcome(TrialState.PRUNED, curve=curve, seconds=seconds, reason=error or "it was stopped")
    message = error or ("its score was not finite" if status == "ok" else status)
    failure = Failure(_KINDS.get(status, "exception"), message[:1000]).redacted(())
    return Outcome(TrialState.FAIL, curve=curve, failure=failure, seconds=seconds)


def _curve(row: Mapping[str, Any]) -> Curve:
    given = row.get("curves")
    named = given if isinstance(given, Mapping) else {name: row[name] for name in _OLD_CURVES if name in row}
    lists = {str(name): values for name, values in named.items() if isinstance(values, list)}
    points = []
    for step in range(max(map(len, lists.values()), default=0)):
        at = {name: values[step] for name, values in lists.items() if step < len(values)}
        if metrics := {name: float(value) for name, value in at.items() if _is_real(value)}:
            points.append(Point(step, metrics))
    return Curve(tuple(points))


def _is_real(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _number(value: object) -> TypeGuard[float]:
    return _is_real(value) and math.isfinite(value)
