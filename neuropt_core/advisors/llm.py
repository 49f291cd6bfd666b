"""The advisor that asks an LLM: one call, one second turn with the complaints if too little of the reply was legal."""

from __future__ import annotations

import time
from dataclasses import replace

from neuropt_core.advice import Advice, Consultation, Request, lessons
from neuropt_core.errors import LLMBadOutput, LLMError, LLMFatal, LLMRefused
from neuropt_core.llm.client import Completion, DeclinedReply, LLMClient, Message, UnusableReply
from neuropt_core.llm.prompt import messages
from neuropt_core.llm.reply import parse_reply
from neuropt_core.llm.schema import reply_schema
from neuropt_core.trial import Proposal


class LLMAdvisor:
    """Proposes what an LLM proposes, as far as it is legal. Keeps nothing between requests.

    Args:
        client: Whom to ask.

    Attributes:
        name: Shown to people, e.g. ``llm (anthropic: claude-haiku-5-5)``.
    """

    def __init__(self, client: LLMClient) -> None:
        self.name = f"llm ({client.name})"
        self._client = client

    def propose(self, request: Request) -> Advice:
        """Returns the legal proposals of at most two calls, and both consultations whole.

        Never raises an `LLMError`: a call that failed is a consultation whose complaint begins with ``fatal``,
        ``transient``, ``bad output`` or ``refused``, and there are fewer proposals.
        """
        proposals: tuple[Proposal, ...] = ()
        complaints: tuple[str, ...] = ()
        consultations: list[Consultation] = []
        for _ in range(2):
            accepted = [p.params for p in proposals]
            asked = messages(request, complaints, accepted)
            found, consultation, worth = self._ask(request, asked, proposals)
            proposals += found
            complaints = consultation.complaints
            consultations.append(consultation)
            # The second turn shows, and may retire, what the first one taught.
            request = replace(request, consulted=(*request.consulted, consultation))
            if not worth or len(proposals) >= request.count:
                break
        return Advice(proposals, tuple(consultations))

    def _ask(
        self, request: Request, asked: tuple[Message, ...], before: tuple[Proposal, ...]
    ) -> tuple[tuple[Proposal, ...], Consultation, bool]:
        """Makes one call; also returns whether another turn could mend what is missing."""
        wanted = request.count - len(before)
        start = time.monotonic()
        try:
            done = self._client.complete(asked, schema=reply_schema(request.space))
        except LLMError as error:
            seconds = time.monotonic() - start
            return (), _failed(self._client.name, asked, error, seconds), isinstance(error, LLMBadOutput)
        known = [t.params for t in request.trials] + [p.params for p in before]
        try:
            parsed = parse_reply(
                done.text,
                request.space,
                wanted,
                known,
                numbers={t.number for t in request.trials},
                standing=lessons(request.consulted),
            )
        except LLMBadOutput as error:
            return (), _consultation(asked, done, (f"bad output: {error}",)), True
        complaints = parsed.complaints
        if len(parsed.proposals) < wanted:
            complaints += (f"{wanted} candidates asked for, {len(parsed.proposals)} legal",)
        answered = replace(
            _consultation(asked, done, complaints),
            diagnosis=parsed.diagnosis,
            learnt=parsed.learnt,
            retired=parsed.retired,
        )
        return parsed.proposals, answered, True


def _consultation(asked: tuple[Message, ...], done: Completion, complaints: tuple[str, ...]) -> Consultation:
    return Consultation(done.model, asked, done.text, done.usage, done.seconds, complaints)


def _failed(name: str, asked: tuple[Message, ...], error: LLMError, seconds: float) -> Consultation:
    # The consultation names the model already.
    complaint = f"{_kind(error)}: {str(error).removeprefix(f'{name}: ')}"
    # A truncated or refused reply was paid for: it is kept with its usage.
    if isinstance(error, (UnusableReply, DeclinedReply)) and error.completion is not None:
        done = error.completion
        return Consultation(done.model, asked, done.text, done.usage, seconds, (complaint,))
    return Consultation(name, asked, seconds=seconds, complaints=(complaint,))


def _kind(error: LLMError) -> str:
    for kind, word in ((LLMFatal, "fatal"), (LLMBadOutput, "bad output"), (LLMRefused, "refused")):
        if isinstance(error, kind):
            return word
    return "transient"
