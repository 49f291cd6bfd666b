"""Why a sweep launches no more trials."""

from __future__ import annotations

from collections.abc import Sequence

from hydra_plugins.neuropt_sweeper._parts import Parts
from neuropt_core.budget import Used, has_stalled
from neuropt_core.endings import all_alike
from neuropt_core.trial import Trial, TrialState


class Reasons:
    """Judges the study by its settings, and hears who asks it to end."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._reached = ""

    def to_stop(self, ended: Sequence[Trial], used: Used, dry: bool) -> str | None:
        """Returns why no trial may begin, in words; None while one may.

        Args:
            ended: The trials that ended while this process watched.
            used: What the study has used so far.
            dry: Whether the advisor has nothing more to propose.
        """
        parts, study = self._parts, self._parts.study
        finished = study.finished
        failed = [t for t in finished if t.state is TrialState.FAIL]
        if len(finished) >= parts.n_trials:
            more = f"{len(finished)} trials are done, and hydra.sweeper.n_trials asks for {parts.n_trials}"
            return f"all {parts.n_trials} trials are done" if len(finished) == parts.n_trials else more
        if study.best is None and (alike := all_alike(ended)):
            return alike
        if len(failed) > parts.max_failures:
            return f"{len(failed)} trials failed, more than hydra.sweeper.max_failure_rate allows"
        if requested := parts.stop_requested():
            return requested
        # Kept, since a trial that ends tells its time anew, and perhaps a little less.
        self._reached = self._reached or parts.rules.limits.reached(used)
        if self._reached:
            return self._reached
        told = tuple(sorted((t for t in study.current if t.outcome is not None), key=lambda t: t.number))
        stalled = parts.rules.limits.stalled and has_stalled(study.spec, told, parts.n_trials, parts.rules.warmup)
        return stalled or ("the advisor has nothing more to propose" if dry else None)
