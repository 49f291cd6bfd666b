"""What Hydra hands over as `hydra.sweeper`, as a checked value."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from hydra_plugins.neuropt_sweeper.config import (
    BindConf,
    BudgetConf,
    GateConf,
    LLMConf,
    MlflowConf,
    NeuroptSweeperConf,
    PruningConf,
    WandbConf,
)
from neuropt_core.assemble import ADVISORS
from neuropt_core.errors import ConfigError
from neuropt_core.objectives import Constraint, Direction

if TYPE_CHECKING:
    from neuropt_core.advisors.engine import Engine

PRETRAINED = {"auto": None, "true": True, "false": False}


def read_settings(settings: Mapping[str, Any]) -> NeuroptSweeperConf:
    """Returns the settings as plain values.

    Raises:
        ConfigError: A value is outside its range.
    """
    plain: dict[str, Any] = {k: _plain(value) for k, value in settings.items()}
    conf = NeuroptSweeperConf(**plain)
    conf.llm, conf.wandb = LLMConf(**plain.get("llm", {})), WandbConf(**plain.get("wandb", {}))
    conf.mlflow = MlflowConf(**plain.get("mlflow", {}))
    conf.pruning, conf.budget = PruningConf(**plain.get("pruning", {})), BudgetConf(**plain.get("budget", {}))
    conf.gate = GateConf(**plain.get("gate", {}))
    conf.bind = BindConf(**plain.get("bind", {}))
    # YAML reads an unquoted true as a bool, and OmegaConf writes it back with a capital.
    conf.pretrained = str(conf.pretrained).lower()
    _least("n_trials", conf.n_trials, 1)
    if conf.max_parallel is not None:
        _least("max_parallel", conf.max_parallel, 1)
    _among("backend", conf.backend, ("auto", "submitit", "process", "ray", "batch"))
    _among("resume", conf.resume, ("auto", "force"))
    directions(conf)
    constraints(conf)
    _among("pretrained", conf.pretrained, tuple(PRETRAINED))
    _among("space", conf.space, ("seed", "standard", "wide"))
    _among("advisor", conf.advisor, ADVISORS)
    _among("surrogate", conf.surrogate, ("auto", "tpe", "gp"))
    _within("max_failure_rate", conf.max_failure_rate, 0, 1)
    _least("retries", conf.retries, 0)
    _least("seeds", conf.seeds, 1)
    _within("replicates", conf.replicates, 0, 0.5)
    _check_gate(conf.gate)
    _check_pruning(conf.pruning)
    _check_budget(conf.budget)
    return conf


def directions(conf: NeuroptSweeperConf) -> tuple[Direction, ...]:
    """Returns the direction of each objective.

    Raises:
        ConfigError: There is none, or one is neither ``minimize`` nor ``maximize``.
    """
    given = conf.direction if isinstance(conf.direction, (list, tuple)) else [conf.direction]
    legal: dict[object, Direction] = {"minimize": "minimize", "maximize": "maximize"}
    if not given or any(not isinstance(word, str) or word not in legal for word in given):
        rule = "must be minimize or maximize, or a list of these, one for each number that the task function returns"
        raise ConfigError("hydra.sweeper.direction", rule, got=conf.direction)
    return tuple(legal[word] for word in given)


def constraints(conf: NeuroptSweeperConf) -> tuple[Constraint, ...]:
    """Returns the bounds on reported metrics.

    Raises:
        ConfigError: One cannot be read, or is there twice.
    """
    found = tuple(Constraint.parse(text) for text in conf.constraints)
    sides = [(c.metric, c.at_most) for c in found]
    for constraint, side in zip(found, sides, strict=True):
        if sides.count(side) > 1:
            rule = "bounds a metric twice on the same side"
            raise ConfigError("hydra.sweeper.constraints", rule, got=str(constraint), mend="Leave the wider one out.")
    return found


def _check_gate(gate: GateConf) -> None:
    if gate.warmup is not None:
        _least("gate.warmup", gate.warmup, 1)
    _within("gate.least_share", gate.least_share, 0, 1)
    _within("gate.most_share", gate.most_share, 0, 1)
    if gate.least_share > gate.most_share:
        got = (gate.least_share, gate.most_share)
        raise ConfigError("hydra.sweeper.gate", "needs least_share <= most_share", got=got)
    _least("gate.slate", gate.slate, 1)
    if not 0 <= gate.distance < 1:
        raise ConfigError("hydra.sweeper.gate.distance", "must be at least 0 and below 1", got=gate.distance)


def _check_pruning(pruning: PruningConf) -> None:
    # YAML reads an unquoted off as false.
    pruning.mode = "off" if str(pruning.mode).lower() == "false" else pruning.mode
    _among("pruning.mode", pruning.mode, ("auto", "guard", "off"))
    if pruning.grace is not None:
        _least("pruning.grace", pruning.grace, 1)
    _within("pruning.percentile", pruning.percentile, 0, 100)
    _within("pruning.chance", pruning.chance, 0, 1)


def _check_budget(budget: BudgetConf) -> None:
    if budget.gpu_hours is not None and not 0 < budget.gpu_hours < math.inf:
        raise ConfigError("hydra.sweeper.budget.gpu_hours", "must be above 0 and finite", got=budget.gpu_hours)
    if budget.gpus_per_trial is not None:
        _least("budget.gpus_per_trial", budget.gpus_per_trial, 1)


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def environment() -> dict[str, str]:
    """Returns the environment as it is now: a job in this process may change it for a while."""
    return dict(os.environ)


def _least(name: str, value: int, least: int) -> None:
    if value < least:
        raise ConfigError(f"hydra.sweeper.{name}", f"must be at least {least}", got=value)


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(f"hydra.sweeper.{name}", f"must be between {low} and {high}", got=value)


def _among(name: str, value: str, legal: tuple[str, ...]) -> None:
    if value not in legal:
        raise ConfigError(f"hydra.sweeper.{name}", f"must be one of {', '.join(legal)}", got=value)


def engine_of(conf: NeuroptSweeperConf) -> Engine:
    """Returns how the search and the gate are to work."""
    from neuropt_core.advisors.engine import Engine
    from neuropt_core.advisors.gate import GateSettings
    from neuropt_core.advisors.trust import Share

    gate = vars(conf.gate)
    share = Share(gate["least_share"], gate["most_share"])
    rest = {name: value for name, value in gate.items() if name not in ("least_share", "most_share")}
    return Engine(GateSettings(share=share, **rest), conf.surrogate)
