"""The settings' ranges."""

from __future__ import annotations

from typing import Any

import pytest

from hydra_plugins.neuropt_sweeper._settings import constraints, directions, read_settings
from neuropt_core.errors import ConfigError


def test_the_defaults_are_legal() -> None:
    """A sweep without any setting begins."""
    conf = read_settings({})
    assert (directions(conf), constraints(conf)) == (("minimize",), ())


def test_a_direction_is_a_word_or_several() -> None:
    """A list of one word is one objective; a list of two are two."""
    assert directions(read_settings({"direction": ["maximize"]})) == ("maximize",)
    assert directions(read_settings({"direction": ["minimize", "maximize"]})) == ("minimize", "maximize")


def test_an_unquoted_off_is_off() -> None:
    """YAML reads off as false; it means what was written."""
    assert read_settings({"pruning": {"mode": "False"}}).pruning.mode == "off"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"direction": "up"}, "direction: must be minimize or maximize"),
        ({"direction": []}, "direction: must be minimize or maximize"),
        ({"direction": ["minimize", 3]}, "direction: must be minimize or maximize"),
        ({"constraints": ["ms <= 3", "ms <= 4"]}, "bounds a metric twice"),
        ({"surrogate": "cma"}, "surrogate: must be one of auto, tpe, gp"),
        ({"max_failure_rate": 1.5}, "max_failure_rate: must be between 0 and 1"),
        ({"retries": -1}, "retries: must be at least 0"),
        ({"seeds": 0}, "seeds: must be at least 1"),
        ({"replicates": 0.6}, "replicates: must be between 0 and 0.5"),
        ({"replicates": float("nan")}, "replicates: must be between 0 and 0.5"),
        ({"gate": {"warmup": 0}}, "gate.warmup: must be at least 1"),
        ({"gate": {"least_share": -0.1}}, "gate.least_share: must be between 0 and 1"),
        ({"gate": {"most_share": 1.1}}, "gate.most_share: must be between 0 and 1"),
        ({"gate": {"least_share": 0.6}}, "gate: needs least_share <= most_share, got (0.6, 0.5)"),
        ({"gate": {"slate": 0}}, "gate.slate: must be at least 1"),
        ({"gate": {"distance": 1.0}}, "gate.distance: must be at least 0 and below 1"),
        ({"pruning": {"mode": "on"}}, "pruning.mode: must be one of auto, guard, off"),
        ({"pruning": {"grace": 0}}, "pruning.grace: must be at least 1"),
        ({"pruning": {"percentile": 101.0}}, "pruning.percentile: must be between 0 and 100"),
        ({"pruning": {"chance": -0.1}}, "pruning.chance: must be between 0 and 1"),
        ({"budget": {"gpu_hours": 0.0}}, "budget.gpu_hours: must be above 0"),
        ({"budget": {"gpus_per_trial": 0}}, "budget.gpus_per_trial: must be at least 1"),
    ],
)
def test_what_is_outside_its_range_is_refused(settings: dict[str, Any], says: str) -> None:
    """The sentence names the setting, its range and what it got."""
    with pytest.raises(ConfigError) as caught:
        read_settings(settings)
    assert str(caught.value).startswith("hydra.sweeper.")
    assert says in str(caught.value)
