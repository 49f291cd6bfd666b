"""The budgets, retries and repeated runs that `hydra.sweeper` asks for, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hydra_plugins.neuropt_sweeper.config import NeuroptSweeperConf
from neuropt_core.budget import Limits, seconds_of, spoken
from neuropt_core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Rules:
    """How long a study goes on, and how often it runs the same.

    Attributes:
        limits: What it may use, beside its number of trials.
        warmup: Trials before the search proper; None leaves it to the number of trials.
        retries: How often a trial is launched again whose machine failed.
        seeds: How many runs each proposal gets.
        replicates: The share of the trials kept for running the best again.
        timeout: Seconds that a trial may run; None for any time.
        grace: Seconds that a trial which is asked to stop may take for it.
        pause: Seconds before a trial whose machine failed is launched for the third time; see `pause_before`.
    """

    limits: Limits = field(default_factory=Limits)
    warmup: int | None = None
    retries: int = 2
    seeds: int = 1
    replicates: float = 0.0
    timeout: float | None = None
    grace: float = 60.0
    pause: float = 30.0

    @property
    def words(self) -> str:
        """What limits the study beside its number of trials, for a reader; "" if nothing does."""
        limits = self.limits
        parts = [
            f"{spoken(limits.wall_clock)} on the wall clock" if limits.wall_clock is not None else "",
            f"{limits.gpu_hours:g} GPU-hours" if limits.gpu_hours is not None else "",
            f"{spoken(self.timeout)} for each trial" if self.timeout is not None else "",
        ]
        return ", ".join(filter(None, parts))

    def pause_before(self, retry: int) -> float:
        """Returns the seconds before the `retry`-th launch again: none, then `pause`, then four times as long each.

        What fails in seconds would else use up its attempts before whoever mends the machine has heard of it.
        """
        return 0.0 if retry <= 1 else self.pause * 4.0 ** (retry - 2)


def read_rules(conf: NeuroptSweeperConf, launcher: Mapping[str, object]) -> Rules:
    """Returns the rules that the settings make.

    Args:
        conf: The sweeper's settings.
        launcher: The node ``hydra.launcher``; what it lacks is not known.

    Raises:
        ConfigError: A setting is outside its range.
    """
    budget = conf.budget
    _whole("retries", conf.retries, 0)
    _whole("seeds", conf.seeds, 1)
    share = conf.replicates
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 0.5:
        raise ConfigError("hydra.sweeper.replicates", "must be between 0 and 0.5", got=share)
    gpus = gpus_of(launcher) if budget.gpus_per_trial is None else budget.gpus_per_trial
    limits = Limits.parse(budget.wall_clock, budget.gpu_hours, gpus, budget.stalled)
    where = "hydra.sweeper"
    return Rules(
        limits,
        conf.gate.warmup,
        conf.retries,
        conf.seeds,
        float(share),
        None if conf.trial_timeout is None else seconds_of(conf.trial_timeout, f"{where}.trial_timeout"),
        _duration(f"{where}.stop_grace", conf.stop_grace),
        _duration(f"{where}.retry_pause", conf.retry_pause),
    )


def gpus_of(launcher: Mapping[str, object]) -> int:
    """Returns how many GPUs a launcher gives each job, 1 where it does not say.

    submitit's names: ``gpus_per_node`` times ``nodes``, or ``gpus_per_task`` times ``tasks_per_node`` times ``nodes``.
    """
    nodes, tasks = _count(launcher.get("nodes")) or 1, _count(launcher.get("tasks_per_node")) or 1
    per_node, per_task = _count(launcher.get("gpus_per_node")), _count(launcher.get("gpus_per_task"))
    if per_node is not None:
        return per_node * nodes
    return 1 if per_task is None else per_task * tasks * nodes


def _duration(where: str, value: object) -> float:
    # None at all is a duration here.
    return 0.0 if value in (0, "0") and not isinstance(value, bool) else seconds_of(value, where)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _whole(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"hydra.sweeper.{name}", f"must be a whole number, at least {least}", got=value)
