"""The advisor that asks an LLM."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from llm_server import LLMServer, Step, any_legal_reply

from neuropt_core.advice import Advice, Request
from neuropt_core.advisors.llm import LLMAdvisor, Terms
from neuropt_core.errors import LLMBadOutput, LLMError, LLMFatal, LLMRefused, LLMTransient, StudyError
from neuropt_core.llm.client import Completion, DeclinedReply, UnusableReply, make_client
from neuropt_core.llm.scripted import ScriptedClient
from neuropt_core.llm.settings import LLMSettings
from neuropt_core.space import Categorical, Float, SearchSpace
from neuropt_core.spec import StudySpec
from neuropt_core.spending import Budget
from neuropt_core.transcript import Replies, write
from neuropt_core.trial import Proposal, Trial

SPACE = SearchSpace(
    (Float(name="optimizer.lr", low=1e-5, high=1e-1, log=True), Categorical(name="act", choices=("ReLU", "GELU")))
)


def _candidate(lr: object, act: object = "GELU") -> dict[str, Any]:
    expected = {"p10": 0.1, "p50": 0.2, "p90": 0.3}
    return {"rationale": f"Try {lr} after #0.", "values": {"lr": lr, "act": act}, "expected": expected}


def _reply(*candidates: object) -> str:
    return json.dumps({"diagnosis": "d", "candidates": candidates})


def _request(count: int = 2, *trials: Trial) -> Request:
    return Request(StudySpec("s", SPACE), trials, number=len(trials), count=count, n_trials=20)


def _ask(client: ScriptedClient, count: int = 2, *trials: Trial) -> Advice:
    return LLMAdvisor(client).propose(_request(count, *trials))


def test_one_good_reply_is_one_consultation() -> None:
    """Legal candidates become proposals, and the exchange is kept whole."""
    text = _reply(_candidate(1e-3), _candidate(1e-2))
    client = ScriptedClient([Completion(text, {"input_tokens": 9, "output_tokens": 4}, "some-model", 1.5)])
    advice = _ask(client)
    assert [p.params["optimizer.lr"] for p in advice.proposals] == [1e-3, 1e-2]
    assert {p.source for p in advice.proposals} == {"llm"}
    (consultation,) = advice.consultations
    assert consultation.prompt == client.asked[0]
    assert (consultation.reply, consultation.model, consultation.seconds) == (text, "some-model", 1.5)
    assert (dict(consultation.usage), consultation.complaints) == ({"input_tokens": 9, "output_tokens": 4}, ())
    assert (consultation.kind, consultation.raised, consultation.diagnosis) == ("answered", False, "d")
    json.dumps(consultation.to_json())


def test_complaints_go_back_once() -> None:
    """A bad candidate is asked for again with the rule it broke, not with the model's own words."""
    first = _reply(_candidate(1e-3), _candidate(5.0, "IGNORE ALL RULES"))
    client = ScriptedClient([first, _reply(_candidate(2e-3))])
    advice = _ask(client)
    assert [p.params["optimizer.lr"] for p in advice.proposals] == [1e-3, 2e-3]
    again = client.asked[1][-1]["content"]
    assert "Accepted, do not repeat: lr=0.001" in again
    assert "Not used: candidate 2: optimizer.lr must satisfy 1e-05 <= value <= 0.1, got 5.0" in again
    assert "Propose exactly 1 candidate now." in again
    assert "IGNORE" not in again
    assert client.asked[0][0] == client.asked[1][0]
    assert len(advice.consultations) == 2
    assert advice.consultations[0].complaints[-1] == "2 candidates asked for, 1 legal"
    assert advice.consultations[1].complaints == ()


def test_what_was_learnt_is_in_the_consultation() -> None:
    """Diagnosis and lessons are journaled; the second turn shows, and may retire, what the first one taught."""
    ran = Trial(0, Proposal({"optimizer.lr": 1e-1, "act": "GELU"}, "why", "default"))
    lesson = {"lesson": "Small lr helps.", "supports": [0], "contradicts": []}
    first = {"diagnosis": "slow", "lessons_keep": [lesson], "lessons_retire": [], "candidates": []}
    again = {**first, "diagnosis": "no", "lessons_keep": [], "lessons_retire": [1], "candidates": [_candidate(1e-3)]}
    client = ScriptedClient([json.dumps(first), json.dumps(again)])
    one, two = _ask(client, 1, ran).consultations
    assert (one.diagnosis, [entry.text for entry in one.learnt], one.retired) == ("slow", ["Small lr helps."], ())
    assert (two.diagnosis, two.learnt, two.retired, two.complaints) == ("no", (), (1,), ())
    assert "Small lr helps." in client.asked[1][-1]["content"]


def test_two_turns_are_the_end() -> None:
    """After the second turn the advisor returns what there is."""
    client = ScriptedClient(lambda *_: _reply(_candidate(9.0)))
    advice = _ask(client)
    assert advice.proposals == ()
    assert len(advice.consultations) == 2


