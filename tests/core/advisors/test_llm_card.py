"""The advisor's call for a space card: when it is made, what it may cost, how it is replayed, on every wire."""

from __future__ import annotations

import json
import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from llm_server import LLMServer, Step, any_legal_reply

from neuropt_core.advice import Advice, Consultation, Request
from neuropt_core.advisors.chance import RandomAdvisor
from neuropt_core.advisors.gate import Gate
from neuropt_core.advisors.llm import LLMAdvisor, Terms
from neuropt_core.advisors.search import Search
from neuropt_core.assemble import rehearse
from neuropt_core.errors import LLMFatal, LLMTransient, StudyError
from neuropt_core.journal import Journal
from neuropt_core.llm.client import LLMClient, make_client
from neuropt_core.llm.scripted import ReplyFunction, ScriptedClient
from neuropt_core.llm.settings import LLMSettings
from neuropt_core.space import Categorical, Float, SearchSpace
from neuropt_core.spec import StudySpec
from neuropt_core.spending import Budget, Price, spent
from neuropt_core.study import Study
from neuropt_core.transcript import Replies, write
from neuropt_core.trial import Proposal, Trial

SPACE = SearchSpace(
    (Float(name="optimizer.lr", low=1e-5, high=1e-1, log=True), Categorical(name="act", choices=("ReLU", "GELU")))
)
REQUEST = Request(StudySpec("s", SPACE), (), number=0, count=2, n_trials=20)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, key or base URL of the machine reaches a test."""
    for name in list(os.environ):
        if name.upper().endswith("_PROXY") or name.startswith(("ANTHROPIC_", "OPENAI_")):
            monkeypatch.delenv(name)


def _values(lr: object) -> dict[str, Any]:
    return {"rationale": f"Bets on {lr}.", "values": {"lr": lr, "act": "GELU"}}


def _card(*rates: object, **more: Any) -> dict[str, Any]:
    belief = {"parameter": "lr", "why": "AdamW.", "low": 1e-4, "high": 1e-2, "mode": 1e-3, "risk": ""}
    made = {"diagnosis": "d", "numbers": [belief], "choices": [], "portfolio": [_values(r) for r in rates]}
    return {**made, "expected": [], **more}


FIVE = _card(1e-4, 3e-4, 1e-3, 3e-3, 1e-2)


def _after(advice: Advice, number: int = 1) -> Request:
    """Returns the next request after an advice, as a study would make it."""
    trials = tuple(Trial(n, Proposal({"optimizer.lr": 0.05, "act": "ReLU"}, "why", "prior")) for n in range(number))
    consulted = (*REQUEST.consulted, *advice.consultations)
    return replace(REQUEST, number=number, trials=trials, consulted=consulted, card=advice.card)


def test_one_call_makes_a_card_and_no_second_is_made() -> None:
    """The card has the LLM's beliefs and portfolio; with it, or after it, nobody is asked for one again."""
    client = ScriptedClient([FIVE])
    advisor = LLMAdvisor(client)
    advice = advisor.card(REQUEST)
    assert advice.proposals == ()
    assert advice.card is not None
    assert advice.card.source == "llm"
    assert [p.params["optimizer.lr"] for p in advice.card.portfolio] == [1e-4, 3e-4, 1e-3, 3e-3, 1e-2]
    assert advice.card.beliefs["optimizer.lr"].mode == 1e-3
    (said,) = advice.consultations
    assert (said.purpose, said.kind, said.accepted, said.number, said.diagnosis) == ("card", "answered", 6, 0, "d")
    assert Consultation.from_json(said.to_json()).purpose == "card"
    for later in (_after(advice), replace(_after(advice), card=None)):
        assert advisor.card(later) == Advice(())
    assert len(client.asked) == 1


def test_a_card_that_is_poor_gets_one_second_turn() -> None:
    """Under three legal configurations are asked for again with the rules; what was accepted stands."""
    client = ScriptedClient([_card(1e-3, 5.0, "x"), _card(2e-3, 3e-3, 4e-3, 5e-3), FIVE])
    advice = LLMAdvisor(client).card(REQUEST)
    assert len(client.asked) == len(advice.consultations) == 2
    assert advice.card is not None
    assert [p.params["optimizer.lr"] for p in advice.card.portfolio] == [1e-3, 2e-3, 3e-3, 4e-3, 5e-3]
    again = client.asked[1][-1]["content"]
    assert "the 1 beliefs that were accepted stand" in again
    assert "Accepted, do not repeat: lr=0.001" in again
    assert "Not used: configuration 2: optimizer.lr must satisfy 1e-05 <= value <= 0.1, got 5.0" in again
    assert "with exactly 4 configurations" in again
    assert client.asked[0][0] == client.asked[1][0]
    assert [c.accepted for c in advice.consultations] == [2, 4]


