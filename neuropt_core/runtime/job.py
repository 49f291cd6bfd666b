"""A job's life around the user's task function: say that it began, run it, leave the outcome on disk.

What the launcher makes of the return value or the exception no longer matters: the sweeper reads the disk.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import Any

from omegaconf import OmegaConf

from neuropt_core.errors import NeuroptError, TrialPruned
from neuropt_core.heartbeat import Heartbeat
from neuropt_core.redact import secrets_in, secrets_of
from neuropt_core.runtime.failures import failure_of
from neuropt_core.runtime.last_lines import last_lines
from neuropt_core.runtime.ranks import global_rank
from neuropt_core.runtime.report import forget
from neuropt_core.runtime.signals import (
    AskedToEnd,
    Termination,
    leave_interrupts_to_the_sweeper,
    requeued_by_submitit,
)
from neuropt_core.runtime.wandb_watch import WandbWatch
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
        """Runs the task and passes its return value on; a job that has left its result before does not train again.

        Raises:
            JobFailed: The task raised, exited or returned no score; Hydra then marks the job as failed. Also an
                attempt that is no longer wanted, since a newer one was launched.
        """
        ticket = Ticket.current()
        if ticket is None:
            return self.task(cfg)
        apart = ticket.sweeper != os.getpid()
        if apart:
            leave_interrupts_to_the_sweeper()
        if (before := ticket.result()) is not None:
            return _recorded(ticket, before)  # SLURM requeues a job that has ended in the time it gave it to end.
        if ticket.is_superseded():
            raise JobFailed(
                f"trial {ticket.number}", f"this is attempt {ticket.attempt}, superseded by a newer one; it ends"
            )
        forget()
        if rank := global_rank():
            return _follow(self.task, cfg, WandbWatch(ticket, self.task, rank))
        returned, outcome, unwritten = _attempt(self.task, cfg, ticket, Termination() if apart else None)
        if outcome.failure is not None or unwritten:
            message = outcome.failure.message if outcome.failure is not None else "it has ended"
            more = f" (its result could not be written: {unwritten})" if unwritten else ""
            raise JobFailed(f"trial {ticket.number}", f"{message}{more}")
        return returned


def _attempt(
    task: Callable[[Any], Any], cfg: Any, ticket: Ticket, termination: Termination | None
) -> tuple[Any, Outcome, str]:
    """Runs the task; returns what it returned, what came of it, and why that could not be written, "" if it was.

    Raises:
        SystemExit: submitit has requeued the job: it ends here, without a result.
    """
    began = time.monotonic()  # Before it says so: by what it says, and how long it ran, its logs are found.
    earlier = ticket.write_started()
    with Heartbeat(ticket.heartbeat_path), termination or nullcontext():
        if (stopped := ticket.stopped()) is None:
            with WandbWatch(ticket, task) as runs:
                returned, outcome = _judged(task, cfg, ticket, termination)
                seconds = earlier + time.monotonic() - began
                # Before the result is there to read, so that nobody meets runs that are still open.
                runs.settle(outcome)
        else:  # It was requeued before it could say that it had been stopped.
            returned, outcome, seconds = None, Outcome(TrialState.PRUNED, reason=stopped), earlier
        outcome = _completed(outcome, ticket, seconds, cfg)
        try:
            ticket.write_result(outcome)
        except OSError as error:  # A full disk: what the user's own code has said must not be lost behind it.
            return returned, outcome, str(error)
    return returned, outcome, ""


def _judged(
    task: Callable[[Any], Any], cfg: Any, ticket: Ticket, termination: Termination | None
) -> tuple[Any, Outcome]:
    """Returns what the task returned, and what came of it."""
    returned, outcome = _run(task, cfg, ticket, termination)
    if (outcome is None or outcome.failure is not None) and (stopped := ticket.stopped()) is not None:
        # The script caught TrialPruned and went on, or its processes died of it; the order to stop stands all the same.
        failure = None if outcome is None else outcome.failure
        how = "the script went on" if failure is None else f"then the script ended with {failure.message}"
        outcome = Outcome(TrialState.PRUNED, reason=f"{stopped} ({how})")
    return returned, outcome or _scored(returned, ticket.objectives)


def _run(
    task: Callable[[Any], Any], cfg: Any, ticket: Ticket, termination: Termination | None
) -> tuple[Any, Outcome | None]:
    """Returns what the task returned, or the outcome that its exception amounts to."""
    try:
        try:
            return task(cfg), None
        finally:
            if termination is not None:
                termination.disarm()  # From here on nothing may interrupt: what came of it is told and written.
    except TrialPruned as stop:
        return None, Outcome(TrialState.PRUNED, reason=stop.where)
    except AskedToEnd as signalled:
        if ticket.stop_path.exists():
            asked = ticket.stop_path.read_text(encoding="utf-8").strip() or "the sweep asked it to stop"
            return None, Outcome(TrialState.PRUNED, reason=asked)
        told = replace(failure_of(signalled), message="the machine asked the job to end (SIGTERM)")
        return None, Outcome(TrialState.FAIL, failure=told)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever ends a job is data; the sweep goes on
        if (requeued := requeued_by_submitit(error)) is not None:
            raise requeued from None
        return None, Outcome(TrialState.FAIL, failure=failure_of(error, _secrets(cfg)))


def _follow(task: Callable[[Any], Any], cfg: Any, runs: WandbWatch) -> Any:
    """Runs a rank that is not the first: what comes of the trial is the first one's to say."""
    with runs:
        try:
            returned = task(cfg)
        except TrialPruned:
            returned = None
        runs.settle(None)
    return returned


