"""The search and the gate put together, from plain settings."""

from __future__ import annotations

from dataclasses import dataclass, field

from neuropt_core.advisors.gate import Adviser, Gate, GateSettings
from neuropt_core.advisors.prior import PriorAdvisor
from neuropt_core.advisors.search import Search
from neuropt_core.advisors.surrogate import SurrogateAdvisor


@dataclass(frozen=True, slots=True)
class Engine:
    """How the search and the gate work.

    Attributes:
        settings: Those under ``hydra.sweeper.gate``.
        surrogate: ``hydra.sweeper.surrogate``.
    """

    settings: GateSettings = field(default_factory=GateSettings)
    surrogate: str = "auto"

    def gate(self, adviser: Adviser | None) -> Gate:
        """Returns the study's advisor around an LLM; with None the search alone.

        Raises:
            ConfigError: There is no such surrogate.
        """
        search = Search(PriorAdvisor(), SurrogateAdvisor(self.surrogate), self.settings.distance)
        return Gate(adviser, search, self.settings)
