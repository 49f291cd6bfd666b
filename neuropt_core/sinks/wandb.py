"""Weights & Biases, from the sweeper's side: chooses the mode, starts the child that owns the runs, and feeds it.

Nothing here imports wandb or waits for it, but for the last flush: at most `PATIENCE` seconds. The study on disk is the
truth; W&B is told about it and may be late, offline or absent.
"""

from __future__ import annotations

import logging
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neuropt_core.advice import Consultation
from neuropt_core.curve import Curve
from neuropt_core.errors import ConfigError
from neuropt_core.sinks._wandb_feed import Feed
from neuropt_core.sinks._wandb_mode import WandbSettings as WandbSettings
from neuropt_core.sinks._wandb_mode import resolve_mode as resolve_mode
from neuropt_core.sinks._wandb_payload import finish_message, progress_message, study_run, trial_config, trial_message
from neuropt_core.sinks.base import Scene
from neuropt_core.sinks.text import one_line, plain, unmarked
from neuropt_core.tracking import RunNote
from neuropt_core.trial import Trial

INIT_TIMEOUT = 20.0
"""Seconds that a run may take to reach W&B before the study goes offline."""
FINISH_TIMEOUT = 25.0
"""Seconds that a run may take to upload its last data."""
PATIENCE = 30.0
"""Seconds that the end of the study waits for W&B."""
LOG_NAME = "neuropt-wandb.log"
"""Below ``<folder>/wandb``: what the child, and wandb in it, has to say."""

_KEPT = (
    *("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_BASE_URL", "WANDB_ENTITY", "WANDB_CONFIG_DIR"),
    *("WANDB_INSECURE_DISABLE_SSL", "WANDB_HTTP_TIMEOUT", "WANDB__EXTRA_HTTP_HEADERS"),
)
"""How W&B is reached; all else that is set there concerns the user's own runs and would bend ours (an id, a sweep)."""

_log = logging.getLogger(__name__)


