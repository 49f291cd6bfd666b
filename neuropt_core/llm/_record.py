"""The record of those who propose: how their trials ranked, and how far the model's own expectations were off.

A model's stated confidence is not used as a weight anywhere; telling it how its intervals held is the use that is made
of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from neuropt_core import expectations
from neuropt_core.advice import Request
from neuropt_core.llm._scores import Scores, quantile
from neuropt_core.trial import INTENTS, SOURCES, Trial, TrialState

_LAST = 12
_LEAST = 3


def record(request: Request, scores: Scores) -> list[str]:
    """Returns the lines of the record; empty until a trial that was proposed, and not given, has ended."""
    lines = []
    for source in SOURCES:
        done = [t for t in request.trials if t.proposal.source == source and t.teaches]
        if source != "default" and done:
            who = "you (llm)" if source == "llm" else source
            lines.append(f"{who}: {_standing(done, scores)}")
            if source == "llm" and len(done) > _LAST:
                lines.append(f"you, last {_LAST}: {_standing(done[-_LAST:], scores)}")
    own = [t for t in request.trials if t.proposal.source == "llm"]
    by_intent = _intents(own, {t.number: t for t in request.trials}, scores)
    if by_intent:
        lines.append(f"yours that beat their parent: {by_intent}")
    held = calibration(own, scores)
    if held:
        lines.append(held)
    return lines


def _standing(done: Sequence[Trial], scores: Scores) -> str:
    scored = [t for t in done if t.value is not None]
    counts = [
        (sum(t.state is state for t in done), word)
        for state, word in ((TrialState.FAIL, "failed"), (TrialState.PRUNED, "stopped early"))
    ]
    words = f"{len(done)} ended"
    if scored:
        best = sum(scores.best_quarter(t.number) for t in scored)
        middle = quantile([scores.ranks[t.number] for t in scored], 0.5)
        words += f", {best} of {len(scored)} scores in the best quarter, median rank {middle:g} of {len(scores.ranks)}"
    return ", ".join([words, *(f"{count} {word}" for count, word in counts if count)])


def _intents(own: Sequence[Trial], trials: dict[int, Trial], scores: Scores) -> str:
    """Returns ``repair 3 of 5, ...``: a trial without a score did not beat its parent."""
    parts = []
    for intent in INTENTS:
        tried = [
            (t.value, trials[t.proposal.parent].value)
            for t in own
            if t.proposal.intent == intent and t.teaches and t.proposal.parent in trials
        ]
        pairs = [(value, before) for value, before in tried if before is not None]
        if pairs:
            won = sum(value is not None and scores.sign * value < scores.sign * before for value, before in pairs)
            parts.append(f"{intent} {won} of {len(pairs)}")
    return ", ".join(parts)


def calibration(own: Sequence[Trial], scores: Scores) -> str:
    """Says how the expectations of `own` held, over all that were stated and scored; "" if they are too few."""
    held = expectations.calibration(own, "minimize" if scores.sign > 0 else "maximize")
    if held is None or held.stated < _LEAST:
        return ""
    words = f"your expectations: {held.inside} of {held.stated} scores lay within p10..p90, where 8 in 10 should"
    if not scores.spread:
        return words
    bias, miss = held.bias / scores.spread, held.miss / scores.spread
    side = "too optimistic" if bias > 0 else "too pessimistic"
    return (
        f"{words}; p50 {side} by {abs(bias):.2g}, and off by {miss:.2g} either way, in units of the scores' "
        "interquartile range (medians)"
    )


def outside(trial: Trial) -> float:
    """Returns how far a score lies outside its p10..p90; 0 within, or where none was expected."""
    expected = trial.proposal.predicted
    if trial.value is None or expected is None:
        return 0.0
    return max(expected.p10 - trial.value, trial.value - expected.p90, 0.0)
