"""The log that people and scripts read: a JSON line for each trial that has ended, with the keys of loevlie/neuropt."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from neuropt_core.advice import Consultation
from neuropt_core.archsearch.running import RETURNED, finite
from neuropt_core.earlier_log import is_log
from neuropt_core.errors import StudyError
from neuropt_core.files import append_line, json_line, write_whole
from neuropt_core.sinks.base import Scene
from neuropt_core.trial import Trial, TrialState

_STATUS = {TrialState.COMPLETE: "ok", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


class LogSink:
    """Keeps the log; the journal is the truth, and from it a log that was cut off is written anew.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def study_started(self, scene: Scene) -> None:
        """Writes the whole log of a study that goes on: its last line may be torn, or missing."""
        ended = [trial for trial in scene.trials if trial.outcome is not None]
        if ended:
            write_whole(self.path, "".join(json_line(row(scene, trial)) for trial in ended))

    def trial_asked(self, scene: Scene, trial: Trial) -> None:
        """Does nothing: a trial is logged when it ends."""

    def trial_told(self, scene: Scene, trial: Trial) -> None:
        """Appends the trial's line."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        append_line(self.path, row(scene, trial))

    def consulted(self, scene: Scene, consultation: Consultation) -> None:
        """Does nothing: exchanges are in the transcript."""

    def study_finished(self, scene: Scene, reason: str) -> None:
        """Does nothing: every trial is logged already."""


def row(scene: Scene, trial: Trial) -> dict[str, Any]:
    """Returns a trial's line: the keys of the original's log, and behind them what only we know."""
    outcome, proposal = trial.outcome, trial.proposal
    own, written = _returned(scene, trial)
    failure = None if outcome is None else outcome.failure
    metrics = trial.curve.metrics
    curves = {name: [finite(value) for _, value in trial.curve.series(name)] for name in metrics if name not in own}
    return {
        "id": trial.number + 1,
        "timestamp": written,
        "trial": trial.number,
        "source": proposal.source,
        "config": {name: finite(value) for name, value in proposal.params.items()},
        "score": trial.value,
        "scalars": own,
        "curves": curves,
        "elapsed": None if outcome is None else outcome.seconds,
        "status": _STATUS.get(trial.state, "running"),
        "error": "" if outcome is None else outcome.ended_because,
        "failure": None if failure is None else failure.kind,
        "rationale": proposal.rationale,
    }


def _returned(scene: Scene, trial: Trial) -> tuple[dict[str, Any], str]:
    """Returns the scalars that `train_fn` returned, as they lie on disk, and when that was, in local time."""
    path = scene.folders[trial.number] / RETURNED if trial.number in scene.folders else None
    try:
        data = {} if path is None else json.loads(path.read_text(encoding="utf-8"))
        at = time.time() if path is None else path.stat().st_mtime
    except (OSError, ValueError):  # It raised, so that nothing was returned.
        data, at = {}, time.time()
    scalars = data.get("scalars", {}) if isinstance(data, dict) else {}
    return scalars, time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def check_log(path: Path, journal: Path) -> None:
    """Looks whether the log is ours to write.

    Raises:
        StudyError: It is a folder, or it has lines and no study lies where its journal should.
    """
    if path.is_dir():
        raise StudyError(str(path), "is a folder, so that no log can be written there", mend="Name a file as log_path.")
    begun = journal.is_file() and journal.stat().st_size > 0
    if not begun and path.is_file() and path.stat().st_size > 0:
        rule = f"has lines, and no study lies in {journal.parent.parent}"
        mend = "Move it away, name another log_path, or run(resume=False)."
        if is_log(path):  # Of loevlie/neuropt, or ours without its folder.
            mend = f'To learn from its trials, name another log_path and pass warm_start="{path.name}".'
        raise StudyError(str(path), rule, mend=mend)
