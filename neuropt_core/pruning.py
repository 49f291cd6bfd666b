"""How a running trial is judged against the others: from the history to the rule that travels with its ticket."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from neuropt_core.curve import Curve
from neuropt_core.errors import ConfigError
from neuropt_core.spec import StudySpec
from neuropt_core.stopping import Bar, Race, StopRule, diverges, progress
from neuropt_core.trial import Trial, TrialState
from neuropt_core.tying import Tied, tie

MODES = ("auto", "guard", "off")
_WHERE = "hydra.sweeper.pruning"
_LEAST_PEERS = 4
"""Fewer trials say little of what is usual at a step."""
_APART = 1.3
"""From one step with a bar to the next the number of reported steps grows by this factor, and by 1 at least."""
_GAINS = 20
"""So many quantiles stand for the gains of any number of trials, to keep the rule small."""
_LATEST = 20
"""So many trials are enough to see what a metric means."""
_TELLING = 3


@dataclass(frozen=True, slots=True)
class Pruning:
    """When running trials are stopped early; the settings below ``hydra.sweeper.pruning``.

    Attributes:
        mode: ``auto`` for all rules, ``guard`` for the one against what is not finite or diverges, ``off`` for none.
        metric: The reported metric to judge by; ``auto`` finds the one that gives the score, None is none.
        grace: Steps that are reported before a trial is judged against others; None takes a fifth of a full trial's.
        percentile: A trial stops that is worse than this percentile of the others at the same step, the best being
            100; from 0 (never) to below 100.
        chance: A trial stops whose chance to beat the best is below this, twice in a row; from 0 (never) to below 1.

    Raises:
        ConfigError: A value is outside its range.
    """

    mode: str = "auto"
    metric: str | None = "auto"
    grace: int | None = None
    percentile: float = 25.0
    chance: float = 0.05

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ConfigError(f"{_WHERE}.mode", f"must be one of {', '.join(MODES)}", got=self.mode)
        if self.metric is not None and (not isinstance(self.metric, str) or not self.metric.strip()):
            raise ConfigError(f"{_WHERE}.metric", "must be auto, null or the name of a metric", got=self.metric)
        grace = self.grace
        if grace is not None and (isinstance(grace, bool) or not isinstance(grace, int) or grace < 0):
            raise ConfigError(f"{_WHERE}.grace", "must be a whole number of 0 or more, or null", got=grace)
        _within("percentile", self.percentile, 100)
        _within("chance", self.chance, 1)


def make_rule(
    spec: StudySpec,
    trials: Sequence[Trial],
    settings: Pruning,
    number: int,
    running: Mapping[int, Curve] | None = None,
) -> StopRule:
    """Returns the rule for one trial, from all that is known when it is made.

    Against others a trial is judged only by a metric that gives the score (`tying.tie`), and only in a study of one
    objective without constraints: what loses in one respect may win in another. Trial 0, the baseline, is stopped by
    nothing but a number that is not finite; a replicate, which measures noise, only by the guard.

    Args:
        spec: What defines the study.
        trials: All trials so far; the trial itself may be among them.
        settings: The user's.
        number: The trial's number.
        running: What the trials that still run have reported so far, by number.
    """
    if settings.mode == "off":
        return StopRule(non_finite=False)
    if number == 0:
        return StopRule()
    scored = [trial for trial in trials if trial.value is not None and trial.number != number]
    tied = tie(spec, scored, settings.metric)
    guard = StopRule(diverging=_losses(spec, scored, tied), by_best=tied is not None and tied.by_best)
    replicate = any(trial.number == number and trial.proposal.source == "replicate" for trial in trials)
    if tied is None or settings.mode == "guard" or spec.further or spec.constraints or replicate:
        return guard
    others = [trial for trial in trials if trial.number != number]
    return _against(spec, guard, tied, others, settings, running or {})


def remark(spec: StudySpec, trials: Sequence[Trial], settings: Pruning) -> str:
    """Returns what a user should know who expects trials to be judged against others, or "" if there is nothing.

    It takes three scored trials that report something, so that one odd trial raises no alarm.
    """
    told = [trial for trial in trials if trial.value is not None and trial.curve.points]
    if settings.mode != "auto" or settings.metric is None or spec.further or spec.constraints or len(told) < _TELLING:
        return ""
    names = ", ".join(dict.fromkeys(name for trial in told for name in trial.curve.metrics))
    if settings.metric not in ("auto", *(name for trial in told for name in trial.curve.metrics)):
        return f"{_WHERE}.metric: no trial reports {settings.metric!r}, only {names}; trials are not judged by it."
    if tie(spec, told, settings.metric) is not None:
        return ""
    return (
        f"No reported metric ({names}) gives the score, so trials are stopped only when they diverge. Report what the"
        f" score is made of, or name a metric: {_WHERE}.metric."
    )


@dataclass(frozen=True, slots=True)
class _Peer:
    """Another trial's curve of the metric, looked up by step.

    Attributes:
        points: (step, value) as in `progress`.
        steps: All steps that it reported, ascending.
        bests: Its best value by each of `steps`.
        reached: The last step that it reached, infinite if its end is final.
        end: The value that gives its score, if it has one.
    """

    points: Sequence[tuple[int, float]]
    steps: Sequence[int]
    bests: Sequence[float]
    reached: float
    end: float | None

    @classmethod
    def of(cls, trial: Trial, tied: Tied, running: Mapping[int, Curve]) -> _Peer | None:
        """Returns None for a trial that says nothing of what is usual."""
        curve = running.get(trial.number, Curve()) if trial.outcome is None else trial.curve
        points = progress(curve, tied.metric)
        if not points or (trial.outcome is not None and not trial.teaches):
            return None
        series = sorted((step, value) for step, value in curve.series(tied.metric) if math.isfinite(value))
        # A trial that was pruned or ended by its own script counts with what it had, at all later steps: otherwise the
        # bar at late steps would be that of the survivors alone, and the share that is stopped would compound.
        ended = trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
        return cls(
            points,
            [step for step, _ in series],
            list(accumulate((value for _, value in series), min if tied.minimize else max)),
            math.inf if ended else points[-1][0],
            None if trial.value is None else tied.read(curve),
        )

    def best_by(self, step: int) -> float | None:
        place = bisect_right(self.steps, step)
        return self.bests[place - 1] if place and step <= self.reached else None


def _against(
    spec: StudySpec,
    guard: StopRule,
    tied: Tied,
    others: Sequence[Trial],
    settings: Pruning,
    running: Mapping[int, Curve],
) -> StopRule:
    found = {trial.number: peer for trial in others if (peer := _Peer.of(trial, tied, running)) is not None}
    full = [trial for trial in others if trial.number in found and found[trial.number].end is not None]
    last_step, reports = _usual([found[trial.number].steps for trial in full])
    grace = max(1, math.ceil(reports / 5)) if settings.grace is None else settings.grace
    peers = list(found.values())
    steps = _rungs(peers, grace)
    best = spec.ranked(full)[0]
    value = found[best.number].end
    race = None
    if value is not None and settings.chance > 0:
        race = Race(best.number, value, settings.chance, _gains(peers, steps, tied))
    return StopRule(
        diverging=guard.diverging,
        metric=tied.metric,
        minimize=tied.minimize,
        by_best=tied.by_best,
        grace=grace,
        last_step=last_step,
        bars=_bars(peers, steps, tied, settings.percentile) if settings.percentile > 0 else (),
        race=race,
    )


def _usual(reported: Iterable[Sequence[int]]) -> tuple[int, int]:
    """Returns the last step of a full trial, and the number of steps at which it reports.

    Where the trials with a score differ (the epochs are searched, or the script stops early by itself) and most do not
    agree on one, it is the longest.
    """
    lengths = Counter((max(steps), len(set(steps))) for steps in reported)
    usual, count = lengths.most_common(1)[0]
    return usual if 2 * count > sum(lengths.values()) else max(lengths)


def saved_steps(trials: Sequence[Trial]) -> tuple[int, int]:
    """Returns how many steps pruning has saved, and of how many: those that all trials with a curve would have run.

    The steps are those of the curves, from 0, whatever the job counts. Without a trial that ran to its end, and where
    none was pruned, nothing is known to be saved.
    """
    full = [trial for trial in trials if trial.state is TrialState.COMPLETE and trial.curve.points]
    ended = [trial for trial in trials if trial.state is TrialState.PRUNED and trial.curve.points]
    if not full:
        return 0, 0
    last = _usual([point.step for point in trial.curve.points] for trial in full)[0]
    saved = sum(max(0, last - _last(trial)) for trial in ended)
    return saved, saved + sum(_last(trial) + 1 for trial in (*full, *ended))


def _last(trial: Trial) -> int:
    return max(point.step for point in trial.curve.points)


def _rungs(peers: Sequence[_Peer], grace: int) -> list[int]:
    """Returns the steps at which trials are compared: about logarithmic from the end of the grace on, as in ASHA.

    Source: Li et al. 2020 (MLSys, "A system for massively parallel hyperparameter tuning"), whose rungs lie further
    apart, and hold trials back until they are promoted; here nobody is.
    """
    reported = sorted(set().union(*(peer.steps for peer in peers)))
    chosen, at = [], grace
    while at < len(reported):
        chosen.append(reported[at])
        at = max(at + 1, math.ceil((at + 1) * _APART) - 1)
    return chosen


def _bars(peers: Sequence[_Peer], steps: Sequence[int], tied: Tied, percentile: float) -> tuple[Bar, ...]:
    bars = []
    for step in steps:
        reached = [best for peer in peers if (best := peer.best_by(step)) is not None]
        reached.sort(reverse=not tied.minimize)
        if len(reached) >= _LEAST_PEERS:
            # Rounded such that the sentence "worse than what 75 % had reached" is true, and rather spares a trial.
            place = math.ceil((100 - percentile) / 100 * len(reached) - 1e-9)
            bars.append(Bar(step, reached[place - 1], 100 - percentile, len(reached)))
    return tuple(bars)


def _gains(peers: Sequence[_Peer], steps: Sequence[int], tied: Tied) -> tuple[tuple[int, tuple[float, ...]], ...]:
    sign = 1.0 if tied.minimize else -1.0
    found = []
    for step in steps:
        gains = []
        for peer in peers:
            by_then = bisect_right(peer.points, (step, math.inf))
            if peer.end is not None and by_then and peer.points[-1][0] > step:
                gains.append(sign * (peer.points[by_then - 1][1] - peer.end))
        if gains:
            found.append((step, _quantiles(sorted(gains))))
    return tuple(found)


def _quantiles(ordered: Sequence[float]) -> tuple[float, ...]:
    if len(ordered) <= _GAINS:
        return tuple(ordered)
    return tuple(ordered[round(i * (len(ordered) - 1) / (_GAINS - 1))] for i in range(_GAINS))


def _losses(spec: StudySpec, scored: Sequence[Trial], tied: Tied | None) -> tuple[str, ...]:
    """Returns the metrics whose rise to a multiple of their first value ends a trial.

    These are the metric that gives the score, if it is minimised, and training losses by their names. A metric whose
    rise did not keep a trial out of the better half of the scores says nothing, as with the losses of two players.
    """
    names = dict.fromkeys(
        name for trial in scored[-_LATEST:] for name in trial.curve.metrics if _is_training_loss(name)
    )
    if tied is not None and tied.minimize:
        names[tied.metric] = None
    ranked = spec.ranked(scored)
    better = ranked[: (len(ranked) + 1) // 2][:_LATEST]
    return tuple(n for n in names if not any(diverges([v for _, v in t.curve.series(n)]) for t in better))


def _is_training_loss(name: str) -> bool:
    words = name.lower().replace("/", "_").replace("-", "_").replace(".", "_").split("_")
    return words == ["loss"] or ("loss" in words and bool({"train", "training"} & set(words)))


def _within(name: str, value: object, below: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < below:
        raise ConfigError(f"{_WHERE}.{name}", f"must be at least 0 and below {below:g}", got=value)
