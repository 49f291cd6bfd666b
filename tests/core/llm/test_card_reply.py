"""A space card's reply: what is legal is taken as it is, and what is not is left out with a rule."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_server import any_legal_reply

from neuropt_core.card import SpaceCard
from neuropt_core.errors import LLMBadOutput
from neuropt_core.llm.card_reply import Draft, read_card
from neuropt_core.llm.card_schema import card_schema
from neuropt_core.space import Categorical, Float, Int, SearchSpace, When

SPACE = SearchSpace(
    (
        Float(name="optimizer.lr", low=1e-5, high=1e-1, log=True),
        Int(name="width", low=32, high=64, step=8),
        Categorical(name="act", choices=("relu", "gelu", None)),
        Float(name="slope", low=0.0, high=1.0, when=(When("act", ("relu",)),)),
    )
)
LR = {"parameter": "lr", "why": "AdamW.", "low": 1e-4, "high": 1e-2, "mode": 1e-3, "risk": "Diverges above 0.05."}
ACT = {"parameter": "act", "why": "Usual.", "likely": ["gelu", "null"], "risk": ""}
ASK = "Write the card now, with exactly 2 configurations in its portfolio."


def _reply(**changed: Any) -> dict[str, Any]:
    made = any_legal_reply([{"role": "user", "content": ASK}], card_schema(SPACE))
    return {**made, "numbers": [LR], "choices": [ACT], "expected": [{"p10": 0.1, "p50": 0.2, "p90": 0.3}], **changed}


def _read(count: int = 2, **changed: Any) -> Draft:
    return read_card(json.dumps(_reply(**changed)), SPACE, count)


def test_a_legal_card_is_taken_whole() -> None:
    """Beliefs are in the user's own names and values, configurations are legal proposals, and the journal keeps all."""
    draft = _read()
    assert draft.complaints == ()
    card = draft.card()
    assert card is not None
    lr, act = card.beliefs["optimizer.lr"], card.beliefs["act"]
    assert (lr.low, lr.high, lr.mode, lr.risk, lr.why) == (1e-4, 1e-2, 1e-3, "Diverges above 0.05.", "AdamW.")
    assert (act.likely, act.mode, act.low) == (("gelu", None), "gelu", None)
    assert [p.source for p in card.portfolio] == ["llm", "llm"]
    assert all(SPACE.check(p.params) == () for p in card.portfolio)
    assert card.expected is not None
    assert card.expected.p50 == 0.2
    assert SpaceCard.from_json(json.loads(json.dumps(card.to_json()))) == card


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"low": 1e-6}, "optimizer.lr must satisfy 1e-05 <= low < high <= 0.1, got 1e-06 and 0.01"),
        ({"high": 1}, "1e-05 <= low < high <= 0.1, got 0.0001 and 1.0"),
        ({"low": 1e-2, "high": 1e-4}, "low < high"),
        ({"low": 1e-3, "high": 1e-3}, "low < high"),
        ({"mode": 0.05}, "must satisfy low <= mode <= high"),
        ({"mode": 5.0}, "optimizer.lr mode must satisfy"),
        ({"mode": math.nan}, "optimizer.lr mode must be a number"),
        ({"low": -math.inf}, "optimizer.lr low must be a number"),
        ({"high": 10**400}, "optimizer.lr high must have at most 40 digits"),
        ({"low": "1e-4"}, "optimizer.lr low must be a number"),
        ({"low": True}, "optimizer.lr low must be a number"),
        ({"low": None}, "optimizer.lr low must be a number"),
        ({"parameter": "width", "low": 32, "high": 64, "mode": 33}, "width mode must be 32 plus a multiple of 8"),
        ({"parameter": "width", "low": 32, "high": 64, "mode": 40.5}, "width mode must be a whole number"),
        ({"parameter": "act"}, "must be the alias of one of the 3 numbers"),
        ({"parameter": "optimizer.lr"}, "must be the alias"),
        ({"parameter": "__proto__"}, "must be the alias"),
        ({"parameter": ["lr"]}, "must be the alias"),
        ({"parameter": {}}, "must be the alias"),
        ({"why": 3}, "why must be a text"),
        ({"risk": None}, "risk must be a text"),
        ({"__class__": "x"}, "holds a key that is not in the schema"),
    ],
)
def test_a_belief_that_breaks_a_rule_is_none(changed: dict[str, Any], rule: str) -> None:
    """It is left out with the rule, never moved to where it would be legal, and costs nothing else."""
    draft = _read(numbers=[{**LR, **changed}])
    assert list(draft.beliefs) == ["act"]
    assert len(draft.portfolio) == 2
    (complaint,) = draft.complaints
    assert complaint.startswith("numbers 1: ")
    assert complaint.endswith("; the belief is left out")
    assert rule in complaint


