"""Foreign text made fit to be shown."""

from __future__ import annotations

import json

import pytest

from neuropt_core.llm._text import clean, one_line, redact_reply, tidy, whole


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\nb\r\n\tc", "a b c"),
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),
        ("\x1b]0;title\x07x", "]0;titlex"),
        ("a\u202eb\u200bc\ufeff", "abc"),
        ("a\u2028b", "a b"),
        ("a\ud800b", "ab"),
        ("x" * 50, "x" * 19 + "…"),
    ],
)
def test_one_line_is_plain_and_capped(text: str, line: str) -> None:
    """No control, direction, surrogate or line break survives, and the length is bounded."""
    assert one_line(text, 20) == line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("loaded from /home/someone/models/net.pt today", "loaded from net.pt today"),
        (r"C:\Users\me\net.pt", "net.pt"),
        ("~/a/b/c.ckpt", "c.ckpt"),
        ("val/loss and 3/4 stay", "val/loss and 3/4 stay"),
        ("torchvision.models.resnet18", "torchvision.models.resnet18"),
    ],
)
def test_paths_are_cut_to_their_last_part(text: str, line: str) -> None:
    """Absolute paths hold names of people and machines."""
    assert tidy(text, 100) == line


def test_a_models_words_are_cleaned_and_capped() -> None:
    """Terminal escapes, direction marks, line breaks and keys go; what is too long ends in an ellipsis, in sight."""
    assert clean("\x1b]0;pwned\x07a\u202e\nb") == "]0;pwneda b"
    assert clean("the key sk-abcdefgh\u200bijkl") == "the key [redacted]"
    assert clean("word " * 100) == " ".join(["word"] * 60) + "…"
    assert clean("word " * 100, 3) == "word word word…"
    assert len(clean("x" * 5000)) == 600
    assert clean("x" * 5000).endswith("…")
    assert clean("just so") == "just so"


def test_whole_text_can_be_written() -> None:
    """Lone surrogates are replaced, everything else stays."""
    assert whole("é\ud800") == "é?"


def test_a_redacted_reply_is_the_same_json() -> None:
    """Long numbers and names that tell secrets elsewhere stay; keys within strings go, escapes and all."""
    text = '{"lr": 0.1000000000000000055511151231257827021181583404541015625, "n": %s, "token": "a b", "k": 1}' % (
        "9" * 40
    )
    assert redact_reply(text) == text
    said = {"rationale": 'the "token": "abc\\"d" and sk-canary-0123456789 \n \ud83d', "values": {"token": 1}}
    told = json.loads(redact_reply(json.dumps(said)))
    assert told["values"] == {"token": 1}
    assert "canary" not in told["rationale"]
    assert redact_reply("here: sk-canary-0123456789 {") == "here: [redacted] {"


@pytest.mark.parametrize("text", ["[" * 100_000, '"' * 100_001, "9" * 100_000, '{"a": ' * 50_000])
def test_no_reply_is_too_odd_to_be_redacted(text: str) -> None:
    """What is no JSON is redacted as a text."""
    assert redact_reply(text) == text
