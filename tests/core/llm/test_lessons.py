"""Which lessons of a reply are kept, and which stand no longer."""

from __future__ import annotations

from typing import Any

import pytest

from neuropt_core.advice import Consultation, Lesson, lessons
from neuropt_core.llm._json import load
from neuropt_core.llm._lessons import read_lessons

NUMBERS = range(6)
STANDING = {2: Lesson("Small lr helps.", (1, 2)), 5: Lesson("Freeze.", (3,), (4,))}


def _said(text: object = "A lesson.", supports: Any = (1,), contradicts: Any = ()) -> dict[str, Any]:
    lists = [list(trials) if isinstance(trials, tuple) else trials for trials in (supports, contradicts)]
    return {"lesson": text, "supports": lists[0], "contradicts": lists[1]}


def _read(keep: object = None, retire: object = None) -> tuple[tuple[Lesson, ...], tuple[int, ...], list[str]]:
    return read_lessons(keep, retire, NUMBERS, STANDING)


def test_lessons_are_kept_with_their_trials() -> None:
    """Text is cleaned, trials stand once and in order, and retired numbers come in the order of the reply."""
    kept, retired, complaints = _read([_said("Warm\nup.", [3, 1, 3.0], [2])], [5, 2, 5])
    assert kept == (Lesson("Warm up.", (1, 3), (2,)),)
    assert (retired, complaints) == ((5, 2), [])


@pytest.mark.parametrize(
    ("lesson", "rule"),
    [
        ("x", "must be an object"),
        (None, "must be an object"),
        (_said(""), "must hold a text"),
        (_said(7), "must hold a text"),
        (_said("\x00"), "must hold a text"),
        (_said(supports=[]), "must name a trial that supports it"),
        (_said(supports=[99]), "must name a trial that supports it"),
        (_said(supports=3), "must name a trial that supports it"),
        (_said(supports=[True]), "must name a trial that supports it"),
        (_said(supports=[1], contradicts=[1]), "names a trial on both sides"),
    ],
)
def test_a_lesson_needs_evidence(lesson: object, rule: str) -> None:
    """A lesson without words or without a trial behind it is not kept, and its neighbour is."""
    kept, _, complaints = _read([lesson, _said()])
    assert kept == (Lesson("A lesson.", (1,)),)
    assert len(complaints) == 1
    assert complaints[0].startswith(f"lesson 1: {rule}")
    assert complaints[0].endswith("; it is not kept")


def test_trials_that_do_not_exist_are_left_out_in_sight() -> None:
    """What is left of a lesson's evidence is kept, and the rest is counted."""
    kept, _, complaints = _read([_said(supports=[1, 99, "2"], contradicts=None)])
    assert kept == (Lesson("A lesson.", (1,)),)
    assert complaints == ["lesson 1: 2 of its trials do not exist, or are more than 50; they are left out"]


def test_a_lesson_said_again_takes_the_place_of_the_earlier_one() -> None:
    """It keeps the evidence of both; where they disagree, the later word counts."""
    kept, retired, complaints = _read([_said("small LR helps", [4], [2])])
    assert kept == (Lesson("small LR helps", (1, 4), (2,)),)
    assert (retired, complaints) == ((2,), [])


def test_a_lesson_said_twice_at_once_is_one() -> None:
    """Within a reply, too."""
    kept, _, _ = _read([_said("A.", [1]), _said("a", [2])])
    assert kept == (Lesson("a", (1, 2)),)


def test_unknown_numbers_are_counted() -> None:
    """Only lessons that were shown can be taken back."""
    _, retired, complaints = _read(None, [1, 2, "5", 1e3, True])
    assert retired == (2,)
    assert complaints == ["lessons_retire: 4 of 5 are no numbers of lessons shown"]


def test_a_flood_of_lessons_is_bounded() -> None:
    """Eight of one reply are enough, and what is left out is said."""
    kept, _, complaints = _read([_said(f"Lesson {i}.") for i in range(1000)])
    assert len(kept) == 8
    assert complaints == ["at most 8 lessons are kept of one reply; 992 are left out"]


def test_numbers_count_over_the_study() -> None:
    """What a consultation keeps and retires is what the next request shows."""
    kept, retired, _ = _read([_said("Freeze", [1])])
    first = Consultation("m", learnt=(*(Lesson(f"{i}", (0,)) for i in range(4)), STANDING[5]))
    assert lessons([first, Consultation("m", learnt=kept, retired=retired)])[6] == Lesson("Freeze", (1, 3), (4,))
    assert 5 not in lessons([first, Consultation("m", learnt=kept, retired=retired)])


def test_what_json_does_not_allow_is_refused_in_place() -> None:
    """A key twice within a lesson costs that lesson."""
    kept, _, complaints = _read(load('[{"lesson": "a", "lesson": "b"}, {"lesson": "c", "supports": [1]}]'))
    assert kept == (Lesson("c", (1,)),)
    assert complaints == ["lesson 1: must not hold a key twice; it is not kept"]