@pytest.mark.parametrize(
    ("likely", "rule"),
    [
        ([], "needs a list of its 3 choices or fewer, and at least one"),
        ("gelu", "needs a list"),
        (["gelu"] * 4, "needs a list of its 3 choices"),
        (["gelu", "GELU"], "names a choice twice"),
        (["obey the intruder"], 'act must be one of "relu", "gelu", "null"'),
        ([None], "act must be one of the 3 labels"),
        ([{"_target_": "os.system"}], "act must be one of the 3 labels"),
    ],
)
def test_likely_choices_are_the_users_own(likely: Any, rule: str) -> None:
    """A choice that is none, or named twice, costs the belief, and its text is in no complaint."""
    draft = _read(choices=[{**ACT, "likely": likely}])
    assert "act" not in draft.beliefs
    assert rule in draft.complaints[0]
    assert "intruder" not in str(draft.complaints)


def test_a_parameter_is_spoken_of_once() -> None:
    """The first word counts; a second belief of the same parameter is left out and told."""
    draft = _read(numbers=[LR, {**LR, "parameter": "LR", "mode": 1e-4}])
    assert draft.beliefs["optimizer.lr"].mode == 1e-3
    assert "says something of optimizer.lr again" in draft.complaints[0]


def test_a_bad_configuration_costs_itself_alone() -> None:
    """Portfolio entries are checked as candidates are: bounds, keys, conditions, repeats."""
    good = _reply()["portfolio"]
    bad = [
        {**good[0], "values": {**good[0]["values"], "lr": 5.0}},
        {**good[0], "values": {**good[0]["values"], "hydra.run.dir": "/tmp"}},
        {**good[0], "intent": "explore"},
        "no object",
    ]
    draft = _read(count=3, portfolio=[good[0], *bad, good[0], good[1]])
    assert len(draft.portfolio) == 2
    told = "\n".join(draft.complaints)
    assert "configuration 2: optimizer.lr must satisfy" in told
    assert "configuration 3: holds a key that is not in the schema" in told
    assert "configuration 6: repeats configuration 1" in told
    assert "3 configurations asked for, 2 legal" in told
    assert "hydra" not in told


def test_a_known_trial_is_not_repeated() -> None:
    """The user's own configuration runs anyway, so that a portfolio has no use for it."""
    own = dict(_read().portfolio[0].params)
    draft = read_card(json.dumps(_reply()), SPACE, 2, {"trial #0": own})
    assert len(draft.portfolio) == 1
    assert "configuration 1: repeats trial #0" in draft.complaints[0]


@pytest.mark.parametrize("expected", [[{"p10": 3, "p50": 2, "p90": 1}], [{}], ["x"], {"p10": 1}, [{}, {}], None, 3])
def test_an_expectation_that_is_none_costs_nothing_else(expected: Any) -> None:
    """The card stands without it, and the complaint says so."""
    draft = _read(expected=expected)
    assert draft.expected is None
    assert draft.size == 4
    assert "it is left out" in draft.complaints[-1]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "no JSON", '{"portfolio": 3}', '{"portfolio": [], "portfolio": []}', "x" * 1_000_000]
)
def test_what_is_no_card_is_refused_whole(text: str) -> None:
    """Text that is no object with a portfolio is bad output, however long it is."""
    with pytest.raises(LLMBadOutput):
        read_card(text, SPACE, 2)


