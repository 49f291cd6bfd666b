"""The arguments of `ArchSearch` beside what is searched, checked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from neuropt_core.budget import Limits, seconds_of
from neuropt_core.errors import ConfigError
from neuropt_core.pruning import Pruning


@dataclass(frozen=True, slots=True)
class Options:
    """The arguments of `ArchSearch` beside what is searched, checked; see there.

    Raises:
        ConfigError: One is outside its range.
    """

    backend: Any = "auto"
    log_path: Path = Path("search.jsonl")
    batch_size: int = 1
    device: object = None
    timeout: float | None = 600.0
    ml_context: str | None = None
    minimize: bool = True
    folder: Path = Path("search.neuropt")
    seed: int = 0
    model: str | None = None
    base_url: str | None = None
    api_key_env: str | None = None
    llm: Mapping[str, Any] = field(default_factory=dict)
    gate: Mapping[str, Any] = field(default_factory=dict)
    wandb: Mapping[str, Any] | None = None
    pruning: str = "auto"
    wall_clock: Any = None
    max_failure_rate: float = 0.5
    replicates: float = 0.0
    warm_start: str | os.PathLike[str] | None = None
    force: bool = False

    def __post_init__(self) -> None:
        _whole("batch_size", self.batch_size, 1)
        _whole("seed", self.seed, 0)
        _within("max_failure_rate", self.max_failure_rate, 1.0)
        _within("replicates", self.replicates, 0.5)
        for name in ("minimize", "force"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(name, "must be True or False", got=getattr(self, name))
        if self.ml_context is not None and not isinstance(self.ml_context, str):
            raise ConfigError("ml_context", "must be text", got=self.ml_context)
        if self.warm_start is not None and not isinstance(self.warm_start, (str, os.PathLike)):
            raise ConfigError(
                "warm_start", "must be the path of an earlier search's log or folder", got=self.warm_start
            )
        for name in ("llm", "gate"):
            if not isinstance(getattr(self, name), Mapping):
                raise ConfigError(name, "must be a dictionary of settings", got=getattr(self, name))
        Pruning(mode=self.pruning)
        Limits.parse(self.wall_clock)

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Options:
        """Makes the options that arguments describe.

        Raises:
            ConfigError: An argument is unknown or wrong.
        """
        known = [f.name for f in fields(cls)]
        for name in given:
            if name not in known:
                raise ConfigError("ArchSearch", "has no such argument", got=name, mend=f"It has {', '.join(known)}.")
        values = dict(given)
        path = Path(values.get("log_path", "search.jsonl")).expanduser().absolute()
        folder = values.get("folder")
        values["log_path"] = path
        values["folder"] = path.with_suffix(".neuropt") if folder is None else Path(folder).expanduser().absolute()
        if values.get("timeout", 600.0) is not None:
            values["timeout"] = seconds_of(values.get("timeout", 600.0), "timeout")
        if isinstance(values.get("wandb"), bool):
            values["wandb"] = {} if values["wandb"] else None
        return cls(**values)

    @property
    def llm_settings(self) -> dict[str, Any]:
        """Whom to ask, as below ``hydra.sweeper.llm``."""
        named = {"model": self.model, "base_url": self.base_url, "api_key_env": self.api_key_env}
        return {**self.llm, **{name: value for name, value in named.items() if value is not None}}


def _whole(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(name, f"must be a whole number, at least {least}", got=value)


def _within(name: str, value: object, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= high:
        raise ConfigError(name, f"must be between 0 and {high:g}", got=value)
