"""Whose fault a failed attempt at a trial was, and how often trials were launched again for a machine's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from neuropt_core.taxonomy import kind_of
from neuropt_core.trial import Failure, Outcome, Trial

STOPPED = "the sweep was stopped"
"""How the reason begins of a trial that had to stop with its sweep: it stays open and is launched again."""


def is_own(failure: Failure) -> bool:
    """Tells whether a trial ended because its sweep was stopped: no attempt is used up by that."""
    return failure.kind == "preempted" and failure.message.startswith(STOPPED)


def is_the_users(number: int, failure: Failure | None) -> bool:
    """Tells whether a trial's failure shows that no trial can run: then it stays open until that is mended."""
    kind = None if failure is None else kind_of(failure.kind)
    return kind is not None and (kind.alike or (number == 0 and bool(kind.mend)))


def ends_at_once(number: int, failure: Failure) -> bool:
    """Tells whether another attempt would fail alike: what trial 0 asks for is a setting or the script's own doing."""
    kind = kind_of(failure.kind)
    return number == 0 and is_the_users(number, failure) and (kind.alike or not failure.says_nothing)


def faults(number: int, retried: Iterable[Outcome]) -> int:
    """Returns for how many of a trial's attempts a machine was at fault, and neither a person nor a sweep's end."""
    failures = [outcome.failure for outcome in retried if outcome.failure is not None]
    return sum(1 for failure in failures if not is_own(failure) and not ends_at_once(number, failure))


def relaunched(
    retried: Mapping[int, tuple[Outcome, ...]], trials: Iterable[Trial], in_flight: Callable[[int], bool]
) -> dict[int, int]:
    """Returns how often trials were launched again since a machine, and not the end of a sweep, was at fault.

    Args:
        retried: Trial number -> what came of its attempts that were not told.
        trials: All trials.
        in_flight: Tells of a number whether the trial's last launch has neither been told nor given up.
    """
    open_ones = {trial.number for trial in trials if trial.outcome is None}
    counts = {}
    for number, outcomes in retried.items():
        waits = number in open_ones and not in_flight(number)
        counts[number] = faults(number, outcomes[:-1] if waits else outcomes)
    return {number: count for number, count in counts.items() if count}
