"""What defines a study: its name, space, direction and seed, and what is known of the model and the task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from neuropt_core.profile import ModelProfile
from neuropt_core.space import SearchSpace
from neuropt_core.trial import Trial

Direction = Literal["minimize", "maximize"]


@dataclass(frozen=True, slots=True)
class StudySpec:
    """What defines a study; a resumed one must agree on it.

    Attributes:
        name: The study's name, also the group in W&B.
        space: Where to look.
        direction: Whether a small or a large score is good.
        seed: The source of all chance.
        fixed: The user's own command-line overrides, which every trial shares.
        profile: What introspection found, if a model is configured.
        task: The user's words for the advisor.
    """

    name: str
    space: SearchSpace
    direction: Direction = "minimize"
    seed: int = 0
    fixed: tuple[str, ...] = ()
    profile: ModelProfile | None = field(default=None, compare=False)
    task: str = ""

    def ranked(self, trials: Iterable[Trial]) -> tuple[Trial, ...]:
        """Returns the trials that have a score, best first, the earlier of equals first."""
        sign = 1.0 if self.direction == "minimize" else -1.0
        scored = [(sign * t.value, t.number, t) for t in trials if t.value is not None]
        return tuple(t for _, _, t in sorted(scored, key=lambda item: item[:2]))

    def to_json(self) -> dict[str, Any]:
        """Returns plain data from which `from_json` makes an equal spec."""
        return {
            "name": self.name,
            "space": self.space.to_json(),
            "direction": self.direction,
            "seed": self.seed,
            "fixed": list(self.fixed),
            "profile": None if self.profile is None else self.profile.to_json(),
            "task": self.task,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StudySpec:
        """Makes the spec that `to_json` described."""
        profile = data["profile"]
        return cls(
            name=data["name"],
            space=SearchSpace.from_json(data["space"]),
            direction=data["direction"],
            seed=data["seed"],
            fixed=tuple(data["fixed"]),
            profile=None if profile is None else ModelProfile.from_json(profile),
            task=data["task"],
        )
