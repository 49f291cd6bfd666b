"""The arms: each makes a fresh advisor for every run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from _tables import advisers
from _tables.engine import engine
from _tables.optuna_arms import OptunaArm, gp, tpe
from neuropt_core.advice import Advisor
from neuropt_core.advisors.chance import RandomAdvisor

Arms = Mapping[str, Callable[[], Advisor]]
REFERENCE = "tpe_default"
"""The arm that the others are compared with: Optuna's TPE that begins, as every study here, with the user's own."""

ARMS: Arms = MappingProxyType(
    {
        REFERENCE: lambda: OptunaArm("tpe_default", tpe, default_first=True),
        "optuna_tpe": lambda: OptunaArm("optuna_tpe", tpe, default_first=False),
        "optuna_gp": lambda: OptunaArm("optuna_gp", gp, default_first=True),
        "random": RandomAdvisor,
        "keyless": lambda: engine(None),
        "llm_good": lambda: engine(advisers.good()),
        "llm_local": lambda: engine(advisers.local()),
        "llm_hostile": lambda: engine(advisers.hostile()),
        "llm_dead": lambda: engine(advisers.dead()),
        "only_good": advisers.good,
        "only_local": advisers.local,
        "only_hostile": advisers.hostile,
    }
)
"""``only_*`` are the advisers without any insurance; the others start from the user's own, but for ``optuna_tpe``."""
