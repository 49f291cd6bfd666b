"""The logs of one trial joined to its curve."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from neuropt_core.curve import Curve, Point
from neuropt_core.logged._series import Entry, Values, first_step, first_time, last_step, shifted, thinned
from neuropt_core.logged.gathering import MOST_POINTS, MOST_VALUES


@dataclass(frozen=True, slots=True)
class StartLogged:
    """What one start of an attempt has logged.

    Attributes:
        began: When it began, in seconds since the epoch by the clock of its machine.
        values: Of all its logs.
    """

    began: float
    values: Values


def in_turn(runs: Iterable[Values]) -> Values:
    """Joins runs that a job made one after another, as for training and testing, or for the folds of a validation.

    The steps of a run that begins at a step which those before have reached count on from their last one.
    """
    joined: dict[str, list[Entry]] = {}
    for values in runs:
        first, last = first_step(values), last_step(joined)
        if first is not None and last is not None and first <= last:
            values = shifted(values, _later(last + 1 - first))
        _extend(joined, values)
    return joined


def _later(steps: int) -> Callable[[Entry], Entry]:
    return lambda entry: (entry[0] + steps, entry[1], entry[2])


def side_by_side(logs: Iterable[tuple[PurePath, Values]]) -> Values:
    """Joins the event files of one job, each with its folder.

    A tag that occurs in several folders is told apart by the folder, as seen from the innermost one that holds them
    all: ``train/loss`` and ``validation/loss``. Of a tag that several files of one folder hold, what a later file has
    from its first step on supersedes the earlier one's, as TensorBoard itself does.
    """
    folders: dict[PurePath, dict[str, list[Entry]]] = {}
    for folder, values in logs:
        held = folders.setdefault(folder, {})
        for name, entries in values.items():
            if entries:
                held[name] = [entry for entry in held.get(name, ()) if entry[0] < entries[0][0]] + list(entries)
    root = _common(folders)
    several = [name for values in folders.values() for name in values]
    joined: dict[str, list[Entry]] = {}
    for folder, values in folders.items():
        prefix = "/".join(folder.parts[len(root) :])
        for name, entries in values.items():
            shown = f"{prefix}/{name}" if prefix and several.count(name) > 1 else name
            joined[shown] = entries
    return joined


def _common(folders: Iterable[PurePath]) -> Sequence[str]:
    parts = [folder.parts for folder in folders]
    shared = []
    for names in zip(*parts, strict=False):
        if len(set(names)) > 1:
            break
        shared.append(names[0])
    return shared


def over_starts(starts: Iterable[StartLogged]) -> Curve:
    """Joins what the starts of a job have logged, in their order, as `curve.Joining` joins what they reported.

    What an earlier start logged from the first step of a later one on is superseded. Seconds count from the first row;
    those of a start that goes on count on from the last one that is kept, with what the start took to get there.
    """
    joined: dict[str, list[Entry]] = {}
    for start in starts:
        first, began = first_step(start.values), first_time(start.values)
        if first is None or began is None:
            continue
        joined = {name: kept for name, held in joined.items() if (kept := [e for e in held if e[0] < first])}
        zero = began
        if joined:
            last = max(entry[2] for entries in joined.values() for entry in entries)
            zero = began - last - max(0.0, began - start.began)
        _extend(joined, shifted(start.values, _earlier(zero)))
    return _points(joined)


def _earlier(seconds: float) -> Callable[[Entry], Entry]:
    return lambda entry: (entry[0], entry[1], max(0.0, entry[2] - seconds))


def _extend(joined: dict[str, list[Entry]], values: Values) -> None:
    for name, entries in values.items():
        joined.setdefault(name, []).extend(entries)


def _points(values: Mapping[str, Sequence[Entry]]) -> Curve:
    most = max(2, min(MOST_POINTS, MOST_VALUES // max(1, len(values))))
    metrics: dict[int, dict[str, float]] = {}
    seconds: dict[int, float] = {}
    for name, entries in values.items():
        for step, value, time in thinned(entries, most):
            metrics.setdefault(step, {})[name] = value
            seconds[step] = max(seconds.get(step, 0.0), time)
    return Curve(tuple(Point(step, metrics[step], round(seconds[step], 3)) for step in sorted(metrics)))