def test_the_card_and_the_candidates_share_the_first_message() -> None:
    """What vendors cache is the same byte for byte, whatever is asked for."""
    advisor = LLMAdvisor(ScriptedClient([FIVE]))
    assert advisor.first_card(REQUEST).messages[0] == advisor.first_call(REQUEST).messages[0]


@pytest.mark.parametrize("error", [LLMFatal("m", "does not accept the key"), LLMTransient("m", "broke off")])
def test_a_failed_call_is_a_consultation_without_a_card(error: Any) -> None:
    """No error leaves the advisor, the call counts, and it is made again only after the user has begun again."""
    played = iter([error, FIVE])

    def answer(messages: object, schema: object) -> Any:
        return next(played)

    answer.writes_cards = True  # type: ignore[attr-defined]
    advisor = LLMAdvisor(ScriptedClient(answer))
    advice = advisor.card(REQUEST)
    assert advice.card is None
    assert [c.kind for c in advice.consultations] == [{LLMFatal: "fatal", LLMTransient: "transient"}[type(error)]]
    later = replace(REQUEST, number=1, consulted=advice.consultations)
    assert advisor.card(later) == Advice(())
    resumed = Consultation("", number=1, kind="resumed", place=1)
    again = advisor.card(replace(later, consulted=(*advice.consultations, resumed)))
    assert again.card is not None


def test_no_card_is_asked_for_once_candidates_were() -> None:
    """A study of an earlier version, or one whose card failed, goes on without one."""
    client = ScriptedClient([FIVE])
    asked = replace(REQUEST, number=3, consulted=(Consultation("m", number=1), Consultation("", kind="resumed")))
    assert LLMAdvisor(client).card(asked) == Advice(())
    assert client.asked == []


def test_budget_and_breaker_hold_for_the_card() -> None:
    """A cap of no calls leaves no card and a note that says so; a card's call counts against the caps."""
    client = ScriptedClient([FIVE])
    advice = LLMAdvisor(client, Terms(budget=Budget(calls=0))).card(REQUEST)
    assert advice.card is None
    assert [(c.kind, c.purpose) for c in advice.consultations] == [("not asked", "card")]
    assert client.asked == []
    advisor = LLMAdvisor(client, Terms(budget=Budget(calls=1)))
    made = advisor.card(REQUEST)
    assert spent(made.consultations).calls == 1
    assert [c.kind for c in advisor.propose(_after(made)).consultations] == ["not asked"]


def test_a_script_says_whether_it_writes_cards() -> None:
    """Lists and functions of earlier times keep their replies for the trials; a card in front, or a mark, says yes."""
    trials = {"diagnosis": "d", "candidates": []}

    def old(messages: object, schema: object) -> dict[str, Any]:
        return trials

    for script in ([trials], (), ["{}"], old):
        client = ScriptedClient(script)  # type: ignore[arg-type]
        assert LLMAdvisor(client).card(REQUEST) == Advice(())
        assert client.asked == []
    assert LLMAdvisor(ScriptedClient([FIVE])).card(REQUEST).card is not None
    marked: ReplyFunction = any_legal_reply
    assert LLMAdvisor(ScriptedClient(marked)).card(REQUEST).card is not None


def test_a_slate_that_is_good_enough_needs_no_second_turn() -> None:
    """Of six candidates asked for two legal ones are enough where two are, and too few where none is said."""
    one, two = ({**_values(lr), "expected": {"p10": 0, "p50": 1, "p90": 2}} for lr in (1e-3, 1e-2))
    slate = {"diagnosis": "d", "candidates": [one, two, {"values": {}}]}
    client = ScriptedClient([slate, slate])
    advice = LLMAdvisor(client).propose(replace(REQUEST, count=6, least=2))
    assert (len(advice.proposals), len(client.asked)) == (2, 1)
    assert "Propose exactly 6 candidates now, of which about 2 will be run." in client.asked[0][-1]["content"]
    whole = ScriptedClient([slate, slate])
    LLMAdvisor(whole).propose(replace(REQUEST, count=6))
    assert len(whole.asked) == 2
    assert "will be run" not in whole.asked[0][-1]["content"].split("Budget")[1]


