"""The study: numbers trials, keeps the journal, knows the best. Resumed by replaying the journal."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from neuropt_core.advice import Advice, Consultation, Rejection, Request
from neuropt_core.card import SpaceCard
from neuropt_core.earlier import from_journal, to_journal
from neuropt_core.errors import StudyError
from neuropt_core.journal import Journal, many_objects
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
    ) -> None:
        """Begins a study, or goes on with the one in the journal.

        Args:
            spec: What defines it.
            journal: Where it is kept.
            earlier: The trials of the study from which the user starts warm.
            clock: Seconds since some moment that all sessions share, for the budgets; nothing else depends on it.

        They are kept in the journal; a study that goes on has those with which it began, whatever is handed over.

        Raises:
            StudyError: The journal holds a study with another space, direction, seed or fixed overrides.
        """
        self._journal, self._clock = journal, clock
        self._trials: dict[int, Trial] = {}
        self._in_order: tuple[Trial, ...] | None = None
        self._attempts: dict[int, int] = {}
        self._handles: dict[int, Mapping[str, Any]] = {}
        self._retried: dict[int, tuple[Outcome, ...]] = {}
        self._settled: dict[int, int] = {}
        self._seconds = 0.0
        self._last: float | None = None
        self._consulted: list[Consultation] = []
        self._rejected: list[Rejection] = []
        self._card: SpaceCard | None = None
        self._earlier = earlier
        records = journal.records()
        if records:
            kept = StudySpec.from_json(records[0]["spec"])
            _refuse_changes(kept, spec, journal)
            self.spec = replace(spec, name=kept.name, profile=kept.profile)
            self._earlier = from_journal(records[0].get("earlier", ()))
        else:
            self.spec = spec
            warm = {"earlier": to_journal(earlier)} if earlier else {}
            journal.append({"op": "study", "version": 1, "spec": spec.to_json(), **warm})
        with many_objects():
            for record in records[1:]:
                self._replay(record)
        self._record({"op": "session"})
        last = self._consulted[-1] if self._consulted else None
        number, place = len(self._trials), len(self._consulted)
        # Whoever begins again has perhaps mended the key: what failed before says nothing about the next call. And of
        # an answer that no trial came of, a replay has to know that it was left.
        if last and last.kind != "resumed" and (last.failed or last.kind == "not asked" or last.number == number):
            self.consult(Consultation(model="", number=number, kind="resumed", place=place))

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials in the order of their numbers."""
        if self._in_order is None:  # Kept between changes: a sweep looks at all trials several times for each one.
            self._in_order = tuple(self._trials[number] for number in sorted(self._trials))
        return self._in_order

    @property
    def finished(self) -> tuple[Trial, ...]:
        """The trials that have an outcome."""
        return tuple(t for t in self.trials if t.outcome is not None)

    @property
    def best(self) -> Trial | None:
        """The trial with the best score, the earliest of equals; None before the first score."""
        return next(iter(self.spec.ranked(self.trials)), None)

    @property
    def baseline(self) -> Trial | None:
        """Trial 0, the user's own configuration, once it was asked."""
        return self._trials.get(0)

    @property
    def consulted(self) -> tuple[Consultation, ...]:
        """All exchanges with an LLM, oldest first, without their texts."""
        return tuple(self._consulted)

    @property
    def earlier(self) -> tuple[Trial, ...]:
        """The trials of the warm start with which the study began."""
        return self._earlier

    @property
    def seconds(self) -> float:
        """How long sweepers have worked on the study, in seconds of the wall clock, without the pauses between them.

        Of a sweeper that was killed, what came after its last record is not known and not counted.
        """
        return self._seconds + (0.0 if self._last is None else max(0.0, self._clock() - self._last))

    @property
    def retried(self) -> Mapping[int, tuple[Outcome, ...]]:
        """Trial number -> what came of its attempts that were not told, since a machine was at fault."""
        return MappingProxyType(self._retried)

    @property
    def relaunched(self) -> Mapping[int, int]:
        """Trial number -> how often it was launched again for that reason; trials that never were are left out."""
        counts = {
            number: len(outcomes) - (self._trials[number].outcome is None and not self.in_flight(number))
            for number, outcomes in self._retried.items()
        }
        return {number: count for number, count in counts.items() if count}

    def request(self, *, count: int, n_trials: int) -> Request:
        """Returns all that an advisor may know now."""
        return Request(
            self.spec,
            self.trials,
            len(self._trials),
            count,
            n_trials,
            self.consulted,
            rejected=tuple(self._rejected),
            card=self._card,
            earlier=self._earlier,
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
            repeated = self._trials.get(-1 if proposal.parent is None else proposal.parent)
            if repeated is None or repeated.params != proposal.params:
                raise StudyError(f"trial {len(self._trials)}", "must repeat a trial", got=proposal.parent)
        elif proposal.source != "default":
            violations = self.spec.space.check(proposal.params)
            if violations:
                raise StudyError(f"trial {len(self._trials)}", "; ".join(map(str, violations)))
        trial = Trial(len(self._trials), proposal)
        self._record({"op": "ask", "number": trial.number, "proposal": proposal.to_json()})
        return trial

    def launch(self, number: int) -> int:
        """Journals that a trial is being launched; returns the attempt, 0 for the first."""
        attempt = self._attempts.get(number, -1) + 1
        self._record({"op": "launch", "number": number, "attempt": attempt})
        return attempt

    def submitted(self, number: int, handle: Mapping[str, Any]) -> None:
        """Keeps what another process needs to find a trial's last attempt again, e.g. the job's id in SLURM."""
        self._record({"op": "submit", "number": number, "handle": dict(handle)})

    def handle(self, number: int) -> Mapping[str, Any] | None:
        """Returns what `submitted` kept of a trial's last attempt; None if the sweeper did not come to it."""
        return self._handles.get(number)

    def attempts(self, number: int) -> int:
        """How often a trial was launched."""
        return self._attempts.get(number, -1) + 1

    def retry(self, number: int, outcome: Outcome) -> None:
        """Keeps what came of the last attempt at a trial that is to be launched again; the trial goes on running.

        Raises:
            StudyError: There is no such trial, or it was told before.
        """
        self._open(number)
        self._record(
            {"op": "retry", "number": number, "attempt": self._attempts.get(number, 0), "outcome": outcome.to_json()}
        )

    def in_flight(self, number: int) -> bool:
        """Whether the last launch of a trial has neither been told nor given up for another attempt."""
        return number in self._attempts and self._settled.get(number) != self._attempts[number]

    def crashes(self, number: int) -> int:
        """How many launches of a trial have no end: each but the last took the sweeper with it, or was cut off."""
        return self.attempts(number) - len(self._retried.get(number, ()))

    def tell(self, number: int, outcome: Outcome) -> Trial:
        """Keeps the outcome of a trial.

        Raises:
            StudyError: There is no such trial, or it was told before.
        """
        self._open(number)
        self._record({"op": "tell", "number": number, "outcome": outcome.to_json()})
        return self._trials[number]

    def _open(self, number: int) -> None:
        trial = self._trials.get(number)
        if trial is None or trial.outcome is not None:
            raise StudyError(f"trial {number}", "was never asked" if trial is None else "was told before")

    def _record(self, record: dict[str, Any]) -> None:
        record = {**record, "time": round(self._clock(), 3)}
        self._journal.append(record)
        self._replay(record)

    def _replay(self, record: dict[str, Any]) -> None:
        number, now = record.get("number", -1), record.get("time")  # Older journals tell no time.
        self._in_order = None
        if now is not None:
            paused = self._last is None or record["op"] == "session"
            self._seconds += 0.0 if paused else max(0.0, now - self._last)
            self._last = now
        if record["op"] == "ask":
            self._trials[number] = Trial(number, Proposal.from_json(record["proposal"]))
        elif record["op"] == "consult":
            self._consulted.append(Consultation.from_json(record))  # Without the texts, as after a resume.
        elif record["op"] == "reject":
            self._rejected.append(Rejection.from_json(record))
        elif record["op"] == "session":
            # Of an advice that no trial came of the study asks anew, as if nothing of it had been put aside.
            self._rejected = [r for r in self._rejected if r.number < len(self._trials)]
        elif record["op"] == "card":
            self._card = SpaceCard.from_json(record["card"])
        elif record["op"] == "launch":
            self._attempts[number] = record["attempt"]
            self._handles.pop(number, None)
        elif record["op"] == "submit":
            self._handles[number] = record["handle"]
        elif record["op"] == "retry":
            self._retried[number] = (*self._retried.get(number, ()), Outcome.from_json(record["outcome"]))
            self._settled[number] = record["attempt"]
        elif record["op"] == "tell":
            self._trials[number] = replace(self._trials[number], outcome=Outcome.from_json(record["outcome"]))


def _refuse_changes(kept: StudySpec, new: StudySpec, journal: Journal) -> None:
    old, now = kept.to_json(), new.to_json()
    changed = [key for key in ("space", "direction", "further", "constraints", "seed", "fixed") if old[key] != now[key]]
    if not changed:
        return
    details = []
    for key in changed:
        if key == "space":
            before, after = ({p["name"]: p for p in side["space"]} for side in (old, now))
            names = [n for n in {**before, **after} if before.get(n) != after.get(n)]
            details.append(f"space ({', '.join(names)})" if names else "space (order)")
        else:
            details.append(f"{key} (was {old[key]!r}, is {now[key]!r})")
    raise StudyError(
        str(journal.path),
        f"holds a study that differs in {', '.join(details)}",
        mend="Run the command with which it was begun, or choose another hydra.sweep.dir.",
    )
