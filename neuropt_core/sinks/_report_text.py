"""Text for the report in W&B: made harmless, without secrets, and bounded."""

from __future__ import annotations

from neuropt_core.redact import redact
from neuropt_core.sinks.text import one_line, plain

CUT = " [...]"
"""What stands where text was cut off."""


def words(text: str, limit: int) -> str:
    """Returns text on one line, without secrets or anything that a reader's machine would obey, cut at `limit`."""
    return clipped(redact(text), limit)


def lines(text: str, limit: int) -> str:
    """Returns text as `words` does, its lines kept."""
    kept = plain(redact(text)).strip("\n")
    return kept if len(kept) <= limit else kept[: limit - len(CUT)].rstrip() + CUT


def clipped(text: str, limit: int) -> str:
    """Returns text on one line, cut at `limit` characters."""
    shown = one_line(text)
    return shown if len(shown) <= limit else shown[: limit - len(CUT)].rstrip() + CUT
