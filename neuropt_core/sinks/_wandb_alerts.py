"""When somebody is told at once: a new best, most of a budget used up, three failures in a row."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from neuropt_core.sinks.base import Scene
from neuropt_core.sinks.text import compare, number
from neuropt_core.trial import Trial, TrialState

QUIET_SECONDS = 300.0
"""Between two alerts of a new best: a search improves often in its beginning."""
SHARE = 0.8
"""Of a budget, from which on it is told."""
IN_A_ROW = 3


class Alerts:
    """Finds what is worth an alert; each budget is told of once, each row of failures once.

    Args:
        scene: The study when this process began: what was so by then is not news.
        clock: Returns seconds.
    """

    def __init__(self, scene: Scene, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._best = None if scene.best is None else scene.best.number
        self._told_at: float | None = None
        self._near = {name for name, share in _shares(scene).items() if share >= SHARE}
        self._failures = 0

    def after(self, scene: Scene, trial: Trial) -> list[dict[str, Any]]:
        """Returns the messages that an ended trial gives rise to."""
        return [*self._new_best(scene), *self._budgets(scene), *self._failing(trial)]

    def _new_best(self, scene: Scene) -> list[dict[str, Any]]:
        """A best is news once it beats trial 0: until then trials merely establish one."""
        best, found = scene.best, compare(scene)
        if best is None or best.value is None or best.number == self._best or not found.better:
            return []
        now = self._clock()
        if self._told_at is not None and now - self._told_at < QUIET_SECONDS:
            return []  # It is told after the next trial that ends later than that, if it is still the best.
        self._best, self._told_at = best.number, now
        return [_alert("New best", f"Trial {best.number} has {number(best.value)}: {found.words}.", "INFO")]

    def _budgets(self, scene: Scene) -> list[dict[str, Any]]:
        found = []
        for name, share in _shares(scene).items():
            if SHARE <= share < 1 and name not in self._near:
                self._near.add(name)
                found.append(_alert("Budget almost used", f"{100 * share:.0f} % of {name} are used.", "INFO"))
        return found

    def _failing(self, trial: Trial) -> list[dict[str, Any]]:
        self._failures = self._failures + 1 if trial.state is TrialState.FAIL else 0
        if self._failures != IN_A_ROW:
            return []
        why = "" if trial.outcome is None or trial.outcome.failure is None else f" with {trial.outcome.failure.kind}"
        return [_alert("Trials fail", f"{IN_A_ROW} trials have failed in a row, trial {trial.number}{why}.", "WARN")]


def _shares(scene: Scene) -> dict[str, float]:
    """Returns the share that is used of each limit."""
    limits, used = scene.limits, scene.used
    ended = sum(trial.outcome is not None for trial in scene.trials)
    shares = {f"{scene.n_trials} trials": ended / max(1, scene.n_trials)}
    if limits.wall_clock is not None:
        shares["the time on the wall"] = used.seconds / limits.wall_clock
    if limits.gpu_hours is not None:
        shares[f"{limits.gpu_hours:g} GPU-hours"] = used.gpu_hours / limits.gpu_hours
    return shares


def _alert(title: str, text: str, level: str) -> dict[str, Any]:
    return {"op": "alert", "title": title, "text": text, "level": level}
