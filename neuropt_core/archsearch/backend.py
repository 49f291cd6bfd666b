"""Who advises: from `backend=` to an advisor of the engine."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from neuropt_core.advice import Advisor
from neuropt_core.assemble import make_advisor
from neuropt_core.errors import ConfigError
from neuropt_core.spending import own_budget, own_price

if TYPE_CHECKING:
    from neuropt_core.advisors.engine import Engine

BACKENDS = ("auto", "claude", "openai", "local", "none", "random")
_PROVIDERS = {"claude": "anthropic", "anthropic": "anthropic", "openai": "openai"}
_LOCAL = ("local", "qwen", "openai_compatible")
_SDKS = {"anthropic": "Anthropic", "openai": "OpenAI"}


def advisor_for(
    backend: Any,
    llm: Mapping[str, object],
    environ: Mapping[str, str],
    stop: Callable[[], bool],
    gate: Mapping[str, Any] | None = None,
) -> Advisor:
    """Returns the advisor that `backend` names.

    Args:
        backend: ``auto`` (the vendor whose key is set, else no LLM), ``claude``, ``openai``, ``local`` (a server of
            your own, with `base_url` and `model`), ``none`` (the built-in prior and surrogate) or ``random``; or a
            client: one with ``complete`` (`neuropt_core.llm.client.LLMClient`), one with ``generate(prompt,
            max_tokens=...)`` as loevlie/neuropt's backends have, or an ``anthropic.Anthropic`` or ``openai.OpenAI``.
        llm: The settings of `neuropt_core.llm.settings.LLMSettings`, and ``budget`` and ``price``.
        environ: Where keys are looked up, by name.
        stop: Whether a call is not to be waited for any longer.
        gate: How the LLM and the search take turns, as below ``hydra.sweeper.gate``; None takes the defaults.

    Raises:
        ConfigError: There is no such backend or setting, or its key, server or SDK is missing.
    """
    _check_names(backend, llm)
    engine = _engine(gate or {})
    if backend is None or backend in ("none", "prior"):
        return make_advisor("prior", {}, environ, stop, engine)
    if backend == "random":
        return make_advisor("random", {}, environ, stop)
    if isinstance(backend, str):
        return make_advisor(*_named(backend, llm), environ, stop, engine)
    if isinstance(backend, type):
        raise ConfigError("backend", "is a class", got=backend.__name__, mend=f"Hand over {backend.__name__}(...).")
    package = type(backend).__module__.partition(".")[0]
    if package in _SDKS:
        kind, settings, keys = _of_sdk(backend, package, llm)
        return make_advisor(kind, settings, {**environ, **keys}, stop, engine)
    if callable(getattr(backend, "complete", None)):
        if not isinstance(getattr(backend, "name", None), str):
            mend = 'Set it to what people shall read, e.g. name = "my model".'
            raise ConfigError("backend", "needs a name that is text", got=type(backend).__name__, mend=mend)
        return _of_client(backend, llm, engine)
    if callable(getattr(backend, "generate", None)):
        return _of_client(_Generating(backend), llm, engine)
    raise _no_backend(backend)


def _check_names(backend: Any, llm: Mapping[str, object]) -> None:
    from neuropt_core.llm.settings import LLMSettings

    known = [*(f.name for f in fields(LLMSettings)), "budget", "price", "mode", "transcript"]
    if strange := [name for name in llm if name not in known]:
        raise ConfigError("llm", f"must be a dictionary with some of {', '.join(known)}", got=strange[0])
    if "provider" in llm and not (isinstance(backend, str) and backend == "auto"):
        raise ConfigError("llm.provider", 'is for backend="auto" alone', got=llm["provider"])


def _named(backend: str, llm: Mapping[str, object]) -> tuple[str, dict[str, object]]:
    settings = {"provider": "auto", **llm}
    if backend == "auto":
        return "auto", settings
    if backend in _PROVIDERS:
        return "llm", settings | {"provider": _PROVIDERS[backend]}
    if backend not in _LOCAL:
        raise _no_backend(backend)
    if not llm.get("base_url") or not llm.get("model"):
        mend = 'E.g. ollama: backend="local", base_url="http://localhost:11434/v1", model="qwen3:4b".'
        raise ConfigError(f'backend="{backend}"', "needs a server: its base_url and the model's name there", mend=mend)
    return "llm", settings | {"provider": "openai_compatible"}


def _no_backend(backend: Any) -> ConfigError:
    mend = "Or hand over a client with a method complete(messages, schema=...)."
    return ConfigError("backend", f"must be one of {', '.join(BACKENDS)}", got=backend, mend=mend)


def _engine(gate: Mapping[str, Any]) -> Engine:
    with warnings.catch_warnings():
        # Optuna's progress bars, of which none is shown, miss a package that draws them in a notebook.
        warnings.filterwarnings("ignore", message="IProgress not found")
        from neuropt_core.advisors.engine import Engine
        from neuropt_core.advisors.gate import GateSettings
        from neuropt_core.advisors.trust import Share

    known = ["least_share", "most_share", *(f.name for f in fields(GateSettings) if f.name != "share")]
    if strange := [name for name in gate if name not in known]:
        raise ConfigError("gate", f"must be a dictionary with some of {', '.join(known)}", got=strange[0])
    shares = {name: gate[name] for name in known[:2] if name in gate}
    share = Share(*(shares.get(f"{f.name}_share", f.default) for f in fields(Share)))
    rest = {name: value for name, value in gate.items() if name not in known[:2]}
    return Engine(GateSettings(share=share, **rest))


def _of_sdk(backend: Any, package: str, llm: Mapping[str, object]) -> tuple[str, dict[str, object], dict[str, str]]:
    """Returns the kind, the settings and the key for the server of an SDK's client."""
    if type(backend).__name__ != _SDKS[package]:
        rule = f"must be a synchronous {package}.{_SDKS[package]}, if it is a client of that SDK"
        raise ConfigError("backend", rule, got=type(backend).__name__)
    name = f"{package.upper()}_API_KEY"
    key = {name: str(backend.api_key)} if backend.api_key else {}
    server = {"provider": package, "base_url": str(backend.base_url), "api_key_env": name}
    return "llm", {**llm, **server}, key


def _of_client(client: Any, llm: Mapping[str, object], engine: Engine) -> Advisor:
    from neuropt_core.advisors.llm import LLMAdvisor, Terms

    model = str(llm.get("model") or getattr(client, "model", "") or client.name)
    return engine.gate(LLMAdvisor(client, Terms(own_budget(llm), own_price(llm), model)))


class _Generating:
    """A client around an object that takes one prompt and returns text, as loevlie/neuropt's backends do."""

    writes_cards = True

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.name = str(getattr(backend, "name", type(backend).__name__))

    def complete(self, messages: Sequence[Mapping[str, str]], *, schema: Mapping[str, Any]) -> Any:
        """Returns the reply to all messages as one text, the schema told in words.

        Raises:
            LLMTransient: The backend raised, or returned no text.
        """
        import json

        from neuropt_core.errors import LLMTransient
        from neuropt_core.llm.client import Completion

        told = "Answer with one JSON object that follows this JSON schema, and with nothing else:\n"
        parts = [f"{message['role'].upper()}:\n{message['content']}" for message in messages]
        try:
            text = self._backend.generate("\n\n".join([*parts, told + json.dumps(schema)]), max_tokens=8192)
        except Exception as error:
            raise LLMTransient(self.name, f"raised {type(error).__name__}: {error}") from error
        if not isinstance(text, str):
            raise LLMTransient(self.name, f"returned {type(text).__name__}, and no text")
        return Completion(text, model=self.name)
