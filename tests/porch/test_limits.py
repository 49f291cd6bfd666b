"""Budgets, retries and repeated runs as the settings name them."""

from __future__ import annotations

import pytest

from hydra_plugins.neuropt_sweeper._limits import gpus_of, read_rules
from hydra_plugins.neuropt_sweeper.config import BudgetConf, NeuroptSweeperConf
from neuropt_core.errors import ConfigError


@pytest.mark.parametrize(
    ("launcher", "gpus"),
    [
        ({}, 1),
        ({"gpus_per_node": None, "nodes": 1}, 1),
        ({"gpus_per_node": 4, "nodes": 2}, 8),
        ({"gpus_per_task": 1, "tasks_per_node": 4, "nodes": 2}, 8),
        ({"gpus_per_node": 0}, 0),
    ],
)
def test_a_launcher_says_how_many_gpus_a_job_holds(launcher: dict[str, object], gpus: int) -> None:
    """Submitit's names are understood; a launcher that does not say gives one."""
    assert gpus_of(launcher) == gpus


def test_the_users_number_wins() -> None:
    """hydra.sweeper.budget.gpus_per_trial stands above what the launcher gives."""
    conf = NeuroptSweeperConf(budget=BudgetConf(wall_clock="2h", gpu_hours=3.0, gpus_per_trial=2), seeds=3)
    rules = read_rules(conf, {"gpus_per_node": 4})
    assert (rules.limits.gpus, rules.limits.wall_clock, rules.limits.gpu_hours) == (2, 7200.0, 3.0)
    assert (rules.seeds, rules.retries, rules.replicates) == (3, 2, 0.1)


def test_gpu_hours_of_jobs_without_a_gpu_are_refused() -> None:
    """They would never be spent."""
    conf = NeuroptSweeperConf(budget=BudgetConf(gpu_hours=3.0))
    with pytest.raises(ConfigError, match="must be at least 1 for a limit on gpu_hours"):
        read_rules(conf, {"gpus_per_node": 0})


def test_time_limits_are_read_as_durations() -> None:
    """Time-out, grace and pause take seconds or text; no grace and no pause are allowed, no time at all is not."""
    rules = read_rules(NeuroptSweeperConf(trial_timeout="2h", stop_grace=0, retry_pause="0"), {})
    assert (rules.timeout, rules.grace, rules.pause) == (7200.0, 0.0, 0.0)
    assert rules.words == "2 h for each trial"
    assert read_rules(NeuroptSweeperConf(), {}).words == ""
    for wrong in ({"trial_timeout": 0}, {"stop_grace": -1}, {"retry_pause": "soon"}, {"stop_grace": False}):
        with pytest.raises(ConfigError, match=f"hydra.sweeper.{next(iter(wrong))}: must be a duration above 0"):
            read_rules(NeuroptSweeperConf(**wrong), {})
