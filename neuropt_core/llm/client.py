"""What a consultation needs: the client's protocol, a reply, and the one door to the clients."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module, metadata
from typing import Any, Protocol

from neuropt_core.errors import ConfigError, LLMBadOutput, LLMRefused, LLMTransient, MissingExtraError
from neuropt_core.llm.settings import LLMSettings, check_url, is_loopback

_log = logging.getLogger(__name__)

NO_KEY = "no-key"
"""Sent to a compatible server for which no key is named, since the SDK wants one; it opens nothing anywhere."""

_URL_NAMES = {"anthropic": "ANTHROPIC_BASE_URL", "openai": "OPENAI_BASE_URL"}
_LEAVES = {
    "anthropic": ("neuropt_core.llm.anthropic", "AnthropicClient", "anthropic", 2),
    "openai": ("neuropt_core.llm.openai", "OpenAIClient", "openai", 3),
    "openai_compatible": ("neuropt_core.llm.openai", "CompatibleClient", "openai", 3),
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


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a server says of a model; None where it says nothing.

    Attributes:
        known: Whether it has the model.
        structured: Whether replies can be held to a JSON schema.
        efforts: The efforts that it takes.
        lifecycle: ``active``, ``deprecated`` or ``retired``, and when it ends, in the server's words.
        others: Models that it has, where the one asked for is not among them.
    """

    known: bool | None = None
    structured: bool | None = None
    efforts: tuple[str, ...] | None = None
    lifecycle: str | None = None
    others: tuple[str, ...] = ()


class UnusableReply(LLMBadOutput):
    """A reply came whole but is of no use (truncated, empty); `completion` holds what was said and paid for."""

    completion: Completion | None = None


class DeclinedReply(LLMRefused):
    """The model declined; `completion` holds what was said and paid for."""

    completion: Completion | None = None


class NoWholeReply(LLMTransient):
    """A request was sent and no whole reply came of it: the deadline, an interrupt, or a connection that broke off.

    The vendor may have answered, and may charge for it.
    """


def never() -> bool:
    """Returns False: nobody asks to stop."""
    return False


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


def most_replies(client: LLMClient) -> int:
    """Returns how many replies one call may have to be paid for; more than one where a server's ways are found out."""
    return int(getattr(client, "most_replies", 1))


def writes_cards(client: LLMClient) -> bool:
    """Tells whether a client can be asked for a space card: every model can; a script says whether it does."""
    return bool(getattr(client, "writes_cards", True))


def make_client(
    settings: LLMSettings, environ: Mapping[str, str] = os.environ, stop: Callable[[], bool] = never
) -> LLMClient:
    """Returns the client that the settings describe. Imports the vendor's SDK, which takes a second or two.

    Args:
        settings: What the user asked for.
        environ: Where the key is, and ``ANTHROPIC_BASE_URL`` or ``OPENAI_BASE_URL`` if the settings name no server.
        stop: Whether a call is not to be waited for any longer.

    Raises:
        ConfigError: The key's variable is missing, empty or holds what no key can be; the URL is wrong; or the script
            cannot be loaded.
        MissingExtraError: The SDK is not installed, or in a version that is not known to work.
    """
    client: LLMClient
    if settings.provider == "scripted":
        leaf = import_module("neuropt_core.llm.scripted")
        client = leaf.ScriptedClient(leaf.load_script(settings.script), settings.name)
        return client
    module, name, sdk, major = _LEAVES[settings.provider]
    _check_sdk(settings, sdk, major)
    key = _key(settings, environ)
    url_name = _URL_NAMES.get(settings.provider, "")
    base_url = settings.base_url or environ.get(url_name, "").strip() or None
    if base_url is not None:
        check_url(f"{_HERE}.base_url" if settings.base_url else url_name, base_url)
    try:
        leaf = import_module(module)
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0].startswith("neuropt"):
            raise
        raise _missing(settings, sdk, f"needs {error.name}, which cannot be imported") from error
    if base_url and base_url.startswith("http://") and not is_loopback(base_url):
        _log.warning("%s is asked without encryption: the key and the prompts can be read on the way", base_url)
    http_log = logging.getLogger("httpx2")
    if http_log.level == logging.NOTSET:
        # It writes a line per request at INFO, between the lines of the trials; a level that the user set stays.
        http_log.setLevel(logging.WARNING)
    client = getattr(leaf, name)(settings, key, base_url, stop)
    return client


def _check_sdk(settings: LLMSettings, sdk: str, major: int) -> None:
    try:
        version = metadata.version(sdk)
    except metadata.PackageNotFoundError:
        raise _missing(settings, sdk, f"needs {sdk}") from None
    if version.split(".")[0] != str(major):
        raise _missing(settings, sdk, f"needs {sdk}>={major},<{major + 1}, and version {version} is installed")


def _missing(settings: LLMSettings, sdk: str, rule: str) -> MissingExtraError:
    mend = f"Mend it with: pip install 'hydra-neuropt-sweeper[{sdk}]'"
    return MissingExtraError(f"{_HERE}.provider={settings.provider}", rule, mend=mend)


def _key(settings: LLMSettings, environ: Mapping[str, str]) -> str:
    if not settings.key_name:
        return NO_KEY
    # The SDKs' own answers to a missing key are a bare TypeError and "Connection error.": it is checked here instead.
    key = environ.get(settings.key_name, "").strip()
    mend = f"Set {settings.key_name}, or name another variable in {_HERE}.api_key_env."
    if not key:
        raise ConfigError(settings.key_name, f"must hold the API key for {settings.provider}, and is empty", mend=mend)
    if not re.fullmatch(r"[\x21-\x7e]+", key):
        rule = f"must hold the API key for {settings.provider}, and holds characters that no key has"
        raise ConfigError(settings.key_name, rule, mend=mend)
    return key
