"""The advisor that asks an LLM: one call, one second turn with the complaints if too little of the reply was legal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from neuropt_core.advice import Advice, Consultation, Request, lessons
from neuropt_core.errors import LLMBadOutput, LLMError, LLMFatal, LLMRefused, LLMTransient, StudyError
from neuropt_core.llm._text import redact_reply
from neuropt_core.llm.breaker import suspension
from neuropt_core.llm.client import Completion, DeclinedReply, LLMClient, Message, UnusableReply, most_replies
from neuropt_core.llm.prompt import messages
from neuropt_core.llm.reply import parse_reply
from neuropt_core.llm.schema import reply_schema
from neuropt_core.llm.scripted import ScriptedClient
from neuropt_core.spending import Budget, Price, price_of, spent
from neuropt_core.transcript import Replies, call_key
from neuropt_core.trial import Proposal

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


class LLMAdvisor:
    """Proposes what an LLM proposes, as far as it is legal. Keeps nothing between requests.

    Args:
        client: Whom to ask.
        terms: What may be spent, and what is replayed.

    Attributes:
        name: Shown to people, e.g. ``llm (anthropic: claude-haiku-5-5)``.
    """

    def __init__(self, client: LLMClient, terms: Terms | None = None) -> None:
        self._client, self.terms = client, terms or Terms()
        self.name = f"llm ({client.name}{', replayed' if self.terms.replay else ''})"

    def propose(self, request: Request) -> Advice:
        """Returns the legal proposals of at most two calls, and both consultations whole.

        Never raises an `LLMError`: a call that failed is a consultation whose complaint begins with ``fatal``,
        ``transient``, ``bad output`` or ``refused``, and there are fewer proposals. Where the circuit breaker or the
        budget forbids a call, there are none.

        Raises:
            StudyError: A replay has come to a call that was not recorded.
        """
        consultations: tuple[Consultation, ...] = ()
        while True:
            so_far = (*request.consulted, *consultations)
            if self._resumed(so_far, request.number):
                consultations += (
                    Consultation("", number=request.number, kind="resumed", place=len(so_far), replayed=True),
                )
            advice = self._propose(replace(request, consulted=(*request.consulted, *consultations)))
            consultations += advice.consultations
            # An exchange that the study was left after, before a trial came of it, is replayed, and so is the next.
            if not self._resumed((*request.consulted, *consultations), request.number):
                return Advice(advice.proposals, consultations)

    def _resumed(self, so_far: tuple[Consultation, ...], number: int) -> bool:
        """Tells whether the study that is replayed was resumed at this point."""
        return self.terms.replies is not None and self.terms.replies.resumed(len(so_far), number)

    def _propose(self, request: Request) -> Advice:
        proposals: tuple[Proposal, ...] = ()
        complaints: tuple[str, ...] = ()
        consultations: tuple[Consultation, ...] = ()
        if isinstance(self._client, ScriptedClient):  # A resumed study has had the first replies of its script.
            self._client.seek(sum(c.is_call for c in request.consulted))
        for _ in range(2):
            so_far = (*request.consulted, *consultations)
            # The second turn shows, and may retire, what the first one taught.
            asked = messages(replace(request, consulted=so_far), complaints, [p.params for p in proposals])
            schema = reply_schema(request.space)
            worst = worst_case(asked, schema, self.terms.max_tokens)
            if reason := self._forbidden(request.number, so_far, self.at_most(worst)):
                consultations += self._noted(reason, request, so_far)
                break
            found, consultation, worth = self._ask(request, asked, schema, proposals, so_far)
            proposals += found
            complaints = consultation.complaints
            consultations += (_charged(consultation, worst),)
            if not worth or len(proposals) >= request.count:
                break
        return Advice(proposals, consultations)

    def at_most(self, worst: Mapping[str, int]) -> dict[str, int]:
        """Returns the most tokens of the next call, which may be several requests (`most_replies`)."""
        return {name: count * most_replies(self._client) for name, count in worst.items()}

    def first_call(self, request: Request) -> tuple[tuple[Message, ...], dict[str, Any], dict[str, int]]:
        """Returns the prompt and the schema of a request's first call, and the most tokens that it can take."""
        asked, schema = messages(request), reply_schema(request.space)
        return asked, schema, worst_case(asked, schema, self.terms.max_tokens)

    def _forbidden(self, number: int, so_far: tuple[Consultation, ...], worst: Mapping[str, int]) -> str:
        terms = self.terms
        # A replay stops at the caps where the study did; a record has its caps for what it asks itself.
        so_dear = spent(so_far, terms.price, replayed=terms.replay)
        return suspension(so_far, number) or terms.budget.refuses(so_dear, worst, terms.known_price)

    def _noted(self, reason: str, request: Request, so_far: tuple[Consultation, ...]) -> tuple[Consultation, ...]:
        """Returns the note that no call is made, unless the last one says so already."""
        if so_far and so_far[-1].kind == "not asked" and so_far[-1].complaints == (reason,):
            return ()
        return (
            Consultation(
                self._client.name,
                complaints=(reason,),
                number=request.number,
                kind="not asked",
                place=len(so_far),
            ),
        )

    def _ask(
        self,
        request: Request,
        asked: tuple[Message, ...],
        schema: Mapping[str, Any],
        before: tuple[Proposal, ...],
        so_far: tuple[Consultation, ...],
    ) -> tuple[tuple[Proposal, ...], Consultation, bool]:
        """Makes one call; also returns whether another turn could mend what is missing."""
        wanted = request.count - len(before)
        base = Consultation(
            self._client.name,
            asked,
            number=request.number,
            key=call_key(self._client.name, asked, schema),
            asked=self.terms.model,
            place=len(so_far),
        )
        kept = self._kept(base, so_far)
        base = replace(base, replayed=kept is not None)
        start = time.monotonic()
        try:
            done = self._client.complete(asked, schema=schema) if kept is None else _again(kept)
        except LLMError as error:
            failed = _failed(replace(base, seconds=time.monotonic() - start), error)
            return (), failed, isinstance(error, LLMBadOutput)
        answered = replace(
            base, model=done.model, reply=redact_reply(done.text), usage=done.usage, seconds=done.seconds
        )
        known = {f"trial #{t.number}": t.params for t in request.trials}
        known |= {f"accepted candidate {n}": p.params for n, p in enumerate(before, start=1)}
        try:
            parsed = parse_reply(
                answered.reply,
                request.space,
                wanted,
                known,
                numbers={t.number for t in request.trials},
                standing=lessons(so_far),
            )
        except LLMBadOutput as error:
            return (), replace(answered, complaints=(f"bad output: {error}",), kind="bad output"), True
        complaints = parsed.complaints
        if len(parsed.proposals) < wanted:
            plural = "candidate" if wanted == 1 else "candidates"
            complaints += (f"{wanted} {plural} asked for, {len(parsed.proposals)} legal",)
        answered = replace(
            answered,
            complaints=complaints,
            diagnosis=parsed.diagnosis,
            learnt=parsed.learnt,
            retired=parsed.retired,
            accepted=len(parsed.proposals),
        )
        return parsed.proposals, answered, True

    def _kept(self, base: Consultation, so_far: tuple[Consultation, ...]) -> Consultation | None:
        """Returns the exchange that takes the place of a call, or None where the call is to be made."""
        replies = self.terms.replies
        if replies is None:
            return None
        kept = replies.find(base.key, sum(c.key == base.key for c in so_far))
        if kept is None and self.terms.replay:
            raise StudyError(
                f"trial {base.number}",
                f"needs a call that {replies.path} does not hold: {replies.difference(base.number, base.prompt)}",
                mend="Replay with the same config, seed and data; hydra.sweeper.llm.mode=record asks for the rest.",
            )
        return kept


def worst_case(asked: tuple[Message, ...], schema: Mapping[str, Any], max_tokens: int) -> dict[str, int]:
    """Returns the most tokens that a call can take.

    For the input one token for every two bytes: English text takes about one for four, numbers and JSON one for two
    to three. For the output the limit that is sent along.
    """
    size = sum(len(message["content"].encode()) for message in asked) + len(str(dict(schema)))
    return {"input_tokens": size // 2 + 100, "output_tokens": max_tokens}


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
