"""An earlier sweep's trials as evidence for a new study: read without a lock, fitted to the new space."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from neuropt_core.errors import ConfigError
from neuropt_core.files import read_lines
from neuropt_core.objectives import Direction
from neuropt_core.space import SearchSpace, Value
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Outcome, Proposal, Trial

WHERE = "hydra.sweeper.warm_start"
JOURNAL = Path("neuropt") / "journal.jsonl"
"""Where a sweep's journal lies in its folder."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """What a study starts warm from.

    Attributes:
        name: The earlier study's name; "" where only its trials are known.
        trials: Its trials that say something of a configuration and fit the new space, in its numbers.
        left_out: How many of those that say something do not fit.
        dropped: What it searched and the new study does not; those values are no longer part of the trials.
    """

    name: str
    trials: tuple[Trial, ...]
    left_out: int = 0
    dropped: tuple[str, ...] = ()


def journal_of(place: Path) -> Path:
    """Returns the journal of a sweep, given its folder or the journal itself.

    Raises:
        ConfigError: There is none.
    """
    for path in (place / JOURNAL, place):
        if path.is_file():
            return path
    mend = "Name the hydra.sweep.dir of a sweep that neuropt ran."
    raise ConfigError(WHERE, f"must be the folder of an earlier sweep, with {JOURNAL} in it", got=str(place), mend=mend)


def read_earlier(place: Path, space: SearchSpace, directions: tuple[Direction, ...]) -> Earlier:
    """Returns the trials of an earlier sweep that a study of `space` can learn from.

    Nothing is locked or written, so that the earlier sweep may still be running.

    Args:
        place: Its folder, or its journal.
        space: The new study's.
        directions: The new study's.

    Raises:
        ConfigError: There is no journal, it is damaged, its objectives are others, or none of its trials fits.
    """
    path = journal_of(place)
    try:
        spec, trials = _replayed(read_lines(path)[0])
    except (ValueError, KeyError, TypeError, LookupError, OSError) as error:
        raise ConfigError(WHERE, f"names a journal that cannot be read ({error})", got=str(path)) from None
    if spec.directions != directions:
        rule = f"must name a study with the objectives of this one, {', '.join(directions)}"
        raise ConfigError(WHERE, rule, got=", ".join(spec.directions))
    telling = [t for t in trials if t.teaches]
    fitting = tuple(t for trial in telling if (t := fitted(trial, space)) is not None)
    if not fitting:
        why = "none of them fits the search space" if telling else "none of them has ended"
        raise ConfigError(WHERE, f"must name a sweep with trials to learn from: {why}", got=str(place))
    dropped = tuple(name for name in spec.space.names if name not in space)
    return Earlier(spec.name, fitting, len(telling) - len(fitting), dropped)


def fitted(trial: Trial, space: SearchSpace) -> Trial | None:
    """Returns a trial with its values for the parameters of `space`, the user's own where it has none.

    None if a value is not legal there, or a missing one has no legal value of the user's.
    """
    params = completed(trial.params, space)
    if space.check(params):
        return None
    return replace(trial, proposal=replace(trial.proposal, params=params))


def completed(values: Mapping[str, Value], space: SearchSpace) -> dict[str, Value]:
    """Returns `values` of the active parameters of `space`, the user's own where one is missing and there is one."""
    params: dict[str, Value] = {}
    for parameter in space.parameters:
        if not space.is_active(parameter.name, params):
            continue
        if parameter.name in values:
            params[parameter.name] = values[parameter.name]
        elif parameter.has_default:
            params[parameter.name] = parameter.default
    return params


def to_journal(trials: Iterable[Trial]) -> list[dict[str, Any]]:
    """Returns ended trials as plain data for the new study's journal: its evidence outlives the earlier folder."""
    return [
        {"number": t.number, "proposal": t.proposal.to_json(), "outcome": t.outcome.to_json()}
        for t in trials
        if t.outcome is not None
    ]


def from_journal(records: Iterable[Mapping[str, Any]]) -> tuple[Trial, ...]:
    """Makes the trials that `to_journal` described."""
    return tuple(
        Trial(r["number"], Proposal.from_json(r["proposal"]), Outcome.from_json(r["outcome"])) for r in records
    )


def best_of(earlier: Earlier, spec: StudySpec) -> tuple[Trial | None, Proposal | None]:
    """Returns the best trial of `earlier`, and the proposal to try it again.

    The proposal is None where trial 0 is like it, or where it has no score or breaks a constraint.
    """
    best = next(iter(spec.ranked(earlier.trials)), None)
    if best is None or not spec.feasible(best) or spec.space.alike(best.params, spec.space.defaults()):
        return best, None
    scores = " / ".join(f"{value:.5g}" for value in best.values)
    of = f"The best of the earlier sweep {earlier.name}".rstrip()
    rationale = f"{of}: its trial {best.number} scored {scores}."
    return best, Proposal(best.params, rationale, "user")


def _replayed(records: list[Any]) -> tuple[StudySpec, tuple[Trial, ...]]:
    """Returns what a journal tells; a study that is not there, or of another kind, raises what its reading raises."""
    if not records or records[0]["op"] != "study":
        raise ValueError("it does not begin with a study")
    trials: dict[int, Trial] = {}
    spec = records[0]["spec"]
    for record in records[1:]:
        if record["op"] == "ask":
            trials[record["number"]] = Trial(record["number"], Proposal.from_json(record["proposal"]))
        elif record["op"] == "tell":
            asked = trials[record["number"]]
            trials[record["number"]] = replace(asked, outcome=Outcome.from_json(record["outcome"]))
        elif record["op"] == "changed":
            spec = record["spec"]
    return StudySpec.from_json(spec), tuple(trials[number] for number in sorted(trials))
