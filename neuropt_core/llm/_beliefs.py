"""Beliefs in words: the user's beside the parameter, the model's own beside what the trials say now."""

from __future__ import annotations

import json
from collections.abc import Mapping

from neuropt_core.advice import Request
from neuropt_core.card import Belief
from neuropt_core.figures import figure
from neuropt_core.llm._scores import Scores
from neuropt_core.llm._text import cut, tidy
from neuropt_core.llm.schema import Slot
from neuropt_core.space import Categorical, Value

_WORD = 32
_RISK = 120
_CHOICES = 5

HEADER = "Your space card, written before the trials (what you believed; what the best quarter of the trials says):"


def hint_words(belief: Belief, slot: Slot, choices: int, letters: int) -> str:
    """Returns what a user believes, e.g. ``0.0001..0.01, likeliest 0.001 ("as in the paper")``; "" if nothing.

    Args:
        belief: What the user believes.
        slot: Of the parameter.
        choices: The most choices that are named.
        letters: The most letters of the user's own words, which are data.
    """
    words = _words(belief, slot, choices)
    said = [json.dumps(tidy(text, letters), ensure_ascii=False) for text in (belief.why, belief.risk) if text.strip()]
    if said and letters:
        words = f"{words} ({', '.join(said)})" if words else ", ".join(said)
    return words


def card_lines(request: Request, fields: Mapping[str, Slot], scores: Scores) -> list[str]:
    """Returns a line for each belief of the model's own card, those that the trials speak against first."""
    card = request.card
    if card is None or card.source != "llm":
        return []
    lines = []
    e = card.expected
    if e is not None:
        line = f"you expected {e.p10:.4g} / {e.p50:.4g} / {e.p90:.4g} of a good configuration"
        best = scores.ranked[0].value if scores.ranked else None
        if best is not None:
            side = "below p10" if best < e.p10 else "above p90" if best > e.p90 else "within"
            line += f"; the best is {best:.4g}, {side}"
        lines.append((0.0, line))
    for name, slot in fields.items():
        belief = card.beliefs.get(name)
        if belief is None or not (words := _words(belief, slot, _CHOICES)):
            continue
        good = [t.params[name] for t in scores.ranked if scores.best_quarter(t.number) and name in t.params]
        inside = sum(_inside(belief, slot, value) for value in good)
        line = f"{slot.alias}: {words}"
        if good:
            line += f"; {inside} of {len(good)} inside"
        if belief.risk:
            line += f"; risk {json.dumps(tidy(belief.risk, _RISK), ensure_ascii=False)}"
        lines.append((inside / len(good) if good else 1.0, line))
    return [line for _, line in sorted(lines, key=lambda item: item[0])]


def _words(belief: Belief, slot: Slot, choices: int) -> str:
    if belief.likely:
        more = f" and {len(belief.likely) - choices} more" if len(belief.likely) > choices else ""
        return ", then ".join(_shown(slot, value) for value in belief.likely[:choices]) + more
    parts = []
    if belief.low is not None or belief.high is not None:
        ends = [figure(end, slot.parameter) if end is not None else "" for end in (belief.low, belief.high)]
        parts.append("..".join(ends))
    if belief.mode is not None:
        parts.append(f"likeliest {_shown(slot, belief.mode)}")
    return ", ".join(parts)


def _inside(belief: Belief, slot: Slot, value: Value) -> bool:
    if isinstance(slot.parameter, Categorical):
        return any(type(value) is type(choice) and value == choice for choice in belief.likely or (belief.mode,))
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    low, high = belief.low, belief.high
    return (low is None or low <= value) and (high is None or value <= high)


def _shown(slot: Slot, value: Value) -> str:
    return cut(figure(value, slot.parameter) if isinstance(value, float) else slot.label(value), _WORD)
