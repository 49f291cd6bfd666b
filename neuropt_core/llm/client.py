"""What a consultation needs: the client's protocol, its settings, and the one door to the clients."""

from __future__ import annotations

import ipaddress
import logging
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module, metadata
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

from neuropt_core.errors import ConfigError, LLMBadOutput, LLMRefused, MissingExtraError

_log = logging.getLogger(__name__)

Provider = Literal["anthropic", "openai"]

PROVIDERS: tuple[Provider, ...] = ("anthropic", "openai")
"""The providers in the order in which `pick_provider` looks for a key."""

DEFAULT_MODELS: Mapping[str, str] = {"anthropic": "claude-haiku-5-5", "openai": "gpt-6-luna"}
"""The cheapest current model of each vendor: 0.10 USD in, 0.50 USD out per million tokens (price pages of 2026-11)."""

_KEY_NAMES = {"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY"}
_URL_NAMES = {"anthropic": "ANTHROPIC_BASE_URL", "openai": "OPENAI_BASE_URL"}
_EFFORTS = {
    "anthropic": ("low", "medium", "high", "xhigh", "max"),
    "openai": ("none", "minimal", "low", "medium", "high", "xhigh", "max"),
}
_LEAVES = {
    "anthropic": ("neuropt_core.llm.anthropic", "AnthropicClient", 2),
    "openai": ("neuropt_core.llm.openai", "OpenAIClient", 3),
}
_HERE = "hydra.sweeper.llm"

Message = Mapping[str, str]
"""``{"role": "system" | "user" | "assistant", "content": text}``."""


@dataclass(frozen=True, slots=True)
class Completion:
    """One reply of a model.

    Attributes:
        text: The raw text, expected to be JSON that follows the schema; not checked yet.
        usage: Tokens: ``input_tokens`` (all of them), ``output_tokens`` (thinking included), ``cached_tokens`` (the
            part of the input that was read from a cache); a count that the server did not give is left out.
        model: The model that the server says has answered.
        seconds: Wall-clock seconds from the call to the whole reply, waits and retries included.
    """

    text: str
    usage: Mapping[str, int] = field(default_factory=dict)
    model: str = ""
    seconds: float = 0.0


class UnusableReply(LLMBadOutput):
    """A reply came whole but is of no use (truncated, empty); `completion` holds what was said and paid for."""

    completion: Completion | None = None


class DeclinedReply(LLMRefused):
    """The model declined; `completion` holds what was said and paid for."""

    completion: Completion | None = None


class LLMClient(Protocol):
    """Something that answers messages with JSON.

    Attributes:
        name: Provider and model as shown to people, e.g. ``anthropic: claude-haiku-5-5``.
    """

    name: str

    def complete(self, messages: Sequence[Message], *, schema: Mapping[str, Any]) -> Completion:
        """Returns the model's reply to `messages`, asked to follow a JSON schema.

        Raises:
            LLMFatal: It will fail again until the user changes something.
            LLMTransient: It may succeed later; retries within the deadline have been made already.
            LLMBadOutput: The reply cannot be read.
            LLMRefused: The model declined.
        """
        ...


@dataclass(frozen=True, slots=True)
class LLMSettings:
    """What a user can set under ``hydra.sweeper.llm``. Holds the name of the key's variable, never a key.

    Attributes:
        provider: Whose API is spoken.
        model: The model's id; None means `DEFAULT_MODELS`.
        base_url: Another server: for ``anthropic`` without, for ``openai`` with the ``/v1``. An ``openai`` server
            elsewhere than at openai.com is asked by chat completions, which compatible servers understand.
        api_key_env: The environment variable that holds the key; None means the vendor's usual one.
        effort: How much the model may think; None leaves it to the model (some models refuse the setting).
        max_tokens: Upper bound for the reply in tokens; thinking counts.
        deadline: Seconds for one call as a whole, waits and retries included.

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

    def __post_init__(self) -> None:
        if self.provider not in PROVIDERS:
            raise _wrong("provider", f"must be one of {list(PROVIDERS)}", self.provider)
        named = isinstance(self.model, str) and re.fullmatch(r"[\x21-\x7e]{1,200}", self.model)
        if self.model is not None and not named:
            raise _wrong("model", "must be a model's id without spaces, or null for the default", self.model)
        if self.base_url is not None:
            _check_url(f"{_HERE}.base_url", self.base_url)
            if self.provider == "anthropic" and self.base_url.rstrip("/").endswith("/v1"):
                raise _wrong("base_url", "must come without /v1 for anthropic, since its SDK adds that", self.base_url)
            if self.model is None and self.speaks_chat(self.base_url):
                raise _wrong("model", "must be given together with base_url, since only that server knows its models")
        if self.api_key_env is not None:
            _check_key_name(self.api_key_env)
        efforts = _EFFORTS[self.provider]
        if self.effort is not None and self.effort not in efforts:
            raise _wrong("effort", f"must be null or one of {list(efforts)} for {self.provider}", self.effort)
        if isinstance(self.max_tokens, bool) or not isinstance(self.max_tokens, int) or self.max_tokens < 256:
            raise _wrong("max_tokens", "must be a whole number of tokens, at least 256", self.max_tokens)
        number = isinstance(self.deadline, (int, float)) and not isinstance(self.deadline, bool)
        if not number or not math.isfinite(self.deadline) or not 0 < self.deadline <= 3600:
            raise _wrong("deadline", "must be a number of seconds above 0 and at most 3600", self.deadline)

    @property
    def asked_model(self) -> str:
        """The model that will be asked."""
        return self.model or DEFAULT_MODELS[self.provider]

    @property
    def key_name(self) -> str:
        """The name of the environment variable that holds the key."""
        return self.api_key_env or _KEY_NAMES[self.provider]

    @property
    def name(self) -> str:
        """Provider and model as shown to people."""
        return f"{self.provider}: {self.asked_model}"

    def speaks_chat(self, base_url: str | None) -> bool:
        """Tells whether a server is spoken to by chat completions: an ``openai`` one that is not OpenAI's own."""
        host = urlsplit(base_url).hostname or "" if base_url else "openai.com"
        return self.provider == "openai" and not (host == "openai.com" or host.endswith(".openai.com"))


