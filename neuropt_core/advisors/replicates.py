"""Runs configurations again, so that the one that is recommended is good and not lucky."""

from __future__ import annotations

import math
from collections.abc import Sequence

from neuropt_core.advice import Request
from neuropt_core.recommend import Standing, configurations, noise, standings
from neuropt_core.trial import Proposal, Trial

_LEAST = 10
"""A study of fewer trials keeps no reserve: each of its trials is worth more as a new configuration."""
_FROM = 0.6
"""The share of the budget after which the reserve is spent: before it the best ones are not found yet."""
_RIVALS = 3
"""So many of the best configurations, the incumbent among them, are worth a replicate."""
_CLOSE = 3.0
"""A rival that is further behind than so many standard errors of the difference is no rival."""


def replicates(request: Request, share: float) -> tuple[Proposal, ...]:
    """Returns the replicates that are due now, at most `Request.count` of them; usually none.

    A reserve of `share` of the budget is spent from 60 % of it on, evenly until its end, first on the incumbent, then
    in turn on whichever of the best three has the fewest runs. Nothing is spent on a configuration of which a run
    failed, on a rival that is clearly behind, or once two runs gave the very same score without any change of a seed:
    then the script has no chance in it.

    Args:
        request: The state of the study; runs that have not ended count.
        share: In [0, 1]; 0 for none. A study of fewer than 10 trials has no reserve.
    """
    reserve = math.floor(share * request.n_trials + 0.5) if request.n_trials >= _LEAST else 0
    due: list[Proposal] = []
    while len(due) < request.count:
        now = request.after(tuple(due), request.count - len(due))
        spent = sum(t.proposal.source == "replicate" for t in now.trials)
        if spent >= reserve or now.number < math.ceil(request.n_trials * (_FROM + (1 - _FROM) * spent / reserve)):
            break
        proposal = _next(now)
        if proposal is None:
            break
        due.append(proposal)
    return tuple(due)


def owed(trials: Sequence[Trial], seeds: int, count: int) -> tuple[Proposal, ...]:
    """Returns the replicates that `hydra.sweeper.seeds` asks for: each trial's right behind it, until it has enough.

    Args:
        trials: All trials so far; one that ended without a score is not run again.
        seeds: How many runs each proposal gets.
        count: How many may be launched now.
    """
    found: list[Proposal] = []
    repeats: dict[int | None, list[Trial]] = {}
    for trial in trials:
        if trial.proposal.source == "replicate":
            repeats.setdefault(trial.proposal.parent, []).append(trial)
    for trial in trials:
        if trial.proposal.source == "replicate" or (trial.outcome is not None and trial.value is None):
            continue
        runs = repeats.get(trial.number, [])
        if any(t.outcome is not None and t.value is None for t in runs):
            continue
        found += [
            again(trial, f"Run {k + 1} of {seeds} of trial {trial.number}, as hydra.sweeper.seeds asks.")
            for k in range(1 + len(runs), seeds)
        ]
    return tuple(found[: max(0, count)])


def again(trial: Trial, rationale: str) -> Proposal:
    """Returns the replicate of a trial; its seed is the launcher's to give, since it alone knows the job's config."""
    return Proposal(trial.params, rationale, "replicate", parent=trial.number)


def _next(request: Request) -> Proposal | None:
    trials = request.trials
    spread = noise(trials)
    if spread == 0 and not any(t.proposal.seed is not None for t in trials):
        return None
    first = {t.number: group[0] for group in configurations(trials) for t in group}
    field = [s for s in standings(request.spec, trials) if not s.failed and all(map(request.spec.feasible, s.runs))]
    if not field:
        return None
    incumbent = field[0]
    near = [
        s
        for s in field[:_RIVALS]
        if s is incumbent or not spread or abs(s.mean - incumbent.mean) <= _CLOSE * s.error(incumbent)
    ]
    if len(near) == 1 and _runs(incumbent) > 1:
        return None
    chosen = min(near, key=lambda s: (_runs(s), near.index(s)))
    return again(first[chosen.trial.number], _why(chosen, incumbent, first))


def _runs(standing: Standing) -> int:
    return len(standing.runs) + standing.running


def _why(chosen: Standing, incumbent: Standing, first: dict[int, Trial]) -> str:
    number, times = first[chosen.trial.number].number, _runs(chosen)
    known = f"run {'once' if times == 1 else f'{times} times'}"
    if chosen is incumbent:
        return f"Trial {number} again: it is the best so far, {known}. How much of that is chance?"
    best = first[incumbent.trial.number].number
    return (
        f"Trial {number} again: {known}, it is a rival of trial {best} ({chosen.mean:.4g} against "
        f"{incumbent.mean:.4g}). Is it as good, or better?"
    )
