"""What Hydra hands over as `hydra.sweeper`, as a checked value."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from omegaconf import OmegaConf

from hydra_plugins.neuropt_sweeper.config import (
    BindConf,
    BudgetConf,
    GateConf,
    LLMConf,
    NeuroptSweeperConf,
    PruningConf,
    WandbConf,
)
from neuropt_core.assemble import ADVISORS
from neuropt_core.errors import ConfigError

PRETRAINED = {"auto": None, "true": True, "false": False}


def read_settings(settings: Mapping[str, Any]) -> NeuroptSweeperConf:
    """Returns the settings as plain values.

    Raises:
        ConfigError: A value is outside its range.
    """
    plain: dict[str, Any] = {k: _plain(value) for k, value in settings.items()}
    conf = NeuroptSweeperConf(**plain)
    conf.llm, conf.wandb = LLMConf(**plain.get("llm", {})), WandbConf(**plain.get("wandb", {}))
    conf.pruning, conf.budget = PruningConf(**plain.get("pruning", {})), BudgetConf(**plain.get("budget", {}))
    conf.gate = GateConf(**plain.get("gate", {}))
    conf.bind = BindConf(**plain.get("bind", {}))
    # YAML reads an unquoted true as a bool, and OmegaConf writes it back with a capital.
    conf.pretrained = str(conf.pretrained).lower()
    _at_least_one("n_trials", conf.n_trials)
    _at_least_one("max_parallel", conf.max_parallel)
    _among("direction", conf.direction, ("minimize", "maximize"))
    _among("pretrained", conf.pretrained, tuple(PRETRAINED))
    _among("space", conf.space, ("seed", "standard", "wide"))
    _among("advisor", conf.advisor, ADVISORS)
    if not 0 <= conf.max_failure_rate <= 1:
        raise ConfigError("hydra.sweeper.max_failure_rate", "must be between 0 and 1", got=conf.max_failure_rate)
    return conf


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def environment() -> dict[str, str]:
    """Returns the environment as it is now: a job in this process may change it for a while."""
    return dict(os.environ)


def _at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise ConfigError(f"hydra.sweeper.{name}", "must be at least 1", got=value)


def _among(name: str, value: str, legal: tuple[str, ...]) -> None:
    if value not in legal:
        raise ConfigError(f"hydra.sweeper.{name}", f"must be one of {', '.join(legal)}", got=value)
