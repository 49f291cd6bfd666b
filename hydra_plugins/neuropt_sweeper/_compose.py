"""Composes a job's config as its launcher will, so that a bad proposal is found before anything is launched."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from neuropt_core.errors import ConfigError
from neuropt_core.redact import redact_override, secrets_in, secrets_of


class Composer:
    """The app's config, composed with a job's overrides."""

    def __init__(self, hydra_context: HydraContext, config: DictConfig) -> None:
        self._loader = hydra_context.config_loader
        self._config = config
        self._held: tuple[str, ...] = ()
        self.sweep_dir = Path(str(config.hydra.sweep.dir)).absolute()

    def job(self, overrides: Sequence[str], number: int) -> DictConfig:
        """Returns the whole config of job `number`, its `hydra` node included.

        Raises:
            ConfigError: Hydra refuses the overrides.
        """
        try:
            cfg = self._loader.load_sweep_config(self._config, list(overrides))
        except (HydraException, OmegaConfBaseException) as error:
            text = " ".join(str(error).split())
            raise ConfigError("config", f"Hydra cannot compose the job ({text})") from None
        with read_write(cfg), open_dict(cfg):
            cfg.hydra.job.id = str(number)
            cfg.hydra.job.num = number
            with _hydra_config(cfg), read_write(cfg.hydra.runtime):
                cfg.hydra.runtime.output_dir = str(self.sweep_dir / str(cfg.hydra.sweep.subdir))
        if number == 0:
            self._held = secrets_in(self.raw(cfg))
        return cfg

    @property
    def secrets(self) -> tuple[str, ...]:
        """What is secret in the environment, that of the jobs included, and in the config of trial 0."""
        given = OmegaConf.to_container(self._config.hydra.job.env_set, resolve=False)
        named = {**os.environ, **{str(k): str(v) for k, v in dict(given).items()}}  # type: ignore[arg-type]
        return (*secrets_of(named), *self._held)

    @staticmethod
    def output_dir(cfg: DictConfig) -> Path:
        """Returns a job's output folder, absolute."""
        return Path(cfg.hydra.runtime.output_dir)

    @staticmethod
    def resolved(cfg: DictConfig, key: str) -> object:
        """Returns the node at `key` as plain data with its interpolations resolved; None if there is none.

        Raises:
            ConfigError: An interpolation cannot be resolved.
        """
        try:
            with _hydra_config(cfg):
                node = OmegaConf.select(cfg, key)
                return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
        except OmegaConfBaseException as error:
            raise ConfigError(key, f"cannot be resolved ({' '.join(str(error).split())})") from None

    @staticmethod
    def plain(cfg: DictConfig) -> dict[str, object]:
        """Returns the user's part of a job's config as plain data.

        Interpolations are resolved one by one; what cannot be resolved here, or reads the environment and may be a
        secret, stays as it is written.
        """
        with _hydra_config(cfg):
            return {key: _resolved(cfg, value, key) for key, value in Composer.raw(cfg).items()}

    @staticmethod
    def raw(cfg: DictConfig) -> dict[str, object]:
        """Returns the user's part of a job's config with its interpolations as they are written."""
        raw = OmegaConf.to_container(cfg, resolve=False)
        return {str(k): v for k, v in dict(raw).items() if k != "hydra"}  # type: ignore[arg-type]

    def save(self) -> None:
        """Writes `multirun.yaml` into the sweep folder, as Hydra's own sweeper does."""
        self.sweep_dir.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self._config, self.sweep_dir / "multirun.yaml")


def _resolved(cfg: DictConfig, value: object, key: str) -> object:
    if isinstance(value, dict):
        return {str(k): _resolved(cfg, v, f"{key}.{k}") for k, v in value.items()}
    if not isinstance(value, str) or "${" not in value or "oc.env" in value:
        return value
    try:
        found = OmegaConf.select(cfg, key)
    except OmegaConfBaseException:
        return value
    return OmegaConf.to_container(found, resolve=False) if OmegaConf.is_config(found) else found


@contextmanager
def _hydra_config(cfg: DictConfig) -> Iterator[None]:
    # ${hydra:...} reads a process-wide singleton, which Hydra 1.3 leaves unset in the sweeper's process.
    holder = HydraConfig.instance()
    before = holder.cfg
    try:
        holder.set_config(cfg)
        yield
    finally:
        holder.cfg = before


def script_command(original: Sequence[str] = tuple(sys.orig_argv), argv: Sequence[str] = tuple(sys.argv)) -> str:
    """Returns how the user's script is started, without overrides: ``python train.py --config-name big``.

    A sweep that no flag asked for was asked for by ``hydra.mode`` in the config, which would make one of every start.
    """
    asked = any(token in ("-m", "--multirun") for token in argv[1:])
    return _shell(_start(original, argv) + _options(argv) + ([] if asked else ["hydra.mode=RUN"]))


def resume_command(
    sweep_dir: Path, original: Sequence[str] = tuple(sys.orig_argv), argv: Sequence[str] = tuple(sys.argv)
) -> str:
    """Returns the command that goes on with a study: the one that began it, and the folder by name.

    Of a secret on the command line it holds ``[redacted]``: the line is shown, and kept in `neuropt.log`.
    """
    same = [token for token in argv[1:] if not token.startswith("hydra.sweep.dir=")]
    shown = [redact_override(token, secrets_of(os.environ)) for token in same]
    return _shell([*_start(original, argv), *shown, f"hydra.sweep.dir={sweep_dir}"])


def job_arguments(overrides: Sequence[str], argv: Sequence[str]) -> list[str]:
    """Returns the arguments with which the script in `argv` runs one job of the sweep, and no sweep."""
    return [argv[0], *_options(argv), "hydra.mode=RUN", *overrides]


def _shell(tokens: Sequence[str]) -> str:
    return " ".join(["python", *map(shlex.quote, tokens)])


def _start(original: Sequence[str], argv: Sequence[str]) -> list[str]:
    return list(original[1 : len(original) - len(argv) + 1])  # Python's options and the script, or -m and the module.


def _options(argv: Sequence[str]) -> list[str]:
    takes_value = {"--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd"}
    kept = []
    tokens = list(argv[1:])
    while tokens:
        token = tokens.pop(0)
        if token in takes_value and tokens:
            kept += [token, tokens.pop(0)]
        elif token.split("=", 1)[0] in takes_value:
            kept.append(token)
    return kept
