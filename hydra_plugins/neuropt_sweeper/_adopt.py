"""Takes over what an earlier sweeper left running on this machine, beside what a backend finds by itself."""

from __future__ import annotations

import time
from collections.abc import Sequence

from hydra_plugins.neuropt_sweeper._backend import Backend, Handle, Job, outcome_of
from neuropt_core.errors import StudyError
from neuropt_core.trial import Outcome


class Adopting:
    """A backend around another one, which also waits for processes that nobody but their own files knows."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._orphans: list[Job] = []
        self._seen: float | None = None
        self.name, self.words = backend.name, backend.words
        self.apart, self.capacity = backend.apart, backend.capacity
        self.outlives, self.blocks = backend.outlives, backend.blocks

    def submit(self, job: Job) -> Handle | None:
        """Hands the job on."""
        return self._backend.submit(job)

    def poll(self) -> list[tuple[Job, Outcome]]:
        """Returns the jobs that have ended, whoever launched them."""
        gone = [job for job in self._orphans if not job.ticket.is_running()]
        self._orphans = [job for job in self._orphans if job not in gone]
        ended = [(job, outcome_of(job.ticket, seen=self._seen)) for job in gone]
        self._seen = time.time()
        return [*ended, *self._backend.poll()]

    def cancel(self, jobs: Sequence[Job]) -> None:
        """Ends jobs for good, whoever launched them."""
        for job in self._orphans:
            if job in jobs:
                job.ticket.kill()
        self._backend.cancel([job for job in jobs if job not in self._orphans])

    def reattach(self, job: Job, handle: Handle | None) -> bool:
        """Takes a job over if the backend knows it, or its process is alive on this machine.

        Raises:
            StudyError: Another backend submitted it, it has not begun, and may still do so.
        """
        if self._backend.reattach(job, handle):
            return True
        if not job.ticket.is_running():
            theirs = (handle or {}).get("backend", self.name)
            if theirs != self.name and not job.ticket.started_path.exists():
                raise StudyError(
                    f"trial {job.trial.number}",
                    f"was submitted through another launcher ({theirs}: {_listed(handle)}) and may still begin there",
                    mend="Go on with that hydra/launcher, or cancel the job and delete "
                    f"{job.ticket.path}, so that the trial is launched again.",
                )
            return False
        self._orphans.append(job)
        self._seen = time.time()
        return True

    def close(self) -> None:
        """Lets go of the backend's helpers."""
        self._backend.close()


def _listed(handle: Handle | None) -> str:
    return ", ".join(f"{key}={value}" for key, value in (handle or {}).items() if key != "backend")
