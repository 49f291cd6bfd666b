"""A small study as the sinks see it: built trial by trial, so that a test can tell its own story."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neuropt_core.curve import Curve, Point
from neuropt_core.objectives import Direction
from neuropt_core.sinks.base import Scene, Sink
from neuropt_core.space import Categorical, Float, SearchSpace
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Failure, Outcome, Proposal, Trial, TrialState

SPACE = SearchSpace(
    (
        Categorical(name="optimizer", choices=("adam", "sgd", "-1"), default="adam", has_default=True),
        Float(name="optimizer.lr", low=1e-5, high=1e-1, log=True, default=1e-3, has_default=True),
        Categorical(name="neuropt.freeze", choices=(True, False, None), default=False, has_default=True),
    )
)
BASE: dict[str, Any] = {"optimizer": "adam", "optimizer.lr": 1e-3, "neuropt.freeze": False}


def ended(value: float | str, *, seconds: float = 12.0, curve: Curve | None = None) -> Outcome:
    """Returns a COMPLETE outcome for a number, a PRUNED one for text that begins with "pruned:", else a FAIL."""
    kept = curve or Curve()
    if isinstance(value, (int, float)):
        return Outcome(TrialState.COMPLETE, value, kept, seconds=seconds)
    if value.startswith("pruned:"):
        return Outcome(TrialState.PRUNED, None, kept, seconds=seconds, reason=value.removeprefix("pruned:"))
    return Outcome(TrialState.FAIL, None, kept, Failure("exception", value, "Traceback ..."), seconds)


def scored(*values: float, seconds: float = 12.0, **metrics: float) -> Outcome:
    """Returns a COMPLETE outcome with several scores and, as the last point of its curve, some metrics."""
    curve = Curve((Point(0, metrics, 0.0),)) if metrics else Curve()
    return Outcome(TrialState.COMPLETE, values[0], curve, seconds=seconds, further=values[1:])


def falling(*losses: float, first: int = 0) -> Curve:
    """Returns a curve with one val_loss a step."""
    return Curve(tuple(Point(first + i, {"val_loss": loss}, 0.5 * i) for i, loss in enumerate(losses)))


@dataclass
class Story:
    """Asks and tells trials as a study would, and passes every event on to a sink."""

    folder: Path
    direction: Direction = "minimize"
    name: str = "story"
    n_trials: int = 6
    command: str = "python train.py"
    trials: list[Trial] = field(default_factory=list)
    space: SearchSpace = SPACE
    more: Mapping[str, Any] = field(default_factory=dict)
    importance: Mapping[str, float] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def scene(self) -> Scene:
        """The study as it stands."""
        return Scene(
            spec=StudySpec(self.name, self.space, self.direction, **self.more),
            trials=tuple(self.trials),
            n_trials=self.n_trials,
            folder=self.folder,
            command=self.command,
            overrides={t.number: tuple(f"{k}={v}" for k, v in t.params.items()) for t in self.trials},
            advisor="prior (rules of thumb, then TPE; not an LLM)",
            importance=self.importance,
            **self.about,
        )

    def ask(
        self,
        sink: Sink | None = None,
        params: Mapping[str, Any] | None = None,
        rationale: str = "Because.",
        **more: Any,
    ) -> Trial:
        """Adds a running trial; without `params` it is the user's own configuration."""
        source = more.pop("source", "prior" if self.trials else "default")
        proposal = Proposal({**BASE, **(params or {})}, rationale, source, **more)
        self.trials.append(Trial(len(self.trials), proposal))
        if sink is not None:
            sink.trial_asked(self.scene, self.trials[-1])
        return self.trials[-1]

    def tell(self, outcome: Outcome, sink: Sink | None = None, number: int = -1) -> Trial:
        """Ends a running trial, the last one unless told otherwise."""
        told = Trial(self.trials[number].number, self.trials[number].proposal, outcome)
        self.trials[number] = told
        if sink is not None:
            sink.trial_told(self.scene, told)
        return told

    def run(
        self, value: float | str, sink: Sink | None = None, params: Mapping[str, Any] | None = None, **more: Any
    ) -> Trial:
        """Asks and tells one trial."""
        outcome = ended(value, **{key: more.pop(key) for key in ("curve", "seconds") if key in more})
        self.ask(sink, params, **more)
        return self.tell(outcome, sink)
