"""The advisor that asks an LLM: one call, one second turn with the complaints if too little of the reply was legal."""

from __future__ import annotations

from dataclasses import replace

from neuropt_core.advice import Advice, Consultation, Request, lessons
from neuropt_core.advisors._calls import Calls, History, Question, Terms
from neuropt_core.card import SpaceCard
from neuropt_core.errors import LLMBadOutput
from neuropt_core.llm.card_prompt import card_messages, configurations
from neuropt_core.llm.card_reply import Draft, read_card
from neuropt_core.llm.card_schema import card_schema
from neuropt_core.llm.client import LLMClient
from neuropt_core.llm.prompt import messages
from neuropt_core.llm.reply import parse_reply
from neuropt_core.llm.schema import reply_schema
from neuropt_core.llm.scripted import ScriptedClient
from neuropt_core.trial import Proposal

__all__ = ["LLMAdvisor", "Terms"]

_TURNS = 2
_ENOUGH = 3
"""Legal configurations of a card from which no second turn is made for the rest."""


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
        self.calls = Calls(client, self.terms)
        self.name = f"llm ({client.name}{', replayed' if self.terms.replay else ''})"

    def propose(self, request: Request) -> Advice:
        """Returns the legal proposals of at most two calls, and both consultations whole.

        Of a slate (`Request.least` below `Request.count`) `least` legal ones are enough, so that no second turn is
        made. Never raises an `LLMError`: a call that failed is a consultation whose complaint begins with ``fatal``,
        ``transient``, ``bad output`` or ``refused``, and there are fewer proposals. Where the circuit breaker or the
        budget forbids a call, there are none.

        Raises:
            StudyError: A replay has come to a call that was not recorded.
        """
        consultations: History = ()
        while True:
            so_far = (*request.consulted, *consultations)
            consultations += self._beginning_again(so_far, request.number)
            advice = self._propose(replace(request, consulted=(*request.consulted, *consultations)))
            consultations += advice.consultations
            # An exchange that the study was left after, before a trial came of it, is replayed, and so is the next.
            if not self.calls.resumed((*request.consulted, *consultations), request.number):
                return Advice(advice.proposals, consultations)

    def card(self, request: Request) -> Advice:
        """Returns the space card that the LLM writes in at most two calls, where it has not been asked for one yet.

        No call is made where the study has a card (`Request.card`), where one was asked for since the study was begun
        or resumed, where candidates were asked for already, and of a script that writes none. Otherwise as `propose`:
        an `LLMError` is a consultation, and then there is no card.

        Raises:
            StudyError: A replay has come to a call that was not recorded.
        """
        consultations: History = ()
        while True:
            so_far = (*request.consulted, *consultations)
            consultations += self._beginning_again(so_far, request.number)
            now = replace(request, consulted=(*request.consulted, *consultations))
            if not self.asks_for_a_card(now):
                return Advice((), consultations)
            card, said = self._card(now)
            consultations += said
            so_far = (*request.consulted, *consultations)
            # A study that was left between this exchange and its card has asked for the card again.
            replies = self.terms.replies
            again = self.calls.resumed(so_far, request.number) and replies and replies.card_follows(len(so_far) + 1)
            if not again:
                return Advice((), consultations, card=card)

    def asks_for_a_card(self, request: Request) -> bool:
        """Tells whether `card` would make a call, as far as budget and circuit breaker let it."""
        if request.card is not None or not self.calls.writes_cards:
            return False
        asked = [c for c in request.consulted if c.is_call or c.kind == "resumed"]
        if any(c.is_call and c.purpose == "trials" for c in asked):
            return False
        return not asked or asked[-1].kind == "resumed"

    def first_card(self, request: Request) -> Question:
        """Returns what the call for a space card asks."""
        return Question(card_messages(request), card_schema(request.space), request.number, "card")

    def first_call(self, request: Request) -> Question:
        """Returns what a request's first call for candidates asks."""
        return Question(messages(request), reply_schema(request.space), request.number)

    def _beginning_again(self, so_far: History, number: int) -> History:
        """Returns the note that the study that is replayed was resumed at this point, if it was."""
        if not self.calls.resumed(so_far, number):
            return ()
        return (Consultation("", number=number, kind="resumed", place=len(so_far), replayed=True),)

    def _seek(self, request: Request) -> None:
        if isinstance(self._client, ScriptedClient):  # A resumed study has had the first replies of its script.
            self._client.seek(sum(c.is_call for c in request.consulted))

    def _propose(self, request: Request) -> Advice:
        proposals: tuple[Proposal, ...] = ()
        complaints: tuple[str, ...] = ()
        consultations: History = ()
        enough = request.least or request.count
        schema = reply_schema(request.space)
        self._seek(request)
        for _ in range(_TURNS):
            so_far = (*request.consulted, *consultations)
            # The second turn shows, and may retire, what the first one taught.
            asked = messages(replace(request, consulted=so_far), complaints, [p.params for p in proposals])
            said = self.calls.ask(Question(asked, schema, request.number), so_far)
            if said is None:
                break
            if said.kind == "answered":
                found, said = _read(said, request, proposals, so_far)
                proposals += found
            consultations += (said,)
            complaints = said.complaints
            if said.kind not in ("answered", "bad output") or len(proposals) >= enough:
                break
        return Advice(proposals, consultations)

    def _card(self, request: Request) -> tuple[SpaceCard | None, History]:
        draft = Draft()
        complaints: tuple[str, ...] = ()
        consultations: History = ()
        wanted, schema = configurations(request.space), card_schema(request.space)
        self._seek(request)
        for _ in range(_TURNS):
            so_far = (*request.consulted, *consultations)
            asked = card_messages(request, complaints, draft)
            said = self.calls.ask(Question(asked, schema, request.number, "card"), so_far)
            if said is None:
                break
            if said.kind == "answered":
                draft, said = _read_card(said, request, wanted, draft)
            consultations += (said,)
            complaints = said.complaints
            if said.kind not in ("answered", "bad output") or len(draft.portfolio) >= min(_ENOUGH, wanted):
                break
        return draft.card(), consultations


