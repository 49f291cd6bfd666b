"""MLflow, from the sweeper's side: starts the child that talks to the tracking server, and feeds it."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

from neuropt_core.advice import Consultation
from neuropt_core.redact import redact, redact_data, secrets_of
from neuropt_core.sinks._mlflow_terms import MlflowSettings as MlflowSettings
from neuropt_core.sinks._mlflow_terms import without_login
from neuropt_core.sinks._wandb_feed import Feed
from neuropt_core.sinks._wandb_payload import run_id
from neuropt_core.sinks._worker import start_worker
from neuropt_core.sinks.base import Scene
from neuropt_core.sinks.text import literal, one_line, plain, reason, trial_name, unmarked
from neuropt_core.trial import Trial, numbered

PATIENCE = 60.0
"""Seconds that the end of the study waits for MLflow."""
LOG_NAME = "neuropt/neuropt-mlflow.log"
"""Below ``hydra.sweep.dir``: what the child, and MLflow in it, has to say."""
_BRIEF = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
"""MLflow's own patience with a server that is down is minutes a request; what fails is tried again after each trial."""
_ALWAYS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}

_log = logging.getLogger(__name__)


class MlflowSink:
    """One run for the study and, nested below it, one for each ended trial.

    A study that is resumed finds its runs by their tags. A tracking server that is down costs one warning: what it has
    not taken is sent again after the next trial, and when the study is resumed.

    Args:
        settings: The user's settings, with an experiment.
        environ: The environment from which the child's is made; the values of its secrets are redacted.
        patience: Seconds that the end of the study waits.
    """

    def __init__(
        self, settings: MlflowSettings, environ: Mapping[str, str] = os.environ, patience: float = PATIENCE
    ) -> None:
        self._settings, self._patience = settings, patience
        self._environ, self._secrets = {**_BRIEF, **environ, **_ALWAYS}, secrets_of(environ)
        self._uri, login = without_login(settings.tracking_uri or environ.get("MLFLOW_TRACKING_URI") or "")
        self._environ |= login
        self._feed: Feed | None = None
        self._warned, self._left = False, 0

    def study_started(self, scene: Scene) -> None:
        """Starts the child, and sends all trials that have ended: it leaves out those that MLflow has."""
        spec = scene.spec
        tags = {
            "neuropt.study": run_id(scene),
            "neuropt.direction": ", ".join(spec.directions),
            "neuropt.advisor": scene.advisor,
            "neuropt.n_trials": str(scene.n_trials),
            "neuropt.seed": str(spec.seed),
        }
        own = f"sqlite:///{scene.folder / 'mlflow.db'}"
        hello = {
            "uri": self._uri or own,
            "artifacts": (scene.folder / "mlflow-artifacts").as_uri(),
            "experiment": self._settings.experiment,
            "study": redact_data({"name": plain(spec.name), "tags": tags}, self._secrets),
        }
        self._feed = Feed(
            lambda deaths: start_worker("_mlflow_child", scene.folder / LOG_NAME, scene.folder, self._environ),
            lambda deaths: hello,
            self._heard,
            self._died,
        )
        for trial in scene.trials:
            if trial.outcome is not None:
                self.trial_told(scene, trial)

    def trial_asked(self, scene: Scene, trial: Trial) -> None:
        """Does nothing: a trial's run is made when it ends."""

    def trial_told(self, scene: Scene, trial: Trial) -> None:
        """Sends the trial's run, and the best so far."""
        outcome, proposal = trial.outcome, trial.proposal
        failure = outcome.failure if outcome else None
        tags = {
            "mlflow.note.content": unmarked(proposal.rationale),
            "neuropt.source": proposal.source,
            "neuropt.stands_in_for": proposal.stands_in_for,
            "neuropt.state": trial.state.value,
            "neuropt.failure": "" if failure is None else failure.kind,
            "neuropt.reason": reason(trial),
        }
        ended = [t for t in scene.trials if t.outcome is not None and t.number <= trial.number]
        best = scene.spec.ranked(t for t in ended if t.number not in scene.left_out)
        message = {
            "number": trial.number,
            "name": trial_name(trial),
            "params": {name: literal(value) for name, value in trial.params.items()},
            "points": [(point.step, point.seconds, dict(point.metrics)) for point in trial.curve.points],
            "scores": numbered("score", trial.values),
            "seconds": outcome.seconds if outcome else 0.0,
            "tags": {name: text for name, text in tags.items() if text},
            "best": numbered("best", best[0].values) if best else {},
        }
        self._send(message)

    def consulted(self, scene: Scene, consultation: Consultation) -> None:
        """Does nothing: consultations are in the journal."""

    def study_finished(self, scene: Scene, reason: str) -> None:
        """Closes the study's run and waits for the last data, at most `patience` seconds."""
        self._send({"number": None, "tags": {"neuropt.ended": plain(reason)}})
        feed, self._feed = self._feed, None
        if feed is not None and (not feed.close(self._patience) or self._left) and not feed.dead:
            _log.warning("MLflow has not taken everything; the same command, run again, sends what is missing.")

    def _send(self, message: Mapping[str, Any]) -> None:
        if self._feed is not None:
            self._feed.send(redact_data(message, self._secrets))

    def _heard(self, reply: Mapping[str, Any]) -> None:
        self._left = int(reply.get("left", self._left))
        why = one_line(redact(str(reply.get("reason", "")), *self._secrets))[:300]
        if why and not self._warned:
            self._warned = True
            _log.warning(
                "MLflow: %s; the sweep goes on, and it is tried again after each trial (see %s)", why, LOG_NAME
            )

    @staticmethod
    def _died(code: int, again: bool) -> None:
        then = "it is started again" if again else "the study goes on without it"
        _log.warning("MLflow: its process ended with exit code %d (see %s); %s.", code, LOG_NAME, then)
