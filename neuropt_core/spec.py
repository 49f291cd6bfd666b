"""What defines a study: its name, space, direction and seed, and what is known of the model and the task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from neuropt_core.card import Belief
from neuropt_core.objectives import Constraint, Direction, order
from neuropt_core.profile import ModelProfile
from neuropt_core.space import SearchSpace
from neuropt_core.trial import Trial


@dataclass(frozen=True, slots=True)
class StudySpec:
    """What defines a study; a resumed one must agree on it.

    Attributes:
        name: The study's name, also the group in W&B.
        space: Where to look.
        direction: Whether a small or a large score is good; of several objectives that of the first.
        seed: The source of all chance.
        fixed: The user's own command-line overrides, which every trial shares.
        profile: What introspection found, if a model is configured.
        task: The user's words for the advisor.
        further: The directions of the objectives after the first.
        constraints: What a trial must keep to be worth anything.
        cost_aware: Whether a cheap trial is worth more than a dear one of the same score.
        hints: What the user believes of single parameters, by name.
    """

    name: str
    space: SearchSpace
    direction: Direction = "minimize"
    seed: int = 0
    fixed: tuple[str, ...] = ()
    profile: ModelProfile | None = field(default=None, compare=False)
    task: str = ""
    further: tuple[Direction, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    cost_aware: bool = False
    hints: Mapping[str, Belief] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "hints", MappingProxyType(dict(self.hints)))

    @property
    def directions(self) -> tuple[Direction, ...]:
        """The direction of each objective."""
        return (self.direction, *self.further)

    def ranked(self, trials: Iterable[Trial]) -> tuple[Trial, ...]:
        """Returns the trials that have a score, best first, as `objectives.order` puts them."""
        return tuple(order(trials, self.directions, self.constraints))

    def feasible(self, trial: Trial) -> bool:
        """Tells whether a trial has a score and breaks no constraint."""
        return trial.value is not None and not any(c.violation(trial) for c in self.constraints)

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
            "further": list(self.further),
            "constraints": [str(c) for c in self.constraints],
            "cost_aware": self.cost_aware,
            "hints": {name: belief.to_json() for name, belief in self.hints.items()},
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
            further=tuple(data.get("further", ())),
            constraints=tuple(Constraint.parse(text) for text in data.get("constraints", ())),
            cost_aware=data.get("cost_aware", False),
            hints={name: Belief.from_json(item) for name, item in data.get("hints", {}).items()},
        )
