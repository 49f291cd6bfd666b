"""What a training loop says after each epoch, and where it learns that it should stop."""

from __future__ import annotations

import functools
import json
import operator
import time
from pathlib import Path
from typing import Any

from neuropt_core.curve import Curve, Point
from neuropt_core.errors import ConfigError, TrialPruned
from neuropt_core.stopping import StopRule
from neuropt_core.ticket import Ticket


def report(step: int, **metrics: float) -> None:
    """Reports one point of the training curve; outside a sweep only checks that it is one.

    Args:
        step: The epoch, or whatever the job counts, from 0.
        **metrics: What was measured there, e.g. ``val_loss=0.52``: numbers, or anything of one element with ``item()``
            (tensors, numpy scalars). May be nan or infinite, which by default ends the trial.

    Raises:
        ConfigError: The step is no whole number of 0 or more, or a metric is no number.
        TrialPruned: The trial should stop here; let it pass through the training code.
    """
    checked = _step(step), {name: _number(name, value) for name, value in metrics.items()}
    if not metrics:
        raise ConfigError("neuropt_core.report", "needs at least one metric, e.g. val_loss=0.5")
    ticket = Ticket.current()
    if ticket is None:
        return
    job = _job(ticket.path, ticket.attempt)
    point = Point(*checked, seconds=time.monotonic() - job.began)
    job.points.append(point)
    ticket.append(point)
    reason = job.rule(ticket).judge(Curve(tuple(job.points)))
    if reason is None and ticket.stop_path.exists():
        reason = ticket.stop_path.read_text(encoding="utf-8").strip() or "the sweep asked it to stop"
    if reason is not None:
        ticket.stop(reason)
        raise TrialPruned(reason)


class _Job:
    """One attempt at one trial, as this process has seen it."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.points: list[Point] = []
        self._newer: StopRule | None = None
        self._seen: tuple[int, int, int] | None = None

    def rule(self, ticket: Ticket) -> StopRule:
        """Returns the newest rule: the ticket's, until the sweeper leaves another one beside it."""
        try:
            status = ticket.rule_path.stat()
            seen = (status.st_mtime_ns, status.st_ino, status.st_size)
            if seen != self._seen:
                self._newer = StopRule.from_json(json.loads(ticket.rule_path.read_text(encoding="utf-8")))
                self._seen = seen
        except (OSError, ValueError, KeyError, TypeError):
            pass  # Absent, or on its way over a network's disk: what was known before holds, and the next report looks.
        return ticket.rule if self._newer is None else self._newer


@functools.lru_cache(maxsize=4)
def _job(ticket: Path, attempt: int) -> _Job:
    # Hydra's basic launcher runs all trials in one process: what a job remembers is filed under its own ticket, and
    # the cache forgets the jobs before. Reading the curve back from disk at every step would cost quadratic time.
    return _Job()


def _step(step: Any) -> int:
    try:
        whole = operator.index(step)
    except TypeError:
        whole = -1
    if whole < 0 or isinstance(step, bool):
        raise ConfigError("neuropt_core.report: step", "must be a whole number of 0 or more", got=step)
    return whole


def _number(name: str, value: Any) -> float:
    rule = "must be one number"
    if isinstance(value, (str, bytes, bool)) or value is None:
        raise ConfigError(f"neuropt_core.report: {name}", rule, got=value)
    try:
        return float(value.item() if hasattr(value, "item") else value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise ConfigError(f"neuropt_core.report: {name}", rule, got=value) from None
