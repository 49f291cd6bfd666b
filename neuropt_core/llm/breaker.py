"""The circuit breaker: an LLM that fails again and again is left alone for a while, and then asked once more."""

from __future__ import annotations

from collections.abc import Sequence

from neuropt_core.advice import Consultation

PATIENCE = 3
"""Failures in a row after which calls are suspended; of one that will happen again, such as a wrong key, one.

An answer without a legal candidate is a failure: a model that never gives one costs two calls a trial, for nothing."""

_PAUSE, _LONGEST = 4, 32


def suspended_until(consulted: Sequence[Consultation]) -> int:
    """Returns the number of the trial from which on the LLM is asked again; 0 if it was never suspended.

    The first pause lasts for `_PAUSE` trials, and each failed attempt after it twice as long as the one before. A
    function of the history, so that a resumed study keeps the pause.

    Args:
        consulted: All exchanges of the study, oldest first.
    """
    asked = [c for c in consulted if c.kind != "not asked"]
    failures = 0
    for consultation in reversed(asked):
        if not consultation.failed:
            break
        failures += 1
    if not failures:
        return 0
    openings = failures - (1 if asked[-1].kind == "fatal" else PATIENCE) + 1
    if openings < 1:
        return 0
    # 2 ** 60 would be as good; the bound keeps the number small enough to be one.
    return asked[-1].number + int(min(_LONGEST, _PAUSE * 2 ** min(openings - 1, 8)))


def suspension(consulted: Sequence[Consultation], number: int) -> str:
    """Returns why the LLM is not asked for trial `number`, in words, or "" if it may be.

    Args:
        consulted: All exchanges of the study, oldest first.
        number: The first trial that a proposal is wanted for.
    """
    until = suspended_until(consulted)
    if number >= until:
        return ""
    last = next(c for c in reversed(consulted) if c.is_call)
    how = "no legal candidate" if last.kind == "answered" else last.kind
    return f"left alone until trial {until} after a call that failed ({how})"
