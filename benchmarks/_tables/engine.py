"""How an adviser is combined with the insurance: the one place that knows."""

from __future__ import annotations

from neuropt_core.advice import Advisor
from neuropt_core.advisors.gate import Adviser, Gate
from neuropt_core.advisors.prior import PriorAdvisor
from neuropt_core.advisors.search import Search
from neuropt_core.advisors.surrogate import SurrogateAdvisor


def engine(adviser: Adviser | None) -> Advisor:
    """Returns the study's advisor around a simulated LLM; without one the keyless search."""
    return Gate(adviser, Search(PriorAdvisor(), SurrogateAdvisor()))
