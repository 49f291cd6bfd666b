"""The transcript, and what is found in it again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from neuropt_core.advice import Consultation, Lesson, lessons
from neuropt_core.errors import StudyError
from neuropt_core.transcript import NAME, Replies, call_key, write

PROMPT = ({"role": "user", "content": "what next?"},)


def _exchange(key: str = "k", reply: str = "{}") -> Consultation:
    return Consultation("m", PROMPT, reply, {"input_tokens": 3}, 1.5, ("c",), 2, learnt=(Lesson("l", (1,)),), key=key)


def test_an_exchange_is_found_as_it_was(tmp_path: Path) -> None:
    """What was written is read back whole, by the folder of the sweep or by the file."""
    path = tmp_path / "neuropt" / NAME
    write(path, _exchange())
    assert Replies(tmp_path).find("k", 0) == _exchange()
    assert Replies(path).find("k", 1) is None
    assert Replies(path).find("other", 0) is None


def test_the_second_time_is_another_exchange(tmp_path: Path) -> None:
    """A server that failed and then answered the same question does so in a replay."""
    path = tmp_path / NAME
    write(path, _exchange(reply="first"))
    write(path, _exchange(reply="second"))
    found = Replies(path)
    assert [found.find("k", n).reply for n in (0, 1)] == ["first", "second"]  # type: ignore[union-attr]


def test_it_is_its_owners_alone(tmp_path: Path) -> None:
    """The file holds whole prompts, so nobody else may read it."""
    write(tmp_path / NAME, _exchange())
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


def test_the_journal_holds_no_texts() -> None:
    """What a study keeps of an exchange comes back the same, but for prompt and reply."""
    kept = Consultation.from_json(json.loads(json.dumps(_exchange().to_json())))
    assert (kept.prompt, kept.reply) == ((), "")
    assert (kept.usage, kept.learnt, kept.key, kept.number) == ({"input_tokens": 3}, (Lesson("l", (1,)),), "k", 2)


def test_equal_calls_have_equal_keys() -> None:
    """The order of a mapping's keys does not matter; name, prompt and schema do."""
    base = call_key("n", PROMPT, {"a": 1, "b": 2})
    assert base == call_key("n", [{"content": "what next?", "role": "user"}], {"b": 2, "a": 1})
    others = [call_key("o", PROMPT, {"a": 1, "b": 2}), call_key("n", PROMPT, {"a": 1}), call_key("n", (), {})]
    assert len({base, *others}) == 4


def test_a_transcript_that_is_none_is_named(tmp_path: Path) -> None:
    """A missing or damaged transcript is one sentence with its path."""
    with pytest.raises(StudyError, match="cannot be read"):
        Replies(tmp_path / "nothing.jsonl")
    (tmp_path / NAME).write_text("rubbish\n{}\n")
    with pytest.raises(StudyError, match="line 1"):
        Replies(tmp_path / NAME)


def test_lessons_are_counted_over_the_study() -> None:
    """A lesson's number is its place among all that were learnt; what was taken back is gone, and its number stays."""
    first = Consultation("m", learnt=(Lesson("a"), Lesson("b")))
    second = Consultation("m", learnt=(Lesson("c"),), retired=(1, 9))
    assert {n: lesson.text for n, lesson in lessons([first, second]).items()} == {2: "b", 3: "c"}
