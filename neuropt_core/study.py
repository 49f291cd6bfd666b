"""The study: numbers trials, keeps the journal, knows the best. Resumed by replaying the journal."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from types import MappingProxyType
from typing import Any

from neuropt_core.advice import Advice, Consultation, Rejection, Request
from neuropt_core.changes import Setup, differences, in_words
from neuropt_core.earlier import to_journal
from neuropt_core.errors import StudyError
from neuropt_core.journal import Journal
from neuropt_core.replay import replayed
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Outcome, Proposal, Trial


class Study:
    """Ask, tell, best. Every change is in the journal before it is acted upon."""

    def __init__(
        self,
        spec: StudySpec,
        journal: Journal,
        earlier: tuple[Trial, ...] = (),
        clock: Callable[[], float] = time.time,
        *,
        setup: Setup | None = None,
        force: bool = False,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        """Begins a study, or goes on with the one in the journal.

        Args:
            spec: What defines it.
            journal: Where it is kept.
            earlier: The trials of the study from which the user starts warm.
            clock: Seconds since some moment that all sessions share, for the budgets; nothing else depends on it.
            setup: What else makes its trials what they are; None where that is not known.
            force: Whether a study that goes on takes what has changed since, but for its objectives. One in which no
                trial has ended, or may be running, takes it in any case: nothing would be mixed.
            about: What else people want to be told of the study, plain data: ``n_trials``, ``advisor``, ``command``.

        They are kept in the journal; a study that goes on has those with which it began, whatever is handed over.

        Raises:
            StudyError: The journal holds a study that differs (`changes.differences`), and that is not forced.
        """
        self._journal, self._clock = journal, clock
        self.taken: tuple[str, ...] = ()
        """The differences that this session has taken over."""
        records = journal.records()
        setup = setup or Setup()
        if not records:
            warm = {"earlier": to_journal(earlier)} if earlier else {}
            first = {"op": "study", "version": 1, "spec": spec.to_json(), **setup.to_json(), **warm}
            journal.append(first)
            records = [first]
        self._state = state = replayed(records, str(journal.path))
        said = differences(state.spec, state.setup, spec, setup)
        if said:
            begun = bool(self.finished) or any(self.in_flight(trial.number) for trial in self.trials)
            _refuse(said, state.spec, spec, journal, force or not begun)
            spec = replace(spec, name=state.spec.name)
            setup = setup if setup.config is not None else state.setup
            self._record({"op": "changed", "spec": spec.to_json(), **setup.to_json(), "differences": list(said)})
            self.taken = said
        else:
            state.spec = replace(spec, name=state.spec.name, profile=state.spec.profile)
        self._record({"op": "session", **(about or {})})
        last = state.consulted[-1] if state.consulted else None
        number, place = len(state.trials), len(state.consulted)
        # Whoever begins again has perhaps mended the key: what failed before says nothing about the next call. And of
        # an answer that no trial came of, a replay has to know that it was left.
        if last and last.kind != "resumed" and (last.failed or last.kind == "not asked" or last.number == number):
            self.consult(Consultation(model="", number=number, kind="resumed", place=place))

    @property
    def spec(self) -> StudySpec:
        """What defines the study."""
        return self._state.spec

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials in the order of their numbers."""
        return self._state.in_order

    @property
    def current(self) -> tuple[Trial, ...]:
        """The trials that advisors see: all, unless the study was changed; then those that fit what it is now.

        Their values are those of the present parameters, and the user's own configuration comes first.
        """
        return self._state.current

    @property
    def has_own(self) -> bool:
        """Whether the user's own configuration, as it stands now, is among the trials."""
        return self._state.has_own

    def fitted(self, number: int) -> Trial | None:
        """Returns a trial as a point of the present space; None if it is none, since the study was changed."""
        return self._state.fitted(number)

    @property
    def finished(self) -> tuple[Trial, ...]:
        """The trials that have an outcome."""
        return tuple(t for t in self.trials if t.outcome is not None)

    @property
    def best(self) -> Trial | None:
        """The trial with the best score of those that fit the study as it is now; None before the first score."""
        return next(iter(self.spec.ranked(self.current)), None)

    @property
    def baseline(self) -> Trial | None:
        """Trial 0, the user's own configuration, once it was asked."""
        return self._state.trials.get(0)

    @property
    def consulted(self) -> tuple[Consultation, ...]:
        """All exchanges with an LLM, oldest first, without their texts."""
        return tuple(self._state.consulted)

    @property
    def rejected(self) -> tuple[Rejection, ...]:
        """The legal proposals that were not tried, oldest first."""
        return tuple(self._state.rejected)

    @property
    def config(self) -> Mapping[str, Any]:
        """The user's config as `Setup.config` holds it; empty where it is not known."""
        return MappingProxyType(dict(self._state.setup.config or {}))

    @property
    def folders(self) -> Mapping[int, PurePath]:
        """Trial number -> where its last attempt leaves its files, as it was launched."""
        return MappingProxyType(self._state.folders)

    @property
    def earlier(self) -> tuple[Trial, ...]:
        """The trials of the warm start with which the study began."""
        return self._state.earlier

    @property
    def seconds(self) -> float:
        """How long sweepers have worked on the study, in seconds of the wall clock, without the pauses between them.

        Of a sweeper that was killed, what came after its last record is not known and not counted.
        """
        return self._state.seconds + (0.0 if self._state.last is None else max(0.0, self._clock() - self._state.last))

    @property
    def retried(self) -> Mapping[int, tuple[Outcome, ...]]:
        """Trial number -> what came of its attempts that were not told, since a machine was at fault."""
        return MappingProxyType(self._state.retried)

    def request(self, *, count: int, n_trials: int) -> Request:
        """Returns all that an advisor may know now."""
        return Request(
            self.spec,
            self.current,
            len(self._state.trials),
            count,
            n_trials,
            self.consulted,
            rejected=tuple(self._state.rejected),
            card=self._state.card,
            earlier=self._state.earlier,
        )

    def note(self, advice: Advice) -> None:
        """Keeps what an advice holds beside its proposals and consultations: rejections, and a space card."""
        if advice.card is not None:
            self._record({"op": "card", "card": advice.card.to_json()})
        for rejection in advice.rejected:
            self._record({"op": "reject", **rejection.to_json()})

    def consult(self, consultation: Consultation) -> None:
        """Keeps what came of an exchange with an LLM; its texts are the transcript's."""
        self._record({"op": "consult", **consultation.to_json()})

    def ask(self, proposal: Proposal) -> Trial:
        """Numbers a proposal and journals it; only then may it be launched.

        Raises:
            StudyError: The proposal is not legal in the space (the user's own configuration always is), or it is a
                replicate of nothing.
        """
        if proposal.source == "replicate":
            repeated = next((t for t in self.current if t.number == proposal.parent), None)
            if repeated is None or repeated.params != proposal.params:
                raise StudyError(f"trial {len(self._state.trials)}", "must repeat a trial", got=proposal.parent)
        elif proposal.source != "default":
            violations = self.spec.space.check(proposal.params)
            if violations:
                raise StudyError(f"trial {len(self._state.trials)}", "; ".join(map(str, violations)))
        trial = Trial(len(self._state.trials), proposal)
        self._record({"op": "ask", "number": trial.number, "proposal": proposal.to_json()})
        return trial

    def ask_again(self, number: int) -> Trial | None:
        """Makes a trial that never ended what it is in the present space, before it is launched again.

        The user's own configuration is the present one; None if another trial does not fit any more.

        Raises:
            StudyError: There is no such trial, or it was told before.
        """
        self._open(number)
        trial, now = self._state.trials[number], self.fitted(number)
        if trial.proposal.source == "default":
            now = replace(trial, proposal=replace(trial.proposal, params=self.spec.space.defaults()))
        if now is not None and now != trial:
            self._record({"op": "ask", "number": number, "proposal": now.proposal.to_json()})
        return now

    def launch(self, number: int, folder: PurePath | None = None, overrides: Sequence[str] = ()) -> int:
        """Journals that a trial is being launched; returns the attempt, 0 for the first.

        Args:
            number: The trial's.
            folder: Where the attempt leaves its files: whoever goes on finds them there, whatever was changed.
            overrides: What makes its configuration, for people.
        """
        attempt = self._state.attempts.get(number, -1) + 1
        where = {} if folder is None else {"folder": str(folder)}
        how = {"overrides": list(overrides)} if overrides else {}
        self._record({"op": "launch", "number": number, "attempt": attempt, **where, **how})
        return attempt

    def folder(self, number: int) -> PurePath | None:
        """Returns where a trial's last attempt leaves its files; None if the journal does not tell."""
        return self._state.folders.get(number)

    def submitted(self, number: int, handle: Mapping[str, Any]) -> None:
        """Keeps what another process needs to find a trial's last attempt again, e.g. the job's id in SLURM."""
        self._record({"op": "submit", "number": number, "handle": dict(handle)})

    def handle(self, number: int) -> Mapping[str, Any] | None:
        """Returns what `submitted` kept of a trial's last attempt; None if the sweeper did not come to it."""
        return self._state.handles.get(number)

    def attempts(self, number: int) -> int:
        """How often a trial was launched."""
        return self._state.attempts.get(number, -1) + 1

    def retry(self, number: int, outcome: Outcome) -> None:
        """Keeps what came of the last attempt at a trial that is to be launched again; the trial goes on running.

        Raises:
            StudyError: There is no such trial, or it was told before.
        """
        self._open(number)
        attempt = self._state.attempts.get(number, 0)
        self._record({"op": "retry", "number": number, "attempt": attempt, "outcome": outcome.to_json()})

    def in_flight(self, number: int) -> bool:
        """Whether the last launch of a trial has neither been told nor given up for another attempt."""
        return self._state.in_flight(number)

    def crashes(self, number: int) -> int:
        """How many launches of a trial have no end: each but the last took the sweeper with it, or was cut off."""
        return self.attempts(number) - len(self._state.retried.get(number, ()))

    def tell(self, number: int, outcome: Outcome) -> Trial:
        """Keeps the outcome of a trial.

        Raises:
            StudyError: There is no such trial, or it was told before.
        """
        self._open(number)
        self._record({"op": "tell", "number": number, "outcome": outcome.to_json()})
        return self._state.trials[number]

    def _open(self, number: int) -> None:
        trial = self._state.trials.get(number)
        if trial is None or trial.outcome is not None:
            raise StudyError(f"trial {number}", "was never asked" if trial is None else "was told before")

    def _record(self, record: dict[str, Any]) -> None:
        record = {**record, "time": round(self._clock(), 3)}
        self._journal.append(record)
        self._state.take(record)


def _refuse(said: tuple[str, ...], old: StudySpec, new: StudySpec, journal: Journal, force: bool) -> None:
    another = old.directions != new.directions
    if force and not another:
        return
    mend = "Run the command with which it was begun, choose another hydra.sweep.dir, or take the changes with "
    mend += "hydra.sweeper.resume=force."
    if another:
        mend = "Scores of other objectives cannot be compared: choose another hydra.sweep.dir."
    raise StudyError(str(journal.path), f"holds a study that differs in {in_words(said)}", mend=mend)