def _read(
    said: Consultation, request: Request, before: tuple[Proposal, ...], so_far: History
) -> tuple[tuple[Proposal, ...], Consultation]:
    """Returns the legal candidates of a reply, and the consultation with what was found in it."""
    wanted = request.count - len(before)
    known = {f"trial #{t.number}": t.params for t in request.trials}
    known |= {f"accepted candidate {n}": p.params for n, p in enumerate(before, start=1)}
    try:
        parsed = parse_reply(
            said.reply,
            request.space,
            wanted,
            known,
            numbers={t.number for t in request.trials},
            standing=lessons(so_far),
        )
    except LLMBadOutput as error:
        return (), replace(said, complaints=(f"bad output: {error}",), kind="bad output")
    complaints = parsed.complaints
    if len(parsed.proposals) < wanted:
        plural = "candidate" if wanted == 1 else "candidates"
        complaints += (f"{wanted} {plural} asked for, {len(parsed.proposals)} legal",)
    return parsed.proposals, replace(
        said,
        complaints=complaints,
        diagnosis=parsed.diagnosis,
        learnt=parsed.learnt,
        retired=parsed.retired,
        accepted=len(parsed.proposals),
    )


def _read_card(said: Consultation, request: Request, wanted: int, draft: Draft) -> tuple[Draft, Consultation]:
    """Returns the draft with what a reply adds to it, and the consultation with what was found in it."""
    known = {f"trial #{t.number}": t.params for t in request.trials}
    try:
        more = read_card(said.reply, request.space, wanted, known, draft)
    except LLMBadOutput as error:
        return draft, replace(said, complaints=(f"bad output: {error}",), kind="bad output")
    return more, replace(said, complaints=more.complaints, diagnosis=more.diagnosis, accepted=more.size - draft.size)