def _client(wire: str, server: LLMServer) -> LLMClient:
    url = {"base_url": server.base_url("openai"), "model": "local", "api_key_env": "K"}
    settings = {
        "messages": LLMSettings(provider="anthropic", deadline=60.0),
        "responses": LLMSettings(provider="openai", deadline=60.0),
        "chat": LLMSettings(provider="openai_compatible", structured="json_schema", deadline=60.0, **url),
        "tool": LLMSettings(provider="openai_compatible", structured="tool", deadline=60.0, **url),
    }[wire]
    provider = settings.provider
    return make_client(settings, {"K": "key", **server.environ("anthropic" if provider == "anthropic" else "openai")})


@pytest.mark.parametrize("wire", ["messages", "responses", "chat", "tool"])
def test_a_card_comes_over_every_wire(wire: str) -> None:
    """The real SDKs carry prompt and schema there and the card back; then candidates follow on the same connection."""
    with LLMServer(any_legal_reply) as server:
        advisor = LLMAdvisor(_client(wire, server))
        made = advisor.card(REQUEST)
        then = advisor.propose(_after(made))
    assert made.card is not None
    assert len(made.card.portfolio) == 5
    assert made.consultations[0].complaints == ()
    assert made.consultations[0].usage["input_tokens"] == 100
    assert "portfolio" in server.requests[0].schema["properties"]
    assert "candidates" in server.requests[1].schema["properties"]
    assert [len(server.requests), len(then.proposals)] == [2, 2]
    assert server.requests[0].messages[0] == server.requests[1].messages[0]


@pytest.mark.parametrize("wire", ["messages", "responses", "chat", "tool"])
def test_a_server_that_fails_leaves_no_card(wire: str) -> None:
    """A truncated reply is bad output, asked for once more, and then there is none."""
    with LLMServer([Step(text='{"diagnosis": "', stop="length")]) as server:
        made = LLMAdvisor(_client(wire, server)).card(REQUEST)
    assert made.card is None
    assert [c.kind for c in made.consultations] == ["bad output"] * 2


def _study(folder: Path, advisor: LLMAdvisor, n_trials: int = 5) -> Request:
    """Runs a study as a gate does in short, the card's portfolio first; returns what an advisor could know then."""
    folder.mkdir(exist_ok=True)
    with closing(Journal(folder / "journal.jsonl")) as journal:
        study = Study(REQUEST.spec, journal)

        def heard(advice: Advice) -> Request:
            for said in advice.consultations:
                study.consult(said)
                write(folder / "transcript.jsonl", said)
            study.note(advice)
            return study.request(count=1, n_trials=n_trials)

        while len(study.trials) < n_trials:
            request = heard(advisor.card(study.request(count=1, n_trials=n_trials)))
            first = request.card.portfolio[request.number :] if request.card and request.number < 3 else ()
            proposals = first[:1]
            if not proposals:
                advice = advisor.propose(request)
                heard(advice)
                proposals = advice.proposals
            study.ask(proposals[0])
        return study.request(count=1, n_trials=n_trials)


def test_a_study_with_a_card_is_replayed(tmp_path: Path) -> None:
    """From the transcript come the same card and the same trials, without a call."""
    first = _study(tmp_path / "a", LLMAdvisor(ScriptedClient(any_legal_reply, name="m")))
    assert [c.purpose for c in first.consulted] == ["card", "trials", "trials"]
    nobody = ScriptedClient((), name="m")
    replies = Replies(tmp_path / "a" / "transcript.jsonl")
    again = _study(tmp_path / "b", LLMAdvisor(nobody, Terms(replies=replies, replay=True)))
    assert nobody.asked == []
    assert [t.params for t in again.trials] == [t.params for t in first.trials]
    assert again.card == first.card
    assert again.card is not None


def test_a_longer_study_replays_a_shorter_ones_card(tmp_path: Path) -> None:
    """How many trials a study has is no part of what is asked, so a record pays for the rest alone."""
    first = _study(tmp_path / "a", LLMAdvisor(ScriptedClient(any_legal_reply, name="m")), 4)
    more = ScriptedClient(any_legal_reply, name="m")
    longer = _study(tmp_path / "b", LLMAdvisor(more, Terms(replies=Replies(tmp_path / "a" / "transcript.jsonl"))), 6)
    assert longer.card == first.card
    assert len(more.asked) == 2


