"""Saves the report beside the runs: a server that is slow with reports must not keep the trials waiting."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

PATIENCE = 130.0
"""Seconds that are waited for the last report, and one before it; each gives up by itself after a minute."""
Plan = Mapping[str, Any]


class Reports:
    """Saves the newest plan it was given, in a thread of its own; what came meanwhile and is outdated is left out.

    Args:
        folder: The study's.
        reply: Tells the sweeper something; called from the thread.
        wanted: Whether a report that fails is worth a word.
    """

    def __init__(
        self, folder: Path, reply: Callable[[Mapping[str, Any]], None], wanted: Callable[[], bool] = lambda: True
    ) -> None:
        self._folder, self._reply, self._wanted = folder, reply, wanted
        self._changed = threading.Condition()
        self._next: tuple[Plan, str, str] | None = None
        self._busy = False

    def save(self, plan: Plan, project: str, entity: str) -> None:
        """Saves a plan as soon as an earlier one is saved; returns at once.

        Args:
            plan: See `_report_plan.report_plan`.
            project: Of the study's run.
            entity: Whose that is.
        """
        with self._changed:
            self._next = (plan, project, entity)
            if not self._busy:
                self._busy = True
                threading.Thread(target=self._work, name="neuropt-reports", daemon=True).start()

    def wait(self) -> None:
        """Waits until the newest plan is saved, or has failed."""
        with self._changed:
            self._changed.wait_for(lambda: not self._busy, timeout=PATIENCE)

    def _work(self) -> None:
        while True:
            with self._changed:
                if self._next is None:
                    self._busy = False
                    self._changed.notify_all()
                    return
                (plan, project, entity), self._next = self._next, None
            try:
                # Late: wandb-workspaces is optional, and slow to import.
                from neuropt_core.sinks._wandb_report import save

                url = save(plan, folder=self._folder, project=project, entity=entity)
                self._reply({"event": "report", "url": url})
            except Exception as error:  # noqa: BLE001 - a report is made anew from the journal; the runs go on.
                traceback.print_exc()
                if self._wanted():  # Else the study has gone offline, which was told.
                    self._reply({"event": "trouble", "reason": f"report: {type(error).__name__}: {error}"})
