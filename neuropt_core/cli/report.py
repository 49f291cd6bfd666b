"""`neuropt report`: a study's report for people, and all of the study in W&B, made anew from its journal alone."""

from __future__ import annotations

import json
import logging
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from neuropt_core.errors import ConfigError, MissingExtraError, StudyError
from neuropt_core.files import write_whole
from neuropt_core.retold import at_work, scene_of, scenes_of, wandb_settings
from neuropt_core.sinks._wandb_mode import has_key, is_installed
from neuropt_core.sinks.base import Scene, Sink
from neuropt_core.sinks.wandb import WandbSettings, WandbSink

NAME = "report.html"
"""The report's file in the sweep's folder."""
PATIENCE = 3600.0
"""Seconds that an upload may take: a second or two for each run."""


def written(sweep_dir: Path, out: Path | None) -> tuple[Path, Scene]:
    """Writes the report; returns where it is, and what it shows.

    Args:
        sweep_dir: ``hydra.sweep.dir``.
        out: The file; None for ``report.html`` in the sweep's folder.

    Raises:
        StudyError: The folder holds no study that can be read, or the file cannot be written.
    """
    from neuropt_core.sinks.html import report_html

    scene = scene_of(sweep_dir)
    path = (scene.folder / NAME if out is None else out).absolute()
    try:
        write_whole(path, report_html(scene, status=status_of(scene)))
    except OSError as error:
        mend = "" if out is not None else "Name another file with --out."
        raise StudyError(str(path), f"cannot be written ({error.strerror or error})", mend=mend) from None
    return path, scene


def status_of(scene: Scene) -> str:
    """Returns how the study stands, e.g. ``running (process 7 on node1)`` or ``not running: 5 of 20 trials ended``."""
    if who := at_work(scene.folder):
        return f"running ({who})"
    ended = _ended(scene)
    if ended >= scene.n_trials:
        return f"ended: all {scene.n_trials} trials are done"
    return f"not running: {ended} of {scene.n_trials} trials ended"


def opened(path: Path) -> str:
    """Opens a file in the browser; returns what is to be said of that."""
    try:
        shown = webbrowser.open(path.as_uri())
    except (webbrowser.Error, OSError):
        shown = False
    return "Opened in your browser." if shown else f"No browser could be opened here; it is {path.as_uri()}"


def sink_for(scene: Scene, project: str | None, entity: str | None, environ: Mapping[str, str]) -> Sink:
    """Returns the sink that uploads a study to W&B.

    Args:
        scene: The study.
        project: Where its runs go; None for where its report is, else what the sweep was set to.
        entity: Whose that is; None for where its report is, else what the sweep was set to.
        environ: Where the key is looked up, and how W&B is reached.

    Raises:
        StudyError: A sweeper works on the study, and is its only writer in W&B.
        ConfigError: wandb or a key is missing, or a name is wrong.
    """
    if who := at_work(scene.folder):
        mend = "Run this again when the sweep has ended."
        raise StudyError(str(scene.folder), f"is being worked on by {who}, which writes to W&B itself", mend=mend)
    if not is_installed():
        raise MissingExtraError("neuropt report --wandb needs wandb: pip install 'hydra-neuropt-sweeper[wandb]'")
    if not has_key(environ):
        mend = "Run `wandb login`, or set WANDB_API_KEY."
        raise ConfigError("neuropt report --wandb", "needs a key for W&B, and there is none", mend=mend)
    before = {**wandb_settings(scene.folder), **_remembered(scene.folder)}
    settings = WandbSettings(
        mode="online",
        project=project or before.get("project") or "neuropt",
        entity=entity or before.get("entity"),
        log_prompts=before.get("log_prompts") or "summary",
    )
    return WandbSink(settings, "online", environ=environ, patience=PATIENCE, anew=True)


def uploaded(sweep_dir: Path, scene: Scene, sink: Sink, say: Callable[[str], None]) -> bool:
    """Tells a sink the whole study, as its sweep would have; returns whether all went well.

    Args:
        sweep_dir: ``hydra.sweep.dir``.
        scene: The study as it stands.
        sink: What is told.
        say: Shows a line to people: what the sink logs.
    """
    with _heard(say) as warned:
        sink.study_started(replace(scene, trials=(), consulted=(), rejected=(), running={}, curves={}, importance={}))
        for then, trial in scenes_of(sweep_dir):
            sink.trial_told(then, trial)
        sink.study_finished(
            scene, f"told again from its journal: {_ended(scene)} of {scene.n_trials} trials have ended"
        )
    return not warned


def _ended(scene: Scene) -> int:
    return sum(trial.outcome is not None for trial in scene.trials)


def _remembered(folder: Path) -> dict[str, str]:
    try:
        found = json.loads((folder / "wandb" / "report.json").read_text(encoding="utf-8"))
        return {name: str(found[name]) for name in ("project", "entity") if found.get(name)}
    except (OSError, ValueError, AttributeError):
        return {}


@contextmanager
def _heard(say: Callable[[str], None]) -> Iterator[list[str]]:
    """While entered, shows what the sinks log; yields the warnings among it."""
    warned: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(record.getMessage())
            if record.levelno >= logging.WARNING:
                warned.append(record.getMessage())

    log, handler = logging.getLogger("neuropt_core.sinks"), Handler()
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield warned
    finally:
        log.setLevel(level)
        log.removeHandler(handler)
