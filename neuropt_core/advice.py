"""The question put to an advisor, and its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from neuropt_core.space import SearchSpace
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Proposal, Trial


@dataclass(frozen=True, slots=True)
class Request:
    """Everything an advisor may know.

    Attributes:
        spec: The study: space, direction, seed, the model's profile, the user's words on the task.
        trials: All trials so far in the order of their numbers, running ones included.
        number: The number of the first trial that is asked for.
        count: How many proposals are wanted, at least 1.
        n_trials: The study's total budget.
    """

    spec: StudySpec
    trials: tuple[Trial, ...]
    number: int
    count: int
    n_trials: int

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
class Consultation:
    """One exchange with an LLM, whole; journaled and shown to the sinks.

    Attributes:
        model: The model that answered, or was asked.
        prompt: The messages sent: [{"role": ..., "content": ...}].
        reply: The raw text that came back; "" if none did.
        usage: Tokens: ``input_tokens``, ``output_tokens``, ``cached_tokens`` where known.
        seconds: How long it took.
        complaints: Why the reply, or parts of it, could not be used; empty if all was well.
    """

    model: str
    prompt: tuple[Mapping[str, str], ...]
    reply: str = ""
    usage: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    complaints: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Returns plain data for the journal."""
        return {
            "model": self.model,
            "prompt": [dict(message) for message in self.prompt],
            "reply": self.reply,
            "usage": dict(self.usage),
            "seconds": self.seconds,
            "complaints": list(self.complaints),
        }


@dataclass(frozen=True, slots=True)
class Advice:
    """Proposals, at most `Request.count` of them, and the consultations that led to them."""

    proposals: tuple[Proposal, ...]
    consultations: tuple[Consultation, ...] = ()


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
