"""Text from elsewhere made fit for one line of a prompt, log or report: no controls, secrets or paths, and capped."""

from __future__ import annotations

import json
import re
import unicodedata

from neuropt_core.redact import redact as redact

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
# A path of two parts or more; what is left of it is its last part, which often says enough (a checkpoint's name).
_PATH = re.compile(r"(?<![\w.:/])(?:~|[A-Za-z]:)?(?:[/\\][\w.@ +-]+)*[/\\][\w.@+-]+[/\\]([\w.@+-]+)")


def one_line(text: str, limit: int) -> str:
    """Returns the text without control, format and surrogate characters, on one line of at most `limit` characters."""
    # A reply may hold megabytes; what comes after a generous multiple of the limit can never be shown.
    kept = (_plain(c) for c in text[: 8 * limit])
    line = " ".join("".join(kept).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def _plain(character: str) -> str:
    category = unicodedata.category(character)
    if character in "\t\n\r" or category in ("Zl", "Zp"):
        return " "
    return "" if category[0] == "C" else character


def redact_reply(text: str) -> str:
    """Returns a reply without secrets; of JSON only the strings are looked at, so that it stays the same JSON.

    A long fraction looks like a hexadecimal key, and a parameter may be called token.
    """
    try:
        json.loads(text, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return redact(text)
    return _STRING.sub(_redact_string, text)


def _redact_string(found: re.Match[str]) -> str:
    said = json.loads(found[0])
    told = redact(said)
    return found[0] if told == said else json.dumps(told)


def discreet(text: str, *secrets: str) -> str:
    """Returns the redacted text, in which absolute paths are cut down to their last part."""
    return _PATH.sub(r"\1", redact(text, *secrets))


def tidy(text: str, limit: int, *secrets: str) -> str:
    """Returns `discreet` text on one line."""
    # Controls go first: one in the middle of a key would hide it from the patterns.
    return one_line(discreet(one_line(text, 4 * limit), *secrets), limit)


def clean(text: str, words: int = 60) -> str:
    """Returns a model's words on one redacted line: at most `words` words, and 10 characters a word on average."""
    letters = 10 * words
    line = one_line(redact(one_line(text, 4 * letters)), letters)
    said = line.split(" ")
    return line if len(said) <= words else " ".join(said[:words]) + "…"


def whole(text: str) -> str:
    """Returns the text with lone surrogates replaced, so that it can be written as UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")


def cut(word: str, letters: int) -> str:
    """Returns a word of at most so many letters, and an ellipsis where some are missing."""
    return word if len(word) <= letters else f"{word[:letters]}…"
