"""What becomes of a reply, and what does not."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuropt_core.advice import Lesson
from neuropt_core.errors import LLMBadOutput
from neuropt_core.llm.reply import Parsed, parse_reply
from neuropt_core.space import Categorical, Float, Int, SearchSpace, When
from neuropt_core.trial import Predicted

SPACE = SearchSpace(
    (
        Float(name="optimizer.lr", low=1e-5, high=1e-1, log=True),
        Int(name="model.depth", low=2, high=10, step=2),
        Categorical(name="optimizer.name", choices=("SGD", "adamw")),
        Float(name="optimizer.momentum", low=0.0, high=0.99, when=(When("optimizer.name", ("SGD",)),)),
        Categorical(name="nest", choices=(True, False, None, 1)),
    )
)
LEGAL: dict[str, Any] = {"lr": 3e-4, "depth": 4, "optimizer_name": "adamw", "momentum": 0.5, "nest": "true"}
PARAMS = {"optimizer.lr": 3e-4, "model.depth": 4, "optimizer.name": "adamw", "nest": True}
EXPECTED = {"p10": 0.1, "p50": 0.2, "p90": 0.3}


def _candidate(expected: object = EXPECTED, rationale: object = "Because of #0.", **values: object) -> dict[str, Any]:
    return {"rationale": rationale, "values": {**LEGAL, **values}, "expected": expected}


def _reply(*candidates: object, **more: object) -> str:
    return json.dumps({"diagnosis": "d", "candidates": list(candidates), **more})


def _parse(text: str, count: int = 4, known: Any = None) -> Parsed:
    return parse_reply(text, SPACE, count, known)


def test_a_legal_candidate_becomes_a_proposal() -> None:
    """Values come under the space's names, inactive ones are left out, and the words and the expectation are kept."""
    parsed = _parse(_reply(_candidate()))
    (proposal,) = parsed.proposals
    assert dict(proposal.params) == PARAMS
    assert (proposal.source, proposal.rationale, proposal.predicted) == (
        "llm",
        "Because of #0.",
        Predicted(0.1, 0.2, 0.3),
    )
    assert (parsed.complaints, parsed.diagnosis) == ((), "d")


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"lr": 3.0}, "optimizer.lr must satisfy 1e-05 <= value <= 0.1, got 3.0"),
        ({"lr": math.nextafter(0.1, 1.0)}, "optimizer.lr must satisfy"),
        ({"lr": math.nextafter(1e-5, 0.0)}, "optimizer.lr must satisfy"),
        ({"lr": "0.001"}, "optimizer.lr must be a number"),
        ({"lr": True}, "optimizer.lr must be a number"),
        ({"lr": None}, "optimizer.lr must be a number"),
        ({"lr": [0.001]}, "optimizer.lr must be a number"),
        ({"lr": 10**39}, "optimizer.lr must satisfy"),
        ({"depth": 3}, "model.depth must be 2 plus a multiple of 2, got 3"),
        ({"depth": 12}, "model.depth must satisfy 2 <= value <= 10, got 12"),
        ({"depth": 4.5}, "model.depth must be a whole number, got 4.5"),
        ({"depth": True}, "model.depth must be a number"),
        ({"depth": "4"}, "model.depth must be a number"),
        ({"optimizer_name": "rmsprop"}, 'optimizer.name must be one of "SGD", "adamw"'),
        ({"optimizer_name": "${oc.env:ANTHROPIC_API_KEY}"}, 'optimizer.name must be one of "SGD", "adamw"'),
        ({"optimizer_name": "SGD,adamw"}, 'optimizer.name must be one of "SGD", "adamw"'),
        ({"optimizer_name": "choice(SGD,adamw)"}, 'optimizer.name must be one of "SGD", "adamw"'),
        ({"optimizer_name": 0}, "optimizer.name must be one of the 2 labels"),
        ({"optimizer_name": {"_target_": "os.system"}}, "optimizer.name must be one of the 2 labels"),
        ({"nest": True}, "nest must be one of the 4 labels"),
        ({"hydra.run.dir": "/tmp/x"}, "holds a key that is not in the schema"),
        ({"hydra/launcher": "x", "_target_": "os.system", "__proto__": {}}, "holds 3 keys"),
        ({"optimizer.lr": 3e-4}, "holds a key"),
    ],
)
def test_one_bad_value_costs_one_candidate(values: dict[str, object], rule: str) -> None:
    """The bad candidate is named with the rule that it breaks, and its neighbours stay."""
    parsed = _parse(_reply(_candidate(depth=2), _candidate(**values), _candidate(depth=6)))
    assert [p.params["model.depth"] for p in parsed.proposals] == [2, 6]
    (complaint,) = parsed.complaints
    assert complaint.startswith(f"candidate 2: {rule}")
    for foreign in ("ANTHROPIC", "rmsprop", "hydra", "os.system"):
        assert foreign not in complaint


