"""Where one attempt at a trial has its files, and when its job last wrote one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from neuropt_core.heartbeat import modified


@dataclass(frozen=True, slots=True)
class AttemptFiles:
    """The files of one attempt.

    Attributes:
        folder: The trial's own folder, absolute.
        number: The trial's number.
        attempt: 0 for the first launch, more after the sweeper had to launch the trial again.
    """

    folder: Path
    number: int
    attempt: int = 0

    @property
    def path(self) -> Path:
        """The ticket's own file."""
        return self.folder / f"ticket{self._suffix}.json"

    @property
    def curve_path(self) -> Path:
        """Where the job reports."""
        return self.folder / f"curve{self._suffix}.jsonl"

    @property
    def started_path(self) -> Path:
        """Where the job says that it has begun, and in which process."""
        return self.folder / f"started{self._suffix}.json"

    @property
    def result_path(self) -> Path:
        """Where the job leaves its outcome."""
        return self.folder / f"result{self._suffix}.json"

    @property
    def rule_path(self) -> Path:
        """Where the sweeper leaves a newer rule while the job runs."""
        return self.folder / f"rule{self._suffix}.json"

    @property
    def stop_path(self) -> Path:
        """Where whoever wants the job to stop at its next report leaves the reason."""
        return self.folder / f"stop{self._suffix}"

    @property
    def heartbeat_path(self) -> Path:
        """What the job touches every few seconds while it lives."""
        return self.folder / f"heartbeat{self._suffix}"

    @property
    def output_path(self) -> Path:
        """What the job prints, where a backend keeps that."""
        return self.folder / f"output{self._suffix}.log"

    @property
    def runs_path(self) -> Path:
        """Where the job says which runs its own script has made in W&B; see `tracking`."""
        return self.folder / f"runs{self._suffix}.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The folder for the job's own checkpoints, common to all attempts at the trial."""
        return self.folder / "checkpoints"

    @property
    def stopped_path(self) -> Path:
        """Where the job keeps that it was told to stop, whatever its script makes of that."""
        return self.folder / f"stopped{self._suffix}.txt"

    @property
    def heard(self) -> float:
        """When the job gave its last sign of life, by the clock of the folder's file system; 0 if it never did."""
        signs = (self.started_path, self.heartbeat_path, self.curve_path, self.output_path)
        return max(modified(path) or 0.0 for path in signs) if self.started_path.exists() else 0.0

    @property
    def _suffix(self) -> str:
        # Attempts never share a file: a late writer of an earlier one must not spoil the next.
        return f"-{self.attempt}" if self.attempt else ""
