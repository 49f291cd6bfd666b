"""Whether and how W&B is used: the user's settings, and what the machine offers. Imports nothing of wandb."""

from __future__ import annotations

import configparser
import importlib.util
import netrc
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from neuropt_core.errors import ConfigError, MissingExtraError

_MODES = ("auto", "online", "offline", "disabled")
LOG_PROMPTS = ("none", "summary", "full")
"""What may be uploaded of the exchanges with an LLM: nothing, what came of them, or every text."""


_MANY = 3
"""Folders that a command names one by one."""


@dataclass(frozen=True, slots=True)
class WandbSettings:
    """The settings below ``hydra.sweeper.wandb``.

    Attributes:
        mode: ``auto`` (online with a key, offline with wandb installed, otherwise disabled), ``online``, ``offline`` or
            ``disabled``.
        project: The project's name.
        entity: The user or team; None for the account's default.
        log_prompts: What of the exchanges with an LLM is uploaded, one of `LOG_PROMPTS`.
        report: Whether a report is kept up to date.
        sweep: Whether the runs are attached to a native W&B sweep.
    """

    mode: str = "auto"
    project: str = "neuropt"
    entity: str | None = None
    log_prompts: str = "summary"
    report: bool = True
    sweep: bool = False

    def __post_init__(self) -> None:
        if self.mode not in _MODES:
            raise ConfigError("hydra.sweeper.wandb.mode", f"must be one of {', '.join(_MODES)}", got=self.mode)
        if self.log_prompts not in LOG_PROMPTS:
            rule = f"must be one of {', '.join(LOG_PROMPTS)}"
            raise ConfigError("hydra.sweeper.wandb.log_prompts", rule, got=self.log_prompts)
        for key in ("report", "sweep"):
            if not isinstance(getattr(self, key), bool):
                raise ConfigError(f"hydra.sweeper.wandb.{key}", "must be true or false", got=getattr(self, key))
        name = self.project
        if not isinstance(name, str) or not 0 < len(name.strip()) <= 128 or set(name) & set("/\\#?%:"):
            raise ConfigError(
                "hydra.sweeper.wandb.project", "needs 1 to 128 characters, none of / \\ # ? % :", got=name
            )
        if self.entity is not None and (not isinstance(self.entity, str) or not self.entity.strip()):
            raise ConfigError("hydra.sweeper.wandb.entity", "must be a name or null", got=self.entity)


def is_installed() -> bool:
    """Tells whether wandb can be imported, without importing it."""
    spec = importlib.util.find_spec("wandb")
    # The folder `wandb` that runs leave in the working directory is found too, as a package without a file.
    return spec is not None and spec.origin is not None


def makes_reports() -> bool:
    """Tells whether wandb-workspaces is installed, which reports are made with."""
    return importlib.util.find_spec("wandb_workspaces") is not None


def left_out(settings: WandbSettings, mode: str) -> list[str]:
    """Returns what is asked for and cannot be had in a mode, in sentences."""
    said = []
    if settings.report and mode == "online" and not makes_reports():
        said.append("no report is written, since wandb-workspaces is not installed: pip install wandb-workspaces")
    if settings.sweep and mode == "offline":
        said.append("hydra.sweeper.wandb.sweep=true needs W&B online; the runs are held together by a group.")
    return said


def resolve_mode(
    settings: WandbSettings, environ: Mapping[str, str] = os.environ, installed: bool | None = None
) -> str:
    """Returns ``online``, ``offline`` or ``disabled``. An explicit mode wins over ``WANDB_MODE``, which decides `auto`.

    Args:
        settings: The user's settings.
        environ: The environment variables.
        installed: Whether wandb can be imported; looked up if None.

    Raises:
        MissingExtraError: The mode needs wandb, which is not installed.
        ConfigError: The mode is online, but there is no key.
    """
    wanted, where = settings.mode, f"hydra.sweeper.wandb.mode={settings.mode}"
    here = is_installed() if installed is None else installed
    if wanted == "auto":
        wanted, where = _mode_of(environ) if here else "disabled", "WANDB_MODE=online"
    if wanted == "disabled":
        return wanted
    if wanted == "auto":
        return "online" if has_key(environ) else "offline"
    if not here:
        raise MissingExtraError(f"{where} needs wandb: pip install 'hydra-neuropt-sweeper[wandb]'")
    if wanted == "online" and not has_key(environ):
        mend = "Run `wandb login`, set WANDB_API_KEY, or choose hydra.sweeper.wandb.mode=offline."
        raise ConfigError(where, f"needs a key for {_host(environ)}, and there is none", mend=mend)
    return wanted