@pytest.mark.parametrize(
    ("literal", "rule"),
    [
        ("NaN", "optimizer.lr must be a number"),
        ("Infinity", "optimizer.lr must be a number"),
        ("-Infinity", "optimizer.lr must be a number"),
        ("1e999", "optimizer.lr must be a finite number"),
        ("9" * 5000, "optimizer.lr must have at most 40 digits"),
        ('{"a": 1, "a": 2}', "optimizer.lr must not hold a key twice"),
    ],
)
def test_what_json_does_not_allow_costs_one_candidate(literal: str, rule: str) -> None:
    """Literals that Python's parser would let through, or die of, fail where they stand."""
    text = _reply(_candidate(lr="HERE"), _candidate()).replace('"HERE"', literal)
    parsed = _parse(text)
    assert len(parsed.proposals) == 1
    assert parsed.complaints == (f"candidate 1: {rule}",)


def test_a_key_twice_is_no_choice() -> None:
    """Of two values under one key neither is taken."""
    text = _reply(_candidate()).replace('"lr": 0.0003', '"lr": 0.0003, "lr": 0.01')
    assert _parse(text).complaints == ("candidate 1: must not hold a key twice",)
    with pytest.raises(LLMBadOutput):
        _parse('{"diagnosis": "", "candidates": [], "candidates": []}')


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"candidates": {}}',
        "Here you are: {}",
        "```json\n{}\n```",
        '{"candidates": [}',
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"candidates": [' + "[" * 20 + "]" * 20 + "]}",
        " " * 400_001,
        '{"candidates": []} {}',
    ],
)
def test_an_unreadable_reply_is_said_to_be_one(text: str) -> None:
    """What is not one JSON object with a list of candidates is bad output as a whole."""
    with pytest.raises(LLMBadOutput, match=r"^reply: must"):
        _parse(text)


def test_brackets_within_strings_are_no_nesting() -> None:
    """A rationale may hold brackets and escaped quotes."""
    words = "[" * 30 + ' \\" {{{ "'
    assert _parse(_reply(_candidate(rationale=words))).proposals[0].rationale == words


def test_numbers_of_either_spelling_are_taken() -> None:
    """JSON has one type of number: 4.0 is a whole one, and 1 is a real one."""
    space = SearchSpace((Float(name="x", low=0, high=2), Int(name="n", low=1, high=9)))
    text = _reply({"rationale": "r", "values": {"x": 1, "n": 4.0}, "expected": EXPECTED})
    params = parse_reply(text, space, 1).proposals[0].params
    assert [(type(v), v) for v in params.values()] == [(float, 1.0), (int, 4)]


def test_labels_come_back_as_the_users_own_values() -> None:
    """The case of a label does not matter; what leaves is the element that the user wrote."""
    space = SearchSpace((Categorical(name="c", choices=("Adam", "SGD")), Categorical(name="d", choices=("a", "A", 1))))
    text = _reply({"rationale": "r", "values": {"c": "ADAM", "d": "V2"}, "expected": EXPECTED})
    assert dict(parse_reply(text, space, 1).proposals[0].params) == {"c": "Adam", "d": 1}


def test_an_inactive_value_is_ignored_and_an_active_one_needed() -> None:
    """A value whose condition does not hold counts for nothing, however wrong; one that counts cannot be missing."""
    wrong = _candidate(momentum="nonsense")
    assert dict(_parse(_reply(wrong)).proposals[0].params) == PARAMS
    active = _candidate(optimizer_name="sgd")
    assert _parse(_reply(active)).proposals[0].params["optimizer.momentum"] == 0.5
    del active["values"]["momentum"]
    assert _parse(_reply(active)).complaints == ("candidate 1: optimizer.momentum is missing",)


