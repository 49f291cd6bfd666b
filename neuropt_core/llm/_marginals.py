"""Each parameter by itself over all trials: what was tried, how it scored, and where no trial has been.

Marginals are what is left of hundreds of trials when their rows do not fit. They hide interactions, as the prompt says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from neuropt_core.advice import Request
from neuropt_core.figures import figure
from neuropt_core.llm._scores import Scores, quantile
from neuropt_core.llm.schema import Slot
from neuropt_core.space import Categorical, Float, Int, Parameter, Value
from neuropt_core.trial import Trial, TrialState

_FEW = 4  # scored trials from which quartiles are told
_ENOUGH = 6  # scored trials from which thirds are told
_BINS = 5
_COUNTED = 8  # so many whole numbers or fewer are counted one by one
_WORD = 32

HEADER = (
    "Parameters one by one (tried: all trials; scores: medians of scored trials; best quarter: the values of the best "
    "25 %, of many of them the middle 80 %; interactions are not shown):"
)


@dataclass(frozen=True, slots=True)
class Marginal:
    """One parameter's line.

    Attributes:
        name: The parameter's name.
        line: What is shown.
        effect: How far the medians of its groups lie apart, in units of the scores' interquartile range.
    """

    name: str
    line: str
    effect: float


@dataclass(frozen=True, slots=True)
class _Group:
    """The trials that share a choice, or lie in one third."""

    label: str
    scores: tuple[float, ...]
    failed: int = 0

    @property
    def median(self) -> float:
        return quantile(self.scores, 0.5)


def marginals(request: Request, fields: Mapping[str, Slot], scores: Scores, choices: int = 8) -> tuple[Marginal, ...]:
    """Returns a line for every parameter that a trial has a value of, in the space's order.

    Args:
        request: What is known.
        fields: The slots, by name.
        scores: The scores of the request's trials.
        choices: Of a parameter with more choices the best ones are shown, and the rest is counted.
    """
    made = []
    for name, slot in fields.items():
        trials = [t for t in request.trials if name in t.params]
        if not trials:
            continue
        values = _listed(slot.parameter)
        made.append(_choices(slot, values, trials, scores, choices) if values else _range(slot, trials, scores))
    return tuple(made)


def _listed(p: Parameter) -> tuple[Value, ...]:
    """Returns the values to count one by one; none for a range."""
    if isinstance(p, Categorical):
        return p.choices
    if isinstance(p, Int) and (p.high - p.low) // p.step < _COUNTED:
        return tuple(range(p.low, p.high + 1, p.step))
    return ()


def _choices(slot: Slot, values: Sequence[Value], trials: Sequence[Trial], scores: Scores, limit: int) -> Marginal:
    held: dict[tuple[type, Value], list[Trial]] = {}
    for trial in trials:
        held.setdefault((type(value := trial.params[slot.parameter.name]), value), []).append(trial)
    groups, untried = [], []
    for value in values:
        there = held.get((type(value), value))
        if not there:
            untried.append(_word(slot, value))
            continue
        failed = sum(t.state is TrialState.FAIL and t.teaches for t in there)
        groups.append(_Group(_word(slot, value), tuple(t.value for t in there if t.value is not None), failed))
    groups.sort(key=lambda g: scores.sign * g.median if g.scores else math.inf)
    parts = [_counted(g, scores.sign) for g in groups[:limit]]
    if len(groups) > limit:
        parts.append(f"{len(groups) - limit} more choices tried")
    line = f"{slot.alias}: {' | '.join(parts)}" if parts else f"{slot.alias}: no legal value tried"
    if untried:
        more = f" and {len(untried) - limit} more" if len(untried) > limit else ""
        line += f"; never tried: {', '.join(untried[:limit])}{more}"
    return Marginal(slot.parameter.name, line, _effect(groups, scores))


def _counted(group: _Group, sign: float) -> str:
    words = f"{group.label} n {len(group.scores)}"
    if group.scores:
        best = min(group.scores) if sign > 0 else max(group.scores)
        words += f" median {group.median:.4g} best {best:.4g}"
    return words + (f", {group.failed} failed" if group.failed else "")


def _range(slot: Slot, trials: Sequence[Trial], scores: Scores) -> Marginal:
    p = slot.parameter
    assert not isinstance(p, Categorical)
    at = {t.number: v for t in trials if (v := _number_of(t.params[p.name])) is not None}
    tried = sorted(at.values())
    if not tried:
        return Marginal(p.name, f"{slot.alias}: no number tried", 0.0)
    line = f"{slot.alias}: tried {_between(p, tried[0], tried[-1])}"
    scored = sorted((at[t.number], t.value) for t in trials if t.value is not None and t.number in at)
    best = sorted(v for number, v in at.items() if scores.best_quarter(number))
    if best and len(scored) >= _FEW:
        cut = len(best) // 10
        line += f"; best quarter {_between(p, best[cut], best[len(best) - 1 - cut])} (n {len(best)})"
    groups = _thirds(p, scored)
    if groups:
        line += f"; scores {' | '.join(f'{g.label} {g.median:.4g} (n {len(g.scores)})' for g in groups)}"
    empty = _empty(p, tried) if len(trials) >= _BINS else []
    if empty:
        line += f"; no trial in {', '.join(_between(p, low, high) for low, high in empty)}"
    return Marginal(p.name, line, _effect(groups, scores))


def _thirds(p: Float | Int, scored: Sequence[tuple[float, float]]) -> list[_Group]:
    """Returns the low, middle and high third of the values, equal values together; none if there are too few."""
    values = [v for v, _ in scored]
    if len(values) < _ENOUGH:
        return []
    cuts = sorted({values[len(values) // 3 - 1], values[2 * len(values) // 3 - 1], values[-1]})
    groups, low = [], -math.inf
    for cut in cuts:
        inside = tuple(score for v, score in scored if low < v <= cut)
        groups.append(_Group(f"up to {figure(cut, p)}:", inside))
        low = cut
    return groups if len(groups) > 1 else []


def _empty(p: Float | Int, tried: Sequence[float]) -> list[tuple[float, float]]:
    """Returns the fifths of the range, on the parameter's scale, that hold no trial; neighbours as one."""
    scale = math.log if p.log else float
    start, width = scale(p.low), (scale(p.high) - scale(p.low)) / _BINS
    held = {min(_BINS - 1, int((scale(v) - start) / width)) for v in tried if p.low <= v <= p.high}
    found: list[tuple[int, int]] = []
    for place in (place for place in range(_BINS) if place not in held):
        if found and found[-1][1] == place:
            found[-1] = (found[-1][0], place + 1)
        else:
            found.append((place, place + 1))
    edges = [start + i * width for i in range(_BINS + 1)]
    points = [p.low, *(math.exp(e) if p.log else e for e in edges[1:-1]), p.high]
    whole = isinstance(p, Int)
    return [(round(points[a]) if whole else points[a], round(points[b]) if whole else points[b]) for a, b in found]


def _effect(groups: Sequence[_Group], scores: Scores) -> float:
    medians = [g.median for g in groups if g.scores]
    return (max(medians) - min(medians)) / scores.spread if len(medians) > 1 and scores.spread else 0.0


def _number_of(value: Value) -> int | float | None:
    """Returns a value that is a finite number; a user's default may be anything."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return value


def _between(p: Float | Int, low: float, high: float) -> str:
    return figure(low, p) if low == high else f"{figure(low, p)}..{figure(high, p)}"


def _word(slot: Slot, value: Value) -> str:
    word = slot.label(value)
    return word if len(word) <= _WORD else f"{word[: _WORD - 1]}…"
