"""When a study has used up what it may use: time on the wall, hours of GPUs, and patience."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from neuropt_core.errors import ConfigError
from neuropt_core.objectives import pareto_front
from neuropt_core.recommend import noise
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Outcome, Trial

_WHERE = "hydra.sweeper.budget"
_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "min": 60.0, "s": 1.0}
_AMOUNT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(d|h|min|m|s)(?![a-z])")
_PATIENCE = 10
_ANY = 0.001
"""Of the range of all scores: an improvement by less is none."""


@dataclass(frozen=True, slots=True)
class Used:
    """What a study has used so far.

    Attributes:
        seconds: Of the wall clock, pauses between sweepers left out.
        gpu_hours: Of all attempts, those that run included, in hours times GPUs.
    """

    seconds: float = 0.0
    gpu_hours: float = 0.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What a study may use; no trial begins after a limit, and those that run may end.

    Attributes:
        wall_clock: Seconds; None is no limit.
        gpu_hours: Hours of one GPU; None is no limit.
        gpus: How many GPUs each trial holds.
        stalled: Whether to end once nothing improves any more.
    """

    wall_clock: float | None = None
    gpu_hours: float | None = None
    gpus: int = 1
    stalled: bool = False

    @classmethod
    def parse(
        cls, wall_clock: object = None, gpu_hours: object = None, gpus: object = 1, stalled: object = False
    ) -> Limits:
        """Reads the limits as a user writes them.

        Raises:
            ConfigError: One is no number above zero, no duration, or cannot be reached.
        """
        hours = None if gpu_hours is None else _positive(f"{_WHERE}.gpu_hours", gpu_hours)
        if isinstance(gpus, bool) or not isinstance(gpus, int) or gpus < 0:
            raise ConfigError(f"{_WHERE}.gpus_per_trial", "must be a whole number, at least 0", got=gpus)
        if hours is not None and gpus == 0:
            mend = "Set it to what a trial holds, or limit wall_clock instead."
            raise ConfigError(
                f"{_WHERE}.gpus_per_trial", "must be at least 1 for a limit on gpu_hours", got=0, mend=mend
            )
        if not isinstance(stalled, bool):
            raise ConfigError(f"{_WHERE}.stalled", "must be true or false", got=stalled)
        return cls(None if wall_clock is None else seconds_of(wall_clock), hours, gpus, stalled)

    def used(
        self,
        seconds: float,
        trials: Iterable[Trial],
        retried: Mapping[int, Sequence[Outcome]],
        running: Iterable[float] = (),
    ) -> Used:
        """Returns what has been used.

        Args:
            seconds: Of the wall clock.
            trials: All trials; of those that have ended their outcome's time counts.
            retried: Trial number -> what came of attempts that were not told.
            running: How long each attempt that has not ended has run, in seconds.
        """
        told = math.fsum(t.outcome.seconds for t in trials if t.outcome is not None)
        again = math.fsum(outcome.seconds for outcomes in retried.values() for outcome in outcomes)
        return Used(seconds, (told + again + math.fsum(running)) * self.gpus / 3600)

    def reached(self, used: Used) -> str:
        """Returns why no trial may begin, in words; "" while one may."""
        if self.wall_clock is not None and used.seconds >= self.wall_clock:
            return f"the budget of {spoken(self.wall_clock)} is spent ({_WHERE}.wall_clock)"
        if self.gpu_hours is not None and used.gpu_hours >= self.gpu_hours:
            return f"the budget of {self.gpu_hours:g} GPU-hours is spent ({_WHERE}.gpu_hours)"
        return ""


def seconds_of(text: object, where: str = f"{_WHERE}.wall_clock") -> float:
    """Returns a duration in seconds: a number of them, or text such as ``8h``, ``90m`` or ``1d 2h``.

    Raises:
        ConfigError: It is neither, or not above zero.
    """
    rule, mend = "must be a duration above 0", "Write seconds, or text such as 8h, 90m or '1d 2h'."
    if not isinstance(text, str):
        return _positive(where, text, rule, mend)
    try:
        return _positive(where, float(text), rule, mend)
    except ValueError as error:
        if isinstance(error, ConfigError):
            raise
    total, place, lowered = 0.0, 0, text.strip().lower()
    while place < len(lowered):
        found = _AMOUNT.match(lowered, place)
        if found is None:
            raise ConfigError(where, rule, got=text, mend=mend)
        total, place = total + float(found[1]) * _UNITS[found[2]], found.end()
    return _positive(where, total, rule, mend) if total else _positive(where, text, rule, mend)


def spoken(seconds: float) -> str:
    """Returns a duration in words, e.g. ``8 h``, ``1 d 2 h`` or ``1 h 30 min``."""
    words, left = [], seconds
    for name, unit in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        count, left = divmod(left, unit)
        words += [f"{count:.0f} {name}"] if count else []
    return " ".join([*words, *([f"{left:g} s"] if left or not words else [])])


def has_stalled(spec: StudySpec, trials: Sequence[Trial], n_trials: int, warmup: int | None = None) -> str:
    """Returns why a search is given up, in words; "" while it is not.

    It is, once none of the last max(10, n_trials / 4) new configurations that taught something, all of them after the
    warm-up, improved on the best before them by more than the noise, or by more than 0.1 % of the range of all scores.
    Replicates improve nothing and do not count. With several objectives, an improvement is a place on the Pareto front.

    Args:
        spec: The study.
        trials: All trials so far.
        n_trials: The study's total budget.
        warmup: Trials before the search proper; None takes a fifth of `n_trials`, from 4 to 8.
    """
    start = min(8, max(4, n_trials // 5)) if warmup is None else warmup
    window = max(_PATIENCE, n_trials // 4)
    ended = [t for t in trials if t.teaches and t.proposal.source != "replicate"]
    if len(ended) < start + window:
        return ""
    before, late = ended[:-window], {t.number for t in ended[-window:]}
    best = spec.ranked(before)
    if not best:
        return ""
    words = f"none of the last {window} configurations improved on the best ({_WHERE}.stalled)"
    if spec.further:
        feasible = [t for t in ended if spec.feasible(t)]
        return "" if any(t.number in late for t in pareto_front(feasible, spec.directions)) else words
    now = spec.ranked(ended)[0]
    if now.number not in late or now.value is None or best[0].value is None:
        return words
    values = [t.value for t in ended if t.value is not None]
    least = max(noise(trials) or 0.0, _ANY * (max(values) - min(values)))
    mends = spec.feasible(now) and not spec.feasible(best[0])
    return "" if mends or abs(now.value - best[0].value) > least else words


def _positive(where: str, value: object, rule: str = "must be a number above 0", mend: str = "") -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise ConfigError(where, rule, got=value, mend=mend)
    return float(value)
