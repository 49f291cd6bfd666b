"""Saves the report beside the runs: a server that is slow with reports must not keep the trials waiting."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from neuropt_core.sinks._wandb_files import within

SECONDS = 60.0
"""That one report may take."""
Plan = Mapping[str, Any]


class Reports:
    """Saves the newest plan it was given, in a thread of its own; what came meanwhile and is outdated is left out.

    Args:
        folder: The study's.
        reply: Tells the sweeper something; called from the thread.
    """

    def __init__(self, folder: Path, reply: Callable[[Mapping[str, Any]], None]) -> None:
        self._folder, self._reply = folder, reply
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
                threading.Thread(target=self._work, name="neuropt-report", daemon=True).start()

    def wait(self) -> None:
        """Waits until the newest plan is saved, or has failed."""
        with self._changed:
            self._changed.wait_for(lambda: not self._busy, timeout=2 * SECONDS)

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

                place = {"folder": self._folder, "project": project, "entity": entity}
                url = within(SECONDS, lambda plan=plan, place=place: save(plan, **place))  # type: ignore[misc]
                self._reply({"event": "report", "url": url})
            except Exception as error:  # noqa: BLE001 - a report is made anew from the journal; the runs go on.
                traceback.print_exc()
                self._reply({"event": "trouble", "reason": f"report: {type(error).__name__}: {error}"})
