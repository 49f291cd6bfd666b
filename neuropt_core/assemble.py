"""Plain settings -> the parts of a study. The one place that reaches the heavy leaves, late and by name.

Not called `build`: a submodule of that name would hide the function `neuropt_core.build` that training scripts call.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuropt_core.advice import Advisor
from neuropt_core.errors import ConfigError, MissingExtraError
from neuropt_core.spending import Budget, Price

if TYPE_CHECKING:
    from neuropt_core.advisors.llm import Terms
    from neuropt_core.llm.client import LLMSettings
    from neuropt_core.sinks.wandb import WandbSink

_log = logging.getLogger(__name__)
ADVISORS = ("auto", "llm", "prior", "random")
MODES = ("live", "record", "replay")
_TERMS = ("mode", "transcript", "budget", "price")
_HERE = "hydra.sweeper.llm"


def make_advisor(kind: str, llm: Mapping[str, object], environ: Mapping[str, str]) -> Advisor:
    """Returns the advisor that a setting names.

    Args:
        kind: One of `ADVISORS`; ``auto`` takes the LLM when a key is set, else the prior.
        llm: The settings under ``hydra.sweeper.llm``; ``provider`` may be ``auto``.
        environ: Where keys are looked up, by name.

    Raises:
        ConfigError: The name is unknown, or an LLM is asked for and no key, or no SDK, is there.
    """
    if kind not in ADVISORS:
        raise ConfigError("hydra.sweeper.advisor", f"must be one of {', '.join(ADVISORS)}", got=kind)
    from neuropt_core.advisors.chance import RandomAdvisor

    if kind == "random":
        return RandomAdvisor()
    from neuropt_core.advisors.prior import PriorAdvisor
    from neuropt_core.advisors.surrogate import SurrogateAdvisor

    prior = PriorAdvisor(then=SurrogateAdvisor())
    if kind == "prior":
        return prior
    settings = _llm_settings(llm, environ)
    if settings is None:
        if kind == "llm":
            raise ConfigError(
                "hydra.sweeper.advisor",
                "is llm, but neither ANTHROPIC_API_KEY nor OPENAI_API_KEY is set",
                mend="Set one of them, name another variable in hydra.sweeper.llm.api_key_env, or use advisor=prior.",
            )
        return prior
    from neuropt_core.advisors.llm import LLMAdvisor
    from neuropt_core.advisors.stand_in import WithStandIn
    from neuropt_core.llm.client import make_client
    from neuropt_core.llm.scripted import ScriptedClient

    terms = _terms(llm, settings)
    if terms.replay:  # Nobody is asked, so neither a key nor an SDK is needed.
        return WithStandIn(LLMAdvisor(ScriptedClient((), name=settings.name), terms), prior, source="llm")
    try:
        client = make_client(settings, environ)
    except MissingExtraError as error:
        if kind == "llm":
            raise
        # A key in the environment may be there for other tools; `auto` does not fail for want of a package.
        _log.warning("A key for %s is set, but the prior advises: %s", settings.provider, error)
        return prior
    return WithStandIn(LLMAdvisor(client, terms), prior, source="llm")


def own_price(llm: Mapping[str, object]) -> Price | None:
    """Returns the price that the user gives under ``hydra.sweeper.llm.price``, or None for the list's.

    Raises:
        ConfigError: It is no price.
    """
    return None if llm.get("price") is None else Price(**_fields(Price, f"{_HERE}.price", llm["price"]))


def _terms(llm: Mapping[str, object], settings: LLMSettings) -> Terms:
    from neuropt_core.advisors.llm import Terms
    from neuropt_core.spending import price_of
    from neuropt_core.transcript import Replies

    mode, path = llm.get("mode", "live"), llm.get("transcript")
    if mode not in MODES:
        raise ConfigError(f"{_HERE}.mode", f"must be one of {', '.join(MODES)}", got=mode)
    if (mode == "live") != (path is None):
        rule = "is for mode=record and mode=replay" if mode == "live" else f"must be given for mode={mode}"
        raise ConfigError(f"{_HERE}.transcript", rule, mend="Name the folder of the sweep that left it.")
    budget = Budget(**_fields(Budget, f"{_HERE}.budget", llm.get("budget") or {}))
    price = own_price(llm)
    if budget.usd is not None and price is None and price_of(settings.asked_model) is None:
        rule = f"cannot be kept, since the price of {settings.asked_model} is not known"
        raise ConfigError(f"{_HERE}.budget.usd", rule, mend=f"Give {_HERE}.price, or cap the tokens instead.")
    return Terms(
        budget=budget,
        price=price,
        model=settings.asked_model,
        max_tokens=settings.max_tokens,
        replies=None if path is None else Replies(Path(str(path))),
        replay=mode == "replay",
    )


def _fields(kind: type[Budget] | type[Price], where: str, given: object) -> dict[str, Any]:
    names = [field.name for field in fields(kind)]
    given = vars(given) if is_dataclass(given) else given
    if not isinstance(given, Mapping) or not set(given) <= set(names):
        raise ConfigError(where, f"must be a mapping with some of {names}", got=given)
    return dict(given)


def _llm_settings(llm: Mapping[str, object], environ: Mapping[str, str]) -> LLMSettings | None:
    from neuropt_core.llm.client import LLMSettings, pick_provider

    provider = llm.get("provider", "auto")
    if provider == "auto":
        if llm.get("api_key_env"):
            raise ConfigError(
                "hydra.sweeper.llm.api_key_env",
                "needs hydra.sweeper.llm.provider beside it",
                mend="Set provider=anthropic or provider=openai.",
            )
        if llm.get("mode") == "replay" and pick_provider(environ) is None:
            raise ConfigError(
                f"{_HERE}.provider", "must be named for a replay", mend="Name it, and the model, as then."
            )
        provider = pick_provider(environ)
        if provider is None:
            return None
    own = {name: value for name, value in llm.items() if name not in _TERMS}
    return LLMSettings(**{**own, "provider": provider})  # type: ignore[arg-type]


def make_wandb_sink(settings: Mapping[str, object], environ: Mapping[str, str]) -> WandbSink | None:
    """Returns the sink that the settings under ``hydra.sweeper.wandb`` ask for, or None where W&B is off.

    Raises:
        ConfigError: A setting is wrong, or wandb or its key is asked for and missing.
    """
    from neuropt_core.sinks.wandb import WandbSettings, WandbSink, resolve_mode

    checked = WandbSettings(**settings)  # type: ignore[arg-type]
    mode = resolve_mode(checked, environ)
    return None if mode == "disabled" else WandbSink(checked, mode, environ=environ)
