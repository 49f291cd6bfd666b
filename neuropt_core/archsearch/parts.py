"""The parts of a search, put together once and handed to the loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neuropt_core.advice import Advisor
from neuropt_core.archsearch.subject import Subject
from neuropt_core.budget import Limits
from neuropt_core.pruning import Pruning
from neuropt_core.sinks.base import Sink
from neuropt_core.spending import Price
from neuropt_core.study import Study
from neuropt_core.trial import Proposal


@dataclass(frozen=True, slots=True)
class Parts:
    """What a search works with.

    Attributes:
        study: Kept in `folder`.
        advisor: Who proposes.
        subject: What is searched.
        train_fn: The user's function.
        folder: Where the study lies, absolute.
        sinks: Who is told.
        goal: How many trials there shall be in all; None for no end.
        interrupted: Whether the user has asked to end.
        say: Shows a line.
        batch_size: Proposals asked for at a time.
        device: Handed on as ``config["device"]``.
        timeout: Seconds that a trial may take; None for any time.
        pruning: When trials that report are stopped.
        limits: What the study may use beside its trials.
        max_failure_rate: The share of the trials that may fail.
        replicates: The share kept for running the best again.
        price: The user's own of the LLM.
        again: What is tried right after trial 0: the best of an earlier study, if there is one.
    """

    study: Study
    advisor: Advisor
    subject: Subject
    train_fn: Callable[[dict[str, Any]], Any]
    folder: Path
    sinks: tuple[Sink, ...]
    goal: int | None
    interrupted: Callable[[], bool]
    say: Callable[[str], None]
    batch_size: int = 1
    device: object = None
    timeout: float | None = None
    pruning: Pruning = field(default_factory=Pruning)
    limits: Limits = field(default_factory=Limits)
    max_failure_rate: float = 0.5
    replicates: float = 0.0
    price: Price | None = None
    again: Proposal | None = None
