"""The space card: where each parameter's good values are thought to lie, what is risky, and what to try first.

Three write one: the built-in rules of thumb, an LLM, and the user (`hydra.sweeper.priors`). They write the same object,
so that an LLM's knowledge can be measured against the rules, and either can take the other's place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from neuropt_core.space import Value
from neuropt_core.trial import Predicted, Proposal


@dataclass(frozen=True, slots=True)
class Belief:
    """Where one parameter's good values are thought to lie, in its own units.

    Attributes:
        low: The lower end of the plausible interval of a number; None where nothing is believed.
        high: Its upper end.
        mode: The likeliest value; None where `likely` is empty and nothing is believed.
        likely: For a choice, the plausible ones, the likeliest first.
        risk: What may go wrong and where, in one sentence; "" if nothing is known.
        why: The reason, with its source.
    """

    low: float | None = None
    high: float | None = None
    mode: Value = None
    likely: tuple[Value, ...] = ()
    risk: str = ""
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """Returns plain data from which `from_json` makes an equal belief."""
        return {
            "low": self.low,
            "high": self.high,
            "mode": self.mode,
            "likely": list(self.likely),
            "risk": self.risk,
            "why": self.why,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Belief:
        """Makes the belief that `to_json` described."""
        return cls(data["low"], data["high"], data["mode"], tuple(data["likely"]), data["risk"], data["why"])


@dataclass(frozen=True, slots=True)
class SpaceCard:
    """What somebody believes of a space before any trial has run.

    Attributes:
        source: Who wrote it: ``prior``, ``llm`` or ``user``.
        beliefs: By parameter name; a parameter without one is left to the search.
        portfolio: Configurations to try first, diverse, the most promising first.
        expected: The score that a good configuration should reach, if the writer dares to say.
    """

    source: str
    beliefs: Mapping[str, Belief] = field(default_factory=dict)
    portfolio: tuple[Proposal, ...] = ()
    expected: Predicted | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "beliefs", MappingProxyType(dict(self.beliefs)))

    def to_json(self) -> dict[str, Any]:
        """Returns plain data from which `from_json` makes an equal card."""
        e = self.expected
        return {
            "source": self.source,
            "beliefs": {name: belief.to_json() for name, belief in self.beliefs.items()},
            "portfolio": [proposal.to_json() for proposal in self.portfolio],
            "expected": None if e is None else [e.p10, e.p50, e.p90],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SpaceCard:
        """Makes the card that `to_json` described."""
        expected = data["expected"]
        return cls(
            data["source"],
            {name: Belief.from_json(item) for name, item in data["beliefs"].items()},
            tuple(Proposal.from_json(item) for item in data["portfolio"]),
            None if expected is None else Predicted(*expected),
        )
