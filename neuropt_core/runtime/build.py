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


def build(cfg: DictConfig | Mapping[str, Any], model: str = "model") -> tuple[Module, Tuning]:
    """Instantiates the config's model as Hydra does, edits and freezes it as ``cfg.neuropt`` says.

    Args:
        cfg: The job's config. Without a node `neuropt` the model is what Hydra builds, untouched.
        model: The key of the model's node, e.g. ``model.net``; in a sweep the same as ``hydra.sweeper.model``.

    Returns:
        The model, in the mode in which it was built, and the helpers for the training loop.

    Raises:
        ConfigError: No node at `model` builds a ``torch.nn.Module``, or a setting is unknown or illegal.
    """
    config = cfg if isinstance(cfg, DictConfig) else OmegaConf.create(dict(cfg))
    settings = _settings(OmegaConf.select(config, "neuropt"))
    chosen = OmegaConf.select(config, model)
    if chosen is None:
        raise ConfigError(model, "must be in the config, with a _target_", mend=_elsewhere(config, model))
    built = hydra.utils.instantiate(chosen)
    return built, _tuning(built, settings)


def tune(model: Module, settings: Mapping[str, Any] | None = None) -> Tuning:
    """Edits and freezes a model that is built already, in place: `build` for those who build it themselves.

    Args:
        model: The model, just built, on the CPU, before an optimizer or a wrapper has seen it.
        settings: What stands under ``neuropt`` in the job's config; None changes nothing.

    Returns:
        The helpers for the training loop.

    Raises:
        ConfigError: It is no ``torch.nn.Module``, or a setting is unknown or illegal.
    """
    return _tuning(model, _settings(settings))


def _settings(node: Any) -> Settings:
    if node is None:
        return Settings()
    if not isinstance(node, Mapping) and not isinstance(node, DictConfig):
        raise ConfigError("neuropt", "must be a mapping of settings", got=node)
    plain: Any = OmegaConf.to_container(node, resolve=True) if isinstance(node, DictConfig) else dict(node)
    return Settings.read(plain)


def _tuning(model: Module, settings: Settings) -> Tuning:
    ticket = Ticket.current()
    if ticket is None:
        return Tuning(model, settings)
    # The sweep wants to know whether anything reads what it searches.
    ticket.mark("build")
    return Tuning(model, settings, used=functools.cache(ticket.mark))


def _elsewhere(config: DictConfig, model: str) -> str:
    if model == "model":
        return 'Add it, name another key (build(cfg, model="net")), or build the model yourself and call tune.'
    return f"Is it spelled as in the config? Its keys: {', '.join(map(str, config))}."
