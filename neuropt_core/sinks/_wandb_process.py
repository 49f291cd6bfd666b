"""The start of the process that owns the W&B runs, and what it is given of the environment."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

LOG_NAME = "neuropt-wandb.log"
"""Below ``<folder>/wandb``: what the child, and wandb in it, has to say."""

_KEPT = (
    *("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_BASE_URL", "WANDB_ENTITY", "WANDB_CONFIG_DIR"),
    *("WANDB_INSECURE_DISABLE_SSL", "WANDB_HTTP_TIMEOUT", "WANDB__EXTRA_HTTP_HEADERS"),
)
"""How W&B is reached; all else that is set there concerns the user's own runs and would bend ours (an id, a sweep)."""


def start(folder: Path, environ: Mapping[str, str]) -> subprocess.Popen[str]:
    """Starts the child in the study's folder.

    Args:
        folder: ``hydra.sweep.dir``; its ``wandb`` is there.
        environ: The environment from which the child's is made.
    """
    with (folder / "wandb" / LOG_NAME).open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "neuropt_core.sinks._wandb_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            encoding="utf-8",
            env=_environ(folder, environ),
            cwd=folder,
            start_new_session=True,  # A Ctrl-C in the terminal must not reach it before it has flushed.
        )


def _environ(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    env = {k: v for k, v in environ.items() if not k.startswith(("WANDB_", "_WANDB")) or k in _KEPT}
    env |= {
        "WANDB_DIR": str(folder),
        # Else tables are staged in the user's home, and an offline study moved elsewhere would lose them.
        "WANDB_DATA_DIR": str(folder / "wandb" / "data"),
        "WANDB_CACHE_DIR": str(folder / "wandb" / "cache"),
        "WANDB_SILENT": "true",
        "WANDB_ERROR_REPORTING": "false",
    }
    root = Path(__file__).resolve().parents[2]
    if root.name not in ("site-packages", "dist-packages"):
        # Run from a checkout, which the child would not find from another working directory.
        env["PYTHONPATH"] = os.pathsep.join(filter(None, (environ.get("PYTHONPATH"), str(root))))
    return env
