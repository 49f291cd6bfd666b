"""Where each attempt at a trial leaves its files: a new one's folder, and the one that an earlier sweeper chose."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from hydra_plugins.neuropt_sweeper._compose import Composer
from neuropt_core.errors import ConfigError
from neuropt_core.study import Study
from neuropt_core.ticket import Ticket
from neuropt_core.trial import Trial


def new_ticket(folder: Path, sweep_dir: Path, study: Study, trial: Trial) -> Ticket:
    """Returns the ticket of a trial's next attempt, whose job's output folder is `folder`.

    In the sweep's own folder, where a subdir made of the overrides puts a job that has none, the job's files lie apart
    from the journal: a request to stop the one is not to stop the other.

    What lies there of an attempt that the journal does not know, as after a backup of the journal was put back, is
    moved aside: its result would be taken for the new one's.

    Raises:
        ConfigError: Another trial has the folder.
    """
    attempt, objectives = study.attempts(trial.number), len(study.spec.directions)
    place = folder / "neuropt" / ("job" if folder == sweep_dir else "")
    ticket = Ticket(place, trial.number, attempt, objectives=objectives)
    first = replace(ticket, attempt=0).path
    if first.exists() and (other := Ticket.read(first).number) != trial.number:
        raise ConfigError(
            "hydra.sweep.subdir",
            f"must give every job a folder of its own, got {folder} for trials {other} and {trial.number}",
            mend="Add ${hydra.job.num} to it.",
        )
    _set_aside(ticket.folder, attempt)
    return ticket


def _set_aside(folder: Path, attempt: int) -> None:
    """Moves away what jobs have left of this attempt or a later one, if they have left anything but a ticket."""
    if not folder.is_dir():
        return
    known = [path for path in folder.iterdir() if not path.name.startswith("before-")]
    stale = [path for path in known if _attempt_of(path) >= attempt and (path.is_file() or attempt == 0)]
    if not any(path.name.startswith(("started", "result", "curve")) for path in stale):
        return
    aside = folder / f"before-{sum(path.name.startswith('before-') for path in folder.iterdir()) + 1}"
    aside.mkdir()
    for path in stale:
        path.rename(aside / path.name)


def _attempt_of(path: Path) -> int:
    found = re.search(r"-(\d+)(\.\w+)?$", path.name)
    return int(found[1]) if found else 0


def last_ticket(composer: Composer, study: Study, trial: Trial, overrides: Sequence[str]) -> Ticket:
    """Returns the ticket of a trial's last attempt, where it was launched, whatever the config says by now.

    Raises:
        ConfigError: The journal is of a time when it did not keep the folder, and Hydra refuses the overrides.
    """
    folder, attempt = study.folder(trial.number), study.attempts(trial.number) - 1
    if folder is None:
        folder = composer.output_dir(composer.job(overrides, trial.number)) / "neuropt"
    return Ticket(composer.sweep_dir / folder, trial.number, attempt, objectives=len(study.spec.directions))


def kept_as(sweep_dir: Path, folder: Path) -> PurePath:
    """Returns a folder as the journal keeps it: relative where it can be, since a sweep's folder may be moved."""
    return folder.relative_to(sweep_dir) if folder.is_relative_to(sweep_dir) else folder