def pick_provider(environ: Mapping[str, str] = os.environ) -> Provider | None:
    """Returns the first provider whose usual key variable is set and not empty, or None."""
    return next((p for p in PROVIDERS if environ.get(_KEY_NAMES[p], "").strip()), None)


def make_client(settings: LLMSettings, environ: Mapping[str, str] = os.environ) -> LLMClient:
    """Returns the client that the settings describe. Imports the vendor's SDK, which takes a second or two.

    Args:
        settings: What the user asked for.
        environ: Where the key is, and ``ANTHROPIC_BASE_URL`` or ``OPENAI_BASE_URL`` if the settings name no server.

    Raises:
        ConfigError: The key's variable is missing, empty or holds what no key can be; or the URL is wrong.
        MissingExtraError: The SDK is not installed, or in a version that is not known to work.
    """
    module, name, major = _LEAVES[settings.provider]
    _check_sdk(settings.provider, major)
    key = _key(settings, environ)
    base_url = settings.base_url or environ.get(_URL_NAMES[settings.provider], "").strip() or None
    if base_url is not None:
        _check_url(f"{_HERE}.base_url" if settings.base_url else _URL_NAMES[settings.provider], base_url)
    try:
        leaf = import_module(module)
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0].startswith("neuropt"):
            raise
        raise _missing(settings.provider, f"needs {error.name}, which cannot be imported") from error
    if base_url and base_url.startswith("http://") and not is_loopback(base_url):
        _log.warning("%s is asked without encryption: the key and the prompts can be read on the way", base_url)
    http_log = logging.getLogger("httpx2")
    if http_log.level == logging.NOTSET:
        # It writes a line per request at INFO, between the lines of the trials; a level that the user set stays.
        http_log.setLevel(logging.WARNING)
    client: LLMClient = getattr(leaf, name)(settings, key, base_url)
    return client


def is_loopback(url: str) -> bool:
    """Tells whether a URL points to this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_sdk(provider: str, major: int) -> None:
    try:
        version = metadata.version(provider)
    except metadata.PackageNotFoundError:
        raise _missing(provider, f"needs {provider}") from None
    if version.split(".")[0] != str(major):
        raise _missing(provider, f"needs {provider}>={major},<{major + 1}, and version {version} is installed")


def _missing(provider: str, rule: str) -> MissingExtraError:
    mend = f"pip install 'hydra-neuropt-sweeper[{provider}]'"
    return MissingExtraError(f"{_HERE}.provider={provider}", rule, mend=f"Mend it with: {mend}")


def _key(settings: LLMSettings, environ: Mapping[str, str]) -> str:
    # The SDKs' own answers to a missing key are a bare TypeError and "Connection error.": it is checked here instead.
    key = environ.get(settings.key_name, "").strip()
    mend = f"Set {settings.key_name}, or name another variable in {_HERE}.api_key_env."
    if not key:
        raise ConfigError(settings.key_name, f"must hold the API key for {settings.provider}, and is empty", mend=mend)
    if not re.fullmatch(r"[\x21-\x7e]+", key):
        rule = f"must hold the API key for {settings.provider}, and holds characters that no key has"
        raise ConfigError(settings.key_name, rule, mend=mend)
    return key


def _wrong(name: str, rule: str, *got: object) -> ConfigError:
    where = f"{_HERE}.{name}"
    return ConfigError(where, rule, got=got[0]) if got else ConfigError(where, rule)


def _check_url(where: str, url: object) -> None:
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
        raise ConfigError(where, "must be an http:// or https:// address", got=url)


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
