"""A job's life around the user's task function: say that it began, run it, leave the outcome on disk.

What the launcher makes of the return value or the exception no longer matters: the sweeper reads the disk.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from neuropt_core.curve import Curve
from neuropt_core.errors import NeuroptError, TrialPruned
from neuropt_core.redact import redact, secrets_of
from neuropt_core.runtime.failures import failure_of
from neuropt_core.ticket import Ticket
from neuropt_core.trial import Failure, Outcome, TrialState


class JobFailed(NeuroptError):
    """Told to Hydra in place of the job's own exception, whose traceback would keep the model in memory."""


class RecordedTask:
    """The user's task function; in a sweep's job it leaves `result.json` whatever happens to it.

    An instance, not a function: Hydra 1.4's joblib launcher asks a task that has a `__name__` to be importable.
    """

    def __init__(self, task: Callable[[Any], Any]) -> None:
        self.task = task

    def __call__(self, cfg: Any) -> Any:
        """Runs the task and passes its return value on.

        Raises:
            JobFailed: The task raised, exited or returned no score; Hydra then marks the job as failed.
        """
        ticket = Ticket.current()
        if ticket is None:
            return self.task(cfg)
        if ticket.sweeper != os.getpid():
            _leave_interrupts_to_the_sweeper()
        ticket.write_started()
        began = time.monotonic()
        returned, outcome = _run(self.task, cfg)
        stopped = ticket.stopped()
        if stopped is not None and outcome is None:
            # The script caught TrialPruned and went on; the order to stop stands all the same.
            outcome = Outcome(TrialState.PRUNED, reason=f"{stopped} (the script went on)")
        elif outcome is None:
            outcome = _scored(returned)
        outcome = _completed(outcome, ticket.curve(), time.monotonic() - began)
        ticket.write_result(outcome)
        if outcome.failure is not None:
            raise JobFailed(f"trial {ticket.number}", outcome.failure.message)
        return returned


def _run(task: Callable[[Any], Any], cfg: Any) -> tuple[Any, Outcome | None]:
    """Returns what the task returned, or the outcome that its exception amounts to."""
    try:
        return task(cfg), None
    except TrialPruned as stop:
        return None, Outcome(TrialState.PRUNED, reason=stop.where)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever ends a job is data; the sweep goes on
        return None, Outcome(TrialState.FAIL, failure=failure_of(error))


def _scored(returned: Any) -> Outcome:
    value = returned
    if not isinstance(value, (bool, int, float, str)) and callable(getattr(value, "item", None)):
        try:
            value = value.item()
        except (TypeError, ValueError, RuntimeError):
            value = returned  # An array of many numbers is no score; it is named as it is.
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        got = f"{value!r:.60}"
        message = f"the task function must return a number, got {got} ({type(value).__name__})"
        return Outcome(TrialState.FAIL, failure=Failure("no_number", message))
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        return Outcome(TrialState.FAIL, failure=Failure("non_finite", "the task function returned a number too large"))
    if not math.isfinite(value):
        message = f"the task function must return a finite number, got {float(value)}"
        return Outcome(TrialState.FAIL, failure=Failure("non_finite", message))
    return Outcome(TrialState.COMPLETE, float(value))


def _completed(outcome: Outcome, curve: Curve, seconds: float) -> Outcome:
    failure = None if outcome.failure is None else _discreet(outcome.failure)
    return Outcome(outcome.state, outcome.value, curve, failure, round(seconds, 3), outcome.reason)


def _discreet(failure: Failure) -> Failure:
    # What an exception says goes to files, the terminal and W&B; libraries put keys and URLs with passwords into it.
    secrets = secrets_of(os.environ)
    return replace(failure, message=redact(failure.message, *secrets), traceback=redact(failure.traceback, *secrets))


def _leave_interrupts_to_the_sweeper() -> None:
    # Ctrl-C reaches every process of the terminal; the sweeper alone decides what becomes of a running trial.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
