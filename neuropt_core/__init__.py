"""neuropt: looks into the configured model, asks what to try next, and says why.

What a training script needs: `build`, `tune`, `report`, `checkpoint_dir` and `TrialPruned`. What a search without Hydra
needs: `ArchSearch`, and `LogUniform`, `Uniform`, `IntUniform` and `Categorical` for its space. All are loaded on first
use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuropt_core.archsearch.dimensions import Categorical as Categorical
    from neuropt_core.archsearch.dimensions import IntUniform as IntUniform
    from neuropt_core.archsearch.dimensions import LogUniform as LogUniform
    from neuropt_core.archsearch.dimensions import Uniform as Uniform
    from neuropt_core.archsearch.search import ArchSearch as ArchSearch
    from neuropt_core.errors import TrialPruned as TrialPruned
    from neuropt_core.runtime.build import Tuning as Tuning
    from neuropt_core.runtime.build import build as build
    from neuropt_core.runtime.build import tune as tune
    from neuropt_core.runtime.checkpoints import checkpoint_dir as checkpoint_dir
    from neuropt_core.runtime.report import report as report

__version__ = "0.1.0"

_HOMES = {
    "ArchSearch": "neuropt_core.archsearch.search",
    **dict.fromkeys(("Categorical", "IntUniform", "LogUniform", "Uniform"), "neuropt_core.archsearch.dimensions"),
    "TrialPruned": "neuropt_core.errors",
    "Tuning": "neuropt_core.runtime.build",
    "build": "neuropt_core.runtime.build",
    "checkpoint_dir": "neuropt_core.runtime.checkpoints",
    "report": "neuropt_core.runtime.report",
    "tune": "neuropt_core.runtime.build",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
