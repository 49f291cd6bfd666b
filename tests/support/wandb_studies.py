"""Studies that are told to W&B by the real SDK: their environment, and runs that the script of a trial makes itself."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sink_scenes import Story
from wandb_server import WandbServer, serve

from neuropt_core.attempt_files import AttemptFiles
from neuropt_core.sinks.wandb import WandbSettings, WandbSink
from neuropt_core.tracking import RunRecord, record

SCRIPT = """
    import json, os, sys, time
    from pathlib import Path
    import wandb
    from neuropt_core.logged.wandb_file import WandbFile
    files = []
    for plan in json.loads(sys.argv[1]):
        run = wandb.init(project="theirs", id=plan["id"], name=plan["id"], group="mine", notes="My notes.",
                         tags=["my"], config={"optimizer": "own", "seed": 1}, reinit="create_new",
                         settings=wandb.Settings(console="off", x_disable_meta=True))
        run.log(plan["log"])
        print(json.dumps({"id": run.id, "project": run.project, "entity": run.entity or "",
                          "url": run.url or "", "file": run.settings.sync_file}), flush=True)
        files.append(Path(run.settings.sync_file))
        if plan["ends"]:
            run.finish()
    if os.environ["WANDB_MODE"] == "offline":  # Its writer is another process.
        while not all(any(row.values for row in WandbFile(file).rows()) for file in files):
            time.sleep(0.1)
        time.sleep(1.5)
    os._exit(0)
"""


def environment(home: Path, url: str, **more: str) -> dict[str, str]:
    """Returns an environment in which W&B knows only `url`."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    own = {"HOME": str(home), "WANDB_BASE_URL": url, "WANDB_API_KEY": "4" * 40, "WANDB_ERROR_REPORTING": "false"}
    return {**env, **own, "WANDB__TRANSACTION_LOG_FLUSH_INTERVAL": "1", **more}


def place(story: Story, number: int) -> AttemptFiles:
    """Makes the folder of a trial's first attempt, and tells the story where it is."""
    files = AttemptFiles(story.folder / str(number) / "neuropt", number)
    files.folder.mkdir(parents=True)
    files.path.write_text("{}")
    story.about = {**story.about, "folders": {**story.about.get("folders", {}), number: files.folder}}
    return files


@contextmanager
def begun(folder: Path) -> Iterator[tuple[Story, WandbSink, WandbServer]]:
    """A study online whose trial 0 has begun."""
    story = Story(folder / "sweep")
    with serve() as server:
        sink = WandbSink(WandbSettings(), "online", environ=environment(folder, server.url))
        sink.study_started(story.scene)
        place(story, 0)
        story.ask(sink)
        yield story, sink, server


def make_runs(files: AttemptFiles, env: dict[str, str], mode: str, *plans: dict[str, Any]) -> list[RunRecord]:
    """Makes runs as a script does, which is killed before all have ended, and records them as its job does."""
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), json.dumps(plans)]
    env = {**env, "WANDB_MODE": mode, "WANDB_DIR": str(files.folder.parent), "WANDB_SILENT": "true"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=True)
    runs = [RunRecord(**json.loads(line), mode=mode) for line in done.stdout.splitlines()]
    for run, plan in zip(runs, plans, strict=True):
        record(files.runs_path, replace(run, ended=0 if plan["ends"] else None))
    return runs


def wait_until(true: Callable[[], Any], seconds: float = 180) -> None:
    """Waits for something that another process does."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def upload(said: str, environ: dict[str, str]) -> None:
    """Runs, in a shell as a person would, the last command that a warning has named."""
    command = said.split("Upload it later with: ")[-1].splitlines()[0]
    assert command.startswith("wandb sync ")
    own = ("WANDB_MODE", "WANDB_RUN_ID", "WANDB_NAME")
    environ = {k: v for k, v in environ.items() if k not in own} | {"WANDB_ERROR_REPORTING": "false"}
    line = f"{shlex.quote(sys.executable)} -m {command}"
    home = environ["HOME"]
    done = subprocess.run(
        line, shell=True, env=environ, capture_output=True, text=True, timeout=90, cwd=home, check=False
    )
    assert done.returncode == 0, done.stderr


def kill_child(folder: Path) -> None:
    """Kills the child whose working directory is the sweep's."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            mine = b"_wandb_child" in (entry / "cmdline").read_bytes() and (entry / "cwd").resolve() == folder.resolve()
        except OSError:
            continue
        if mine:
            os.kill(int(entry.name), signal.SIGKILL)
            return
    raise AssertionError("no child found")
