"""What a sink is told: the study as it stands, and what has just happened in it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from neuropt_core.advice import Consultation, Rejection
from neuropt_core.attempt_files import AttemptFiles
from neuropt_core.budget import Limits, Used
from neuropt_core.curve import Curve
from neuropt_core.recommend import Recommendation, recommendation
from neuropt_core.spec import StudySpec
from neuropt_core.spending import Spent
from neuropt_core.tracking import RunRecord, recorded
from neuropt_core.trial import Trial

PYTHON_COMMAND = "train_fn"
"""The command of a study that `ArchSearch` runs: no shell starts it."""


@dataclass(frozen=True, slots=True)
class Scene:
    """The study at one moment.

    Attributes:
        spec: What defines the study.
        trials: All trials so far in the order of their numbers.
        n_trials: The total budget.
        folder: ``hydra.sweep.dir``, absolute.
        command: How the user's script is started, e.g. ``python train.py``, for the lines that reproduce a trial.
        overrides: Trial number -> the overrides that make its configuration.
        advisor: The advisor's name, in words that say whether it is an LLM.
        spent: What the LLM has cost so far.
        importance: The share of each parameter in what made trials good, the greatest first; empty while not known.
        limits: What the study may use, beside its number of trials.
        used: What it has used of that so far.
        retries: Trial number -> how often it was launched again since a machine was at fault.
        running: Number of each trial in flight -> when it began on its machine, as `time.monotonic` counts; None while
            it waits for one.
        stopping: Why no more trials begin, in words; "" while they do.
        left_out: The numbers of the trials that do not fit what the study has been changed to: they are listed, but
            cannot be the best.
        consulted: The exchanges with an LLM, oldest first, without their texts.
        rejected: The legal proposals that were not tried, and why.
        config: The user's config of trial 0, dotted key -> plain value, interpolations as they are written and secrets
            redacted; empty where it is not known.
        folders: Trial number -> where its last attempt leaves its files, absolute; `runs` looks there.
        curves: Number of a trial that runs -> what it has reported so far, where that is known.
    """

    spec: StudySpec
    trials: tuple[Trial, ...]
    n_trials: int
    folder: Path
    command: str = "python train.py"
    overrides: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    advisor: str = ""
    spent: Spent = field(default_factory=Spent)
    importance: Mapping[str, float] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    used: Used = field(default_factory=Used)
    retries: Mapping[int, int] = field(default_factory=dict)
    running: Mapping[int, float | None] = field(default_factory=dict)
    stopping: str = ""
    left_out: frozenset[int] = frozenset()
    consulted: tuple[Consultation, ...] = ()
    rejected: tuple[Rejection, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    folders: Mapping[int, Path] = field(default_factory=dict)
    curves: Mapping[int, Curve] = field(default_factory=dict)

    @property
    def present(self) -> tuple[Trial, ...]:
        """The trials that fit the study as it is now: all of them, unless it was changed."""
        return tuple(t for t in self.trials if t.number not in self.left_out) if self.left_out else self.trials

    @property
    def best(self) -> Trial | None:
        """The trial with the best score; None before the first."""
        return next(iter(self.spec.ranked(self.present)), None)

    @property
    def recommended(self) -> Recommendation | None:
        """The configuration to take, as far as noise lets it be told; None before the first score."""
        return recommendation(self.spec, self.present)

    @property
    def baseline(self) -> Trial | None:
        """The user's own configuration: trial 0, or the one that took its place when the user changed the study."""
        own = [t for t in self.present if t.proposal.source == "default"]
        return own[-1] if own else next(iter(self.present), None)

    def attempts(self, trial: Trial) -> tuple[tuple[RunRecord, ...], ...]:
        """Returns, for each attempt, the runs that the trial's own script has made in W&B; reads the disk."""
        folder = self.folders.get(trial.number)
        files = [] if folder is None else [AttemptFiles(folder, trial.number, a) for a in range(_attempts(folder))]
        return tuple(recorded(attempt.runs_path) for attempt in files)

    def runs(self, trial: Trial) -> tuple[RunRecord, ...]:
        """Returns the runs that the trial's own script has made in W&B, over all attempts; reads the disk."""
        return tuple(run for attempt in self.attempts(trial) for run in attempt)

    @property
    def in_python(self) -> bool:
        """Whether the study is an `ArchSearch`, which has no command and no Hydra config."""
        return self.command == PYTHON_COMMAND

    def reproduce(self, trial: Trial) -> str:
        """Returns what runs a trial's configuration once, outside a sweep: a shell command, or a line of Python."""
        if self.in_python:
            return f"{self.command}(search.config({trial.number}))"
        return " ".join([self.command, *map(quoted, self.overrides.get(trial.number, ()))])


def _attempts(folder: Path) -> int:
    return sum(1 for _ in folder.glob("ticket*.json"))


def quoted(text: str) -> str:
    """Returns `text` quoted for a POSIX shell, in double quotes where that is safe: overrides hold single ones."""
    plain = shlex.quote(text)
    return plain if plain == text or any(mark in text for mark in '"$`\\!\n') else f'"{text}"'


class Sink(Protocol):
    """Is told what happens. A sink that fails must not hurt the study: the caller logs it and goes on."""

    def study_started(self, scene: Scene) -> None:
        """Trials may exist already: then the study is being resumed."""
        ...

    def trial_asked(self, scene: Scene, trial: Trial) -> None:
        """A trial has been journaled and is about to be launched."""
        ...

    def trial_told(self, scene: Scene, trial: Trial) -> None:
        """A trial has ended; `scene` holds its outcome already."""
        ...

    def consulted(self, scene: Scene, consultation: Consultation) -> None:
        """An LLM was asked."""
        ...

    def study_finished(self, scene: Scene, reason: str) -> None:
        """No more trials in this process; `reason` says why, e.g. ``all 20 trials are done``."""
        ...