def has_key(environ: Mapping[str, str] = os.environ) -> bool:
    """Tells whether W&B would find a key: in the environment, or where `wandb login` leaves it."""
    if environ.get("WANDB_API_KEY", "").strip() or environ.get("WANDB_IDENTITY_TOKEN_FILE", "").strip():
        return True
    home = Path(environ.get("HOME") or Path.home())
    named = environ.get("NETRC")
    files = [Path(named).expanduser()] if named else [home / ".netrc", home / "_netrc"]
    return any(_in_netrc(file, _host(environ)) for file in files)


def _in_netrc(file: Path, host: str) -> bool:
    try:
        found = netrc.netrc(file).authenticators(host)
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return False  # wandb, too, goes on without a file that it cannot read.
    return found is not None and bool(found[2])


def _host(environ: Mapping[str, str]) -> str:
    url = environ.get("WANDB_BASE_URL", "")
    if not url:
        home = Path(environ.get("HOME") or Path.home())
        folder = Path(environ.get("WANDB_CONFIG_DIR") or home / ".config" / "wandb")
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read(folder / "settings", encoding="utf-8")
            url = parser.get("default", "base_url", fallback="")
        except (configparser.Error, UnicodeDecodeError):
            url = ""
    return urlsplit(url).netloc or "api.wandb.ai"


def _mode_of(environ: Mapping[str, str]) -> str:
    if environ.get("WANDB_DISABLED", "").strip().lower() in ("1", "true", "yes"):
        return "disabled"
    word = environ.get("WANDB_MODE", "").strip().lower()
    return {"dryrun": "offline", "run": "online"}.get(word, word) if word in (*_MODES, "dryrun", "run") else "auto"


def sync_command(logs: Path, theirs: Sequence[str] = (), include_online: bool = False) -> str:
    """Returns the shell command that uploads what lies on this disk.

    Args:
        logs: The study's own folder of runs.
        theirs: Other folders in which scripts have left runs. They come first: what is said of these runs in `logs` is
            appended to them.
        include_online: Whether runs that were begun online are uploaded again, since they may be torn.
    """
    others = [folder for folder in dict.fromkeys(theirs) if folder != str(logs)]
    shown = [shlex.quote(folder) for folder in others]
    if len(others) > _MANY:
        above = dict.fromkeys((str(Path(folder).parent.parent), Path(folder).name) for folder in others)
        shown = [f"{shlex.quote(parent)}/*/{shlex.quote(name)}" for parent, name in above]
    option = ["--include-online"] if include_online else []
    return " ".join(["wandb sync", *option, *shown, shlex.quote(str(logs))])


def retell_command(folder: Path, project: str, entity: str | None) -> str:
    """Returns the shell command that tells W&B a whole study anew from its journal, whatever W&B has of it."""
    where = ["--project", project, *(["--entity", entity] if entity else [])]
    return shlex.join(["neuropt", "report", str(folder), "--wandb", *where])


def quiet_settings(init_timeout: float, finish_timeout: float) -> dict[str, Any]:
    """Returns the settings of a run of ours: nothing of the machine, the command line or the code leaves it.

    Args:
        init_timeout: Seconds that it may take to reach W&B.
        finish_timeout: Seconds that it may take to upload its last data.
    """
    return {
        "init_timeout": init_timeout,
        "finish_timeout": finish_timeout,
        "finish_timeout_raises": True,
        "console": "off",
        "disable_git": True,
        "save_code": False,
        "x_save_requirements": False,
        "x_disable_stats": True,
        "x_disable_meta": True,
        "x_disable_machine_info": True,
        # A killed process loses what was not flushed; the default is 15 s.
        "x_transaction_log_flush_interval": 1.0,
    }


def run_settings(
    kind: Any, init_timeout: float, finish_timeout: float, stopped: Callable[[], None], sweep: str | None
) -> Any:
    """Returns the settings of a run of ours, without those that this version of wandb does not have.

    Args:
        kind: The class `wandb.Settings`, which is not imported here.
        init_timeout: See `quiet_settings`.
        finish_timeout: See `quiet_settings`.
        stopped: Called when the run is stopped on its page, which would interrupt the process otherwise.
        sweep: The id of the native W&B sweep that it belongs to; None without one.
    """
    wanted = {**quiet_settings(init_timeout, finish_timeout), "stop_fn": stopped}
    wanted |= {} if sweep is None else {"sweep_id": sweep}
    # Those with x_ are private to wandb and may go.
    return kind(**{name: value for name, value in wanted.items() if name in kind.model_fields})
