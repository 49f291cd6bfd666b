"""Failures folded into rules: a parameter whose value separates them from every trial that ended well is named."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from neuropt_core.advice import Request
from neuropt_core.llm._scores import numbers
from neuropt_core.llm._text import one_line, tidy
from neuropt_core.llm.schema import Slot
from neuropt_core.space import Categorical
from neuropt_core.trial import Failure, Trial, TrialState

_CLASS = re.compile(r"([A-Za-z_][\w.]{0,60}?)(?=:|\(|$|\s)")
_ENOUGH_WELL = 3
_RULES = 3


def failures(request: Request, fields: Mapping[str, Slot]) -> list[str]:
    """Returns a line for every kind of failure, the most frequent first; empty if no trial failed."""
    well = [t for t in request.trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    groups: dict[str, list[Trial]] = {}
    for trial in request.trials:
        if trial.outcome is not None and trial.outcome.failure is not None:
            groups.setdefault(failure_words(trial.outcome.failure), []).append(trial)
    lines = []
    for words, failed in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        count = "1 trial" if len(failed) == 1 else f"{len(failed)} trials"
        rules = list(_rules(failed, well, fields)) if len(failed) > 1 and len(well) >= _ENOUGH_WELL else []
        line = f"{words}: {count} ({numbers(failed)})"
        if rules:
            more = f", or {len(rules) - _RULES} rules more" if len(rules) > _RULES else ""
            line += f", all with {', or '.join(rules[:_RULES])}{more}, where no trial ended well"
        lines.append(line)
    return lines


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
