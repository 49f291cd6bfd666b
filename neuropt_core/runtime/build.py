"""From a job's config to a model under the trial's settings."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

from neuropt_core.errors import ConfigError
from neuropt_core.nn.tuning import Module, Settings
from neuropt_core.nn.tuning import Tuning as Tuning
from neuropt_core.ticket import Ticket


def build(cfg: DictConfig | Mapping[str, Any]) -> tuple[Module, Tuning]:
    """Instantiates ``cfg.model`` as Hydra does, edits and freezes it as ``cfg.neuropt`` says.

    Args:
        cfg: The job's config. Without a node `neuropt` the model is what Hydra builds, untouched.

    Returns:
        The model, in the mode in which it was built, and the helpers for the training loop.

    Raises:
        ConfigError: There is no `model` that builds a ``torch.nn.Module``, or a setting is unknown or illegal.
    """
    config = cfg if isinstance(cfg, DictConfig) else OmegaConf.create(dict(cfg))
    node = OmegaConf.select(config, "neuropt")
    if node is not None and not isinstance(node, DictConfig):
        raise ConfigError("neuropt", "must be a mapping of settings", got=node)
    settings = Settings() if node is None else Settings.read(OmegaConf.to_container(node, resolve=True))  # type: ignore[arg-type]
    chosen = OmegaConf.select(config, "model")
    if chosen is None:
        raise ConfigError(
            "model", "must be in the config, with a _target_", mend="Add it, or build the model yourself."
        )
    model = hydra.utils.instantiate(chosen)
    ticket = Ticket.current()
    if ticket is None:
        return model, Tuning(model, settings)
    # The sweep wants to know whether anything reads what it searches.
    ticket.mark("build")
    return model, Tuning(model, settings, used=functools.cache(ticket.mark))