class WandbSink:
    """One W&B run for the study and one for each ended trial, all in the group named like the study.

    Everything lies in ``<folder>/wandb``. When W&B cannot be reached, or the child dies, the study goes on offline, and
    a warning names the command that uploads it later.

    Args:
        settings: The user's settings.
        mode: ``online`` or ``offline``, from `resolve_mode`.
        environ: The environment from which the child's is made.
        init_timeout: Seconds before a run that cannot reach W&B goes offline.
        finish_timeout: Seconds that a run may take to upload its last data.
        patience: Seconds that the end of the study waits.
    """

    def __init__(
        self,
        settings: WandbSettings,
        mode: str,
        *,
        environ: Mapping[str, str] = os.environ,
        init_timeout: float = INIT_TIMEOUT,
        finish_timeout: float = FINISH_TIMEOUT,
        patience: float = PATIENCE,
    ) -> None:
        if mode not in ("online", "offline"):
            raise ConfigError("WandbSink", "needs the mode online or offline", got=mode)
        self._settings, self._mode, self._environ = settings, mode, dict(environ)
        self._timeouts, self._patience = (init_timeout, finish_timeout), patience
        self._feed: Feed | None = None
        self._folder = Path()
        self._command = ""  # The sentence with the command that uploads what is only on this disk.
        self._left_out = 0

    def study_started(self, scene: Scene) -> None:
        """Starts the child, which opens the study's run, or goes on with it."""
        self._folder = scene.folder
        self._logs.mkdir(parents=True, exist_ok=True)
        if self._mode == "offline":
            self._later(include_online=False)
        run = study_run(scene, self._settings.project, self._settings.entity)

        def hello(deaths: int) -> dict[str, Any]:
            init_timeout, finish_timeout = self._timeouts
            mode = "offline" if deaths else self._mode
            place = {"mode": mode, "folder": str(scene.folder), "run": run}
            return {**place, "init_timeout": init_timeout, "finish_timeout": finish_timeout}

        self._feed = Feed(self._spawn, hello, self._heard, self._died)

    def note(self, scene: Scene, trial: Trial) -> RunNote | None:
        """Returns what runs are to be told that the trial's own script makes."""
        config = trial_config(trial)
        about = {name: config[name] for name in ("neuropt", "neuropt_rationale")}
        return RunNote(
            group=plain(scene.spec.name),
            name=f"trial-{trial.number:03d}",
            notes=unmarked(trial.proposal.rationale),
            tags=("neuropt",),
            config=about,
            project=self._settings.project,
            entity=self._settings.entity or "",
            sweep_dir=str(scene.folder),
        )

    def reported(self, trial: Trial, curve: Curve) -> None:
        """Is told, from another thread, what a running trial has reported so far."""

    def trial_asked(self, scene: Scene, trial: Trial) -> None:
        """Does nothing: a trial's run is made when it ends."""

    def trial_told(self, scene: Scene, trial: Trial) -> None:
        """Sends the trial's run and the study's progress."""
        self._send(trial_message(scene, trial, self._settings.project, self._settings.entity))
        self._send(progress_message(scene, trial))

    def consulted(self, scene: Scene, consultation: Consultation) -> None:
        """Does nothing: consultations are in the journal."""

    def study_finished(self, scene: Scene, reason: str) -> None:
        """Closes the study's run and waits for the last data, at most `patience` seconds."""
        feed, self._feed = self._feed, None
        if feed is None:
            return
        feed.send(finish_message(scene, reason))
        flushed = feed.close(self._patience)
        if self._left_out:
            _log.warning("W&B was too slow: %d messages were left out; results.yaml has all.", self._left_out)
        if not flushed and not feed.dead:  # Its death was told already.
            text = "W&B has not taken everything after %.0f s. %s"
            _log.warning(text, self._patience, self._later(self._mode == "online"))
        elif self._command:
            _log.info("W&B: offline. %s", self._command)

    @property
    def _logs(self) -> Path:
        return self._folder / "wandb"

    def _send(self, message: Mapping[str, Any]) -> None:
        if self._feed is not None and not self._feed.send(message) and not self._feed.dead:
            self._left_out += 1

    def _later(self, include_online: bool) -> str:
        option = "--include-online " if include_online else ""
        self._command = f"Upload it later with: wandb sync {option}{shlex.quote(str(self._logs))}"
        return self._command

    def _heard(self, reply: Mapping[str, Any]) -> None:
        if reply["event"] == "ready" and reply["mode"] == "online":
            _log.info("W&B: %s", reply["url"])
            return
        why = one_line(str(reply.get("reason", "")))[:300]
        if reply["event"] == "offline":
            _log.warning("W&B: %s; the study goes on offline. %s", why, self._later(reply["include_online"]))
        elif reply["event"] == "trouble":
            _log.warning("W&B: %s; the rest goes on (see %s)", why, self._logs / LOG_NAME)

    def _died(self, code: int, again: bool) -> None:
        then = "goes on offline" if again else "goes on without it"
        where, later = self._logs / LOG_NAME, self._later(self._mode == "online")
        _log.warning("W&B: its process ended with exit code %d (see %s); the study %s. %s", code, where, then, later)

    def _spawn(self, _deaths: int) -> subprocess.Popen[str]:
        with (self._logs / LOG_NAME).open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "neuropt_core.sinks._wandb_child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
                env=self._child_environ(),
                cwd=self._folder,
                start_new_session=True,  # A Ctrl-C in the terminal must not reach it before it has flushed.
            )

    def _child_environ(self) -> dict[str, str]:
        env = {k: v for k, v in self._environ.items() if not k.startswith(("WANDB_", "_WANDB")) or k in _KEPT}
        env |= {
            "WANDB_DIR": str(self._folder),
            # Else tables are staged in the user's home, and an offline study moved elsewhere would lose them.
            "WANDB_DATA_DIR": str(self._logs / "data"),
            "WANDB_CACHE_DIR": str(self._logs / "cache"),
            "WANDB_SILENT": "true",
            "WANDB_ERROR_REPORTING": "false",
        }
        root = Path(__file__).resolve().parents[2]
        if root.name not in ("site-packages", "dist-packages"):
            # Run from a checkout, which the child would not find from another working directory.
            env["PYTHONPATH"] = os.pathsep.join(filter(None, (self._environ.get("PYTHONPATH"), str(root))))
        return env
