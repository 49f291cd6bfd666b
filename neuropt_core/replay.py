"""What a study's journal yields: the state after each of its records. Nothing here writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from neuropt_core.advice import Consultation, Rejection
from neuropt_core.card import SpaceCard
from neuropt_core.changes import Era, Setup, fit
from neuropt_core.earlier import fitted, from_journal
from neuropt_core.errors import StudyError
from neuropt_core.journal import many_objects
from neuropt_core.space import SearchSpace
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Outcome, Proposal, Trial


class Replay:
    """The state of a study, changed by `take` alone: records that are read and records that are written alike."""

    def __init__(self, first: Mapping[str, Any]) -> None:
        """Takes the record with which the study begins."""
        self.spec = StudySpec.from_json(first["spec"])
        self.setup = Setup.from_json(first)
        self.earlier = from_journal(first.get("earlier", ()))
        self.trials: dict[int, Trial] = {}
        self.attempts: dict[int, int] = {}
        self.handles: dict[int, Mapping[str, Any]] = {}
        self.folders: dict[int, PurePath] = {}
        self.overrides: dict[int, tuple[str, ...]] = {}
        self.about: dict[str, Any] = {}
        self.retried: dict[int, tuple[Outcome, ...]] = {}
        self.settled: dict[int, int] = {}
        self.seconds = 0.0
        self.last: float | None = None
        self.consulted: list[Consultation] = []
        self.rejected: list[Rejection] = []
        self.card: SpaceCard | None = None
        self._eras = [Era(self.spec.space, self.setup)]
        self._era_of: dict[int, int] = {}
        self._in_order: tuple[Trial, ...] | None = None
        self._current: tuple[Trial, ...] | None = None

    @property
    def in_order(self) -> tuple[Trial, ...]:
        """All trials in the order of their numbers."""
        if self._in_order is None:  # Kept between changes: a sweep looks at all trials several times for each one.
            self._in_order = tuple(self.trials[number] for number in sorted(self.trials))
        return self._in_order

    @property
    def current(self) -> tuple[Trial, ...]:
        """The trials that are points of the present space; after a change the user's own configuration comes first."""
        if len(self._eras) == 1:
            return self.in_order
        if self._current is None:
            found = [t for trial in self.in_order if (t := self.fitted(trial.number)) is not None]
            numbers = {t.number for t in found}
            own = [t.number for t in found if self._is_own(t)][-1:]
            kept = [_with_parent(t, numbers) for t in found if not _orphaned(t, numbers)]
            self._current = tuple(sorted(kept, key=lambda t: (t.number not in own, t.number)))
        return self._current

    @property
    def has_own(self) -> bool:
        """Whether the user's own configuration, as it stands now, is among the trials."""
        return bool(self.trials) if len(self._eras) == 1 else any(map(self._is_own, self.current))

    def fitted(self, number: int) -> Trial | None:
        """Returns a trial as a point of the present space; None if it is none."""
        trial, era = self.trials[number], self._era_of[number]
        return trial if era == len(self._eras) - 1 else fit(trial, self._eras[era], self._eras[-1])

    def in_flight(self, number: int) -> bool:
        """Whether the last launch of a trial has neither been told nor given up for another attempt."""
        return number in self.attempts and self.settled.get(number) != self.attempts[number]

    def take(self, record: Mapping[str, Any]) -> None:
        """Changes the state by one record."""
        number, op = record.get("number", -1), record["op"]
        self._in_order = self._current = None
        self._pass(record)
        if op == "ask":  # Of a trial that is asked before, in another space, what it is now.
            self.trials[number] = Trial(number, Proposal.from_json(record["proposal"]))
            self._era_of[number] = len(self._eras) - 1
        elif op == "consult":
            self.consulted.append(Consultation.from_json(record))  # Without the texts, as after a resume.
        elif op == "reject":
            self.rejected.append(Rejection.from_json(record))
        elif op == "session":
            self.about |= {name: value for name, value in record.items() if name not in ("op", "time")}
            # Of an advice that no trial came of the study asks anew, as if nothing of it had been put aside.
            self.rejected = [r for r in self.rejected if r.number < len(self.trials)]
        elif op == "card":
            self.card = SpaceCard.from_json(record["card"])
        elif op == "launch":
            self._launch(number, record)
        elif op == "submit":
            self.handles[number] = record["handle"]
        elif op == "retry":
            self.retried[number] = (*self.retried.get(number, ()), Outcome.from_json(record["outcome"]))
            self.settled[number] = record["attempt"]
        elif op == "tell":
            self.trials[number] = replace(self.trials[number], outcome=Outcome.from_json(record["outcome"]))
        elif op == "changed":
            self._change(record)

    def _launch(self, number: int, record: Mapping[str, Any]) -> None:
        self.attempts[number] = record["attempt"]
        self.handles.pop(number, None)
        self.folders.pop(number, None)
        if "folder" in record:
            self.folders[number] = PurePath(record["folder"])
        if "overrides" in record:
            self.overrides[number] = tuple(record["overrides"])

    def _pass(self, record: Mapping[str, Any]) -> None:
        now = record.get("time")  # Older journals tell no time.
        if now is not None:
            paused = record["op"] in ("session", "changed")  # Both are written when a sweeper begins.
            self.seconds += 0.0 if paused or self.last is None else max(0.0, now - self.last)
            self.last = now

    def _change(self, record: Mapping[str, Any]) -> None:
        """Takes another space, config and so on; whatever is not legal in them is no longer shown to advisors."""
        self.spec, self.setup = StudySpec.from_json(record["spec"]), Setup.from_json(record)
        before, space = self._eras[-1].space, self.spec.space
        self._eras.append(Era(space, self.setup))
        self.rejected = [r for r in self.rejected if not space.check(r.proposal.params)]
        self.earlier = tuple(t for trial in self.earlier if (t := fitted(trial, space)) is not None)
        self.card = None if self.card is None else _of_card(self.card, before, space)

    def _is_own(self, trial: Trial) -> bool:
        return trial.proposal.source == "default" and trial.params == self.spec.space.defaults()


def replayed(records: Sequence[Mapping[str, Any]], path: str) -> Replay:
    """Returns the state that a journal's records yield.

    Raises:
        StudyError: One of them is no record of a study; the text says which line of the file it is.
    """
    line = 1
    try:
        state = Replay(records[0])
        with many_objects():
            for record in records[1:]:
                line += 1
                state.take(record)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        rule = f"cannot be read as a record of a study ({type(error).__name__}: {error})"
        raise StudyError(f"{path}, line {line}", rule, mend="Mend or move the journal; nothing was launched.") from None
    return state


def _of_card(card: SpaceCard, before: SearchSpace, space: SearchSpace) -> SpaceCard:
    """Returns what of a card still holds: beliefs of parameters that are as they were, and legal configurations."""
    same = {name for name in space.names if name in before and before[name] == space[name]}
    return replace(
        card,
        beliefs={name: belief for name, belief in card.beliefs.items() if name in same},
        portfolio=tuple(p for p in card.portfolio if not space.check(p.params)),
    )


def _orphaned(trial: Trial, numbers: set[int]) -> bool:
    return trial.proposal.source == "replicate" and trial.proposal.parent not in numbers


def _with_parent(trial: Trial, numbers: set[int]) -> Trial:
    parent = trial.proposal.parent
    if parent is None or parent in numbers:
        return trial
    return replace(trial, proposal=replace(trial.proposal, parent=None))
