"""What a prompt tells of the trials, and that it fits."""

from __future__ import annotations

import re
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from histories import curve_of, failed, pruned, request_of, scored, trial
from hypothesis import given, settings
from hypothesis import strategies as st

from neuropt_core.advice import Consultation, Lesson, Request
from neuropt_core.llm._history import history
from neuropt_core.llm.prompt import messages
from neuropt_core.space import Categorical, Float, Int, SearchSpace, Value
from neuropt_core.trial import Predicted, Trial

# The benchmark's study is the most realistic one at hand, and its count of tokens the most cautious.
COST = runpy.run_path(str(Path(__file__).parents[3] / "benchmarks" / "llm_cost.py"))

SPACE = SearchSpace(
    (
        Float(name="lr", low=1e-5, high=1e-1, log=True, default=1e-3, has_default=True),
        Categorical(name="act", choices=("ReLU", "GELU"), default="ReLU", has_default=True),
    )
)
P: dict[str, Value] = {"lr": 1e-3, "act": "ReLU"}
FIRST = trial(0, P, scored(1.0), source="default")


@pytest.mark.parametrize("n", [0, 1, 10, 50, 200, 500])
def test_any_study_fits_8000_tokens(n: int) -> None:
    """By characters / 3, and by a count of word pieces, whichever is more."""
    assert COST["prompt_tokens"](COST["study"](n)) <= 8000


def _wide(letters: int = 60) -> SearchSpace:
    """60 parameters, half of them with long names of choices."""
    made: list[Float | Categorical | Int] = []
    for i in range(30):
        made.append(Float(name=f"block{i}.optimizer.lr", low=1e-5, high=1e-1, log=True, default=1e-3, has_default=True))
        choices = tuple(f"{i}-{k}-".ljust(letters, "x") for k in range(20))
        made.append(Categorical(name=f"stage{i}.kind", choices=choices, default=choices[0], has_default=True))
    return SearchSpace(tuple(made))


@pytest.mark.parametrize("n", [10, 200])
@pytest.mark.parametrize("letters", [8, 60, 400])
def test_sixty_parameters_fit_too(n: int, letters: int) -> None:
    """With choices of long names, and as long a task as is shown, what is left out is said."""
    spec = replace(COST["SPEC"], space=_wide(letters), task="word " * 2000)
    request = COST["study"](n, spec)
    text = "".join(m["content"] for m in messages(request))
    assert COST["tokens"](text) <= 8000
    assert "more parameters, whose scores differ less" in text
    assert "(cut here: 9999 characters)" in text


def test_a_second_turn_fits_too() -> None:
    """Many accepted candidates and long complaints take their room from the history."""
    request = COST["study"](200, replace(COST["SPEC"], space=_wide()))
    accepted = [t.params for t in request.trials[:50]]
    text = messages(request, ["candidate 1: " + "x" * 5000] * 60, accepted)[1]["content"]
    assert len(text) < 20_000
    assert "... and 42 more were accepted" in text
    assert "... and 48 complaints more" in text
    assert "lr=" in text


def test_what_fits_is_told_whole() -> None:
    """A short study leaves nothing out."""
    text = history(COST["study"](18))
    assert [int(n) for n in re.findall(r"^#(\d+) ", text.split("\n\n")[1], re.MULTILINE)] == list(range(18))
    assert "more" not in text


def test_every_section_can_be_there() -> None:
    """Rows, failures, parameters, lessons, record and curves stand in this order."""
    text = history(COST["study"](200))
    heads = [
        "Trials so far: 200",
        "Trials (number",
        "Failures, each of them a broken constraint to the search:",
        "Parameters one",
        "Lessons that",
        "Record of",
        "Curves point",
    ]
    places = [text.index(head) for head in heads]
    assert places == sorted(places)


def test_points_and_rows_go_before_marginals() -> None:
    """The less room, the fewer curves and rows; parameters, failures and lessons outlast them, and cuts are said."""
    request = COST["study"](200)
    rows = []
    for limit in (99_999, 15_000, 9_000, 6_000, 4_000):
        text = history(request, limit)
        assert len(text) <= limit
        rows.append(len(re.findall(r"^#\d+ (?:default|llm|prior|surrogate)", text, re.MULTILINE)))
        assert "Failures, each of them a broken constraint to the search:" in text
        assert "Parameters one by one" in text
        assert f"... {200 - rows[-1]} more trials, neither among" in text
        assert "\n#198 llm" in text  # the latest that ended
        assert "\nlr: tried" in text  # what matters most to the made-up scores
    assert rows == sorted(rows, reverse=True)
    assert rows[-1] < rows[0]
    assert "more parameters" in text
    assert "older ones" in text
    assert "Curves" not in text


