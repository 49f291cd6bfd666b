"""Trials and requests in a few words, for tests of what a prompt tells of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from neuropt_core.advice import Consultation, Request
from neuropt_core.curve import Curve, Point
from neuropt_core.objectives import Direction
from neuropt_core.space import SearchSpace, Value
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Failure, Outcome, Proposal, Trial, TrialState


def curve_of(val: Sequence[float], train: Sequence[float] = ()) -> Curve:
    """Returns a curve of ``val_loss``, and ``train_loss`` if it is given."""
    return Curve(
        tuple(
            Point(step, {**({"train_loss": train[step]} if train else {}), "val_loss": value})
            for step, value in enumerate(val)
        )
    )


def trial(number: int, params: Mapping[str, Value], outcome: Outcome | None = None, **said: Any) -> Trial:
    """Returns a trial; `said` goes to its proposal, whose source is ``llm`` if nothing else is said."""
    return Trial(number, Proposal(params, "Because.", **{"source": "llm", **said}), outcome)


def scored(value: float, curve: Curve | None = None) -> Outcome:
    """Returns the outcome of a trial that ended well."""
    return Outcome(TrialState.COMPLETE, value, curve or Curve())


def failed(kind: str = "out_of_memory", message: str = "torch.OutOfMemoryError: secret") -> Outcome:
    """Returns the outcome of a trial that failed."""
    return Outcome(TrialState.FAIL, failure=Failure(kind, message))


def pruned(reason: str = "hopeless") -> Outcome:
    """Returns the outcome of a trial that was stopped early."""
    return Outcome(TrialState.PRUNED, reason=reason)


def request_of(
    space: SearchSpace,
    trials: Sequence[Trial],
    direction: Direction = "minimize",
    consulted: tuple[Consultation, ...] = (),
    count: int = 2,
) -> Request:
    """Returns a request after `trials`, with a budget of 100."""
    return Request(StudySpec("s", space, direction), tuple(trials), len(trials), count, 100, consulted)
