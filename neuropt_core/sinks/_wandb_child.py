"""The process that owns the W&B runs: fed JSON lines on stdin, started by `neuropt_core.sinks.wandb`. Imports wandb.

In the sweeper's own process, where Hydra's basic launcher runs the jobs, a training script's plain `wandb.init()` would
be given OUR run. Each line is acknowledged on stdout once it has been dealt with. When stdin ends without a ``finish``
line, the sweeper has died, and the study's run is closed as failed.
"""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import wandb

from neuropt_core.redact import secrets_of
from neuropt_core.sinks._wandb_files import (
    absent_in,
    forget_sweep,
    keep_sweep,
    known_sweep,
    refusal_of,
    service_is_lost,
    transcript_lines,
    within,
)
from neuropt_core.sinks._wandb_mode import run_settings
from neuropt_core.sinks._wandb_reports import Reports
from neuropt_core.sinks._worker import Reply, serve

_UNREACHABLE = (wandb.errors.Error, OSError)
"""What wandb raises when the server cannot be reached, refuses, or takes too long; a TimeoutError is an OSError."""


class Desk:
    """Turns messages into W&B runs; goes offline, once and for good, when W&B cannot be reached.

    Args:
        hello: The first line: ``mode``, ``folder`` and the timeouts in seconds, the study's ``run``, and the config of
            its native W&B ``sweep``, None without one; ``anew`` leaves out rows that our runs have in W&B already.
        reply: Tells the sweeper something; called from any thread.
    """

    def __init__(self, hello: Mapping[str, Any], reply: Reply) -> None:
        self._mode: Any = hello["mode"]
        self._folder = Path(hello["folder"])
        self._run: Mapping[str, Any] = hello["run"]
        self._anew = bool(hello.get("anew"))
        self._reply, self._reports = reply, Reports(self._folder, reply, lambda: self._mode == "online")
        self._timeouts = (float(hello["init_timeout"]), float(hello["finish_timeout"]))
        self._study: Any = None
        self._refused = self._finished = False
        self._live: dict[str, tuple[Any, int]] = {}  # Run id -> our open run of a trial, and its number of rows.
        self._sweep = self._open_sweep(hello.get("sweep"))
        try:
            self._study = self._open_study()
        except _UNREACHABLE as error:
            self._go_offline(error)
        if self._sweep is not None:  # For the jobs, and for the next session; whose it is, only a run can tell.
            kept = {"id": self._sweep, "project": self._study.project, "entity": self._study.entity}
            keep_sweep(self._folder, kept)
        reply({"event": "ready", "mode": self._mode, "url": self._study.url, "entity": self._study.entity})

    def take(self, message: Mapping[str, Any]) -> None:
        """Does what one message says."""
        known: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "live": self._add,
            "aside": lambda told: self._put_aside(told["run"]),
            "trial": self._trial,
            "annotate": self._annotate,
            "log": lambda told: self._study.log(dict(told["values"]), step=self._step(told["row"])),
            "alert": self._alert,
            "report": lambda told: self._report(told["plan"]),
            "finish": self._finish_study,
        }
        self._finished = message["op"] == "finish"
        try:
            known[message["op"]](message)
        except Exception as error:
            traceback.print_exc()
            if service_is_lost(error):
                os._exit(70)  # Another process is sent this message again. A proper exit would wait for the service.
            raise

    def close(self) -> None:
        """Closes the study's run as failed, and those of its trials, if nobody has said how the study ended."""
        if not self._finished:
            self._close_live()
            self._finish(self._study, exit_code=1)

    def _add(self, message: Mapping[str, Any]) -> None:
        """Adds to the run of a running trial; what has a gap before it is left to the trial's end, which brings all."""
        wanted, known = message["run"], message["known"]
        run, written = self._live.get(wanted["id"], (None, 0))
        if known != written:
            return
        if run is None:
            run = self._online_or_not(lambda: self._open_trial(wanted))
        for row in message["rows"]:
            run.log(dict(row))
        self._live[wanted["id"]] = (run, written + len(message["rows"]))

    def _trial(self, message: Mapping[str, Any]) -> None:
        wanted = message["run"]
        live = self._live.pop(wanted["id"]) if wanted["id"] in self._live else None
        run, written = live or (self._online_or_not(lambda: self._open_trial(wanted)), 0)
        for place, row in enumerate(message["rows"][written:], start=written):
            run.log(dict(row), step=self._step(place))
        run.summary.update(dict(message["summary"]))
        try:
            run.finish(exit_code=message["exit_code"])
            self._tell_refusal(run)
        except _UNREACHABLE as error:
            self._go_offline(error)

    def _open_trial(self, wanted: Mapping[str, Any]) -> Any:
        number = wanted["config"]["neuropt"]["trial"]
        run = self._init(wanted, stopped=lambda: self._reply({"event": "stopped", "trial": number}))
        run.define_metric("step", hidden=True)
        run.define_metric("*", step_metric="step")
        run.pin_config_keys([key for key in wanted["config"] if key.startswith("neuropt_")])
        return run

    def _put_aside(self, wanted: Mapping[str, Any]) -> None:
        if wanted["id"] in self._live:
            self._live.pop(wanted["id"])[0].finish()
            # Opened again, since name and type of a run are told when it opens.
            self._online_or_not(lambda: self._init(wanted)).finish()

    def _close_live(self) -> None:
        for run, _ in self._live.values():
            self._finish(run, exit_code=1)
        self._live.clear()

    def _annotate(self, message: Mapping[str, Any]) -> None:
        for told in message["runs"]:
            self._online_or_not(partial(self._annotate_one, told, message["config"]))

    def _annotate_one(self, told: Mapping[str, Any], config: Mapping[str, Any]) -> None:
        """Adds to one run of the user's what it does not have; only what is named ``neuropt`` is written over."""
        mode = self._mode if told["mode"] == "online" else "offline"
        run = self._init(told["run"], mode=mode)
        names = {*told["absent"], *config}
        free = absent_in(told["file"], names)
        if mode == "online":
            taken = {*run.summary.keys(), *run.config.keys()}
            free = (free if told["file"] else names) - taken
        ours = {key: value for key, value in config.items() if key in free}
        run.config.update(ours, allow_val_change=True)
        run.summary.update({**told["summary"], **{k: v for k, v in told["absent"].items() if k in free}})
        run.finish(exit_code=told["exit_code"])

    def _step(self, row: int) -> int | None:
        """Returns the step under which W&B drops a row that was sent before; None where all rows are new."""
        return row if self._anew else None

    def _alert(self, message: Mapping[str, Any]) -> None:
        told = {name: message[name] for name in ("title", "text", "level")}
        self._study.alert(**told, wait_duration=timedelta(seconds=1))

    def _report(self, plan: Mapping[str, Any] | None) -> None:
        if plan is not None and self._mode == "online":
            self._reports.save(plan, self._study.project, self._study.entity)

    def _finish_study(self, message: Mapping[str, Any]) -> None:
        self._close_live()
        self._study.summary.update(dict(message["summary"]))
        try:
            self._study.log({"trials": self._table(message["table"])})
            if message["transcript"]:
                self._log_transcript(message["transcript"])
        finally:
            # These are artifacts, and ask W&B more than a curve does: they must not cost the run its proper end.
            self._finish(self._study, exit_code=0)
        self._report(message.get("report"))  # Last of all: whatever becomes of it, the runs have ended.
        self._reports.wait()

    def _table(self, table: Mapping[str, Any]) -> Any:
        before = f"{self._study.url.rpartition('/')[0]}/" if self._study.url else ""
        pairs = zip(table["rows"], table["own"], strict=True)
        rows = [[*row[:-1], f"{before}{own}" if own else row[-1]] for row, own in pairs]
        return wandb.Table(columns=table["columns"], data=rows, allow_mixed_types=True)

    def _log_transcript(self, plan: Mapping[str, Any]) -> None:
        artifact = wandb.Artifact(plan["name"], type="llm-transcript")
        with artifact.new_file("transcript.jsonl", encoding="utf-8") as file:
            file.writelines(transcript_lines(plan, secrets_of(os.environ)))
        self._study.log_artifact(artifact)

    def _open_sweep(self, wanted: Mapping[str, Any] | None) -> str | None:
        """Returns the id of the study's native W&B sweep, made now or before; None without one."""
        if wanted is None or self._mode != "online":
            forget_sweep(self._folder)
            return None
        project, entity = self._run["project"], self._run["entity"]
        try:
            known = known_sweep(self._folder, project, entity)
            if known is not None:
                return str(known["id"])
            return str(within(self._timeouts[0], lambda: wandb.sweep(dict(wanted), entity=entity, project=project)))
        except Exception as error:  # noqa: BLE001 - the runs are worth more than the page that holds them together.
            traceback.print_exc()
            self._reply({"event": "trouble", "reason": f"no native W&B sweep: {type(error).__name__}: {error}"})
            return None

    def _open_study(self) -> Any:
        study = self._init(self._run, stopped=lambda: self._reply({"event": "stopped"}))
        # Scores are drawn over the trial's number; the run's own step also counts the sessions of a resumed study.
        study.define_metric("trial", hidden=True)
        study.define_metric("*", step_metric="trial")
        return study

    def _init(self, run: Mapping[str, Any], *, mode: Any = None, stopped: Callable[[], None] | None = None) -> Any:
        # create_new: the study's run stays open beside those of the trials.
        return wandb.init(
            **run,
            mode=mode or self._mode,
            dir=str(self._folder),
            resume="allow",
            reinit="create_new",
            settings=run_settings(wandb.Settings, *self._timeouts, stopped or (lambda: None), self._sweep),
        )

    def _finish(self, run: Any, exit_code: int) -> None:
        try:
            run.finish(exit_code=exit_code)
            self._tell_refusal(run)
        except _UNREACHABLE as error:
            self._tell_offline(error)

    def _tell_refusal(self, run: Any) -> None:
        """Says once that W&B takes no data of a run, of which wandb's own `finish` says nothing."""
        if self._mode == "online" and not self._refused and (why := refusal_of(run.settings.log_internal)):
            self._refused = True
            self._reply({"event": "refused", "reason": f"{run.name}: {why}"})

    def _online_or_not(self, work: Callable[[], Any]) -> Any:
        """Returns what `work` returns, done offline if W&B cannot be reached."""
        try:
            return work()
        except _UNREACHABLE as error:
            self._go_offline(error)
            return work()

    def _go_offline(self, error: Exception) -> None:
        """Goes on with a new W&B service: the old one keeps the ids of runs that it could not open or finish."""
        if self._mode == "offline":
            raise error
        self._tell_offline(error)
        self._live.clear()  # Torn; the ends of their trials bring all of them.
        # The service closes all its runs as it ends, the study's too. A `finish` that was not waited for would be
        # another end in the run's file, and `wandb sync` gives up on a file with two.
        wandb.teardown()
        self._mode, self._sweep = "offline", None
        self._study = self._open_study()

    def _tell_offline(self, error: Exception) -> None:
        # Runs that were open online are torn, and the command that uploads them must ask for them.
        online = self._study is not None
        self._reply({"event": "offline", "reason": str(error) or repr(error), "include_online": online})


def _desk(hello: Mapping[str, Any], reply: Reply) -> Desk:
    # What an SDK without `stop_fn` makes of a run that is stopped on its page; a terminal's Ctrl-C does not come here.
    signal.signal(signal.SIGINT, lambda *_: reply({"event": "stopped"}))
    return Desk(hello, reply)


if __name__ == "__main__":
    serve(_desk)
