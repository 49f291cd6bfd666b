"""Plain settings -> the parts of a study. The one place that reaches the heavy leaves, late and by name.

Not called `build`: a submodule of that name would hide the function `neuropt_core.build` that training scripts call.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING

from neuropt_core.advice import Advisor
from neuropt_core.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from neuropt_core.llm.settings import LLMSettings
    from neuropt_core.sinks.wandb import WandbSink

_log = logging.getLogger(__name__)
ADVISORS = ("auto", "llm", "prior", "random")


def make_advisor(kind: str, llm: Mapping[str, object], environ: Mapping[str, str]) -> Advisor:
    """Returns the advisor that a setting names.

    Args:
        kind: One of `ADVISORS`; ``auto`` takes the LLM when a key is set, or a server or a script is
            named, else the prior.
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
                "is llm, but neither ANTHROPIC_API_KEY nor OPENAI_API_KEY is set, and no base_url",
                mend="Set a key, name its variable in hydra.sweeper.llm.api_key_env with a provider, name a server "
                "of your own in hydra.sweeper.llm.base_url, or use advisor=prior.",
            )
        return prior
    from neuropt_core.advisors.llm import LLMAdvisor
    from neuropt_core.advisors.stand_in import WithStandIn
    from neuropt_core.llm.client import make_client

    try:
        client = make_client(settings, environ)
    except MissingExtraError as error:
        if kind == "llm" or llm.get("provider", "auto") != "auto" or llm.get("base_url"):
            raise
        # A key in the environment may be there for other tools; `auto` does not fail for want of a package.
        _log.warning("A key for %s is set, but the prior advises: %s", settings.provider, error)
        return prior
    return WithStandIn(LLMAdvisor(client), prior, source="llm")


def _llm_settings(llm: Mapping[str, object], environ: Mapping[str, str]) -> LLMSettings | None:
    """Returns the checked settings; None if ``provider=auto`` finds nobody to ask.

    ``auto`` is ``scripted`` where there is a script, and ``openai_compatible`` where a server is named: nearly all
    servers speak chat completions, and no key leaves that was not named for it. Else the vendor whose key is set.
    """
    from neuropt_core.llm.settings import LLMSettings, pick_provider

    provider = llm.get("provider", "auto")
    if provider == "auto":
        if llm.get("script"):
            provider = "scripted"
        elif llm.get("base_url"):
            provider = "openai_compatible"
        elif llm.get("api_key_env"):
            raise ConfigError(
                "hydra.sweeper.llm.api_key_env",
                "needs hydra.sweeper.llm.provider or base_url beside it",
                mend="Set provider=anthropic or provider=openai.",
            )
        else:
            provider = pick_provider(environ)
        if provider is None:
            return None
    asked = {field.name: llm[field.name] for field in fields(LLMSettings) if field.name in llm}
    return LLMSettings(**{**asked, "provider": provider})  # type: ignore[arg-type]


def make_wandb_sink(settings: Mapping[str, object], environ: Mapping[str, str]) -> WandbSink | None:
    """Returns the sink that the settings under ``hydra.sweeper.wandb`` ask for, or None where W&B is off.

    Raises:
        ConfigError: A setting is wrong, or wandb or its key is asked for and missing.
    """
    from neuropt_core.sinks.wandb import WandbSettings, WandbSink, resolve_mode

    checked = WandbSettings(**settings)  # type: ignore[arg-type]
    mode = resolve_mode(checked, environ)
    return None if mode == "disabled" else WandbSink(checked, mode, environ=environ)