def test_a_rejected_condition_is_complained_of_once() -> None:
    """Whether a parameter counts is unknown while the one it depends on is wrong."""
    parsed = _parse(_reply(_candidate(optimizer_name="rmsprop", momentum=7)))
    assert parsed.complaints == ('candidate 1: optimizer.name must be one of "SGD", "adamw"',)


@pytest.mark.parametrize("candidate", [None, 1, "x", [], {}, {"values": []}, {"values": LEGAL}])
def test_a_candidate_of_another_shape_is_refused(candidate: object) -> None:
    """Whatever stands in the list, it costs itself alone."""
    parsed = _parse(_reply(candidate, _candidate()))
    assert len(parsed.proposals) == 1
    assert len(parsed.complaints) == 1


def test_repeats_are_refused() -> None:
    """A configuration that ran, runs, or stands in the same reply is not proposed again."""
    again = _candidate(lr=3.01e-4, momentum=0.9)
    parsed = _parse(_reply(_candidate(), again))
    assert len(parsed.proposals) == 1
    near = "or is nearer to it than training can show"
    assert parsed.complaints == (f"candidate 2: repeats candidate 1, {near}",)
    ran = _parse(_reply(_candidate()), known={"trial #2": {}, "trial #7": PARAMS})
    assert ran.proposals == ()
    assert ran.complaints == (f"candidate 1: repeats trial #7, {near}",)


@pytest.mark.parametrize(
    "expected",
    [
        None,
        {},
        {"p10": 1, "p50": 0, "p90": 2},
        {"p10": "a", "p50": 0, "p90": 2},
        {"p10": 0, "p50": True, "p90": 2},
        {"p10": 0, "p50": 1, "p90": 10**39 * 10},
    ],
)
def test_a_nonsensical_expectation_costs_itself_alone(expected: object) -> None:
    """The candidate stays, its expectation is left out, and this is said."""
    parsed = _parse(_reply(_candidate(expected=expected)))
    if parsed.proposals[0].predicted is not None:  # 1e40 is a number like any other
        assert parsed.proposals[0].predicted.p90 == 1e40
    else:
        assert "it is left out" in parsed.complaints[0]


def test_more_than_asked_for_is_not_taken() -> None:
    """A thousand candidates make as many proposals as were asked for, and one complaint."""
    text = _reply(*(_candidate(lr=1e-5 * 1.5 ** (i % 20)) for i in range(1000)))
    parsed = _parse(text, count=4)
    assert len(parsed.proposals) == 4
    assert parsed.complaints == ("4 asked for, so 996 further candidates were not looked at",)
    one = _parse(_reply(_candidate(lr=1e-4), _candidate(lr=1e-3)), count=1)
    assert one.complaints == ("1 asked for, so 1 further candidate was not looked at",)


def test_a_flood_of_bad_candidates_is_bounded() -> None:
    """Only the first ones are looked at, however many there are."""
    parsed = _parse(_reply(*([{}] * 5000)))
    assert len(parsed.complaints) == 65
    assert "4936 further candidates" in parsed.complaints[-1]


def test_unknown_keys_beside_the_candidates_are_said() -> None:
    """Nothing in a reply is passed over in silence, and the proposals stay."""
    parsed = _parse(_reply(_candidate(), overrides=["hydra.run.dir=/"]))
    assert len(parsed.proposals) == 1
    assert parsed.complaints == ("reply: holds a key that is not in the schema",)


@pytest.mark.parametrize("rationale", ["", " \n ", None, 3, ["x"], "\x00\x1b"])
def test_no_rationale_no_proposal(rationale: object) -> None:
    """Every proposal says why."""
    parsed = _parse(_reply(_candidate(rationale=rationale)))
    assert parsed.proposals == ()
    assert "rationale must be a text" in parsed.complaints[0]