def test_a_row_says_who_why_and_what_was_expected() -> None:
    """Source, intent, parent, what differs, score and rank, expectation and whether it held, hypothesis, digest."""
    curve = curve_of([1.0, 0.6, 0.5, 0.5, 0.5, 0.5])
    said: dict[str, Any] = {"intent": "repair", "parent": 0, "hypothesis": "Smaller is\nsafer."}
    expected = Predicted(0.125, 0.25, 0.5)
    request = request_of(
        SPACE,
        [
            FIRST,
            trial(1, {**P, "lr": 3.00049e-4}, scored(0.75, curve), predicted=expected, **said),
            trial(2, {**P, "act": "GELU"}, pruned("Ignore\nall"), source="surrogate", stands_in_for="llm"),
            trial(3, {**P, "act": "GELU"}, scored(0.25), predicted=expected),
            trial(4, P, scored(0.0625), predicted=expected, intent="explore"),
            trial(5, P, predicted=expected),
        ],
    )
    rows = history(request).split("\n\n")[1].splitlines()[1:]
    digest = '"val_loss" first 1, best 0.5 at step 2 of 0..5, last 0.5; end +0% of range; 90% of its gain by step 2; '
    digest += "level for 4 points; healthy (levelled off near its best)"
    assert rows == [
        "#0 default | the defaults above | score 1, rank 4/4",
        "#1 llm, repair from #0 | lr=0.0003 | score 0.75, rank 3/4 | expected 0.125 / 0.25 / 0.5, came above p90 | "
        f'hypothesis "Smaller is safer." | {digest}',
        '#2 surrogate (for llm) | act="GELU" | stopped early: "Ignore all"',
        '#3 llm | act="GELU" | score 0.25, rank 2/4 | expected 0.125 / 0.25 / 0.5, came within',
        "#4 llm, explore | nothing | score 0.0625, rank 1/4 | expected 0.125 / 0.25 / 0.5, came below p10",
        "#5 llm | nothing | running | expected 0.125 / 0.25 / 0.5",
    ]


def test_a_row_tells_values_of_a_range_with_an_offset_apart() -> None:
    """A shown value lies within its bounds, and two that differ look different."""
    space = SearchSpace((Float(name="x", low=1000.0, high=1010.0), Float(name="m", low=0.0, high=0.9999)))
    trials = [trial(i, {"x": 1001.0 + i / 10, "m": 0.99961 - i / 10}, scored(1.0)) for i in range(3)]
    rows = history(request_of(space, trials)).split("\n\n")[1].splitlines()[1:]
    assert [row.split(" | ")[1] for row in rows] == ["x=1001, m=0.9996", "x=1001.1, m=0.9", "x=1001.2, m=0.8"]


def _many_changed(count: int = 40) -> Request:
    """Trials of many parameters that all differ from #0, of which the last one alone matters to the score."""
    names = [f"p{i:02}" for i in range(count)]
    space = SearchSpace(tuple(Float(name=n, low=0.0, high=1.0, default=0.5, has_default=True) for n in names))
    trials = [trial(0, dict.fromkeys(names, 0.5), scored(9.0, curve_of([9.0] * 8)), source="default")]
    for i in range(1, 40):
        values: dict[str, Value] = {n: (i * (k + 3) % 41) / 41 for k, n in enumerate(names)}
        values[names[-1]] = i / 40
        score = 1.0 + abs(i - 5) / 10
        trials.append(trial(i, values, scored(score, curve_of([3.0, 2.0, 1.5, 1.2, 1.1, score])), parent=max(0, i - 3)))
    return request_of(space, trials)


@pytest.mark.parametrize("limit", [15_000, 6_000, 4_500])
def test_the_best_configuration_is_shown_whole(limit: int) -> None:
    """However little room there is: a follow-up that starts from values it was never shown is a guess."""
    request = _many_changed()
    text = history(request, limit)
    assert len(text) <= limit
    rows = {int(n): row for n, row in re.findall(r"^#(\d+) (.*)$", text.split("\n\n")[1], re.MULTILINE)}
    assert rows[5].count("p") >= 40
    assert "more differ" not in rows[5]
    assert all(f"p{i:02}=" in rows[5] for i in range(40))
    assert 2 in rows  # its parent, neither among the best nor the latest where room is short
    assert "more differ" not in rows[2] or limit < 5_000


def test_a_cut_row_keeps_what_matters_most() -> None:
    """Of the values of another row those are kept whose parameters tell scores apart; digests go before values."""
    text = history(_many_changed(), 6_000)
    rows = {int(n): row for n, row in re.findall(r"^#(\d+) (.*)$", text.split("\n\n")[1], re.MULTILINE)}
    cut = [row for row in rows.values() if "more differ" in row]
    assert cut
    assert all("p39=" in row for row in cut)
    labelled = [row for row in cut if re.search(r"\| [a-z]+$", row)]
    assert len(labelled) >= len(cut) - 2  # the latest keep their words


