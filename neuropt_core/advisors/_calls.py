"""One call of an LLM: whether it may be made, the call or the recorded one in its place, and what it can have cost."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from neuropt_core.advice import Consultation
from neuropt_core.errors import LLMBadOutput, LLMError, LLMFatal, LLMRefused, LLMTransient, StudyError
from neuropt_core.llm._text import redact_reply
from neuropt_core.llm.breaker import suspension
from neuropt_core.llm.client import (
    Completion,
    DeclinedReply,
    LLMClient,
    Message,
    UnusableReply,
    most_replies,
    writes_cards,
)
from neuropt_core.spending import Budget, Price, price_of, spent
from neuropt_core.transcript import Replies, call_key

History = tuple[Consultation, ...]

_ERRORS: dict[str, type[LLMError]] = {
    "fatal": LLMFatal,
    "bad output": LLMBadOutput,
    "refused": LLMRefused,
    "transient": LLMTransient,
}


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms an LLM is asked.

    Attributes:
        budget: Hard caps for the study.
        price: The user's own price of the model; None takes the list's.
        model: The model's id, for its price.
        max_tokens: The longest reply in tokens, for the worst case of a call.
        replies: Replies of an earlier study, taken in place of calls.
        replay: Whether a call that `replies` does not hold is an error.
    """

    budget: Budget = field(default_factory=Budget)
    price: Price | None = None
    model: str = ""
    max_tokens: int = 8192
    replies: Replies | None = None
    replay: bool = False

    @property
    def known_price(self) -> Price | None:
        """The price of the model that will be asked; None where it is not known."""
        return self.price or price_of(self.model)