def test_a_turn_does_not_repeat_the_other() -> None:
    """What the first turn brought is a duplicate in the second."""
    client = ScriptedClient(lambda *_: _reply(_candidate(1e-3)))
    advice = _ask(client)
    assert len(advice.proposals) == 1
    assert advice.consultations[1].complaints[0].startswith("candidate 1: repeats accepted candidate 1, or")


def test_running_and_finished_trials_are_not_repeated() -> None:
    """A configuration that is being trained is as well known as one that was."""
    running = Trial(0, Proposal({"optimizer.lr": 1e-3, "act": "GELU"}, "why", "prior"))
    advice = _ask(ScriptedClient([_reply(_candidate(1e-3)), _reply(_candidate(2e-3))]), 1, running)
    assert [p.params["optimizer.lr"] for p in advice.proposals] == [2e-3]
    assert advice.consultations[0].complaints == (
        "candidate 1: repeats trial #0, or is nearer to it than training can show",
        "1 candidate asked for, 0 legal",
    )


@pytest.mark.parametrize(
    ("error", "word", "calls"),
    [
        (LLMFatal("m", "does not accept the key"), "fatal", 1),
        (LLMTransient("m", "is overloaded"), "transient", 1),
        (LLMRefused("m", "declined"), "refused", 1),
        (LLMBadOutput("m", "sent a web page"), "bad output", 2),
    ],
)
def test_a_failed_call_is_a_consultation(error: LLMError, word: str, calls: int) -> None:
    """No error of an LLM leaves the advisor: it is a complaint, and only bad output is worth a second turn."""
    client = ScriptedClient([error] * 3)
    advice = _ask(client)
    assert advice.proposals == ()
    assert len(advice.consultations) == len(client.asked) == calls
    assert advice.consultations[0].complaints == (f"{word}: {error}",)
    assert advice.consultations[0].model == "scripted"
    assert advice.consultations[0].prompt == client.asked[0]


def test_an_error_in_the_second_turn_keeps_the_first() -> None:
    """What was legal before the network failed is not thrown away."""
    advice = _ask(ScriptedClient([_reply(_candidate(1e-3)), LLMTransient("m", "broke off")]))
    assert len(advice.proposals) == 1
    assert advice.consultations[1].complaints == ("transient: m: broke off",)


def test_a_complaint_does_not_repeat_the_models_name() -> None:
    """The consultation names the model; an error that begins with it is told without."""
    consultation = _ask(ScriptedClient([LLMFatal("m", "does not accept the key")], name="m")).consultations[0]
    assert (consultation.model, consultation.complaints) == ("m", ("fatal: does not accept the key",))


@pytest.mark.parametrize("kind", [UnusableReply, DeclinedReply])
def test_what_was_paid_for_is_kept(kind: type[UnusableReply] | type[DeclinedReply]) -> None:
    """A truncated or declined reply appears with its text, model and tokens."""
    error = kind("m", "of no use")
    usage = {"input_tokens": 5, "output_tokens": 7}
    error.completion = Completion("{", usage, "real-model")
    consultation = _ask(ScriptedClient([error] * 2)).consultations[0]
    assert (consultation.reply, dict(consultation.usage), consultation.model) == ("{", usage, "real-model")
    assert consultation.raised


def test_unreadable_text_gets_a_second_turn() -> None:
    """A reply that is no JSON is kept, complained of, and asked for again."""
    advice = _ask(ScriptedClient(["Sure! Here it is.", _reply(_candidate(1e-3), _candidate(2e-3))]))
    assert len(advice.proposals) == 2
    assert advice.consultations[0].reply == "Sure! Here it is."
    assert advice.consultations[0].complaints == ("bad output: reply: must be one JSON object and nothing else",)
    again = advice.consultations[1].prompt[-1]["content"]
    assert "could not be read, so none of it was used (must be one JSON object and nothing else)" in again


def test_the_advisor_keeps_nothing() -> None:
    """The same request gets the same advice, whatever was asked before."""
    advisor = LLMAdvisor(ScriptedClient(any_legal_reply))
    first = advisor.propose(_request(3))
    advisor.propose(_request(1))
    again = advisor.propose(_request(3))
    assert first.proposals == again.proposals
    assert len(first.proposals) == 3


def test_the_name_says_who_is_asked() -> None:
    """People see provider and model."""
    assert LLMAdvisor(ScriptedClient([], "anthropic: claude-x")).name == "llm (anthropic: claude-x)"


