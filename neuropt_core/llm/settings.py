"""The settings under `hydra.sweeper.llm`, checked: whom to ask, where, with which key, and how."""

from __future__ import annotations

import ipaddress
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit

from neuropt_core.errors import ConfigError

Provider = Literal["anthropic", "openai", "openai_compatible", "scripted"]

PROVIDERS: tuple[Provider, ...] = ("anthropic", "openai", "openai_compatible", "scripted")

SHAPES = ("json_schema", "json_object", "tool", "prompt")
"""How a compatible server can be asked for JSON, in the order in which ``auto`` tries them."""

DEFAULT_MODELS: Mapping[str, str] = {"anthropic": "claude-haiku-5-5", "openai": "gpt-6-luna"}
"""The cheapest current model of each vendor: 0.10 USD in, 0.50 USD out per million tokens (price pages of 2026-11)."""

_KEY_NAMES: Mapping[Provider, str] = {"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY"}
_EFFORTS = {
    "anthropic": ("low", "medium", "high", "xhigh", "max"),
    "openai": ("none", "minimal", "low", "medium", "high", "xhigh", "max"),
}
_HERE = "hydra.sweeper.llm"


@dataclass(frozen=True, slots=True)
class LLMSettings:
    """What a user can set under ``hydra.sweeper.llm``. Holds the name of the key's variable, never a key.

    A key goes only to a server that it was named for. The vendor's usual variable serves the vendor's own hosts, and
    the server that ``ANTHROPIC_BASE_URL`` or ``OPENAI_BASE_URL`` names beside it. For any other server that `base_url`
    names, the key must be named with it in `api_key_env`, so that no key goes to a third party because it happened to
    be in the environment. (This guards against an oversight. Who runs a stranger's config runs what that says.)

    Attributes:
        provider: Whose API is spoken, wherever `base_url` points: ``anthropic`` the Messages API, ``openai`` the
            Responses API, ``openai_compatible`` chat completions, as local servers and gateways understand them;
            ``scripted`` is no model and uses no network, so nothing but `script` matters for it.
        model: The model's id; None means `DEFAULT_MODELS`. ``openai_compatible`` has no default.
        base_url: Another server: for ``anthropic`` without, for the others with the ``/v1``. ``openai_compatible``
            needs one.
        api_key_env: The environment variable that holds the key; None means the vendor's usual one, and no key for
            ``openai_compatible``, whose server then gets a placeholder.
        effort: How much the model may think; None leaves it to the model (some models refuse the setting).
        max_tokens: Upper bound for the reply in tokens; thinking counts.
        deadline: Seconds for one call as a whole, waits and retries included.
        structured: How an ``openai_compatible`` server is asked for JSON, one of `SHAPES`; ``auto`` finds out.
        script: The replies of ``scripted``: the dotted path of a function of (messages, schema), or a file that ends
            in .json (a list) or .jsonl (one reply a line).
        proxy: ``env`` obeys HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY; ``none`` goes directly; else the proxy's
            address. A server on this machine is always reached directly.

    Raises:
        ConfigError: A field is wrong.
    """

    provider: Provider = "anthropic"
    model: str | None = None
    base_url: str | None = None
    api_key_env: str | None = None
    effort: str | None = None
    max_tokens: int = 8192
    deadline: float = 120.0
    structured: str = "auto"
    script: str | None = None
    proxy: str = "env"

    def __post_init__(self) -> None:
        if self.provider not in PROVIDERS:
            raise _wrong("provider", f"must be one of {list(PROVIDERS)}", self.provider)
        self._check_server()
        if self.api_key_env is not None:
            _check_key_name(self.api_key_env)
        efforts = _EFFORTS["anthropic" if self.provider == "anthropic" else "openai"]
        if self.effort is not None and self.effort not in efforts:
            raise _wrong("effort", f"must be null or one of {list(efforts)} for {self.provider}", self.effort)
        if isinstance(self.max_tokens, bool) or not isinstance(self.max_tokens, int) or self.max_tokens < 256:
            raise _wrong("max_tokens", "must be a whole number of tokens, at least 256", self.max_tokens)
        number = isinstance(self.deadline, (int, float)) and not isinstance(self.deadline, bool)
        if not number or not math.isfinite(self.deadline) or not 0 < self.deadline <= 3600:
            raise _wrong("deadline", "must be a number of seconds above 0 and at most 3600", self.deadline)
        self._check_way()
        if self.foreign and not self.api_key_env and self.provider in _KEY_NAMES:
            rule = "must be given together with base_url, since no key goes to a server that it was not named for"
            usual = _KEY_NAMES[self.provider]
            mend = f"Set api_key_env={usual} if that one is meant, or provider=openai_compatible for a server without."
            raise ConfigError(f"{_HERE}.api_key_env", rule, mend=mend)

    def _check_server(self) -> None:
        named = isinstance(self.model, str) and re.fullmatch(r"[\x21-\x7e]{1,200}", self.model)
        if self.model is not None and not named:
            raise _wrong("model", "must be a model's id without spaces, or null for the default", self.model)
        if self.base_url is not None:
            check_url(f"{_HERE}.base_url", self.base_url)
            if self.provider == "anthropic" and self.base_url.rstrip("/").endswith("/v1"):
                raise _wrong("base_url", "must come without /v1 for anthropic, since its SDK adds that", self.base_url)
        if self.provider == "openai_compatible":
            if self.base_url is None:
                raise _wrong("base_url", "must be given for openai_compatible, e.g. http://localhost:11434/v1")
            if self.model is None:
                raise _wrong("model", "must be given together with base_url, since only that server knows its models")

    def _check_way(self) -> None:
        if self.structured not in ("auto", *SHAPES):
            raise _wrong("structured", f"must be one of {['auto', *SHAPES]}", self.structured)
        if self.structured != "auto" and self.provider != "openai_compatible":
            raise _wrong("structured", "must be auto unless provider is openai_compatible", self.structured)
        if self.script is not None and (not isinstance(self.script, str) or not self.script.strip()):
            raise _wrong("script", "must be the dotted path of a function, or a .json or .jsonl file", self.script)
        if self.script is None and self.provider == "scripted":
            raise _wrong(
                "script", "must be given for scripted: the dotted path of a function, or a .json or .jsonl file"
            )
        if self.script is not None and self.provider != "scripted":
            raise _wrong("script", "must be null unless provider is scripted", self.script)
        if self.proxy not in ("env", "none"):
            check_url(f"{_HERE}.proxy", self.proxy, "must be env, none or the http:// or https:// address of a proxy")

    @property
    def asked_model(self) -> str:
        """The model that will be asked."""
        return self.model or DEFAULT_MODELS.get(self.provider, "")

    @property
    def key_name(self) -> str:
        """The name of the environment variable that holds the key; "" where none is sent."""
        return self.api_key_env or _KEY_NAMES.get(self.provider, "")

    @property
    def name(self) -> str:
        """Provider and model as shown to people."""
        # Of a script's path only the end: the folders are nobody else's business.
        told = PurePath(self.script).name if self.provider == "scripted" and self.script else self.asked_model
        return f"{self.provider}: {told}"

    @property
    def foreign(self) -> bool:
        """Whether `base_url` names a server that is not the vendor's own: only what the user named goes there."""
        if self.base_url is None:
            return False
        parts = urlsplit(self.base_url)
        home = {"anthropic": "anthropic.com", "openai": "openai.com"}.get(self.provider)
        at_home = home is not None and f".{parts.hostname}".endswith(f".{home}")
        return not (at_home and parts.scheme == "https")


