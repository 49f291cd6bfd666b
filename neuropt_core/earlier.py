"""An earlier sweep's trials as evidence for a new study: read without a lock, fitted to the new space."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from neuropt_core.earlier_log import is_log, read_log
from neuropt_core.errors import ConfigError
from neuropt_core.files import read_lines
from neuropt_core.journal import PLACE, Journal
from neuropt_core.objectives import Direction
from neuropt_core.space import SearchSpace, Value
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Outcome, Proposal, Trial

WHERE = "hydra.sweeper.warm_start"


@dataclass(frozen=True, slots=True)
class Earlier:
    """What a study starts warm from.

    Attributes:
        name: The earlier study's name; "" where only its trials are known.
        trials: Its trials that say something of a configuration and fit the new space, in its numbers.
        left_out: How many of those that say something do not fit.
        dropped: What it searched and the new study does not; those values are no longer part of the trials.
        kept: Whether the new study has begun already, and has them in its own journal.
    """

    name: str
    trials: tuple[Trial, ...]
    left_out: int = 0
    dropped: tuple[str, ...] = ()
    kept: bool = False


def journal_of(place: Path) -> Path:
    """Returns the journal of a sweep, given its folder, the journal itself, or the log of a search by `ArchSearch`.

    Where there is no journal, but the log of a search by loevlie/neuropt, that is returned.

    Raises:
        ConfigError: There is none.
    """
    beside = [place.with_suffix(".neuropt") / PLACE] if place.suffix == ".jsonl" else []
    for path in (place / PLACE, *beside, place):
        if path.is_file():
            return path
    mend = "Name the hydra.sweep.dir of a sweep that neuropt ran, or the log of a search."
    raise ConfigError(WHERE, f"must be the folder of an earlier study, with {PLACE} in it", got=str(place), mend=mend)


def read_earlier(place: Path, space: SearchSpace, directions: tuple[Direction, ...]) -> Earlier:
    """Returns the trials of an earlier sweep that a study of `space` can learn from.

    Nothing is locked or written, so that the earlier sweep may still be running.

    Args:
        place: Its folder, or its journal; or a log of loevlie/neuropt, whose names may be roles in `space`, and whose
            scores are taken as they stand: it does not say which direction is better.
        space: The new study's.
        directions: The new study's.

    Raises:
        ConfigError: There is no journal, it is damaged, its objectives are others, or none of its trials fits.
    """
    path = journal_of(place)
    log = is_log(path)
    try:
        name, names, theirs, trials = _logged(path, space) if log else _replayed(read_lines(path)[0])
    except (ValueError, KeyError, TypeError, LookupError, OSError) as error:
        what = "log" if log else "journal"
        raise ConfigError(WHERE, f"names a {what} that cannot be read ({error})", got=str(path)) from None
    if (log and len(directions) > 1) or (not log and theirs != directions):
        rule = f"must name a study with the objectives of this one, {', '.join(directions)}"
        raise ConfigError(WHERE, rule, got="one score" if log else ", ".join(theirs))
    telling = [t for t in trials if t.teaches]
    fitting = tuple(t for trial in telling if (t := fitted(trial, space)) is not None)
    if not fitting:
        why = "none of them fits the search space" if telling else "none of them has ended"
        raise ConfigError(WHERE, f"must name a sweep with trials to learn from: {why}", got=str(place))
    dropped = tuple(parameter for parameter in names if parameter not in space)
    return Earlier(name, fitting, len(telling) - len(fitting), dropped)


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
    of = f"The best of the earlier study {earlier.name}".rstrip()
    rationale = f"{of}: its trial {best.number} scored {scores}."
    return best, Proposal(best.params, rationale, "user")


def warm_start(place: str | None, spec: StudySpec, folder: Path, journal: Journal | None) -> Earlier | None:
    """Returns what a study starts warm from, None if it does not.

    Args:
        place: The setting, as of `read_earlier`; None leaves an earlier study alone.
        spec: The new study's.
        folder: Where that lies.
        journal: Its own; None for a dry run.

    Raises:
        ConfigError: There is nothing to start from, it is the new study itself, or that began without.
    """
    begun = None if journal is None else _begun_with(journal)
    if begun:
        fitting = tuple(t for trial in begun if (t := fitted(trial, spec.space)) is not None)
        return Earlier("", fitting, len(begun) - len(fitting), kept=True)
    if place is None:
        return None
    if begun is not None:
        rule = "counts only when a study begins, and this one began without"
        raise ConfigError(WHERE, rule, got=place, mend="Leave it out, or choose another hydra.sweep.dir.")
    path = Path(place).expanduser()
    if path.resolve() == folder.resolve() or journal_of(path).resolve() == (folder / PLACE).resolve():
        mend = "The same command goes on with a sweep by itself."
        raise ConfigError(WHERE, "is this sweep's own folder", got=str(path), mend=mend)
    return read_earlier(path, spec.space, spec.directions)


def _begun_with(journal: Journal) -> tuple[Trial, ...] | None:
    """Returns the trials from which a study that goes on began warm; None if it has not begun."""
    with journal.path.open(encoding="utf-8") as file:
        first = file.readline()  # All of it is read, and checked, by the study.
    return from_journal(json.loads(first).get("earlier", ())) if first else None


def in_words(warm: Earlier, best: Trial | None) -> str:
    """Returns what a study starts warm from, in a line; `best` is that of `best_of`."""
    if warm.kept:
        return f"Warm start: {len(warm.trials) + warm.left_out} trials, as when the study began"
    scores = "none with a score"
    if best is not None:
        scores = f"best {' / '.join(f'{value:.5g}' for value in best.values)} (trial {best.number})"
    text = f"Warm start: {len(warm.trials)} trials of {warm.name}, {scores}"
    if warm.left_out:
        text += f"; {warm.left_out} left out, since they do not fit the search space"
    if warm.dropped:
        text += f"; without {', '.join(warm.dropped)}, searched then and not now"
    return text


_Told = tuple[str, tuple[str, ...], tuple[Direction, ...], tuple[Trial, ...]]
"""A study's name, the names of its parameters, its directions, and its trials."""


def _logged(path: Path, space: SearchSpace) -> _Told:
    """Returns what a log tells, with the names of `space` for the roles of its parameters."""

    def named(name: str) -> str:
        by_role = None if name in space else space.by_role(name)
        return name if by_role is None else by_role.name

    trials = tuple(
        replace(t, proposal=replace(t.proposal, params={named(name): value for name, value in t.params.items()}))
        for t in read_log(path)
    )
    return path.stem, tuple(dict.fromkeys(name for t in trials for name in t.params)), (), trials


def _replayed(records: list[Any]) -> _Told:
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
    found = StudySpec.from_json(spec)
    return found.name, found.space.names, found.directions, tuple(trials[number] for number in sorted(trials))
