"""How an adviser and the keyless engine are put together: the one place to change when that changes."""

from __future__ import annotations

from neuropt_core.advice import Advisor
from neuropt_core.advisors.stand_in import WithStandIn
from neuropt_core.assemble import make_advisor


def engine(adviser: Advisor | None) -> Advisor:
    """Returns what a study would run with: the keyless engine alone, or behind an adviser."""
    keyless = make_advisor("prior", {}, {})
    return keyless if adviser is None else WithStandIn(adviser, keyless, source="llm")
