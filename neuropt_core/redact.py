"""Secrets taken out of text and data that will be sent, shown or kept: the one place that says what a secret is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

GONE = "[redacted]"
"""What stands where a secret was."""

_SHAPES = r"""
    (?<![A-Za-z0-9])sk-[\w-]{8,}                   # OpenAI, Anthropic, OpenRouter
    |\b[srpw]k_(?:live|test)_\w{8,}|\bwhsec_\w{8,}  # Stripe
    |\bhf_(?=[a-z]*[A-Z0-9])[A-Za-z0-9]{8,}        # hf_transformers is none
    |\bgh[oprsu]_\w{8,}|\bgithub_pat_\w{8,}|\bgl(?:pat|dt|rt|cbt|ptt)-[\w-]{8,}
    |\bgsk_\w{8,}|\br8_\w{20,}|\bnvapi-[\w-]{8,}|\bpplx-\w{8,}|\bxai-\w{20,}
    |\bwandb_v\d+_[\w-]{8,}|\bnpm_\w{20,}|\bpypi-[\w-]{40,}|\bdop_v1_\w{8,}|\bSG\.[\w-]{8,}\.[\w-]{8,}
    |\bxox[abeoprs]-[\w-]{8,}|\bxapp-[\w-]{8,}
    |\b(?:AKIA|ASIA)[0-9A-Z]{12,}|\bAIza[\w-]{20,}|\bya29\.[\w-]{8,}|\bGOCSPX-[\w-]{8,}
    |\b[\w.~-]{3}\dQ~[\w.~-]{31,34}                # Azure's client secrets
    |(?<=hooks\.slack\.com/)[\w/-]{8,}|(?<=/api/webhooks/)[\w/-]{8,}
    |(?i:\bbearer\s+)[\w.~+/=-]{8,}
    |\beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?        # JSON web tokens
    |-----BEGIN\ [A-Z ]{0,40}PRIVATE\ KEY-----[\s\S]*?(?:-----END\ [A-Z ]{0,40}PRIVATE\ KEY-----|\Z)
    |\b(?:[0-9a-f]{40,}|[0-9A-F]{40,})\b           # W&B keys, and other long hexadecimal tokens
    |(?<=://)[^\s/"'<>]+@                          # user:password@ in a URL
    |(?<=[?&]sig=)[^\s&"']+|(?i:(?<=x-amz-signature=)[0-9a-f]+)
"""
_NAMED = r"""
    |(?P<name>(?i:(?<![\w-])[\w-]{0,99}(?:key|secret|passw(?:or)?d|pwd|passphrase|token|credential|authorization)s?\b))
     (?P<sign>["']?\s*[=:]\s*)
     (?P<value>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|["']?(?:(?i:basic|bearer|digest|token)\s+)?[^\s,;"']+?(?=[)\]}]*(?:[\s,;"']|\Z)))
    |(?P<blob>\b[A-Za-z0-9]{40,}\b)
"""
_SECRETS = re.compile(_SHAPES + _NAMED, re.VERBOSE)

_SAID_BY_NAME = re.compile(
    r"""(?:^|_)(?:
        secrets?|passw(?:or)?ds?|pwd|passphrases?|credentials?|authorization
        |(?:api|access|account|private|secret|auth|encryption|signing|storage|license|shared_access|service|client|ssh|ssl
           |tls|deploy|master)_?keys?
        |apikeys?|token
        |(?:api|auth|access|refresh|bearer|bot|hub|hf|id|personal|session|write|read|user|github|gitlab|slack|wandb)_?tokens
    )$""",
    re.VERBOSE,
)
_OF_TOKENIZERS = re.compile(
    r"""(?:^|_)(?:pad|eos|bos|eot|unk|sep|cls|mask|pooler|class|distill|image|img|video|audio|vision|text|special|stop
        |start|end|begin|first|last|next|prev|new|per|prompt|trigger|blank|oov|sos|eod|turn|query|label|answer|register
        |dist|num|max|min|n|think|tool|word|sub|each|default|boundary|chat|system|assistant|padding|separator|unknown
        )_token$""",
    re.VERBOSE,
)
"""Not every name that ends in token: a tokenizer's pad_token is none of this."""
_REFERENCE = re.compile(r"\$\{[\w.:@-]+\}|\?\?\?|None|null|true|false|")
"""Where a secret lies, which is not the secret: ``${oc.env:HF_TOKEN}``, but not one with a default."""
_SECRET_VARIABLE = re.compile(
    r"(?:^|_)(?:API_?KEY|KEY|TOKEN|SECRET|PASS|PAT|PASSW(?:OR)?D|PASSPHRASE|CREDENTIALS?)(?:_|$)", re.IGNORECASE
)
_SHORTEST = 8


def redact(text: str, *secrets: str) -> str:
    """Returns the text with `secrets`, and all that looks like a key or a password, replaced by ``[redacted]``.

    What a telling name introduces (``password: hunter2``) goes, whatever it looks like; the name stays.
    """
    for secret in secrets:
        if secret:
            text = text.replace(secret, GONE)
    return _SECRETS.sub(_replaced, text)


def redact_data(value: Any, secrets: Iterable[str] = ()) -> Any:
    """Returns plain data with its secrets redacted, in mappings and lists however deep.

    Text is redacted as by `redact`; what stands under a telling key (see `is_secret_name`) goes as a whole, with all
    that lies below it, but for a reference such as ``${oc.env:HF_TOKEN}``. Numbers, booleans and other objects stay,
    and so do keys, but for what looks like a secret itself.

    Args:
        value: The data.
        secrets: Values that are known to be secret, from `secrets_of`.
    """
    return _data(value, tuple(secrets), below="")


def redact_override(override: str, secrets: Iterable[str] = ()) -> str:
    """Returns one of Hydra's overrides with its secrets redacted: ``model.hub_token=[redacted]``."""
    key, sign, value = override.partition("=")
    kept = tuple(secrets)
    path, _, name = key.lstrip("+~").rpartition(".")
    variable = path.endswith("env_set") and _SECRET_VARIABLE.search(name)  # For the jobs' environment.
    if not sign or not (variable or is_secret_name(name)):
        return redact(key, *kept) + sign + redact(value, *kept)
    return f"{key}={value if _REFERENCE.fullmatch(value.strip(chr(39) + chr(34))) else GONE}"


def is_secret_name(name: str) -> bool:
    """Tells whether a key of a config says that its value is secret: ``hub_token``, ``apiKey``, ``db.password``.

    Of a dotted key the last part counts. ``pad_token``, ``num_tokens``, ``monitor_key`` and ``api_key_env``, which
    holds the name of a variable, are not secret.
    """
    last = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.rpartition(".")[2]).replace("-", "_").lower()
    return bool(_SAID_BY_NAME.search(last)) and not _OF_TOKENIZERS.search(last)


def secrets_of(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the values of variables whose names say that they are secret, the longest first.

    Values of fewer than 8 characters are left out: replacing ``1`` or ``true`` would spoil every text.
    """
    found = {value for name, value in environ.items() if _SECRET_VARIABLE.search(name) and len(value) >= _SHORTEST}
    return tuple(sorted(found, key=lambda value: (-len(value), value)))


def secrets_in(config: Any) -> tuple[str, ...]:
    """Returns the text that stands under telling keys of plain data (see `is_secret_name`), the longest first.

    A library that fails may put it where no key tells. Text of fewer than 8 characters is left out, as in `secrets_of`.
    """
    found = {text for text in _under_names(config, below=False) if len(text) >= _SHORTEST}
    return tuple(sorted(found, key=lambda text: (-len(text), text)))


def _under_names(value: Any, below: bool) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _under_names(item, below or (isinstance(key, str) and is_secret_name(key)))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _under_names(item, below)
    elif below and isinstance(value, str) and not _REFERENCE.fullmatch(value):
        yield value


def alike(one: str, other: str) -> bool:
    """Tells whether two texts can be the same but for what is redacted in either of them."""
    pairs = ((one, other), (other, one))
    return any(re.fullmatch(".*".join(map(re.escape, a.split(GONE))), b, re.DOTALL) is not None for a, b in pairs)


@lru_cache(maxsize=2048)
def _key(key: str, secrets: tuple[str, ...]) -> tuple[str, bool]:
    """Returns a key without secrets, and whether it says that its value is one; a curve has few, many times."""
    return redact(key, *secrets), is_secret_name(key)


def _data(value: Any, secrets: tuple[str, ...], below: str) -> Any:
    if isinstance(value, Mapping):
        found = {}
        for key, item in value.items():
            shown, telling = _key(key, secrets) if isinstance(key, str) else (key, False)
            found[shown] = _data(item, secrets, below or (key if telling else ""))
        return found
    if isinstance(value, (list, tuple)):
        return type(value)(_data(item, secrets, below) for item in value) if type(value) in (list, tuple) else value
    if below and isinstance(value, int) and not isinstance(value, bool):
        return GONE if re.search("passw|pwd|passphrase|secret$", below, re.IGNORECASE) else value
    if not isinstance(value, str):
        return value
    if below and not _REFERENCE.fullmatch(value):
        return GONE
    return redact(value, *secrets)


def _replaced(found: re.Match[str]) -> str:
    if (blob := found["blob"]) is not None:
        mixed = any(map(str.isupper, blob)) and any(map(str.islower, blob)) and any(map(str.isdigit, blob))
        return GONE if mixed else blob
    name, value = found["name"], found["value"]
    if name is None:
        return GONE
    if not is_secret_name(name) or _REFERENCE.fullmatch(value.strip("'\"")):
        return name + found["sign"] + _SECRETS.sub(_replaced, value)
    mark = value[0] if value[0] in "'\"" and value[-1] == value[0] and len(value) > 1 else ""
    return f"{name}{found['sign']}{mark}{GONE}{mark}"
