"""What a training loop says after each epoch, and where it learns that it should stop."""

from __future__ import annotations

import functools
import json
import operator
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neuropt_core.curve import Point
from neuropt_core.errors import ConfigError, TrialPruned
from neuropt_core.runtime.ranks import Follower, global_rank
from neuropt_core.stopping import StopRule
from neuropt_core.ticket import Ticket


def report(step: int, **metrics: float) -> None:
    """Reports one point of the training curve; outside a sweep only checks that it is one.

    Where several processes train together (DDP), the first rank's points are kept; when that one is told to stop at a
    step, the others are at the same step, if they report it too.

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
    if global_rank():
        reason = _follower(ticket.path, ticket.attempt).verdict(ticket, checked[0])
    else:
        reason = _job(ticket.path, ticket.attempt).add(ticket, *checked)
    if reason is not None:
        raise TrialPruned(reason)


def forget() -> None:
    """Forgets what this process has reported, so that the next report reads the disk; called where a job begins."""
    _job.cache_clear()
    _follower.cache_clear()


class _Job:
    """One attempt at one trial, as the process has seen it that reports."""

    def __init__(self, ticket: Ticket) -> None:
        ticket.cut_torn()
        self.joining = ticket.joining()
        newest = ticket.start()
        self._start = newest.number if newest is not None else 0
        self._origin = ticket.attempt, self._start
        # What a later start adds to the seconds of what it goes on from: loading and training since it began.
        goes_on = newest is not None and self._origin != self.joining.origin
        self._ahead = max(0.0, time.time() - newest.time) if newest is not None and goes_on else 0.0
        self._began: float | None = None
        self._newer: StopRule | None = None
        self._seen: tuple[int, int, int] | None = None

    def add(self, ticket: Ticket, step: int, metrics: Mapping[str, float]) -> str | None:
        """Appends a point to the curve; returns why the job is to stop there, None if it goes on."""
        now = time.monotonic()
        if self._began is None:
            self.joining.begin(self._origin, step)
            kept = len(self.joining.curve) > 0
            self._began = now - (self.joining.seconds + self._ahead if kept else 0.0)
        point = Point(step, metrics, seconds=now - self._began)
        self.joining.add(self._origin, point)
        reason = self._judge(ticket)
        if reason is not None:
            ticket.stop(reason)
        ticket.append(point, self._start, reason)
        return reason

    def _judge(self, ticket: Ticket) -> str | None:
        if ticket.is_superseded():
            # Its checkpoints are the newer attempt's by now: two writers would spoil them.
            return f"attempt {ticket.attempt + 1} at this trial was launched meanwhile"
        if (reason := self.rule(ticket).judge(self.joining.curve)) is not None:
            return reason
        if not ticket.stop_path.exists():
            return None
        return ticket.stop_path.read_text(encoding="utf-8").strip() or "the sweep asked it to stop"

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
def _job(path: Path, attempt: int) -> _Job:
    # Hydra's basic launcher runs all trials in one process: what a job remembers is filed under its own ticket, and
    # the cache forgets the jobs before. Reading the curve back from disk at every step would cost quadratic time.
    return _Job(Ticket.read(path))


@functools.lru_cache(maxsize=4)
def _follower(path: Path, attempt: int) -> Follower:
    return Follower()


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
