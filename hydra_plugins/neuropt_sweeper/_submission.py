"""Submits jobs through submitit's Hydra launchers, with all their settings, and does not wait for them."""

from __future__ import annotations

import contextlib
import glob
import importlib
import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.plugins.launcher import Launcher

from hydra_plugins.neuropt_sweeper._backend import Job
from hydra_plugins.neuropt_sweeper._overrides import override
from hydra_plugins.neuropt_sweeper._slurm import one_line
from neuropt_core.ticket import VARIABLE, Ticket

_LATER = (
    "Connection refused",
    "GrpSubmitJob",
    "MaxSubmitJob",
    "Resource temporarily unavailable",
    "Socket timed out",
    "Transport endpoint",
    "Unable to contact slurm controller",
    "Zero Bytes were transmitted",
    "connect failure",
    "controller not responding",
    "in standby mode",
    "temporarily unable to accept job",
)
"""What sbatch says of a controller that does not answer, or of a queue that is full: not of the job."""
_LEFTOVERS = ("SLURM_", "SLURMD_", "SRUN_", "SUBMITIT_")


class SubmissionError(Exception):
    """The launcher or sbatch refused jobs; the text is its own, in one line.

    Attributes:
        later: Whether the same may succeed later, since the cluster and not the job is at fault.
    """

    def __init__(self, words: str, *, later: bool) -> None:
        super().__init__(words)
        self.later = later


@dataclass(frozen=True, slots=True)
class Submitted:
    """A job that SLURM, or submitit's own controller on this machine, has taken."""

    job_id: str
    folder: Path
    cluster: str

    @property
    def handle(self) -> dict[str, str]:
        """As it is kept in the journal."""
        return {"job_id": self.job_id, "folder": str(self.folder), "cluster": self.cluster}

    @classmethod
    def of(cls, handle: Mapping[str, Any] | None) -> Submitted | None:
        """Returns what `handle` describes; None if another backend made it."""
        if handle is None or not {"job_id", "folder", "cluster"} <= handle.keys():
            return None
        return cls(str(handle["job_id"]), Path(handle["folder"]), str(handle["cluster"]))

    @property
    def cancelled_path(self) -> Path:
        """Where the sweeper leaves word that it ended the job itself."""
        return Path(self._paths.folder) / f"{self.job_id}_cancelled"

    @property
    def logs(self) -> tuple[Path, Path]:
        """Where the job's own output is, and what submitit and SLURM write beside it; one of them may be missing."""
        return Path(self._paths.stderr), Path(self._paths.stdout)

    @property
    def _paths(self) -> Any:
        from submitit.core.utils import JobPaths

        return JobPaths(self.folder, job_id=self.job_id)


def submit(launcher: Launcher, jobs: Sequence[Job]) -> list[Submitted]:
    """Submits jobs as the launcher would: several of them as one array.

    The launcher's own `launch` prepares each job; only its last step is caught, in which it hands them to submitit and
    waits. So every setting of the launcher, and every subclass of it, keeps its meaning.

    Raises:
        SubmissionError: None of them was taken.
    """
    caught: list[tuple[Any, Any, tuple[Any, ...]]] = []
    said = io.StringIO()
    try:
        # submitit prints what sbatch complains of before it raises the same.
        with _environment(), contextlib.redirect_stderr(said):
            with _catching(caught):
                for job in jobs:
                    launcher.launch([list(job.overrides)], initial_job_idx=job.trial.number)
            if len(caught) != len(jobs):
                raise SubmissionError(f"{type(launcher).__name__} does not submit through submitit", later=False)
            executor, function, _ = caught[-1]
            taken = executor.map_array(function, *zip(*(arguments for *_, arguments in caught), strict=True))
    except (SubmissionError, OSError):
        raise
    except Exception as error:
        words = one_line(str(error)) or type(error).__name__
        raise SubmissionError(words, later=any(text in str(error) for text in _LATER)) from error
    cluster = str(launcher._EXECUTOR)  # type: ignore[attr-defined]
    return [Submitted(str(job.job_id), Path(executor.folder), cluster) for job in taken]


def find(launcher: Launcher, ticket: Ticket) -> Submitted | None:
    """Returns the job that was submitted for a ticket; None if none was, or its submission was cut off.

    submitit puts a job's arguments into their place only when sbatch has answered. A job without them runs nothing and
    ends by itself within a minute.
    """
    folder = Path(launcher.params["submitit_folder"]).expanduser().absolute()  # type: ignore[attr-defined]
    pattern = glob.escape(str(folder.relative_to(folder.anchor)))
    for tag in ("%j", "%A", "%a", "%t"):
        pattern = pattern.replace(tag, "*")
    named = override(f"hydra.job.env_set.{VARIABLE}", str(ticket.path), "++").encode("utf-8", "surrogatepass")
    # A string stands in a pickle as it is, so that none has to be unpickled, which would run code of the user's.
    for path in Path(folder.anchor).glob(f"{pattern}/*_submitted.pkl"):
        if named in path.read_bytes():
            job_id = path.name.removesuffix("_submitted.pkl")
            return Submitted(job_id, folder, str(launcher._EXECUTOR))  # type: ignore[attr-defined]
    return None


@contextlib.contextmanager
def _catching(caught: list[tuple[Any, Any, tuple[Any, ...]]]) -> Iterator[None]:
    """While entered, what is handed to submitit is noted instead; the launcher's import sees nothing else."""
    submitit: Any = importlib.import_module("submitit")
    genuine = submitit.AutoExecutor

    def note(self: Any, function: Any, *iterables: Any) -> list[_Noted]:
        given = list(zip(*iterables, strict=True))
        # The genuine class again, since the executor outlives this context.
        self.__class__ = genuine
        caught.extend((self, function, arguments) for arguments in given)
        return [_Noted() for _ in given]

    submitit.AutoExecutor = type("AutoExecutor", (genuine,), {"map_array": note})
    try:
        yield
    finally:
        submitit.AutoExecutor = genuine


class _Noted:
    """Stands for a job for as long as the launcher wants its results."""

    def results(self) -> list[None]:
        """Returns at once; the results are read from the disk."""
        return [None]


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """While entered, a job that is submitted finds the modules that the sweeper finds, and no other job's settings.

    submitit starts a job with ``python -m`` in the folder where the sweep was started, which alone is then searched;
    modules beside a script elsewhere were not found.
    """
    own = list(dict.fromkeys(os.path.abspath(path) for path in _own_paths()))
    changed: dict[str, str | None] = {"PYTHONPATH": os.pathsep.join(own)} if own else {}
    if "SLURM_JOB_ID" in os.environ:  # The sweeper is a job itself: sbatch would take its CPUs for the trial's.
        changed |= {n: None for n in os.environ if n.startswith(_LEFTOVERS) and n != "SLURM_CONF"}
    before = {name: os.environ.get(name) for name in changed}
    try:
        _set(changed)
        yield
    finally:
        _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _own_paths() -> Iterator[str]:
    # What stands before the standard library: the script's folder, PYTHONPATH, and what the script put in front.
    library = os.path.dirname(os.__file__)
    zipped = f"python{sys.version_info.major}{sys.version_info.minor}.zip"
    for path in sys.path:
        if path == library or os.path.basename(path) == zipped:
            return
        yield path
