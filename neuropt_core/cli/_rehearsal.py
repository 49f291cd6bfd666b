"""A dry run of a sweep in a child process: what it found and would do, as plain data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neuropt_core.assemble import DRY_RUN_TO
from neuropt_core.errors import NeuroptError

_LAST = 12
"""Lines of a failed run that are passed on."""


def rehearsal(
    start: Sequence[str], overrides: Sequence[str], where: str, environ: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Returns what a sweep would ask, and under ``inspection`` what it found; nothing is launched and nothing written.

    Args:
        start: What Python runs: a script, or ``-m`` and a module, with Hydra's options.
        overrides: The overrides of the sweep.
        where: What it is called in messages.
        environ: What is added to the environment.

    Raises:
        NeuroptError: The dry run fails; the text is its own.
    """
    with tempfile.TemporaryDirectory(prefix="neuropt-") as folder:
        target = Path(folder) / "rehearsal.json"
        command = [sys.executable, *start, "--multirun", "hydra/sweeper=neuropt", *overrides]
        done = subprocess.run(
            [*command, "hydra.sweeper.dry_run=true"],
            # What fails says so on stderr, where warnings of the script and its libraries would stand before it.
            env={"PYTHONWARNINGS": "ignore", **os.environ, **(environ or {}), DRY_RUN_TO: str(target)},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode or not target.exists():
            told = _said(done.stderr) or f"it ended with code {done.returncode}"
            raise NeuroptError(where, f"its dry run failed: {told}")
        data: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"))
    return data


def _said(stderr: str) -> str:
    """Returns why a run failed, in one line: of a traceback its end, and else all but Hydra's word on tracebacks.

    Hydra says what is wrong first, e.g. that a key cannot be overridden, and adds what it knows of the node.
    """
    lines = [line for line in stderr.splitlines() if line.strip() and "HYDRA_FULL_ERROR" not in line]
    traced = any(line.startswith("Traceback ") for line in lines)
    return " ".join(" ".join(lines[-3:] if traced else lines[-_LAST:]).split())
