"""Runs that a trial's own script makes in W&B: what they are told of the trial, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from neuropt_core.files import append_line, read_lines


@dataclass(frozen=True, slots=True)
class RunNote:
    """What a run is told of the trial that it belongs to; travels to the job in its ticket.

    What the script itself says of its run (a name, a group that is not empty, a project) stands.

    Attributes:
        group: The study's name.
        name: The trial's, e.g. ``trial-007``.
        notes: The rationale as Markdown, made harmless.
        tags: Added to the script's own.
        config: Added to the run's config: ``neuropt`` and, flat, ``neuropt_rationale`` and others that can be pinned.
        project: The study's project, for a script that names none.
        entity: The study's user or team; "" for the account's default.
        sweep_dir: The sweep's folder, absolute: where a request to stop the trial goes.
    """

    group: str
    name: str
    notes: str = ""
    tags: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    project: str = ""
    entity: str = ""
    sweep_dir: str = ""

    def to_json(self) -> dict[str, Any]:
        """Returns plain data from which `from_json` makes an equal note."""
        return {**asdict(self), "tags": list(self.tags), "config": dict(self.config)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunNote:
        """Makes the note that `to_json` described."""
        return cls(**{**data, "tags": tuple(data["tags"])})


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run that a trial's script has made.

    Attributes:
        id: The run's.
        project: Where it is.
        entity: Whose that is; "" where it is not known, as offline.
        url: Its page; "" offline.
        name: As it is shown.
        mode: ``online`` or ``offline``; runs that are disabled are not recorded.
        file: The local `.wandb` file, absolute.
        ended: The exit code with which it was finished; None while it is open, or if the job was killed.
    """

    id: str
    project: str = ""
    entity: str = ""
    url: str = ""
    name: str = ""
    mode: str = "online"
    file: str = ""
    ended: int | None = None


def record(path: Path, run: RunRecord) -> None:
    """Appends what is known of a run; called by the job. Of several records of one run the last counts.

    Raises:
        OSError: The disk is full or the folder is not writable.
    """
    append_line(path, asdict(run))


def recorded(path: Path) -> tuple[RunRecord, ...]:
    """Returns the runs that a job has made, in the order in which it began them; none if it made none."""
    if not path.exists():
        return ()
    names = {item.name for item in fields(RunRecord)}
    found: dict[str, RunRecord] = {}
    for line in read_lines(path)[0]:
        run = RunRecord(**{name: value for name, value in line.items() if name in names})
        found[run.id] = run
    return tuple(found.values())


def files_of(path: Path) -> tuple[Path, ...]:
    """Returns the local files of all runs that a job has made, in the order in which it began them.

    A run that a requeued job resumes has several: each start writes its own.
    """
    if not path.exists():
        return ()
    return tuple(dict.fromkeys(Path(line["file"]) for line in read_lines(path)[0] if line.get("file")))


def sweep_path(sweep_dir: Path) -> Path:
    """Returns where the study keeps which native W&B sweep it has: ``id``, ``project`` and ``entity``."""
    return sweep_dir / "wandb" / "sweep.json"