def _recorded(ticket: Ticket, outcome: Outcome) -> Any:
    """Returns what an attempt that has ended before had returned.

    Raises:
        JobFailed: It had failed.
    """
    if outcome.failure is not None:
        raise JobFailed(f"trial {ticket.number}", outcome.failure.message)
    return (outcome.value, *outcome.further) if outcome.further else outcome.value


def _scored(returned: Any, objectives: int = 1) -> Outcome:
    """Returns the outcome of a task that returned: COMPLETE only with one finite number for each objective."""
    parts: Sequence[Any] = (returned,)
    if objectives > 1:
        if not isinstance(returned, (tuple, list)) and callable(getattr(returned, "tolist", None)):
            returned = returned.tolist()  # An array or a tensor of as many numbers.
        parts = returned if isinstance(returned, (tuple, list)) else ()
        if len(parts) != objectives:
            given = f"{len(parts)} " if parts else ""
            rule = f"return {objectives} numbers, since hydra.sweeper.direction names {objectives} directions"
            return _no_score("no_number", f"the task function must {rule}, got {given}{_shown(returned)}")
    values = [_number(part) for part in parts]
    for place, (value, part) in enumerate(zip(values, parts, strict=True), start=1):
        which = f" as number {place} of {objectives}" if objectives > 1 else ""
        if value is None:
            several = isinstance(part, (tuple, list)) and objectives == 1
            hint = "; hydra.sweeper.direction takes a list of several directions" if several else ""
            return _no_score("no_number", f"the task function must return a number{which}, got {_shown(part)}{hint}")
        if isinstance(value, int) and abs(value) > sys.float_info.max:
            return _no_score("non_finite", f"the task function returned a number too large{which}")
        if not math.isfinite(value):
            message = f"the task function must return a finite number{which}, got {float(value)}"
            return _no_score("non_finite", message)
    scores = [float(value) for value in values if value is not None]
    return Outcome(TrialState.COMPLETE, scores[0], further=tuple(scores[1:]))


def _number(returned: Any) -> int | float | None:
    """Returns the number that a value is, be it a tensor's; None if it is none."""
    value = returned
    if not isinstance(value, (bool, int, float, str)) and callable(getattr(value, "item", None)):
        try:
            value = value.item()
        except (TypeError, ValueError, RuntimeError):
            return None  # An array of many numbers is no score.
    return None if isinstance(value, bool) or not isinstance(value, (int, float)) else value


def _shown(returned: Any) -> str:
    return f"{f'{returned!r:.60}'} ({type(returned).__name__})"


def _no_score(kind: str, message: str) -> Outcome:
    return Outcome(TrialState.FAIL, failure=Failure(kind, message))


def _completed(outcome: Outcome, ticket: Ticket, seconds: float, cfg: Any) -> Outcome:
    failure = outcome.failure
    if failure is not None:
        failure = replace(failure, log=_said(ticket)).redacted(_secrets(cfg))
    return replace(outcome, curve=ticket.curve(), failure=failure, seconds=round(seconds, 3))


def _said(ticket: Ticket) -> str:
    """Returns the last lines that this process has printed, as far as they lie in files."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # The script may have closed or replaced them.
            stream.flush()
    return last_lines(ticket)


def _secrets(cfg: Any) -> tuple[str, ...]:
    """Returns what is secret here: the values of telling variables, and of telling keys of the config."""
    found: Any = cfg
    if OmegaConf.is_config(cfg):
        try:
            found = OmegaConf.to_container(cfg, resolve=True)
        except Exception:  # noqa: BLE001 - a resolver of the user's own may raise anything.
            found = OmegaConf.to_container(cfg, resolve=False)
    return (*secrets_of(os.environ), *secrets_in(found))
