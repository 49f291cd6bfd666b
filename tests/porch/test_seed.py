"""The key of the job's own seed."""

from __future__ import annotations

from typing import Any

import pytest
from histories import trial
from hypothesis import given
from hypothesis import strategies as st

from hydra_plugins.neuropt_sweeper._seed import SeedKey, find_seed
from hydra_plugins.neuropt_sweeper._space import Plan
from neuropt_core.advisors.replicates import again
from neuropt_core.errors import ConfigError
from neuropt_core.space import Float, SearchSpace


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        ({"seed": 3}, "seed"),
        ({"trainer": {"seed": 3}}, "trainer.seed"),
        ({"random_state": 3, "lr": 0.1}, "random_state"),
        ({"seed": 3, "data": {"seed": "${seed}"}}, "seed"),
        ({"seed": None}, None),
        ({"seed": True}, None),
        ({"seeds": 3, "seed_all": 4}, None),
        ({}, None),
    ],
)
def test_the_seed_is_found_by_name(raw: dict[str, Any], key: str | None) -> None:
    """The one key of a usual name that holds a whole number of its own is the seed."""
    resolved = {**raw, "data": {"seed": 3}} if "data" in raw else raw
    found, said = find_seed(resolved, raw, "auto")
    assert (None if found is None else found.key) == key
    assert (key or "") in said


def test_two_that_could_be_meant_are_named_and_none_is_taken() -> None:
    """A guess would vary the data's split where the weights were meant."""
    config: dict[str, Any] = {"seed": 3, "data": {"seed": 4}}
    found, said = find_seed(config, config, "auto")
    assert found is None
    assert "seed, data.seed could be meant" in said
    assert find_seed(config, config, "data.seed") == (SeedKey("data.seed", 4), "")
    assert find_seed(config, config, None) == (None, "")
    assert find_seed(config, config, "auto", searched=["data.seed"])[0] == SeedKey("seed", 3)


@pytest.mark.parametrize(
    ("wished", "rule"),
    [("sed", "must be a key of the config"), ("lr", "must hold a whole number"), ("seed", "must not be searched")],
)
def test_a_key_that_cannot_be_the_seed_is_refused(wished: str, rule: str) -> None:
    """The error names the setting."""
    config: dict[str, Any] = {"seed": 3, "lr": 0.1}
    with pytest.raises(ConfigError, match=f"hydra.sweeper.seed_key: {rule}"):
        find_seed(config, config, wished, searched=["seed"])


@given(st.integers(-(2**40), 2**40), st.integers(2, 200))
def test_the_seeds_of_runs_differ(value: int, count: int) -> None:
    """Run 0 has the user's own seed, and all others one of their own that numpy takes."""
    seeds = [SeedKey("seed", value).of(index) for index in range(count)]
    assert seeds[0] == value
    assert len(set(seeds[1:])) == count - 1
    assert all(0 <= seed < 2**32 for seed in seeds[1:])


def test_a_replicate_of_trial_0_runs_as_trial_0_does() -> None:
    """It sets the seed and nothing else, whereas others set their parameters too; each run gets the next seed."""
    space = SearchSpace((Float(name="x", low=0.0, high=1.0, default=5.0, has_default=True),))
    plan = Plan(space, {"x": ""}, constants=("c=1",), seed=SeedKey("seed", 7))
    own, other = trial(0, {"x": 5.0}, source="default"), trial(1, {"x": 0.5})
    first = plan.seeded(again(own, "Again."), [own, other])
    assert plan.of(first) == ("seed=1000010",)
    assert plan.of(plan.seeded(again(other, "Again."), [own, other])) == ("x=0.5", "c=1", "seed=1000010")
    ran = trial(2, {"x": 5.0}, source="replicate", parent=0, seed=first.seed)
    assert plan.seeded(again(own, "Again."), [own, other, ran]).seed == 2000013
    assert plan.seeded(other.proposal, [own]) == other.proposal
    assert Plan(space, {"x": ""}).of(first) == ()