@dataclass(frozen=True, slots=True)
class Question:
    """What one call asks.

    Attributes:
        messages: The prompt.
        schema: The reply's JSON schema.
        number: The first trial that is asked for.
        purpose: What the call is for, one of `advice.PURPOSES`.
    """

    messages: tuple[Message, ...]
    schema: Mapping[str, Any]
    number: int
    purpose: str = "trials"

    @property
    def tokens(self) -> int:
        """About how many tokens it sends: a quarter of its characters."""
        return (sum(len(m["content"]) for m in self.messages) + len(str(dict(self.schema)))) // 4

    def worst_case(self, max_tokens: int) -> dict[str, int]:
        """Returns the most tokens that a request can take.

        For the input one token for every two bytes: English text takes about one for four, numbers and JSON one for
        two to three. For the output the limit that is sent along.
        """
        size = sum(len(message["content"].encode()) for message in self.messages) + len(str(dict(self.schema)))
        return {"input_tokens": size // 2 + 100, "output_tokens": max_tokens}


@dataclass(frozen=True, slots=True)
class Calls:
    """Asks a client on the terms that are given; keeps nothing between calls."""

    client: LLMClient
    terms: Terms

    def ask(self, question: Question, so_far: History) -> Consultation | None:
        """Returns what came of a call: a reply that nobody has read yet, a failure, or a note that none is made.

        None where no call is made and the last note says so already. A call that the budget or the circuit breaker
        forbids is not made.

        Raises:
            StudyError: A replay has come to a call that was not recorded.
        """
        worst = question.worst_case(self.terms.max_tokens)
        if reason := self._forbidden(question.number, so_far, self.at_most(worst)):
            return self._noted(reason, question, so_far)
        return _charged(self._ask(question, so_far), worst)

    def at_most(self, worst: Mapping[str, int]) -> dict[str, int]:
        """Returns the most tokens of the next call, which may be several requests (`most_replies`)."""
        return {name: count * most_replies(self.client) for name, count in worst.items()}

    def resumed(self, so_far: History, number: int) -> bool:
        """Tells whether the study that is replayed was resumed at this point."""
        return self.terms.replies is not None and self.terms.replies.resumed(len(so_far), number)

    @property
    def writes_cards(self) -> bool:
        """Whether a space card is asked for: not where the study that is replayed had none."""
        able = writes_cards(self.client)
        if self.terms.replies is None:
            return able
        return self.terms.replies.writes_cards(otherwise=able and not self.terms.replay)

    def _forbidden(self, number: int, so_far: History, worst: Mapping[str, int]) -> str:
        terms = self.terms
        # A replay stops at the caps where the study did; a record has its caps for what it asks itself.
        so_dear = spent(so_far, terms.price, replayed=terms.replay)
        return suspension(so_far, number) or terms.budget.refuses(so_dear, worst, terms.known_price)

    def _noted(self, reason: str, question: Question, so_far: History) -> Consultation | None:
        if so_far and so_far[-1].kind == "not asked" and so_far[-1].complaints == (reason,):
            return None
        return Consultation(
            self.client.name,
            complaints=(reason,),
            number=question.number,
            kind="not asked",
            place=len(so_far),
            purpose=question.purpose,
        )

    def _ask(self, question: Question, so_far: History) -> Consultation:
        base = Consultation(
            self.client.name,
            question.messages,
            number=question.number,
            key=call_key(self.client.name, question.messages, question.schema),
            asked=self.terms.model,
            place=len(so_far),
            purpose=question.purpose,
        )
        kept = self._kept(base, so_far)
        base = replace(base, replayed=kept is not None)
        start = time.monotonic()
        try:
            done = self.client.complete(question.messages, schema=question.schema) if kept is None else _again(kept)
        except LLMError as error:
            return _failed(replace(base, seconds=time.monotonic() - start), error)
        return replace(base, model=done.model, reply=redact_reply(done.text), usage=done.usage, seconds=done.seconds)

    def _kept(self, base: Consultation, so_far: History) -> Consultation | None:
        """Returns the exchange that takes the place of a call, or None where the call is to be made."""
        replies = self.terms.replies
        if replies is None:
            return None
        kept = replies.find(base.key, sum(c.key == base.key for c in so_far))
        if kept is None and self.terms.replay:
            differs = replies.difference(base.number, base.prompt, base.purpose)
            raise StudyError(
                f"trial {base.number}",
                f"needs a call that {replies.path} does not hold: {differs}",
                mend="Replay with the same config, seed and data; hydra.sweeper.llm.mode=record asks for the rest.",
            )
        return kept


def _charged(consultation: Consultation, worst: Mapping[str, int]) -> Consultation:
    """Adds the worst case of what was not counted, so that no budget is passed unseen.

    That is a reply without counts, and each request without a whole answer: vendors charge for what they made.
    """
    counted = {"input_tokens", "output_tokens"} <= set(consultation.usage)
    unread = consultation.reply and not counted
    times = consultation.usage.get("requests", 1) if unread else consultation.usage.get("lost", 0)
    if not times:
        return consultation
    more = {"worst_input": times * worst["input_tokens"], "worst_output": times * worst["output_tokens"]}
    return replace(consultation, usage={**consultation.usage, **more})


def _again(kept: Consultation) -> Completion:
    """Returns a recorded reply, or raises the recorded error."""
    usage = {name: count for name, count in kept.usage.items() if not name.startswith("worst_")}
    done = Completion(kept.reply, usage, kept.model, kept.seconds)
    if not kept.raised:
        return done
    error = _ERRORS[kept.kind](kept.complaints[0].removeprefix(f"{kept.kind}: "))
    error.usage = usage
    if kept.reply and kept.kind in ("bad output", "refused"):
        whole = UnusableReply(error.where) if kept.kind == "bad output" else DeclinedReply(error.where)
        whole.completion = done
        raise whole
    raise error


def _failed(base: Consultation, error: LLMError) -> Consultation:
    # The consultation names the model already.
    kind = next(word for word, made in _ERRORS.items() if isinstance(error, made))
    failed = replace(
        base,
        complaints=(f"{kind}: {str(error).removeprefix(f'{base.model}: ')}",),
        kind=kind,
        raised=True,
        usage=dict(error.usage),
    )
    # A truncated or refused reply was paid for: it is kept with its usage.
    if isinstance(error, (UnusableReply, DeclinedReply)) and error.completion is not None:
        done = error.completion
        return replace(failed, model=done.model, reply=redact_reply(done.text), usage=done.usage)
    return failed
