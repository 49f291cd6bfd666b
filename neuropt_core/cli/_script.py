"""The user's script as a sweep left it known: where its configs lie, how it is started, and what it composes to."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra_plugins.neuropt_sweeper._export import Composed, composed, plain_data
from neuropt_core.errors import StudyError
from neuropt_core.redact import secrets_of

PATIENCE = 300.0
"""Seconds that the script may take to be imported and to print its config."""
_NAME = ("--config-name", "-cn")
_FOLDER = ("--config-dir", "-cd")
_LAST = 3


@dataclass(frozen=True, slots=True)
class Script:
    """How the user's script is started, and where its configs lie.

    Attributes:
        command: Its words, ``python`` first, without a config's name and without overrides.
        cwd: Where it was started; None if that is gone.
        config_name: The name of its own config; None where it has none.
        folder: The folder of its configs; None where they are no files.
        extra: The folder that ``--config-dir`` named; None if none was.
        kept_in: Where in its output folder a job's config is kept; "" where it is not.
    """

    command: tuple[str, ...]
    cwd: Path | None
    config_name: str | None
    folder: Path | None
    extra: Path | None
    kept_in: str = ".hydra"

    def start(self, config_name: str | None, folder: Path | None) -> list[str]:
        """Returns the words that start it with a config of another name, which lies in `folder`."""
        named = [] if config_name is None else ["--config-name", config_name]
        more = [] if folder is None or folder in (self.folder, self.extra) else ["--config-dir", str(folder)]
        return [*self.command, *more, *named]


def script_of(command: str, multirun: Path) -> Script:
    """Returns the script of a sweep.

    Args:
        command: How it is started, without overrides: ``python train.py --config-name big``.
        multirun: The sweep's ``multirun.yaml``, which Hydra's own words of it are read from.

    Raises:
        StudyError: That file is not there or cannot be read.
    """
    try:
        node = plain_data(multirun.read_text(encoding="utf-8")).get("hydra") or {}
    except (OSError, UnicodeDecodeError) as error:
        rule = f"cannot be read ({getattr(error, 'strerror', None) or error}), and says where the configs lie"
        raise StudyError(str(multirun), rule, mend="--overrides needs nothing of it.") from None
    runtime: Mapping[str, Any] = node.get("runtime") or {}
    cwd = Path(str(runtime.get("cwd") or ""))
    places = {str(s.get("provider")): _place(s, cwd) for s in runtime.get("config_sources") or ()}
    name = (node.get("job") or {}).get("config_name")
    return Script(
        tuple(_without(shlex.split(command), _NAME)),
        cwd if cwd.is_dir() else None,
        None if name is None else str(name).removesuffix(".yaml"),
        places.get("main"),
        places.get("command-line"),
        str(node.get("output_subdir") or ""),
    )


def written_of(script: Script, job: Path | None, overrides: Sequence[str]) -> tuple[Composed, bool]:
    """Returns a job's config, and whether it is the one that Hydra wrote when it ran.

    Otherwise it is composed anew by the script, as its files are now.

    Raises:
        StudyError: It was not kept, and cannot be composed either.
    """
    secrets = secrets_of(os.environ)
    kept = job / script.kept_in if job is not None and script.kept_in else None
    if kept is not None and (kept / "config.yaml").is_file() and (kept / "hydra.yaml").is_file():
        config, node = ((kept / name).read_text(encoding="utf-8") for name in ("config.yaml", "hydra.yaml"))
        return composed(config, node, None, secrets), True
    config, node = asked(script, script.config_name, None, overrides)
    return composed(config, node, overrides, secrets), False


def asked(
    script: Script, config_name: str | None, folder: Path | None, overrides: Sequence[str] = ()
) -> tuple[str, str]:
    """Runs the script with ``--cfg all``, which composes and runs nothing; returns the config and its ``hydra`` node.

    Raises:
        StudyError: The script is not here, does not start, or Hydra refuses the config; the text says why.
    """
    if script.cwd is None:
        raise StudyError("the script", "cannot be started: the folder in which it was started is not here")
    command = [sys.executable, *script.start(config_name, folder)[1:], *overrides, "--cfg", "all"]
    banned = ("NEUROPT_", "HYDRA_")
    try:
        done = subprocess.run(
            command,
            cwd=script.cwd,
            env={k: v for k, v in os.environ.items() if not k.startswith(banned)},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=PATIENCE,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StudyError("the script", f"cannot be started ({error})") from None
    lines = done.stdout.splitlines(keepends=True)
    begins = [place for place, line in enumerate(lines) if line.rstrip() == "hydra:"]
    if done.returncode or not begins:
        told = [line.strip() for line in done.stderr.splitlines() if line.strip() and "HYDRA_FULL_ERROR" not in line]
        traced = any(line.startswith("Traceback ") for line in told)
        why = " ".join(told[-1:] if traced else told[:_LAST]) or f"it ended with code {done.returncode}"
        raise StudyError("the script", f"does not compose it: {why}")
    printed = lines[begins[-1] :]  # What the script prints by itself when it is imported stands before.
    ends = next((n for n, line in enumerate(printed[1:], start=1) if re.match(r"\S", line)), len(printed))
    return "".join(printed[ends:]), "".join(printed[:ends])


def _place(source: Mapping[str, Any], cwd: Path) -> Path | None:
    """Returns the folder of a source of configs; of a package's the one below the folder of the start, if there."""
    path, schema = str(source.get("path") or ""), source.get("schema")
    if schema == "file" and path:
        return Path(path)
    if schema == "pkg" and path and (cwd / path.replace(".", "/")).is_dir():
        return cwd / path.replace(".", "/")
    return None


def _without(words: Sequence[str], options: tuple[str, ...]) -> list[str]:
    kept, left = [], list(words)
    while left:
        word = left.pop(0)
        if word in options:
            del left[:1]
        elif word.split("=", 1)[0] not in options:
            kept.append(word)
    return kept
