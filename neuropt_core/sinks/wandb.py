"""Weights & Biases, from the sweeper's side: chooses the mode, starts the child that owns the runs, and feeds it.

Nothing here imports wandb or waits for it, but for the last flush: at most `PATIENCE` seconds. The study on disk is the
truth; W&B is told about it and may be late, offline or absent.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from neuropt_core.advice import Consultation
from neuropt_core.curve import Curve
from neuropt_core.errors import ConfigError
from neuropt_core.redact import redact, redact_data, secrets_of
from neuropt_core.sinks._wandb_alerts import Alerts
from neuropt_core.sinks._wandb_feed import Feed
from neuropt_core.sinks._wandb_files import is_old_stop, pass_over_empty
from neuropt_core.sinks._wandb_live import Live
from neuropt_core.sinks._wandb_mode import WandbSettings as WandbSettings
from neuropt_core.sinks._wandb_mode import left_out, makes_reports, retell_command, sync_command
from neuropt_core.sinks._wandb_mode import resolve_mode as resolve_mode
from neuropt_core.sinks._wandb_notebook import (
    finish_message,
    progress_message,
    study_run,
    sweep_config,
    transcript_plan,
    without_words,
)
from neuropt_core.sinks._wandb_payload import (
    annotate_message,
    keep_id,
    note_config,
    notes,
    tags,
    trial_message,
)
from neuropt_core.sinks._wandb_process import LOG_NAME, start
from neuropt_core.sinks.base import Scene
from neuropt_core.sinks.text import one_line, plain, trial_name
from neuropt_core.stop_file import StopRequest, ask
from neuropt_core.tracking import RunNote
from neuropt_core.trial import Trial

INIT_TIMEOUT = 20.0
"""Seconds that a run may take to reach W&B before the study goes offline."""
FINISH_TIMEOUT = 25.0
"""Seconds that a run may take to upload its last data."""
PATIENCE = 30.0
"""Seconds that the end of the study waits for W&B."""
_ENOUGH, _MANY = 2_000, 1_000_000
"""Messages that may wait: in a sweep, which they must not burden, and where a whole study is told anew at once."""
REPORT_SECONDS = 60.0
"""At the least between two versions of the report, but for the last one."""
_log = logging.getLogger(__name__)


class WandbSink:
    """One W&B run for the study and one for each trial, all in the group named like the study.

    The runs that a trial's own script makes are the trial's, and are told what came of it. Of other trials the sink
    makes a run, which grows with the curve that the job reports. A study's run that is stopped on its W&B page ends
    the sweep as ``neuropt stop`` does; a trial's run stops the trial.

    Everything lies in ``<folder>/wandb``. When W&B cannot be reached, or the child dies, the study goes on offline, and
    a warning names the command that uploads it later.

    Args:
        settings: The user's settings.
        mode: ``online`` or ``offline``, from `resolve_mode`.
        environ: The environment from which the child's is made.
        init_timeout: Seconds before a run that cannot reach W&B goes offline.
        finish_timeout: Seconds that a run may take to upload its last data.
        patience: Seconds that the end of the study waits.
        anew: Whether the study is told again from its beginning: what is there of our runs is written over, and nobody
            is alerted.
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
        anew: bool = False,
    ) -> None:
        if mode not in ("online", "offline"):
            raise ConfigError("WandbSink", "needs the mode online or offline", got=mode)
        self.settings, self._mode, self._environ = settings, mode, dict(environ)
        self._timeouts, self._patience = (init_timeout, finish_timeout), patience
        self._feed: Feed | None = None
        self._folder = Path()
        self._command = ""  # The sentence with the command that uploads what is only on this disk.
        self._left_out = 0
        self._live: Live | None = None
        self._alerts: Alerts | None = None
        self._entity = settings.entity or ""
        self._theirs: dict[str, None] = {}  # Folders in which scripts have left runs that are still to be uploaded.
        self._reported_at: float | None = None
        self._report_url = ""
        self._began = time.monotonic()
        self._anew = anew
        self._secrets = secrets_of(environ)

    def study_started(self, scene: Scene) -> None:
        """Starts the child, which opens the study's run, or goes on with it."""
        self._folder = scene.folder
        keep_id(scene)
        if self._mode == "offline":
            self._later(include_online=False)
        for sentence in left_out(self.settings, self._mode):
            _log.warning("W&B: %s", sentence)
        self._live, self._alerts = Live(scene, *self._place, anew=self._anew), Alerts(scene)
        run = redact_data(study_run(scene, *self._place), self._secrets)
        sweep = sweep_config(scene) if self.settings.sweep else None

        def hello(deaths: int) -> dict[str, Any]:
            init_timeout, finish_timeout = self._timeouts
            mode = "offline" if deaths else self._mode
            place = {"mode": mode, "folder": str(scene.folder), "run": run, "sweep": sweep, "anew": self._anew}
            return {**place, "init_timeout": init_timeout, "finish_timeout": finish_timeout}

        self._feed = Feed(
            lambda deaths: start(scene.folder, self._environ),
            hello,
            self._heard,
            self._died,
            limit=_MANY if self._anew else _ENOUGH,
        )

    def note(self, scene: Scene, trial: Trial) -> RunNote | None:
        """Returns what runs are to be told that the trial's own script makes."""
        note = RunNote(
            group=plain(scene.spec.name),
            name=trial_name(trial),
            notes=notes(trial),
            tags=tags(trial),
            config=note_config(trial),
            project=self.settings.project,
            entity=self.settings.entity or "",
            sweep_dir=str(scene.folder),
        )
        return replace(note, notes=redact(note.notes, *self._secrets), config=redact_data(note.config, self._secrets))

    def refreshed(self, scene: Scene) -> None:
        """Takes in the study as it is now; told when trials begin on their machines."""
        if self._live:
            self._live.see(scene)

    def reported(self, trial: Trial, curve: Curve) -> None:
        """Is told, from another thread, what a running trial has reported so far, and shows it."""
        if self._live is not None:
            for message in self._live.reported(trial, curve):
                # What a running trial reports can be spared: it is sent with the next report, or with the trial's end.
                if message["op"] != "live":
                    self._send(message)
                elif not self._send(message, spare=True):
                    self._live.refused(trial, message["known"])

    def trial_asked(self, scene: Scene, trial: Trial) -> None:
        """Takes in the study as it is now: a trial's run is made when it reports, or ends."""
        self.refreshed(scene)

    def trial_told(self, scene: Scene, trial: Trial) -> None:
        """Sends what came of the trial, to its own runs or ours, the study's progress, and what is worth an alert."""
        if self._live is None or self._alerts is None:
            return
        self._send_all(self._live.ended(scene, trial))
        told = annotate_message(scene, trial, *self._place)
        self._send(told or trial_message(scene, trial, *self._place, self._live.id_of(trial)))
        self._send(progress_message(scene, trial))
        if not self._anew:
            self._send_all(self._alerts.after(scene, trial))
        for run in scene.runs(trial):
            if run.mode != "online" and run.file:
                self._theirs[str(Path(run.file).parent.parent)] = None
        if (plan := self._report(scene, draft=True)) is not None:
            self._send({"op": "report", "plan": plan})

    def consulted(self, scene: Scene, consultation: Consultation) -> None:
        """Does nothing: consultations are counted when a trial ends, and uploaded at the end."""

    def study_finished(self, scene: Scene, reason: str) -> None:
        """Closes the study's run and waits for the last data, at most `patience` seconds."""
        feed = self._feed
        if feed is None or self._live is None:
            return
        own = {trial.number: self._live.id_of(trial) for trial in scene.trials}
        transcript = transcript_plan(scene, self.settings.log_prompts, self._secrets)
        scene = self._told_of(scene)
        self._send({**finish_message(scene, reason, own, transcript), "report": self._report(scene, draft=False)})
        self._feed = self._live = None
        flushed = feed.close(self._patience)
        pass_over_empty([*self._theirs, str(self._logs)])
        if self._left_out:
            _log.warning("W&B was too slow: %d messages were left out. %s", self._left_out, self._anew_with())
        if not flushed and not feed.dead:  # Its death was told already.
            _log.warning("W&B has not taken everything after %.0f s. %s", self._patience, self._anew_with())
        elif self._command and not feed.dead:
            _log.info("W&B: offline. %s", self._later("--include-online" in self._command))

    @property
    def _place(self) -> tuple[str, str | None]:
        return self.settings.project, self.settings.entity

    @property
    def _logs(self) -> Path:
        return self._folder / "wandb"

    def _send(self, message: Mapping[str, Any], spare: bool = False) -> bool:
        feed = self._feed
        if feed is None or feed.send(redact_data(message, self._secrets), spare=spare):
            return True
        self._left_out += not spare and not feed.dead
        return False

    def _send_all(self, messages: Iterable[Mapping[str, Any]]) -> None:
        for message in messages:
            self._send(message)

    def _report(self, scene: Scene, draft: bool) -> Mapping[str, Any] | None:
        """Returns the report as it is now; None if it is not wanted, or a draft that comes too soon."""
        now = time.monotonic()
        early = draft and self._reported_at is not None and now - self._reported_at < REPORT_SECONDS
        if early or not (self.settings.report and self._mode == "online" and makes_reports()):
            return None
        self._reported_at = now
        from neuropt_core.sinks._report_plan import report_plan

        try:
            return report_plan(self._told_of(scene), project=self.settings.project, entity=self._entity, draft=draft)
        except Exception as error:  # noqa: BLE001 - the run's own end must not be lost with its report.
            _log.warning("W&B: no report: %s: %s", type(error).__name__, error)
            return None

    def _told_of(self, scene: Scene) -> Scene:
        return without_words(scene) if self.settings.log_prompts == "none" else scene

    def _later(self, include_online: bool) -> str:
        self._command = f"Upload it later with: {sync_command(self._logs, tuple(self._theirs), include_online)}"
        return self._command

    def _anew_with(self) -> str:
        """Returns the sentence for where not all is in W&B's files here, so that no upload of them would bring all."""
        theirs = f" Then, for your script's runs: {self._later(include_online=False)}" if self._theirs else ""
        return f"Tell it all later with: {retell_command(self._folder, *self._place)}{theirs}"

    def _heard(self, reply: Mapping[str, Any]) -> None:
        event, why = reply["event"], one_line(str(reply.get("reason", "")))[:300].rstrip(".")
        if event == "ready":
            self._entity = reply.get("entity") or self._entity
            if reply["mode"] == "online":
                _log.info("W&B: %s", reply["url"])
        elif event == "offline":
            _log.warning("W&B: %s; the study goes on offline. %s", why, self._later(reply["include_online"]))
        elif event == "refused":
            _log.warning("W&B takes no data of %s; the study goes on. %s", why, self._later(include_online=True))
        elif event == "trouble":
            _log.warning("W&B: %s; the rest goes on (see %s)", why, self._logs / LOG_NAME)
        elif event == "report" and reply["url"] != self._report_url:
            self._report_url = reply["url"]
            _log.info("W&B report: %s", reply["url"])
        elif event == "stopped" and not self._anew:
            self._stop(reply.get("trial"))

    def _stop(self, trial: int | None) -> None:
        """Asks the sweep to end, or to stop a trial, since its run was stopped on its page."""
        try:
            if trial is None and is_old_stop(self._folder, time.monotonic() - self._began):
                _log.warning("W&B: the study's run was stopped on its page before this sweep began; it goes on.")
                return
            ask(self._folder, StopRequest("finish", "the run was stopped on its W&B page", by="W&B"), trial)
        except OSError as error:
            _log.warning("W&B: a run was stopped on its page, but the request cannot be written: %s", error)

    def _died(self, code: int, again: bool) -> None:
        then = "goes on offline" if again else "goes on without it"
        where, later = self._logs / LOG_NAME, self._later(self._mode == "online") if again else self._anew_with()
        _log.warning("W&B: its process ended with exit code %d (see %s); the study %s. %s", code, where, then, later)
