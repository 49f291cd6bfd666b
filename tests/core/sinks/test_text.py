"""The words that all sinks share."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sink_scenes import Story

from neuropt_core.sinks.text import (
    changed,
    compare,
    duration,
    first_sentence,
    literal,
    number,
    one_line,
    plain,
    reason,
    source,
    unmarked,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\x1b[31mred\x1b[0m", "ared"),
        ("\x1b]0;title\x07x\x1b]8;;http://e\x1b\\link\x1b]8;;\x1b\\", "xlink"),
        ("\x1b]0;never ended", "0;never ended"),
        ("\x9b2Jx\x1b(Bb\x1bc", "xb"),
        ("a\tb\r\nc\rd\u2028e", "a b\nc\nd\ne"),
        ("\u202eevil\u200b\ud800", "evil"),
        ("größer 🙂 東京", "größer 🙂 東京"),
    ],
)
def test_nothing_is_left_that_a_terminal_obeys(text: str, expected: str) -> None:
    """Escape sequences and control characters go, what a person reads stays."""
    assert plain(text) == expected


@given(st.text())
@settings(deadline=None)
def test_plain_text_can_be_written(text: str) -> None:
    """Whatever came in, what comes out is UTF-8 without control characters, and cleaning it again changes nothing."""
    clean = plain(text)
    assert clean.encode("utf-8").decode("utf-8") == clean
    assert not any(unicodedata.category(c) == "Cc" for c in clean if c != "\n")
    assert plain(clean) == clean
    assert "\n" not in one_line(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Lower lr, e.g. to 3e-4, since v2.0 diverged. Then more.", "Lower lr, e.g. to 3e-4, since v2.0 diverged."),
        ("Is it?\nYes.", "Is it?"),
        ('He said "stop." Then we did.', 'He said "stop.'),
        ("no end", "no end"),
        ("x" * 300, "x" * 159 + "…"),
    ],
)
def test_the_first_sentence(text: str, expected: str) -> None:
    """A sentence ends with a mark before a new beginning, not within a number or before a small letter."""
    assert first_sentence(text) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (59.96, "1 min 00 s"), (185, "3 min 05 s"), (3599.6, "1 h 00 min")],
)
def test_durations_read_well(seconds: float, expected: str) -> None:
    """No duration is shown as 60 seconds or 60 minutes."""
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(True, "true"), (None, "null"), (0.0003, "0.0003"), (1, "1"), ("a\nb", "a b")]
)
def test_values_read_as_in_a_config(value: object, expected: str) -> None:
    """A value is written as the user's YAML would."""
    assert literal(value) == expected


def test_only_what_differs_from_trial_0_is_named(tmp_path: Path) -> None:
    """Changed parameters come in the order of the space; 1 and True are different values."""
    story = Story(tmp_path)
    story.run(0.4, params={"neuropt.freeze": True})
    trial = story.run(0.3, params={"neuropt.freeze": 1, "optimizer": "sgd"})
    assert list(changed(story.scene, trial).items()) == [("optimizer", "sgd"), ("neuropt.freeze", 1)]


def test_source_and_reason_are_words(tmp_path: Path) -> None:
    """A stand-in names whom it stands in for, and a reason is one line; a running trial has none."""
    story = Story(tmp_path)
    assert reason(story.ask(stands_in_for="llm", source="surrogate")) == ""
    assert source(story.trials[0]) == "surrogate (standing in for llm)"
    assert reason(story.run("a\x1b[1mb\nc")) == "exception: ab c"
    assert number(0.31249999) == "0.3125"


def test_markdown_fetches_nothing() -> None:
    """Images, links and HTML lose their meaning, and names with underscores stay readable."""
    text = "![x](http://evil/?a) <img src=x> [a](b) \\[c](d) weight_decay=0.1"
    marked = r"!\[x\](http://evil/?a) \<img src=x\> \[a\](b) \\\[c\](d) weight_decay=0.1"
    assert unmarked(text) == marked


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((0.50, 0.52, 0.51, 0.49), "a tie with your own configuration: "),
        ((0.50, 0.52, 0.31, 0.30), "better by 0.2"),
        ((0.50, 0.52, 0.81, 0.80), "not better than your own configuration: trial 0 is the best of 2"),
    ],
)
def test_a_lead_within_the_noise_is_a_tie(tmp_path: Path, values: tuple[float, ...], words: str) -> None:
    """Once a configuration was run twice, leads are judged by posterior means and their errors."""
    story = Story(tmp_path)
    story.run(values[0])
    story.run(values[1], source="replicate", parent=0)
    story.run(values[2], params={"optimizer": "sgd"})
    again = story.run(values[3], params={"optimizer": "sgd"}, source="replicate", parent=2)
    found = compare(story.scene)
    assert found.words.startswith(words)
    assert found.better is words.startswith("better")
    assert source(again) == "replicate of trial 2"
