"""Keeps the transcript of all exchanges with an LLM in the sweep's folder."""

from __future__ import annotations

from pathlib import Path

from neuropt_core import transcript
from neuropt_core.advice import Consultation
from neuropt_core.sinks.base import Scene
from neuropt_core.trial import Trial


class TranscriptSink:
    """Appends every exchange, whole, to ``neuropt/transcript.jsonl``.

    Args:
        folder: Where the study lies, normally ``hydra.sweep.dir``.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "neuropt" / transcript.NAME

    def study_started(self, scene: Scene) -> None:
        """Does nothing: the transcript goes on where it ended."""

    def trial_asked(self, scene: Scene, trial: Trial) -> None:
        """Does nothing."""

    def trial_told(self, scene: Scene, trial: Trial) -> None:
        """Does nothing."""

    def consulted(self, scene: Scene, consultation: Consultation) -> None:
        """Appends the exchange, or that the study was resumed; the other notes are in the journal alone."""
        if consultation.is_call or consultation.kind == "resumed":
            transcript.write(self.path, consultation)

    def study_finished(self, scene: Scene, reason: str) -> None:
        """Does nothing."""
