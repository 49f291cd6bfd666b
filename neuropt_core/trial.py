"""Trials: what was proposed and why, and what came of it."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from neuropt_core.curve import Curve
from neuropt_core.errors import ConfigError
from neuropt_core.redact import redact
from neuropt_core.space import Value
from neuropt_core.taxonomy import KINDS, kind_of

SOURCES = ("default", "prior", "surrogate", "random", "llm", "user", "filler", "replicate")
"""Who can have proposed a trial: the user's own configuration, a rule of thumb, Optuna, chance, an LLM, the user's list
of what to try first, an even spread over the space (Sobol), or doubt: a configuration again, with another seed."""

INTENTS = ("exploit", "repair", "explore", "ablate")
"""What a trial is for: more of what works, mending what a curve shows, something new, or taking one change away."""


class TrialState(str, enum.Enum):
    """The life of a trial."""

    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    PRUNED = "PRUNED"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Predicted:
    """The score that a proposer expects, as quantiles: p10 <= p50 <= p90 by value, whatever the direction."""

    p10: float
    p50: float
    p90: float

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.p10, self.p50, self.p90))) or not self.p10 <= self.p50 <= self.p90:
            raise ConfigError("expected score", "needs finite p10 <= p50 <= p90", got=(self.p10, self.p50, self.p90))


@dataclass(frozen=True, slots=True)
class Proposal:
    """One configuration to try, with the reason for trying it.

    Attributes:
        params: The value of every active parameter, by name.
        rationale: Why, in words. From an LLM it is untrusted text.
        source: One of `SOURCES`.
        predicted: The expected score, if the proposer states one.
        stands_in_for: The source that should have proposed but could not, else "".
        intent: One of `INTENTS`, or "" where the proposer states none.
        parent: The number of the trial that this one builds on, if it builds on one.
        hypothesis: What the proposer believes, to be tested by this trial; from an LLM untrusted text, as `falsifier`.
        falsifier: Which result would speak against the hypothesis.
        seed: The job's own seed where it is not the user's: a configuration that is run again gets another one.
    """

    params: Mapping[str, Value]
    rationale: str
    source: str
    predicted: Predicted | None = None
    stands_in_for: str = ""
    intent: str = ""
    parent: int | None = None
    hypothesis: str = ""
    falsifier: str = ""
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise ConfigError("proposal", f"needs a source among {SOURCES}", got=self.source)
        if not self.rationale.strip():
            raise ConfigError("proposal", "needs a rationale", got=self.rationale)
        if self.intent not in ("", *INTENTS):
            raise ConfigError("proposal", f"needs an intent among {INTENTS}, or none", got=self.intent)
        object.__setattr__(self, "params", MappingProxyType(dict(self.params)))

    def to_json(self) -> dict[str, Any]:
        """Returns plain data from which `from_json` makes an equal proposal."""
        p = self.predicted
        return {
            "params": dict(self.params),
            "rationale": self.rationale,
            "source": self.source,
            "predicted": None if p is None else [p.p10, p.p50, p.p90],
            "stands_in_for": self.stands_in_for,
            "intent": self.intent,
            "parent": self.parent,
            "hypothesis": self.hypothesis,
            "falsifier": self.falsifier,
            **({} if self.seed is None else {"seed": self.seed}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Proposal:
        """Makes the proposal that `to_json` described."""
        predicted = data.get("predicted")
        return cls(
            params=data["params"],
            rationale=data["rationale"],
            source=data["source"],
            predicted=None if predicted is None else Predicted(*predicted),
            **{
                name: data[name]
                for name in ("stands_in_for", "intent", "parent", "hypothesis", "falsifier", "seed")
                if name in data
            },
        )


INFRASTRUCTURE = tuple(kind.name for kind in KINDS if kind.again)
"""The kinds of failure that say nothing of a configuration: such a trial is launched again, and no advisor learns."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a trial has no score.

    Attributes:
        kind: The name of one of `taxonomy.KINDS`.
        message: One line for the reader.
        traceback: The last lines of the traceback, if there was one.
        place: The type of the exception and the innermost frame of its traceback; "" if there was none. Two failures
            of the same place are alike, though their messages may hold changing numbers.
        log: The last lines that the job printed, where they lie in a file.
    """

    kind: str
    message: str
    traceback: str = ""
    place: str = ""
    log: str = ""

    @property
    def words(self) -> str:
        """Kind and message, e.g. ``host out of memory: the job left no result``."""
        return f"{kind_of(self.kind).words}: {self.message}"

    @property
    def says_nothing(self) -> bool:
        """Whether the machine is at fault, so that nothing is learnt of the configuration."""
        return self.kind in INFRASTRUCTURE

    def redacted(self, secrets: Sequence[str]) -> Failure:
        """Returns the failure without `secrets`, and without what looks like one: all it says is shown, kept and sent.

        Libraries put keys, and addresses with passwords, into exceptions; so do launchers, schedulers and killed jobs.
        """
        texts = {name: redact(getattr(self, name), *secrets) for name in ("message", "traceback", "log")}
        return replace(self, **texts)

    def to_json(self) -> dict[str, str]:
        """Returns plain data from which ``Failure(**data)`` makes an equal failure."""
        kept = {"kind": self.kind, "message": self.message, "traceback": self.traceback}
        return kept | {name: text for name, text in (("place", self.place), ("log", self.log)) if text}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a trial; told to the study once.

    Raises:
        ConfigError: The value and the state contradict each other, e.g. COMPLETE without a finite value.
    """

    state: TrialState
    value: float | None = None
    curve: Curve = field(default_factory=Curve)
    failure: Failure | None = None
    seconds: float = 0.0
    reason: str = ""
    """Why a pruned trial was stopped."""
    further: tuple[float, ...] = ()
    """The scores of the objectives after the first."""

    @property
    def ended_because(self) -> str:
        """Why there is no score, in one line; "" if there is one."""
        return self.reason if self.failure is None else self.failure.message

    def __post_init__(self) -> None:
        scored = self.value is not None and all(map(math.isfinite, (self.value, *self.further)))
        legal = {
            TrialState.COMPLETE: scored and self.failure is None,
            TrialState.PRUNED: self.value is None and self.failure is None and bool(self.reason),
            TrialState.FAIL: self.value is None and self.failure is not None,
        }.get(self.state, False)
        if not legal:
            raise ConfigError(
                "outcome", "a COMPLETE trial has a finite value, a FAIL one a failure", got=self.to_json()
            )

    def to_json(self) -> dict[str, Any]:
        """Returns plain data from which `from_json` makes an equal outcome."""
        f = self.failure
        return {
            "state": self.state.value,
            "value": self.value,
            "curve": self.curve.to_json(),
            "failure": None if f is None else f.to_json(),
            "seconds": self.seconds,
            "reason": self.reason,
            **({"further": list(self.further)} if self.further else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Outcome:
        """Makes the outcome that `to_json` described."""
        failure = data.get("failure")
        return cls(
            state=TrialState(data["state"]),
            value=data["value"],
            curve=Curve.from_json(data["curve"]),
            failure=None if failure is None else Failure(**failure),
            seconds=data["seconds"],
            reason=data.get("reason", ""),
            further=tuple(data.get("further", ())),
        )


@dataclass(frozen=True, slots=True)
class Trial:
    """A numbered proposal and, once told, its outcome. Number 0 is the user's own configuration."""

    number: int
    proposal: Proposal
    outcome: Outcome | None = None

    @property
    def state(self) -> TrialState:
        """RUNNING until an outcome is told."""
        return TrialState.RUNNING if self.outcome is None else self.outcome.state

    @property
    def value(self) -> float | None:
        """The score, of several objectives the first; None unless COMPLETE."""
        return None if self.outcome is None else self.outcome.value

    @property
    def values(self) -> tuple[float, ...]:
        """The scores of all objectives; empty unless COMPLETE."""
        return () if self.outcome is None or self.value is None else (self.value, *self.outcome.further)

    @property
    def teaches(self) -> bool:
        """Whether its end says something of its configuration: not while it runs, nor if a machine was at fault."""
        failure = None if self.outcome is None else self.outcome.failure
        return self.outcome is not None and not (failure is not None and failure.says_nothing)

    @property
    def curve(self) -> Curve:
        """What the job reported; empty while it runs or if it reported nothing."""
        return Curve() if self.outcome is None else self.outcome.curve

    @property
    def params(self) -> Mapping[str, Value]:
        """The proposal's values."""
        return self.proposal.params


def numbered(name: str, values: Sequence[float]) -> dict[str, float]:
    """Returns a trial's values by name: ``score`` the first, ``score_1`` the second of several and so on."""
    return {f"{name}_{place}" if place else name: value for place, value in enumerate(values)}
