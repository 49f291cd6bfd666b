"""TensorBoard, from the sweeper's side: starts the child that writes event files, and feeds it.

`torch.utils.tensorboard` needs torch, which stays out of the sweeper's process.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neuropt_core.advice import Consultation
from neuropt_core.errors import ConfigError, MissingExtraError
from neuropt_core.redact import redact_data, secrets_of
from neuropt_core.sinks._wandb_feed import Feed
from neuropt_core.sinks._worker import start_worker
from neuropt_core.sinks.base import Scene
from neuropt_core.sinks.text import literal, one_line, trial_name, unmarked
from neuropt_core.trial import Trial, numbered

FOLDER = "tensorboard"
"""Below ``hydra.sweep.dir``: what ``tensorboard --logdir`` is shown."""
PATIENCE = 30.0
"""Seconds that the end of the study waits for the files."""
LOG_NAME = "neuropt-tensorboard.log"
"""Below ``<sweep dir>/neuropt``: what the child has to say."""

_log = logging.getLogger(__name__)


def check_tensorboard(wanted: object) -> bool:
    """Returns whether TensorBoard's files are wanted.

    Raises:
        ConfigError: The setting is neither true nor false.
        MissingExtraError: They are wanted, and tensorboard or torch is not installed.
    """
    if not isinstance(wanted, bool):
        raise ConfigError("hydra.sweeper.tensorboard", "must be true or false", got=wanted)
    if wanted and any(importlib.util.find_spec(name) is None for name in ("tensorboard", "torch")):
        text = "hydra.sweeper.tensorboard=true needs tensorboard: pip install 'hydra-neuropt-sweeper[tensorboard]'"
        raise MissingExtraError(text)
    return wanted


class TensorBoardSink:
    """One run for each ended trial, with its curve and its parameters, and one, ``study``, with the best so far.

    A trial is written once, at its end, into a folder that is renamed into place; what lies there is not written again
    when the study is resumed.

    Args:
        environ: The environment; the values of its secrets are redacted.
        patience: Seconds that the end of the study waits.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ, patience: float = PATIENCE) -> None:
        self._environ, self._secrets, self._patience = dict(environ), secrets_of(environ), patience
        self._feed: Feed | None = None
        self._written: list[Trial] = []

    def study_started(self, scene: Scene) -> None:
        """Starts the child; trials that ended before and are not there yet are written now."""
        folder = scene.folder / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        log = scene.folder / "neuropt" / LOG_NAME
        self._feed = Feed(
            lambda deaths: start_worker("_tensorboard_child", log, scene.folder, self._environ),
            lambda deaths: {"folder": str(folder)},
            self._heard,
            lambda code, again: self._died(code, again, log),
        )
        ended = [trial for trial in scene.trials if trial.outcome is not None]
        there = [(folder / trial_name(trial)).is_dir() for trial in ended]
        self._written = [trial for trial, known in zip(ended, there, strict=True) if known]
        for trial, known in zip(ended, there, strict=True):
            if not known:
                self.trial_told(scene, trial)

    def trial_asked(self, scene: Scene, trial: Trial) -> None:
        """Does nothing: a trial is written when it ends."""

    def trial_told(self, scene: Scene, trial: Trial) -> None:
        """Sends the trial, and the best of all that were written."""
        self._written.append(trial)
        ranked = scene.spec.ranked(t for t in self._written if t.number not in scene.left_out)
        message = {
            "trial": trial_name(trial),
            "params": {name: _hparam(value) for name, value in trial.params.items()},
            "points": [(point.step, dict(point.metrics)) for point in trial.curve.points],
            "scores": numbered("score", trial.values),
            "failed": trial.value is None,
            "text": unmarked(trial.proposal.rationale),
            "ended": len(self._written),
            "best": numbered("best", ranked[0].values) if ranked else {},
        }
        if self._feed is not None:
            self._feed.send(redact_data(message, self._secrets))

    def consulted(self, scene: Scene, consultation: Consultation) -> None:
        """Does nothing: consultations are in the journal."""

    def study_finished(self, scene: Scene, reason: str) -> None:
        """Waits for the last file, at most `patience` seconds, and says how to look at them."""
        feed, self._feed = self._feed, None
        if feed is None:
            return
        if feed.close(self._patience):
            _log.info("TensorBoard: tensorboard --logdir %s", scene.folder / FOLDER)
        elif not feed.dead:  # Its death was told already.
            text = (
                "TensorBoard's files are not complete after %.0f s; the same command, run again, adds what is missing."
            )
            _log.warning(text, self._patience)

    def _heard(self, reply: Mapping[str, Any]) -> None:
        _log.warning("TensorBoard: %s; the rest goes on", one_line(str(reply.get("reason", "")))[:300])

    def _died(self, code: int, again: bool, log: Path) -> None:
        then = "it is started again" if again else "the study goes on without it"
        _log.warning("TensorBoard: its process ended with exit code %d (see %s); %s.", code, log, then)


def _hparam(value: Any) -> str | float:
    # The HParams page knows numbers and text; a bool would become 0 or 1, and null would vanish.
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else literal(value)