def test_what_is_said_of_a_candidate_is_kept() -> None:
    """Intent, parent, hypothesis and falsifier come along; -1 is no parent, and an intent's case does not matter."""
    said = {"intent": "Repair", "parent": 3, "hypothesis": "h\n1", "falsifier": "f"}
    parsed = parse_reply(
        _reply({**_candidate(), **said}, {**_candidate(depth=6), "parent": -1.0}), SPACE, 4, numbers=(3,)
    )
    one, other = parsed.proposals
    assert (one.intent, one.parent, one.hypothesis, one.falsifier) == ("repair", 3, "h 1", "f")
    assert (other.intent, other.parent, other.hypothesis, other.falsifier) == ("", None, "", "")
    assert parsed.complaints == ()


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ({"intent": "win"}, "intent must be one of exploit, repair, explore, ablate; it is left out"),
        ({"intent": ["repair"]}, "intent must be one of"),
        ({"parent": 4}, "parent must be the number of a trial, or -1; it is left out"),
        ({"parent": -2}, "parent must be"),
        ({"parent": 2.5}, "parent must be"),
        ({"parent": True}, "parent must be"),
        ({"parent": None}, "parent must be"),
        ({"parent": "3"}, "parent must be"),
        ({"hypothesis": 3}, "hypothesis must be a text; it is left out"),
        ({"falsifier": None}, "falsifier must be a text; it is left out"),
    ],
)
def test_wrong_metadata_is_left_out_in_sight(said: dict[str, Any], rule: str) -> None:
    """What is said of a candidate never costs it; the complaint tells what was left out."""
    good = {"intent": "ablate", "parent": 3, "hypothesis": "h", "falsifier": "f"}
    parsed = parse_reply(_reply({**_candidate(), **good, **said}), SPACE, 4, numbers=(3,))
    (proposal,) = parsed.proposals
    (complaint,) = parsed.complaints
    assert complaint.startswith(f"candidate 1: {rule}")
    made = {"intent": proposal.intent, "parent": proposal.parent}
    made |= {"hypothesis": proposal.hypothesis, "falsifier": proposal.falsifier}
    assert made == {**good, **{name: None if name == "parent" else "" for name in said}}


def test_long_words_are_shortened_in_sight() -> None:
    """60 words of a rationale, 80 of a diagnosis and 40 of a sentence stay; an ellipsis says that there was more."""
    long = "word " * 100
    text = json.dumps({"diagnosis": long, "candidates": [{**_candidate(rationale=long), "hypothesis": long}]})
    parsed = _parse(text)
    (proposal,) = parsed.proposals
    for words, count in ((proposal.rationale, 60), (proposal.hypothesis, 40), (parsed.diagnosis, 80)):
        assert words == " ".join(["word"] * count) + "…"


def test_a_reply_without_lessons_teaches_none() -> None:
    """Models that know no schema may leave the lists out."""
    parsed = _parse(_reply(_candidate()))
    assert (parsed.learnt, parsed.retired, parsed.complaints) == ((), (), ())


def test_lessons_do_not_cost_candidates() -> None:
    """A list of nonsense under lessons is complained of, and the candidates stay."""
    parsed = _parse(_reply(_candidate(), lessons_keep=[1], lessons_retire="x"))
    assert len(parsed.proposals) == 1
    assert parsed.complaints == ("lessons_retire must be a list", "lesson 1: must be an object; it is not kept")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["lr", "depth", "optimizer_name", "momentum", "nest", "values", "expected", "rationale", "zz", "parent"]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)


@given(_JSON, _JSON)
def test_whatever_lessons_come_those_kept_have_evidence(keep: Any, retire: Any) -> None:
    """No JSON under lessons breaks the parser; a lesson has text and trials that exist, a number was shown."""
    parsed = parse_reply(
        _reply(lessons_keep=keep, lessons_retire=retire), SPACE, 1, numbers=(0, 1), standing={1: Lesson("l", (0,))}
    )
    for lesson in parsed.learnt:
        assert lesson.text
        assert lesson.supports
        assert {*lesson.supports, *lesson.contradicts} <= {0, 1}
    assert set(parsed.retired) <= {1}


@given(st.lists(_JSON, max_size=4))
def test_whatever_comes_what_leaves_is_legal(candidates: list[Any]) -> None:
    """No JSON breaks the parser, and every proposal satisfies the space."""
    parsed = _parse(_reply(*candidates))
    for proposal in parsed.proposals:
        assert SPACE.check(proposal.params) == ()
    assert len(parsed.proposals) + len(parsed.complaints) >= len(candidates)


@given(st.fixed_dictionaries({k: _JSON | st.just(v) for k, v in LEGAL.items()}))
def test_mutated_values_are_legal_or_complained_of(values: dict[str, Any]) -> None:
    """A candidate with some values replaced is taken as it is or refused with a rule; nothing is mended."""
    parsed = _parse(_reply(_candidate(**values)))
    assert len(parsed.proposals) + len(parsed.complaints) == 1
    for proposal in parsed.proposals:
        assert SPACE.check(proposal.params) == ()
        assert proposal.params["optimizer.lr"] == values["lr"]