def test_one_score_makes_another_prompt() -> None:
    """The history truly reaches the prompt: whichever score is changed, the words change."""
    request = COST["study"](18)
    told = messages(request)
    for place, one in enumerate(request.trials):
        if one.outcome is None or one.value is None:
            continue
        other = replace(one, outcome=replace(one.outcome, value=one.value * 1.01))
        changed = (*request.trials[:place], other, *request.trials[place + 1 :])
        assert messages(replace(request, trials=changed)) != told
    assert messages(COST["study"](18)) == told


def test_permuted_scores_make_another_prompt() -> None:
    """The same scores on other trials: marginals, ranks and record follow the trials."""
    request = COST["study"](200)
    ended = [t for t in request.trials if t.value is not None]
    turned = {t.number: other.outcome for t, other in zip(ended, [*ended[1:], ended[0]], strict=True)}
    trials = tuple(replace(t, outcome=turned.get(t.number, t.outcome)) for t in request.trials)
    before, after = (history(r).split("\n\n") for r in (request, replace(request, trials=trials)))
    heads = ("Trials (", "Parameters", "Record", "Curves")
    assert [a != b for a, b in zip(before, after, strict=True) if a.startswith(heads)] == [True] * 4


def test_running_trials_are_told_and_counted() -> None:
    """A hundred workers do not fill the prompt."""
    text = history(request_of(SPACE, [FIRST, *(trial(i, P) for i in range(1, 101))]))
    assert text.count("| running") == 8
    assert "... 92 more running trials" in text
    assert "Trials so far: 101, 1 scored, 100 running." in text


def test_lessons_come_with_their_trials() -> None:
    """Standing lessons are shown by number, latest first, as data; a retired one is gone."""
    learnt = (Lesson("one\n#0 default", (0, 1)), Lesson("two", (1,)), Lesson("three", (0,), (1,)))
    consulted = (Consultation("m", learnt=learnt), Consultation("m", retired=(2,)))
    text = history(request_of(SPACE, [FIRST, trial(1, P, scored(2.0))], consulted=consulted))
    section = next(part for part in text.split("\n\n") if part.startswith("Lessons"))
    assert section.splitlines()[1:] == [
        '3. "three" supported by #0; contradicted by #1',
        '1. "one #0 default" supported by #0, #1',
    ]


def test_foreign_text_is_tidied() -> None:
    """Keys, paths, controls and line breaks in whatever others wrote do not reach the prompt."""
    evil = "see /home/someone/secret.txt\n\x1b[31m key sk-abcdefghijklmnop"
    trials = [
        trial(0, {"lr": evil, "act": "ReLU"}, scored(1.0), source="default"),
        trial(1, P, failed("exception", f"ValueError: {evil}")),
        trial(2, P, pruned(evil)),
        trial(3, P, hypothesis=evil),
    ]
    text = history(request_of(SPACE, trials, consulted=(Consultation("m", learnt=(Lesson(evil, (0,)),)),)))
    for foreign in ("sk-abc", "someone", "\x1b"):
        assert foreign not in text
    assert "(ValueError)" in text


def test_a_slow_trial_is_said_to_be_slow() -> None:
    """Time is told as a class beside the median, and as nothing else."""

    def timed(number: int, seconds: float) -> Trial:
        curve = curve_of([1.0, 0.5])
        points = tuple(replace(p, seconds=seconds * p.step) for p in curve.points)
        return trial(number, P, scored(1.0, replace(curve, points=points)))

    request = request_of(SPACE, [timed(0, 1.0), timed(1, 1.1), timed(2, 9.0), timed(3, 1.2)])
    rows = history(request).split("\n\n")[1].splitlines()[1:]
    assert [("a step takes over 4 times the median time" in row) for row in rows] == [False, False, True, False]


_OUTCOMES = st.one_of(
    st.none(),
    st.builds(scored, st.floats(-1e9, 1e9), st.just(curve_of([3.0, 2.0, 1.0]))),
    st.builds(failed, st.sampled_from(["out_of_memory", "exception", "lost"]), st.text(max_size=30)),
    st.builds(pruned, st.text(min_size=1, max_size=30)),
)


@settings(max_examples=50)
@given(
    st.lists(st.tuples(_OUTCOMES, st.floats(1e-5, 1e-1), st.sampled_from(["ReLU", "GELU"])), min_size=1, max_size=40),
    st.sampled_from(["minimize", "maximize"]),
    st.integers(3000, 20_000),
)
def test_whatever_happened_can_be_told(trials: list[Any], direction: Any, limit: int) -> None:
    """Any mixture of outcomes makes a history within its limit, twice the same."""
    made = [
        trial(i, {"lr": lr, "act": act}, outcome, parent=i - 1 if i else None, intent="exploit")
        for i, (outcome, lr, act) in enumerate(trials)
    ]
    request = request_of(SPACE, made, direction)
    text = history(request, limit)
    assert len(text) <= limit
    assert text == history(request, limit)


def test_without_trials_there_is_one_sentence() -> None:
    """The first prompt says so."""
    assert history(request_of(SPACE, [])) == "No trial has run yet."
    assert isinstance(request_of(SPACE, []), Request)
