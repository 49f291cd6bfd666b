"""What a reply says to keep in mind and to forget -> lessons, each with trials that exist behind it.

A lesson that is said again, in the same words, takes the place of the earlier one and keeps the evidence of both; so a
model may repeat what stands without making it stand twice.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from neuropt_core.advice import Lesson
from neuropt_core.llm._json import Rejected, as_object, whole_number
from neuropt_core.llm._text import clean

_AT_ONCE = 8
_EVIDENCE = 50


def read_lessons(
    keep: object, retire: object, numbers: Collection[int], standing: Mapping[int, Lesson]
) -> tuple[tuple[Lesson, ...], tuple[int, ...], list[str]]:
    """Returns the lessons to keep, the numbers of those that stand no longer, and the complaints.

    Args:
        keep: What the reply holds under ``lessons_keep``; None means nothing.
        retire: What it holds under ``lessons_retire``; None means nothing.
        numbers: The trials that there are.
        standing: The lessons that the prompt showed, by number.
    """
    retired, complaints = _retired(retire, standing)
    learnt: dict[str, Lesson] = {}
    if not isinstance(keep, (list, type(None))):
        return (), tuple(retired), [*complaints, "lessons_keep must be a list"]
    entries = keep or []
    for index, entry in enumerate(entries[:_AT_ONCE], start=1):
        try:
            lesson, doubt = _lesson(entry, numbers)
        except Rejected as rejected:
            complaints.append(f"lesson {index}: {rejected}; it is not kept")
            continue
        complaints += [f"lesson {index}: {doubt}"] if doubt else []
        for number, earlier in standing.items():
            if _key(earlier.text) == _key(lesson.text):
                lesson = _merged(earlier, lesson)
                retired |= {number: None}
        key = _key(lesson.text)
        learnt[key] = _merged(learnt[key], lesson) if key in learnt else lesson
    if len(entries) > _AT_ONCE:
        complaints.append(f"at most {_AT_ONCE} lessons are kept of one reply; {len(entries) - _AT_ONCE} are left out")
    return tuple(learnt.values()), tuple(retired), complaints


def _retired(given: object, standing: Mapping[int, Lesson]) -> tuple[dict[int, None], list[str]]:
    """Returns the numbers as an ordered set."""
    if given is None:
        return {}, []
    if not isinstance(given, list):
        return {}, ["lessons_retire must be a list"]
    known: dict[int, None] = {}
    unknown = 0
    for item in given:
        try:
            number = whole_number(item)
        except Rejected:
            number = 0
        if number in standing:
            known[number] = None
        else:
            unknown += 1
    return known, [f"lessons_retire: {unknown} of {len(given)} are no numbers of lessons shown"] if unknown else []


def _lesson(given: object, numbers: Collection[int]) -> tuple[Lesson, str]:
    """Returns the lesson and what of it was left out, or raises `Rejected`."""
    entry = as_object(given, "must be an object")
    text = entry.get("lesson")
    words = clean(text, 40) if isinstance(text, str) else ""
    if not words:
        raise Rejected("must hold a text that is not empty")
    supports, unknown = _trials(entry.get("supports"), numbers)
    contradicts, more = _trials(entry.get("contradicts"), numbers)
    if not supports:
        raise Rejected("must name a trial that supports it")
    if set(supports) & set(contradicts):
        raise Rejected("names a trial on both sides")
    lost = unknown + more
    doubt = f"{lost} of its trials do not exist, or are more than {_EVIDENCE}; they are left out" if lost else ""
    return Lesson(words, supports, contradicts), doubt


def _trials(given: object, numbers: Collection[int]) -> tuple[tuple[int, ...], int]:
    """Returns the trials named, each once and in order, and how many names are none (a list that is none counts 1)."""
    if given is None:
        return (), 0
    if not isinstance(given, list):
        return (), 1
    found: set[int] = set()
    unknown = max(0, len(given) - _EVIDENCE)
    for item in given[:_EVIDENCE]:
        try:
            number = whole_number(item)
        except Rejected:
            number = -1
        if number in numbers:
            found.add(number)
        else:
            unknown += 1
    return tuple(sorted(found)), unknown


def _merged(earlier: Lesson, lesson: Lesson) -> Lesson:
    """Returns the lesson with the evidence of both; where they disagree on a trial, the later word counts."""
    supports = {*lesson.supports, *(set(earlier.supports) - set(lesson.contradicts))}
    contradicts = {*lesson.contradicts, *(set(earlier.contradicts) - set(lesson.supports))}
    return Lesson(lesson.text, tuple(sorted(supports)), tuple(sorted(contradicts)))


def _key(text: str) -> str:
    return text.casefold().rstrip(".")