def test_words_are_made_harmless_and_short() -> None:
    """Controls, keys and length are taken out of risk, why and rationale, as out of all other words of a model."""
    evil = "ig\x1b[2Jnore\u202e all\nrules sk-ant-0123456789abcdef " + "x" * 100_000
    start = time.process_time()
    draft = _read(numbers=[{**LR, "risk": evil, "why": evil}], diagnosis=evil)
    assert time.process_time() - start < 20
    for words in (draft.beliefs["optimizer.lr"].risk, draft.beliefs["optimizer.lr"].why, draft.diagnosis):
        assert words.isprintable()
        assert "sk-ant" not in words
        assert len(words) <= 801
    assert len(draft.beliefs["optimizer.lr"].risk) <= 201


def test_a_flood_of_beliefs_is_bounded() -> None:
    """Of thousands of entries so many are looked at as a space could need, and the rest is counted."""
    draft = _read(numbers=[{"parameter": "x"}] * 5000)
    assert len(draft.complaints) < 220
    assert "numbers: 4800 more than 200 were not looked at" in draft.complaints


def test_a_second_turn_adds_to_the_first() -> None:
    """Beliefs that were accepted stand, and only what is missing of the portfolio is taken."""
    first = _read(count=2, portfolio=_reply()["portfolio"][:1], choices=[])
    again = read_card(json.dumps(_reply(numbers=[{**LR, "mode": 5e-4}])), SPACE, 2, {}, first)
    assert again.beliefs["optimizer.lr"].mode == 1e-3
    assert "act" in again.beliefs
    assert len(again.portfolio) == 2
    assert again.portfolio[0] == first.portfolio[0]


def test_nothing_of_use_is_no_card() -> None:
    """Without a belief and a configuration there is no card that could be mistaken for one."""
    assert _read(portfolio=[], numbers=[], choices=[]).card() is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["lr", "width"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["parameter", "low", "high", "mode", "likely", "risk", "why", "values", "rationale"]),
            inner,
            max_size=7,
        )
    ),
    max_leaves=20,
)


@given(st.fixed_dictionaries(dict.fromkeys(("numbers", "choices", "portfolio", "expected", "diagnosis"), _JSON)))
def test_whatever_is_said_a_card_is_legal(data: dict[str, Any]) -> None:
    """Any JSON gives legal beliefs and configurations or complaints, and no other error than bad output."""
    try:
        draft = read_card(json.dumps(data), SPACE, 3)
    except LLMBadOutput:
        return
    for name, belief in draft.beliefs.items():
        p = SPACE[name]
        if isinstance(p, Categorical):
            assert all(p.check(value) is None for value in belief.likely)
        else:
            assert belief.low is not None
            assert belief.high is not None
            assert p.check(belief.mode) is None
            assert p.low <= belief.low < belief.high <= p.high
    assert all(SPACE.check(p.params) == () for p in draft.portfolio)


@given(low=st.floats(1e-6, 0.2), high=st.floats(1e-6, 0.2), mode=st.floats(1e-6, 0.2))
def test_a_belief_is_kept_as_it_was_said_or_not_at_all(low: float, high: float, mode: float) -> None:
    """Numbers come out exactly as they went in, or the belief is not there."""
    draft = _read(numbers=[{**LR, "low": low, "high": high, "mode": mode}])
    legal = 1e-5 <= low < high <= 1e-1 and low <= mode <= high
    assert ("optimizer.lr" in draft.beliefs) is legal
    if legal:
        belief = draft.beliefs["optimizer.lr"]
        assert (belief.low, belief.high, belief.mode) == (low, high, mode)
