"""Secrets taken out of text that will be sent, shown or kept."""

from __future__ import annotations

import re
from collections.abc import Mapping

_GONE = "[redacted]"
_SECRETS = re.compile(
    r"""sk-[\w-]{8,}            # OpenAI, Anthropic, OpenRouter
    |hf_\w{8,}|gh[opsu]_\w{8,}|github_pat_\w{8,}|gsk_\w{8,}|xox[abprs]-[\w-]{8,}
    |AKIA[0-9A-Z]{12,}|AIza[\w-]{20,}
    |(?i:bearer\s+)[\w.~+/=-]{8,}
    |\b[0-9a-f]{40,}\b        # W&B keys, and other long hexadecimal tokens
    # Not every name that ends in token: a tokenizer's pad_token is none of this.
    |(?i:\b(?:(?:[\w-]{0,40}[_-])?(?:api_?key|secret|passw(?:or)?d)|(?:(?:api|auth|access|refresh|bearer|hf|wandb)[_-]?)?token)
        \b["']?\s*[=:]\s*["']?)[^\s,;"']+
    |(?<=://)[^\s/@]+@        # user:password@ in a URL
    """,
    re.VERBOSE,
)
_SECRET_NAME = re.compile(r"(?:^|_)(?:API_?KEY|KEY|TOKEN|SECRET|PASSW(?:OR)?D|CREDENTIALS?)(?:_|$)", re.IGNORECASE)
_SHORTEST = 8


def redact(text: str, *secrets: str) -> str:
    """Returns the text with `secrets`, and all that looks like a key or a password, replaced by ``[redacted]``."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, _GONE)
    return _SECRETS.sub(_GONE, text)


def secrets_of(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the values of variables whose names say that they are secret, the longest first.

    Values of fewer than 8 characters are left out: replacing ``1`` or ``true`` would spoil every text.
    """
    found = {value for name, value in environ.items() if _SECRET_NAME.search(name) and len(value) >= _SHORTEST}
    return tuple(sorted(found, key=lambda value: (-len(value), value)))