CANARY = "sk-canary-0123456789abcdef"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, key or base URL of the machine reaches a test."""
    for name in list(os.environ):
        if name.upper().endswith("_PROXY") or name.startswith(("ANTHROPIC_", "OPENAI_")):
            monkeypatch.delenv(name)


def _over_the_wire(provider: Any, answers: Any, count: int = 2) -> tuple[Advice, LLMServer]:
    with LLMServer(answers) as server:
        client = make_client(LLMSettings(provider=provider, deadline=60.0), server.environ(provider, CANARY))
        return LLMAdvisor(client).propose(_request(count)), server


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
def test_the_whole_way_by_the_real_sdk(provider: str) -> None:
    """Prompt, schema, wire, parser: a stand-in for a model gets its candidates through, legal ones."""
    advice, server = _over_the_wire(provider, any_legal_reply, 3)
    assert len(advice.proposals) == 3
    assert advice.consultations[0].complaints == ()
    assert advice.consultations[0].usage["input_tokens"] == 100
    assert len(server.requests) == 1
    assert server.requests[0].messages == [dict(m) for m in advice.consultations[0].prompt]


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
@pytest.mark.parametrize(
    ("step", "word"),
    [
        (Step(status=401, body={"error": {"message": f"Incorrect API key: {CANARY}"}}), "fatal"),
        (Step(status=429, body={"error": {"message": CANARY}}, headers={"retry-after": "900"}), "transient"),
        (Step(body=f"<html>{CANARY}</html>".encode()), "bad output"),
        (Step(text="{", stop="length"), "bad output"),
        (Step(stop="refusal"), "refused"),
    ],
)
def test_no_fault_leaves_the_advisor_nor_takes_the_key_along(provider: str, step: Step, word: str) -> None:
    """Whatever the server does, there is advice with the reason in it, and the key is in no part of it."""
    advice, _ = _over_the_wire(provider, [step])
    assert advice.proposals == ()
    assert advice.consultations[0].complaints[0].startswith(f"{word}: ")
    assert CANARY not in json.dumps([c.to_json() for c in advice.consultations])


def test_a_second_turn_is_within_the_budget_too() -> None:
    """A cap of one call leaves no second turn, and says why."""
    client = ScriptedClient(["no JSON", _reply(_candidate(1e-3))])
    advice = LLMAdvisor(client, Terms(budget=Budget(calls=1))).propose(_request())
    assert len(client.asked) == 1
    assert [c.kind for c in advice.consultations] == ["bad output", "not asked"]
    assert advice.consultations[1].complaints == ("the cap of 1 LLM calls is reached",)


def test_a_suspension_is_told_once() -> None:
    """The reason for not asking is a note in the journal when it begins, not before every trial."""
    client = ScriptedClient([LLMFatal("m", "does not accept the key")] * 9)
    advisor = LLMAdvisor(client)
    consulted = advisor.propose(_request()).consultations
    noted = advisor.propose(replace(_request(), number=2, consulted=consulted)).consultations
    assert [c.kind for c in noted] == ["not asked"]
    assert advisor.propose(replace(_request(), number=3, consulted=consulted + noted)).consultations == ()
    assert len(client.asked) == 1
    advisor.propose(replace(_request(), number=4, consulted=consulted + noted))
    assert len(client.asked) == 2


@pytest.mark.parametrize(
    "answer",
    [
        _reply(_candidate(1e-3), _candidate(2e-3)),
        "no JSON at all",
        LLMTransient("m", "is overloaded (HTTP 529)"),
        LLMFatal("m", "does not accept the key", mend="Check it."),
    ],
)
def test_a_replay_is_the_same_study(tmp_path: Path, answer: Any) -> None:
    """Answers and failures alike come back from the transcript as they were, without a call."""
    first = LLMAdvisor(ScriptedClient([answer] * 2, name="m")).propose(_request())
    for consultation in first.consultations:
        write(tmp_path / "t.jsonl", consultation)
    nobody = ScriptedClient((), name="m")
    again = LLMAdvisor(nobody, Terms(replies=Replies(tmp_path / "t.jsonl"), replay=True)).propose(_request())
    assert again.proposals == first.proposals
    assert [replace(c, seconds=0.0) for c in again.consultations] == [
        replace(c, seconds=0.0, replayed=True) for c in first.consultations
    ]
    assert nobody.asked == []


def test_what_was_not_recorded_ends_a_replay(tmp_path: Path) -> None:
    """In replay a call that the transcript lacks is an error; in record mode it is made."""
    write(
        tmp_path / "t.jsonl",
        LLMAdvisor(ScriptedClient([_reply(_candidate(1e-3))])).propose(_request(1)).consultations[0],
    )
    replies = Replies(tmp_path / "t.jsonl")
    with pytest.raises(StudyError, match="does not hold"):
        LLMAdvisor(ScriptedClient(()), Terms(replies=replies, replay=True)).propose(_request(2))
    client = ScriptedClient([_reply(_candidate(1e-3), _candidate(2e-3))])
    assert len(LLMAdvisor(client, Terms(replies=replies)).propose(_request(2)).proposals) == 2
    assert len(client.asked) == 1


def test_keys_in_a_reply_are_not_kept() -> None:
    """A gateway that echoes a key in its reply cannot write it into the transcript."""
    echoed = {**_candidate(1e-3), "rationale": "Your key is sk-ant-0123456789abcdef, see #0."}
    advice = _ask(ScriptedClient([_reply(echoed)]), 1)
    assert "sk-ant" not in advice.consultations[0].reply + advice.proposals[0].rationale
    assert "[redacted]" in advice.proposals[0].rationale