def test_a_study_that_is_resumed_keeps_its_card(tmp_path: Path) -> None:
    """The journal holds the card, so that a resumed study asks for none and shows the same beliefs."""
    client = ScriptedClient(any_legal_reply)
    first = _study(tmp_path / "a", LLMAdvisor(client), 2)
    again = _study(tmp_path / "a", LLMAdvisor(client), 2)
    assert again.card == first.card
    assert again.card is not None
    assert LLMAdvisor(client).card(again) == Advice(())
    assert len(client.asked) == 1


def test_a_card_that_was_lost_is_replayed_as_it_was(tmp_path: Path) -> None:
    """A study killed between the reply and its card asks again when resumed, and so does its replay."""
    path = tmp_path / "t.jsonl"
    one = LLMAdvisor(ScriptedClient([FIVE], name="m")).card(REQUEST)
    resumed = Consultation("", number=0, kind="resumed", place=1)
    other = ScriptedClient([FIVE, _card(2e-4, 4e-4, 2e-3, 4e-3, 2e-2)], name="m")
    two = LLMAdvisor(other).card(replace(REQUEST, consulted=(*one.consultations, resumed)))
    for said in (*one.consultations, resumed, *two.consultations):
        write(path, said)
    again = LLMAdvisor(ScriptedClient((), name="m"), Terms(replies=Replies(path), replay=True)).card(REQUEST)
    assert [c.kind for c in again.consultations] == ["answered", "resumed", "answered"]
    assert again.card == two.card
    assert again.card != one.card


def test_a_replay_of_a_study_without_a_card_asks_for_none(tmp_path: Path) -> None:
    """Transcripts of earlier versions hold no card: replay and record go on without one."""
    trials = any_legal_reply(
        [{"content": "Propose exactly 2"}], LLMAdvisor(ScriptedClient(())).first_call(REQUEST).schema
    )
    for said in LLMAdvisor(ScriptedClient([trials], name="m")).propose(REQUEST).consultations:
        write(tmp_path / "t.jsonl", said)
    replies = Replies(tmp_path / "t.jsonl")
    for replay in (True, False):
        client = ScriptedClient([FIVE], name="m")
        advisor = LLMAdvisor(client, Terms(replies=replies, replay=replay))
        assert advisor.card(REQUEST) == Advice(())
        assert len(advisor.propose(REQUEST).proposals) == 2
        assert client.asked == []


def test_a_replay_that_lacks_the_card_says_what_differs(tmp_path: Path) -> None:
    """Another task is another prompt: the card's call of the transcript is compared, not that of a trial."""
    (said,) = LLMAdvisor(ScriptedClient([FIVE], name="m")).card(REQUEST).consultations
    write(tmp_path / "t.jsonl", said)
    write(tmp_path / "t.jsonl", replace(said, prompt=({"role": "user", "content": "x"},), purpose="trials", place=1))
    other = replace(REQUEST, spec=replace(REQUEST.spec, task="cats"))
    advisor = LLMAdvisor(ScriptedClient((), name="m"), Terms(replies=Replies(tmp_path / "t.jsonl"), replay=True))
    with pytest.raises(StudyError, match=r'where this one says "The task, in the user'):
        advisor.card(other)


def test_a_rehearsal_counts_the_card() -> None:
    """The first prompt is the card's, and the estimate is one card and the calls for candidates."""
    llm = LLMAdvisor(ScriptedClient(any_legal_reply), Terms(price=Price(1.0, 1.0), model="m"))
    found = rehearse(Gate(llm, Search(RandomAdvisor(), RandomAdvisor())), REQUEST)
    assert "portfolio" in found.schema["properties"]
    assert found.card_tokens > 500
    assert "the space card and 19 calls of that size cost about" in found.cost(19)
    plain = LLMAdvisor(ScriptedClient([{"candidates": []}]), llm.terms)
    bare = rehearse(Gate(plain, Search(RandomAdvisor(), RandomAdvisor())), REQUEST)
    assert bare.card_tokens == 0
    assert "card" not in bare.cost(19)
    price = [float(r.cost(19).split("about $")[1].split()[0]) for r in (found, bare)]
    assert price[0] > price[1]


def test_a_card_and_its_texts_are_json() -> None:
    """What the journal gets can be written."""
    advice = LLMAdvisor(ScriptedClient([FIVE])).card(REQUEST)
    assert advice.card is not None
    json.dumps([advice.card.to_json(), *(c.to_json() for c in advice.consultations)])
