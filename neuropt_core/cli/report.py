"""`neuropt report`: a study's report for people, made anew from its journal alone."""

from __future__ import annotations

import os
import webbrowser
from collections.abc import Mapping
from pathlib import Path

from neuropt_core.assemble import make_wandb_sink
from neuropt_core.errors import ConfigError, StudyError
from neuropt_core.files import write_whole
from neuropt_core.retold import at_work, scene_of, scenes_of
from neuropt_core.sinks.base import Scene

NAME = "report.html"
"""The report's file in the sweep's folder."""


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
    who = at_work(scene.folder)
    ended = sum(trial.outcome is not None for trial in scene.trials)
    return f"running ({who})" if who else f"not running: {ended} of {scene.n_trials} trials ended"


def opened(path: Path) -> str:
    """Opens a file in the browser; returns what is to be said of that."""
    try:
        shown = webbrowser.open(path.as_uri())
    except (webbrowser.Error, OSError):
        shown = False
    return "Opened in your browser." if shown else f"There is no browser here that could open it; it is {path.as_uri()}"