def pick_provider(environ: Mapping[str, str] = os.environ) -> Provider | None:
    """Returns the first provider whose usual key variable is set and not empty, or None."""
    return next((p for p, name in _KEY_NAMES.items() if environ.get(name, "").strip()), None)


def check_unasked(given: Mapping[str, Any]) -> None:
    """Checks settings of an LLM that nobody asks yet, for want of a key: they must do for one of the vendors.

    Raises:
        ConfigError: A setting is wrong whoever is asked.
    """
    for provider in _KEY_NAMES:
        try:
            LLMSettings(**{**given, "provider": provider})
        except ConfigError as error:
            wrong = error
        else:
            return
    raise wrong  # Of the vendor that knows the most settings, which is the last.


def is_loopback(url: str) -> bool:
    """Tells whether a URL points to this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_url(where: str, url: object, rule: str = "must be an http:// or https:// address") -> None:
    """Checks the address of a server or a proxy.

    Raises:
        ConfigError: It is none, or holds a user, a password, a query or a fragment; those are not shown.
    """
    parts: SplitResult | None
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
        fine = parts is not None and parts.scheme in ("http", "https") and bool(parts.hostname)
        fine = fine and (parts is None or parts.port is None or parts.port > 0)
    except ValueError:
        parts, fine = None, False
    if parts is not None and (parts.username or parts.password or parts.query or parts.fragment):
        # Not shown: it may hold a password.
        raise ConfigError(where, "must hold no user, password, query or fragment", mend="Keys belong in api_key_env.")
    if not fine or not re.fullmatch(r"[\x21-\x7e]+", str(url)):
        raise ConfigError(where, rule, got=url)


def _wrong(name: str, rule: str, *got: object) -> ConfigError:
    where = f"{_HERE}.{name}"
    return ConfigError(where, rule, got=got[0]) if got else ConfigError(where, rule)


def _check_key_name(name: object) -> None:
    # Never echoed: who pastes a key here must not find it in a log as well.
    mend = "Put the key into an environment variable and its name here, since Hydra writes every config to disk."
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", name):
        raise ConfigError(f"{_HERE}.api_key_env", "must be the NAME of an environment variable", mend=mend)
    prefixed = re.match(r"(sk|pk|hf|gsk|gh[opsu]|xox[abprs])[_-]|AKIA|AIza", name)
    # A name is made of words; a long piece with digits in it is none.
    random = any(len(piece) >= 16 and sum(c.isdigit() for c in piece) >= 2 for piece in name.split("_"))
    if prefixed or random:
        raise ConfigError(f"{_HERE}.api_key_env", "looks like a key and must be the NAME of a variable", mend=mend)
