"""Which key of the user's config is the job's own seed, and which seed a repeated run gets."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from hydra_plugins.neuropt_sweeper._roles import leaves, near
from neuropt_core.errors import ConfigError

_NAMES = ("seed", "random_seed", "manual_seed", "random_state")
_WHERE = "hydra.sweeper.seed_key"
_STEP, _MOST = 1_000_003, 2**32
"""A prime, so that seeds that people count up by hand are not met; numpy takes 32 bits."""


@dataclass(frozen=True, slots=True)
class SeedKey:
    """Where the job's seed stands, and what it is in the user's configuration."""

    key: str
    value: int

    def of(self, index: int) -> int:
        """Returns the seed of a configuration's run: the user's own for run 0, others for the runs after it."""
        return self.value if index == 0 else (self.value + _STEP * index) % _MOST


def find_seed(
    config: Mapping[str, object], raw: Mapping[str, object], wished: str | None, searched: Collection[str] = ()
) -> tuple[SeedKey | None, str]:
    """Returns the key of the job's seed, if there is one, and a line for people, "" if there is nothing to say.

    Args:
        config: The job's config as plain data, interpolations resolved.
        raw: The same as it is written: a key whose value is ``${seed}`` follows another one.
        wished: ``hydra.sweeper.seed_key``: a key, None for none, or ``auto``.
        searched: Parameters of the space; a seed that is searched is no longer the job's own.

    Raises:
        ConfigError: The wished key is not in the config, is searched, or holds no whole number.
    """
    keys, written = dict(leaves(config)), dict(leaves(raw))
    if wished is None:
        return None, ""
    if wished != "auto":
        if wished not in keys:
            raise ConfigError(_WHERE, "must be a key of the config", got=wished, mend=near(wished, keys))
        if wished in searched:
            raise ConfigError(_WHERE, "must not be searched", got=wished)
        value = keys[wished]
        if not isinstance(value, int) or isinstance(value, bool):
            raise ConfigError(_WHERE, f"must hold a whole number, {wished} holds {value!r}", mend="Set a seed there.")
        return SeedKey(wished, value), ""
    found = [
        SeedKey(key, value)
        for key, value in keys.items()
        if key.rpartition(".")[2] in _NAMES and isinstance(value, int) and not isinstance(value, bool)
        if "${" not in str(written.get(key)) and key not in searched
    ]
    if len(found) > 1:
        names = ", ".join(seed.key for seed in found)
        return None, f"Repeated runs get no seed of their own: {names} could be meant ({_WHERE} names one)"
    return (found[0], f"Repeated runs get a seed of their own: {found[0].key}") if found else (None, "")
