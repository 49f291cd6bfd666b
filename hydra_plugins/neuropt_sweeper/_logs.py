"""Curves of trials whose scripts report none: taken from what they log for themselves."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from neuropt_core.curve import Curve
from neuropt_core.logged.follow import Follower
from neuropt_core.ticket import Ticket
from neuropt_core.trial import Outcome

_log = logging.getLogger(__name__)


class Logs:
    """Follows the logs of the trials that run, so that no file is read twice; nothing here can hurt the study."""

    def __init__(self) -> None:
        self._followers: dict[Path, Follower] = {}
        self._said: set[str] = set()

    def look(self, ticket: Ticket) -> bool:
        """Reads what is new in the logs of a job that runs; tells whether anything was."""
        return self._follower(ticket).look()

    def curve(self, ticket: Ticket) -> Curve:
        """Returns what its logs have told so far."""
        return self._follower(ticket).curve

    def completed(self, ticket: Ticket, outcome: Outcome) -> Outcome:
        """Returns what came of a job that has ended with a curve, if it reported none but has logged one."""
        follower = self._followers.pop(ticket.path, None) or Follower(ticket)
        if outcome.curve.points or not ticket.started_path.exists():
            return outcome
        try:
            curve = follower.finish()
            self._say(ticket.number, follower)
        except Exception as error:  # noqa: BLE001 - a trial without a curve is worth more than no sweep
            self._warn("", f"The curve of trial {ticket.number} is not known: {type(error).__name__}: {error}")
            return outcome
        return replace(outcome, curve=curve) if curve.points else outcome

    def _follower(self, ticket: Ticket) -> Follower:
        follower = self._followers.get(ticket.path)
        if follower is None:
            follower = self._followers[ticket.path] = Follower(ticket)
        return follower

    def _say(self, number: int, follower: Follower) -> None:
        for text in follower.said:
            self._warn(text, f"The curve of trial {number}, which does not call neuropt_core.report: {text}")

    def _warn(self, kind: str, text: str) -> None:
        if (kind or text) not in self._said:
            self._said.add(kind or text)
            _log.warning("%s", text)
