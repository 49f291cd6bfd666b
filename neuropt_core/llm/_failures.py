"""Failures folded into rules: a parameter whose value separates them from every trial that ended well is named."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from neuropt_core.advice import Request
from neuropt_core.figures import figure
from neuropt_core.llm._scores import numbers
from neuropt_core.llm._text import one_line, tidy
from neuropt_core.llm.schema import Slot
from neuropt_core.space import Categorical, Value
from neuropt_core.trial import Failure, Trial, TrialState

_Condition = tuple[str, Callable[[Trial], bool]]
"""In words, and whether it holds for a trial."""
_WELL = (TrialState.COMPLETE, TrialState.PRUNED)
_CLASS = re.compile(r"([A-Za-z_][\w.]{0,60}?)(?=:|\(|$|\s)")
_ENOUGH_WELL = 3
_RULES = 3
_VALUES = 4
_WORD = 48
_CHANCE = 0.3  # the chance at which a choice that all share is still told


def failures(request: Request, fields: Mapping[str, Slot]) -> list[str]:
    """Returns a line for every kind of failure, the most frequent first; empty if no trial failed."""
    well = [t for t in request.trials if t.state in _WELL]
    groups: dict[str, list[Trial]] = {}
    for trial in request.trials:
        if trial.teaches and trial.outcome is not None and trial.outcome.failure is not None:
            groups.setdefault(failure_words(trial.outcome.failure), []).append(trial)
    lines = []
    for words, failed in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        count = "1 trial" if len(failed) == 1 else f"{len(failed)} trials"
        rules = list(_rules(failed, well, fields)) if len(failed) > 1 and len(well) >= _ENOUGH_WELL else []
        line = f"{words}: {count} ({numbers(failed)})"
        if not rules:
            line += _without_rule(failed, request.trials, fields)
        else:
            more = f", or {len(rules) - _RULES} rules more" if len(rules) > _RULES else ""
            line += f", all with {', or '.join(rules[:_RULES])}{more}, where no trial ended well"
        lines.append(line)
    return lines


def _without_rule(failed: Sequence[Trial], trials: Sequence[Trial], fields: Mapping[str, Slot]) -> str:
    """Returns where the failed trials lie close together; else what the newest of them changes against the first."""
    close = _close(failed, trials, fields)[:_RULES] if len(failed) > 1 else []
    if close:
        well = sum(t.state in _WELL and all(within(t) for _, within in close) for t in trials)
        return f", close together: {', '.join(words for words, _ in close)}; {well} that ended well lie there, too"
    newest, first = failed[-1], trials[0]
    if newest.number == first.number:
        return ""
    differs = [n for n in fields if n in newest.params and _differs(n, newest, first)]
    values = [f"{fields[n].alias}={_value(fields[n], newest.params[n])}" for n in differs[:_VALUES]]
    values += [f"{len(differs) - _VALUES} more that differ from #{first.number}"] if len(differs) > _VALUES else []
    if not values:
        return ""
    words = ", ".join(values)
    return f", which has {words}" if len(failed) == 1 else f", not close together; #{newest.number} has {words}"


def _differs(name: str, one: Trial, other: Trial) -> bool:
    value = one.params[name]
    # 1, 1.0 and True are different choices.
    return name not in other.params or type(other.params[name]) is not type(value) or other.params[name] != value


def _close(failed: Sequence[Trial], trials: Sequence[Trial], fields: Mapping[str, Slot]) -> list[_Condition]:
    """Returns conditions in which trials that failed lie closer than chance would have them, the closest first."""
    found = []
    for name, slot in fields.items():
        bad, tried = ([t.params[name] for t in some if name in t.params] for some in (failed, trials))
        if len(bad) == len(failed):
            near = _close_choice if isinstance(slot.parameter, Categorical) else _close_range
            found += near(slot, bad, tried)
    return [condition for _, condition in sorted(found, key=lambda item: item[0])]


def _close_choice(slot: Slot, bad: Sequence[Value], tried: Sequence[Value]) -> list[tuple[float, _Condition]]:
    name, labels = slot.parameter.name, [slot.label(value) for value in tried]
    label = slot.label(bad[0])
    chance = (labels.count(label) / len(labels)) ** (len(bad) - 1)
    if any(slot.label(value) != label for value in bad) or chance > _CHANCE:
        return []
    return [
        (
            chance,
            (
                f"{slot.alias}={_value(slot, bad[0])}",
                lambda t: name in t.params and slot.label(t.params[name]) == label,
            ),
        )
    ]


def _close_range(slot: Slot, bad: Sequence[Value], tried: Sequence[Value]) -> list[tuple[float, _Condition]]:
    p = slot.parameter
    held, all_ = (sorted(v for v in vs if p.check(v) is None and isinstance(v, (int, float))) for vs in (bad, tried))
    if isinstance(p, Categorical) or len(held) < len(bad) or all_[0] == all_[-1]:
        return []
    low, high = held[0], held[-1]
    scale = math.log if p.log else float
    share = (scale(high) - scale(low)) / (scale(all_[-1]) - scale(all_[0]))
    # The mean width of n draws is (n - 1) / (n + 1) of the whole.
    if share > (len(bad) - 1) / (len(bad) + 1) / 2:
        return []
    span = figure(low, p) if low == high else f"{figure(low, p)}..{figure(high, p)}"
    words = f"{slot.alias} {span} (of {figure(all_[0], p)}..{figure(all_[-1], p)})"

    def within(trial: Trial) -> bool:
        value = trial.params.get(p.name)
        return isinstance(value, (int, float)) and low <= value <= high

    return [(share, (words, within))]


def _value(slot: Slot, value: Value) -> str:
    word = figure(value, slot.parameter) if isinstance(value, float) else slot.label(value)
    return word if len(word) <= _WORD else f"{word[: _WORD - 1]}…"


def failure_words(failure: Failure) -> str:
    """Returns the kind and the class of the exception; its message may hold paths, secrets or instructions."""
    found = _CLASS.match(one_line(failure.message, 100))
    name = found.group(1).rpartition(".")[2] if found else ""
    named = re.fullmatch(r"[A-Z]\w*(Error|Exception|Interrupt|Exit|Warning|Pruned)", name)
    return tidy(failure.kind, 40) + (f" ({name})" if named else "")


def _rules(failed: Sequence[Trial], well: Sequence[Trial], fields: Mapping[str, Slot]) -> Iterator[str]:
    """Yields conditions on one parameter that hold for all that failed and for none that ended well."""
    for name, slot in fields.items():
        if not all(name in t.params for t in failed):
            continue
        bad = [t.params[name] for t in failed]
        good = [t.params[name] for t in well if name in t.params]
        if isinstance(slot.parameter, Categorical):
            labels = {slot.label(value) for value in bad}
            if len(labels) == 1 and labels.isdisjoint(map(slot.label, good)):
                yield f"{slot.alias}={labels.pop()}"
            continue
        low, high = (pick(v for v in bad if isinstance(v, (int, float))) for pick in (min, max))
        known = [v for v in good if isinstance(v, (int, float))]
        # Without a trial on the other side nothing is separated.
        if known and max(known) < low:
            yield f"{slot.alias} >= {slot.label(low)}"
        elif known and min(known) > high:
            yield f"{slot.alias} <= {slot.label(high)}"
