"""The start of the process that owns the W&B runs, and what it is given of the environment."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from neuropt_core.sinks._worker import start_worker

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
    return start_worker("_wandb_child", folder / "wandb" / LOG_NAME, folder, _environ(folder, environ))


def _environ(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    # What is set and empty says nothing, but wandb would take it at its word.
    env = {k: v for k, v in environ.items() if not k.startswith(("WANDB_", "_WANDB")) or (k in _KEPT and v)}
    env |= {
        "WANDB_DIR": str(folder),
        # Else tables are staged in the user's home, and an offline study moved elsewhere would lose them.
        "WANDB_DATA_DIR": str(folder / "wandb" / "data"),
        "WANDB_CACHE_DIR": str(folder / "wandb" / "cache"),
        "WANDB_SILENT": "true",
        "WANDB_ERROR_REPORTING": "false",
    }
    return env
