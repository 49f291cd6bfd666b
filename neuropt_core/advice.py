"""The question put to an advisor, and its answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

from neuropt_core.card import SpaceCard
from neuropt_core.space import SearchSpace
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Proposal, Trial

KINDS = ("answered", "fatal", "transient", "bad output", "refused", "not asked", "resumed")
"""What came of a consultation. Two are no calls: ``not asked`` tells, once, that calls are suspended (budget, circuit
breaker), and ``resumed`` that the user has begun again, perhaps after mending what had failed."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What an LLM says the trials have taught; untrusted text that goes back to it as data.

    Attributes:
        text: One sentence.
        supports: Numbers of the trials that support it.
        contradicts: Numbers of the trials that speak against it.
    """

    text: str
    supports: tuple[int, ...] = ()
    contradicts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Consultation:
    """One exchange with an LLM; journaled without its texts, and shown to the sinks.

    Attributes:
        model: The model that answered, or was asked.
        prompt: The messages sent: [{"role": ..., "content": ...}]; kept whole in the transcript only.
        reply: The raw text that came back; "" if none did.
        usage: Tokens: ``input_tokens``, ``output_tokens``, ``cached_tokens`` where known.
        seconds: How long it took.
        complaints: Why the reply, or parts of it, could not be used; empty if all was well.
        number: The first trial that was asked for.
        kind: One of `KINDS`.
        diagnosis: The model's reading of the history, cleaned and capped; for people.
        learnt: Lessons that it wants kept.
        retired: Numbers of earlier lessons, counted from 1 over the study, that it takes back.
        key: What was asked, and whom, as a hash; the transcript's entries are found by it.
        raised: Whether the call itself failed, be it that there is a reply (truncated, declined) or not.
        asked: The id of the model that was asked, whoever answered; "" where it is not known.
        accepted: How many of the reply's candidates became proposals; None where no reply was read.
        place: How many consultations the study had before; -1 where it is not known.
        replayed: Whether it was taken from a transcript, so that nobody was asked.
    """

    model: str
    prompt: tuple[Mapping[str, str], ...] = ()
    reply: str = ""
    usage: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    complaints: tuple[str, ...] = ()
    number: int = 0
    kind: str = "answered"
    diagnosis: str = ""
    learnt: tuple[Lesson, ...] = ()
    retired: tuple[int, ...] = ()
    key: str = ""
    raised: bool = False
    asked: str = ""
    accepted: int | None = None
    place: int = -1
    replayed: bool = False

    @property
    def is_call(self) -> bool:
        """Whether somebody was asked."""
        return self.kind not in ("not asked", "resumed")

    @property
    def failed(self) -> bool:
        """Whether a call was made and gave nothing to go on with: an answer without a legal candidate is of no use."""
        return self.is_call and (self.kind != "answered" or self.accepted == 0)

    def to_json(self) -> dict[str, Any]:
        """Returns plain data for the journal, from which `from_json` makes the same without `prompt` and `reply`."""
        return {
            "model": self.model,
            "usage": dict(self.usage),
            "seconds": self.seconds,
            "complaints": list(self.complaints),
            "number": self.number,
            "kind": self.kind,
            "diagnosis": self.diagnosis,
            "learnt": [asdict(lesson) for lesson in self.learnt],
            "retired": list(self.retired),
            "key": self.key,
            "raised": self.raised,
            "asked": self.asked,
            "accepted": self.accepted,
            "place": self.place,
            "replayed": self.replayed,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Consultation:
        """Makes the consultation that `to_json` described."""
        lessons = (
            Lesson(item["text"], tuple(item["supports"]), tuple(item["contradicts"])) for item in data.get("learnt", ())
        )
        return cls(
            model=data["model"],
            usage=dict(data["usage"]),
            seconds=data["seconds"],
            complaints=tuple(data["complaints"]),
            number=data.get("number", 0),
            kind=data.get("kind", "answered"),
            diagnosis=data.get("diagnosis", ""),
            learnt=tuple(lessons),
            retired=tuple(data.get("retired", ())),
            key=data.get("key", ""),
            raised=data.get("raised", False),
            asked=data.get("asked", ""),
            accepted=data.get("accepted"),
            place=data.get("place", -1),
            replayed=data.get("replayed", False),
        )


def lessons(consulted: Iterable[Consultation]) -> dict[int, Lesson]:
    """Returns the lessons that stand, by number: counted from 1 in the order in which they were learnt."""
    learnt: list[Lesson] = []
    retired: set[int] = set()
    for consultation in consulted:
        retired.update(consultation.retired)
        learnt += consultation.learnt
    return {number: lesson for number, lesson in enumerate(learnt, start=1) if number not in retired}


@dataclass(frozen=True, slots=True)
class Rejection:
    """A legal proposal that was not tried, and why; journaled, shown to people, and held against its proposer.

    Attributes:
        proposal: What was proposed.
        number: The first trial that was asked for then.
        rule: ``duplicate``, ``hopeless`` (the veto) or ``crowded`` (another of the same slate was taken first).
        why: In words, with the numbers behind it.
    """

    proposal: Proposal
    number: int
    rule: str
    why: str

    def to_json(self) -> dict[str, Any]:
        """Returns plain data from which `from_json` makes an equal rejection."""
        return {"proposal": self.proposal.to_json(), "number": self.number, "rule": self.rule, "why": self.why}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Rejection:
        """Makes the rejection that `to_json` described."""
        return cls(Proposal.from_json(data["proposal"]), data["number"], data["rule"], data["why"])


@dataclass(frozen=True, slots=True)
class Request:
    """Everything an advisor may know.

    Attributes:
        spec: The study: space, direction, seed, the model's profile, the user's words on the task.
        trials: All trials so far in the order of their numbers, running ones included.
        number: The number of the first trial that is asked for.
        count: How many proposals are wanted, at least 1.
        n_trials: The study's total budget.
        consulted: The exchanges with an LLM so far, oldest first, without their texts.
        least: With how few proposals the asker can do: of a slate of `count` only some are taken; 0 means `count`.
        rejected: The proposals that were not tried, oldest first.
        card: What an LLM wrote of the space when the study began, if it was asked and answered.
        earlier: Trials of the study from which the user starts warm, in its numbers; evidence, but not this study's.
    """

    spec: StudySpec
    trials: tuple[Trial, ...]
    number: int
    count: int
    n_trials: int
    consulted: tuple[Consultation, ...] = ()
    least: int = 0
    rejected: tuple[Rejection, ...] = ()
    card: SpaceCard | None = None
    earlier: tuple[Trial, ...] = ()

    @property
    def space(self) -> SearchSpace:
        """Where to look."""
        return self.spec.space

    def after(self, proposals: tuple[Proposal, ...], count: int) -> Request:
        """Returns the request for `count` more, in which `proposals` are known as running trials."""
        running = tuple(Trial(self.number + i, proposal) for i, proposal in enumerate(proposals))
        return replace(self, trials=self.trials + running, number=self.number + len(running), count=count)

    @property
    def ranked(self) -> tuple[Trial, ...]:
        """The trials that have a score, best first."""
        return self.spec.ranked(self.trials)


@dataclass(frozen=True, slots=True)
class Advice:
    """Proposals, at most `Request.count` of them, and how they came about.

    Attributes:
        proposals: The most wanted first.
        consultations: The exchanges with an LLM that led to them.
        rejected: What was proposed and put aside.
        card: The space card, if it was written now.
    """

    proposals: tuple[Proposal, ...]
    consultations: tuple[Consultation, ...] = ()
    rejected: tuple[Rejection, ...] = ()
    card: SpaceCard | None = None


def own_configuration(space: SearchSpace) -> Proposal:
    """Returns trial 0: what the user's config says now, which every later trial is compared with."""
    return Proposal(space.defaults(), "Your own configuration: the baseline that the others must beat.", "default")


class Advisor(Protocol):
    """Something that proposes trials: a function of the request, without a clock, a file or a live study."""

    name: str

    def propose(self, request: Request) -> Advice:
        """Returns proposals that are legal in `request.space`.

        Fewer than asked for means that the advisor has nothing more to say; the caller fills the rest visibly.
        """
        ...
