"""A script's own runs in W&B: runs it as a job's task, and reads back what it has left on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from wandb_file import LocalRun, read_run

from neuropt_core.runtime.wandb_watch import WandbWatch
from neuropt_core.ticket import Ticket
from neuropt_core.tracking import recorded
from neuropt_core.trial import Failure, Outcome, TrialState

SCORE = Outcome(TrialState.COMPLETE, 0.25)
FAILED = Outcome(TrialState.FAIL, failure=Failure("exception", "ValueError: broken"))


def job(ticket: Ticket, script: Callable[[], Any], outcome: Outcome = SCORE, rank: int = 0) -> list[LocalRun]:
    """Runs a script as a job's task and returns what lies on disk of the runs that it has made."""
    import wandb

    with WandbWatch(ticket, script, rank) as runs:
        script()
        runs.settle(outcome)
    wandb.teardown()  # Else wandb's service may be some milliseconds behind.
    return [read_run(Path(run.file)) for run in recorded(ticket.runs_path)]
