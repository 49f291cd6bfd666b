"""Plain settings -> the parts of a study. The one place that reaches the heavy leaves, late and by name.

Not called `build`: a submodule of that name would hide the function `neuropt_core.build` that training scripts call.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from neuropt_core.advice import Advisor
from neuropt_core.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from neuropt_core.llm.client import LLMSettings
    from neuropt_core.sinks.wandb import WandbSink

_log = logging.getLogger(__name__)
ADVISORS = ("auto", "llm", "prior", "random")


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

    try:
        client = make_client(settings, environ)
    except MissingExtraError as error:
        if kind == "llm":
            raise
        # A key in the environment may be there for other tools; `auto` does not fail for want of a package.
        _log.warning("A key for %s is set, but the prior advises: %s", settings.provider, error)
        return prior
    return WithStandIn(LLMAdvisor(client), prior, source="llm")


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
        provider = pick_provider(environ)
        if provider is None:
            return None
    return LLMSettings(**{**llm, "provider": provider})  # type: ignore[arg-type]


def make_wandb_sink(settings: Mapping[str, object], environ: Mapping[str, str]) -> WandbSink | None:
    """Returns the sink that the settings under ``hydra.sweeper.wandb`` ask for, or None where W&B is off.

    Raises:
        ConfigError: A setting is wrong, or wandb or its key is asked for and missing.
    """
    from neuropt_core.sinks.wandb import WandbSettings, WandbSink, resolve_mode

    checked = WandbSettings(**settings)  # type: ignore[arg-type]
    mode = resolve_mode(checked, environ)
    return None if mode == "disabled" else WandbSink(checked, mode, environ=environ)
