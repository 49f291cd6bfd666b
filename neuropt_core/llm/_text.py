"""Text from elsewhere made fit for one line of a prompt, log or report: no controls, secrets or paths, and capped."""

from __future__ import annotations

import re
import unicodedata

_SECRETS = re.compile(
    r"""sk-[\w-]{8,}            # OpenAI, Anthropic, OpenRouter
    |hf_\w{8,}|gh[opsu]_\w{8,}|github_pat_\w{8,}|gsk_\w{8,}|xox[abprs]-[\w-]{8,}
    |AKIA[0-9A-Z]{12,}|AIza[\w-]{20,}
    |(?i:bearer\s+)[\w.~+/=-]{8,}
    |\b[0-9a-f]{40,}\b        # W&B keys, and other long hexadecimal tokens
    |(?i:\b(?:api_?key|token|secret|passw(?:or)?d)\b["']?\s*[=:]\s*)[^\s,;]+
    |(?<=://)[^\s/@]+@        # user:password@ in a URL
    """,
    re.VERBOSE,
)
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


def redact(text: str, *secrets: str) -> str:
    """Returns the text with `secrets`, and all that looks like a key or a password, replaced by ``[redacted]``."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "[redacted]")
    return _SECRETS.sub("[redacted]", text)


def tidy(text: str, limit: int, *secrets: str) -> str:
    """Returns one redacted line in which absolute paths are cut down to their last part."""
    # Controls go first: one in the middle of a key would hide it from the patterns.
    return one_line(_PATH.sub(r"\1", redact(one_line(text, 4 * limit), *secrets)), limit)


def clean(text: str, words: int = 60) -> str:
    """Returns a model's words on one redacted line: at most `words` words, and 10 characters a word on average."""
    letters = 10 * words
    line = one_line(redact(one_line(text, 4 * letters)), letters)
    said = line.split(" ")
    return line if len(said) <= words else " ".join(said[:words]) + "…"


def whole(text: str) -> str:
    """Returns the text with lone surrogates replaced, so that it can be written as UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")
