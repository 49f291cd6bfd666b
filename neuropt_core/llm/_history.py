"""What happened so far, one row a trial, as the prompt shows it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from neuropt_core.advice import Request
from neuropt_core.llm._text import one_line, tidy
from neuropt_core.llm.digest import digest
from neuropt_core.llm.schema import Slot, slots
from neuropt_core.trial import Trial, TrialState

_BEST, _LAST = 12, 24
_CLASS = re.compile(r"([A-Za-z_][\w.]{0,60}?)(?=:|\(|$|\s)")


def history(request: Request) -> str:
    """Returns the trials as rows: the user's own configuration in full, of the others what differs from it."""
    if not request.trials:
        return "No trial has run yet."
    fields = {slot.parameter.name: slot for slot in slots(request.space)}
    ranks = {t.number: place for place, t in enumerate(request.ranked, start=1)}
    shown = _shown(request)
    head = "Trials (number, who proposed it, what differs from trial #0, outcome, curve):"
    rows = [_row(t, request, fields, ranks) for t in shown]
    left_out = len(request.trials) - len(shown)
    if left_out:
        rows.append(f"... {left_out} more trials, neither among the {_BEST} best nor the {_LAST} latest")
    if ranks:
        best = request.ranked[0]
        rows.append(f"Best so far: #{best.number} with {best.value:.6g}")
    return "\n".join([head, *rows])


def _shown(request: Request) -> tuple[Trial, ...]:
    """Returns trial 0, the best, the latest and all that run, in the order of their numbers."""
    chosen = {t.number for t in (*request.trials[:1], *request.ranked[:_BEST], *request.trials[-_LAST:])}
    return tuple(t for t in request.trials if t.number in chosen or t.state is TrialState.RUNNING)


def _row(trial: Trial, request: Request, fields: Mapping[str, Slot], ranks: Mapping[int, int]) -> str:
    source = trial.proposal.source
    if trial.proposal.stands_in_for:
        source += f" (for {trial.proposal.stands_in_for})"
    parts = [f"#{trial.number} {source}", _params(trial, request.trials[0], fields)]
    outcome = trial.outcome
    if outcome is None:
        return " | ".join([*parts, "running"])
    if trial.value is not None:
        parts.append(f"score {trial.value:.6g}, rank {ranks[trial.number]}/{len(ranks)}")
    elif outcome.failure is not None:
        parts.append(f"failed: {tidy(outcome.failure.kind, 40)}{_exception(outcome.failure.message)}")
    else:
        parts.append(f"stopped early: {json.dumps(tidy(outcome.reason, 120), ensure_ascii=False)}")
    if len(trial.curve):
        parts.append(digest(trial.curve, request.spec.direction))
    return " | ".join(parts)


def _params(trial: Trial, first: Trial, fields: Mapping[str, Slot]) -> str:
    base: Mapping[str, object] = {} if trial is first else first.params
    changed = [
        f"{fields[name].alias}={fields[name].label(value)}"
        for name, value in trial.params.items()
        if name in fields and (name not in base or type(base[name]) is not type(value) or base[name] != value)
    ]
    return ", ".join(changed) or ("the user's own values" if trial is first else "nothing")


def _exception(message: str) -> str:
    """Returns the class that a message begins with; the rest may hold paths, secrets or instructions."""
    found = _CLASS.match(one_line(message, 100))
    name = found.group(1).rpartition(".")[2] if found else ""
    return f" ({name})" if re.fullmatch(r"[A-Z]\w*(Error|Exception|Interrupt|Exit|Warning|Pruned)", name) else ""
