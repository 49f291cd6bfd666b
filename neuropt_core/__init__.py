"""neuropt: looks into the configured model, asks what to try next, and says why.

What a training script needs: `build`, `report`, `checkpoint_dir` and `TrialPruned`; all are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuropt_core.errors import TrialPruned as TrialPruned
    from neuropt_core.runtime.build import Tuning as Tuning
    from neuropt_core.runtime.build import build as build
    from neuropt_core.runtime.checkpoints import checkpoint_dir as checkpoint_dir
    from neuropt_core.runtime.report import report as report

__version__ = "0.1.0"

_HOMES = {
    "TrialPruned": "neuropt_core.errors",
    "Tuning": "neuropt_core.runtime.build",
    "build": "neuropt_core.runtime.build",
    "checkpoint_dir": "neuropt_core.runtime.checkpoints",
    "report": "neuropt_core.runtime.report",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
