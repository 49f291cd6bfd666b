"""The process that owns the W&B runs: fed JSON lines on stdin, started by `neuropt_core.sinks.wandb`. Imports wandb.

In the sweeper's own process, where Hydra's basic launcher runs the jobs, a training script's plain `wandb.init()` would
be given OUR run. Each line is acknowledged on stdout once it has been dealt with. When stdin ends without a ``finish``
line, the sweeper has died, and the study's run is closed as failed.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import wandb

_UNREACHABLE = (wandb.errors.Error, OSError)
"""What wandb raises when the server cannot be reached, refuses, or takes too long; a TimeoutError is an OSError."""

Reply = Callable[[Mapping[str, Any]], None]


class Desk:
    """Turns messages into W&B runs; goes offline, once and for good, when W&B cannot be reached.

    Args:
        hello: The first line: ``mode``, ``folder`` and the timeouts in seconds, and the study's ``run``.
        reply: Tells the sweeper something.
    """

    def __init__(self, hello: Mapping[str, Any], reply: Reply) -> None:
        self._mode: Any = hello["mode"]
        self._folder: str = hello["folder"]
        self._run: Mapping[str, Any] = hello["run"]
        self._reply = reply
        self._settings = _settings(hello["init_timeout"], hello["finish_timeout"])
        self._study: Any = None
        try:
            self._study = self._open_study()
        except _UNREACHABLE as error:
            self._go_offline(error)
        reply({"event": "ready", "mode": self._mode, "url": self._study.url})

    def take(self, message: Mapping[str, Any]) -> None:
        """Does what one message says."""
        if message["op"] == "trial":
            self._trial(message)
        elif message["op"] == "log":
            self._study.log(dict(message["values"]))
        elif message["op"] == "finish":
            self._finish_study(message)
        else:
            raise ValueError(f"unknown message {message['op']!r}")

    def abandon(self) -> None:
        """Closes the study's run as failed: nobody will say more about it."""
        self._finish(self._study, exit_code=1)

    def _trial(self, message: Mapping[str, Any]) -> None:
        try:
            run = self._init(message["run"])
        except _UNREACHABLE as error:
            self._go_offline(error)
            run = self._init(message["run"])
        for step, metrics in message["points"]:
            run.log(dict(metrics), step=step)
        run.summary.update(dict(message["summary"]))
        try:
            run.finish(exit_code=message["exit_code"])
        except _UNREACHABLE as error:
            self._go_offline(error)

    def _finish_study(self, message: Mapping[str, Any]) -> None:
        self._study.summary.update(dict(message["summary"]))
        table = message["table"]
        try:
            rows = wandb.Table(columns=table["columns"], data=table["rows"], allow_mixed_types=True)
            self._study.log({"trials": rows})
        finally:
            # A table is an artifact, and asks W&B more than a curve does: it must not cost the run its proper end.
            self._finish(self._study, exit_code=0)

    def _open_study(self) -> Any:
        study = self._init(self._run)
        # Scores are drawn over the trial's number; the run's own step also counts the sessions of a resumed study.
        study.define_metric("trial", hidden=True)
        study.define_metric("*", step_metric="trial")
        return study

    def _init(self, run: Mapping[str, Any]) -> Any:
        # create_new: the study's run stays open beside those of the trials.
        return wandb.init(
            **run, mode=self._mode, dir=self._folder, resume="allow", reinit="create_new", settings=self._settings
        )

    def _finish(self, run: Any, exit_code: int) -> None:
        try:
            run.finish(exit_code=exit_code)
        except _UNREACHABLE as error:
            self._tell_offline(error)

    def _go_offline(self, error: Exception) -> None:
        """Goes on with a new W&B service: the old one keeps the ids of runs that it could not open or finish."""
        if self._mode == "offline":
            raise error
        self._tell_offline(error)
        if self._study is not None:
            with contextlib.suppress(*_UNREACHABLE):
                self._study.finish()
        wandb.teardown()
        self._mode = "offline"
        self._study = self._open_study()

    def _tell_offline(self, error: Exception) -> None:
        # Runs that were open online are torn, and the command that uploads them must ask for them.
        online = self._study is not None
        self._reply({"event": "offline", "reason": str(error) or repr(error), "include_online": online})


def _settings(init_timeout: float, finish_timeout: float) -> wandb.Settings:
    wanted: dict[str, Any] = {
        "init_timeout": init_timeout,
        "finish_timeout": finish_timeout,
        "finish_timeout_raises": True,
        # Nothing of the machine, the command line or the code leaves it.
        "console": "off",
        "disable_git": True,
        "save_code": False,
        "x_save_requirements": False,
        "x_disable_stats": True,
        "x_disable_meta": True,
        "x_disable_machine_info": True,
        # A killed process loses what was not flushed; the default is 15 s.
        "x_transaction_log_flush_interval": 1.0,
    }
    # Those with x_ are private to wandb and may go.
    known = wandb.Settings.model_fields
    return wandb.Settings(**{name: value for name, value in wanted.items() if name in known})


def main() -> None:
    """Serves one study: the lines of stdin, until its end."""
    # wandb and its friends may write to stdout, which is ours to reply on.
    replies = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)

    def reply(data: Mapping[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):  # The sweeper has died; what it said is still to be logged.
            replies.write(json.dumps(data) + "\n")

    lines = iter(sys.stdin)
    first = next(lines, None)
    if first is None:
        return
    desk, finished = Desk(json.loads(first), reply), False
    for line in lines:
        message = json.loads(line)
        finished = message["op"] == "finish"
        try:
            desk.take(message)
        except Exception as error:  # noqa: BLE001 - wandb raises many kinds; the next message may fare better.
            traceback.print_exc()
            reply({"event": "trouble", "reason": f"{message['op']}: {error!r}"})
        reply({"event": "done"})
    if not finished:
        desk.abandon()


if __name__ == "__main__":
    main()
