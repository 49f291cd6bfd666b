"""What becomes of trials that fail: another attempt, an end of the sweep, and the sentences for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from neuropt_core.redact import redact
from neuropt_core.taxonomy import kind_of
from neuropt_core.trial import Failure, Outcome, Trial

ALIKE = 3
"""A study whose first trials, this many, all die of the same thing is ended: the rest would too."""
_LINES = 8


def discreet(outcome: Outcome, secrets: Sequence[str]) -> Outcome:
    """Returns an outcome without secrets: what a launcher, a scheduler or a killed job said is shown, kept and sent."""
    failure = None if outcome.failure is None else outcome.failure.redacted(secrets)
    return replace(outcome, failure=failure, reason=redact(outcome.reason, *secrets))


def how_to_mend(failure: Failure) -> str:
    """Returns what a person wants to see of such a failure: what to do, and the end of the traceback or of the log."""
    mend = kind_of(failure.kind).mend or "Mend the script; run it once without --multirun to see it fail."
    return "\n".join([f"{mend} The same command goes on.", *_last_lines(failure)])


def how_all_died(ended: Sequence[Trial]) -> str:
    """Returns what a person wants to see of trials that all died alike; "" if they did not."""
    failure = ended[-1].outcome.failure if all_alike(ended) and ended[-1].outcome is not None else None
    return "" if failure is None else how_to_mend(failure)


def all_alike(ended: Sequence[Trial]) -> str:
    """Returns why the study is to end since all its trials so far died alike; "" if they did not.

    Args:
        ended: The trials that this process has seen end, in any order, however many at a time; those of an earlier
            process do not count, since what they died of may have been mended.
    """
    marks = {_mark(trial) for trial in ended}
    outcome = ended[-1].outcome if ended else None
    if outcome is None or len(marks) != 1 or not outcome.ended_because:
        return ""
    searchable = outcome.failure is None or kind_of(outcome.failure.kind).avoidable
    if len(ended) < (2 * ALIKE if searchable else ALIKE):
        return ""
    return f"the first {len(ended)} trials all ended alike: {outcome.ended_because}"


def settled(failure: Failure, attempts: int, trial: Trial, others: Sequence[Trial]) -> Failure:
    """Returns a failure as it is told when its trial is not launched again.

    An import that fails each time under a choice that no trial with a score has made is that choice's fault. It is told
    as an ``exception``, from which advisors learn: else they would propose the choice for ever.
    """
    scored = [other for other in others if other.value is not None]
    choices = {name: v for name, v in trial.params.items() if v is None or isinstance(v, (bool, str))}
    new = any(all(other.params.get(name) != value for other in scored) for name, value in choices.items())
    own = failure.kind == "import_error" and bool(scored) and new
    message = f"{failure.message} (after {attempts} attempts)" if attempts > 1 else failure.message
    return replace(failure, kind="exception" if own else failure.kind, message=message)


def _mark(trial: Trial) -> tuple[str, str]:
    # The place of a traceback tells failures apart, since messages may hold numbers that change.
    outcome = trial.outcome
    if outcome is None or outcome.failure is None:
        return "", "" if outcome is None else outcome.reason
    return outcome.failure.kind, outcome.failure.place or outcome.failure.message


def _last_lines(failure: Failure) -> list[str]:
    """Returns the end of the traceback, or of what was printed.

    Before it the user's own last frame, if libraries have pushed it out.
    """
    lines = (failure.traceback or failure.log).splitlines()
    end = max(0, len(lines) - _LINES)
    frames = [i for i, line in enumerate(lines) if line.lstrip().startswith('File "')]
    own = [i for i in frames if "-packages" not in lines[i]]
    shown = [*lines[own[-1] : own[-1] + 2], "..."] if own and own[-1] < end else []
    return [f"  {line}" for line in (*shown, *lines[end:])]
