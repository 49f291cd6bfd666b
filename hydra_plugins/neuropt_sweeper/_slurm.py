"""Asks SLURM what became of jobs, without waiting for it, and without a word from it that is not believed twice."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

_log = logging.getLogger(__name__)
_FINAL = {
    "BOOT_FAIL": "node_lost",
    "CANCELLED": "lost",
    "COMPLETED": "",
    "DEADLINE": "timeout",
    "FAILED": "",
    "NODE_FAIL": "node_lost",
    "OUT_OF_MEMORY": "host_out_of_memory",
    "PREEMPTED": "preempted",
    "REVOKED": "node_lost",
    "TIMEOUT": "timeout",
}
"""States that a job does not leave (squeue(1), JOB STATE CODES), and the kind of failure of one without a result.

"" is for those that tell less than the job's own files. A job in any other state runs, or will."""
_STUCK = (
    "BadConstraints",
    "DependencyNeverSatisfied",
    "InvalidAccount",
    "InvalidQOS",
    "JobHeld",
    "JobHoldMaxRequeue",
    "PartitionNodeLimit",
    "PartitionTimeLimit",
    "launch failed requeued held",
    "launch_failed_requeued_held",
)
"""Reasons for which a job waits until a person does something about it."""
_EVERY, _AT_MOST = 2.0, 30.0
"""Seconds between two looks at the queue: at first, and where nothing has changed for long."""
_SURE_AFTER = 4.0
"""Seconds after which a job that is not in the queue must still not be there."""
_LIMIT = 30.0
"""Seconds after which a command that does not return is ended."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What SLURM says of a job; the state is "" if it has forgotten it."""

    state: str
    reason: str = ""

    @property
    def kind(self) -> str:
        """The kind of failure of a job that ended so and left no result; "" if its files tell more."""
        return _FINAL.get(self.state, "")

    @property
    def words(self) -> str:
        """For people."""
        if not self.state:
            return "SLURM no longer knows the job"
        if self.state == "CANCELLED":
            return "SLURM: CANCELLED; it was cancelled outside the sweep"
        return f"SLURM: {self.state}" + (f", {self.reason}" if self.reason not in ("", "None") else "")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said: its exit status, its output, and its complaint in one line."""

    code: int
    text: str
    complaint: str = ""


class Asking:
    """A command under way, which nobody waits for."""

    def __init__(self, command: Sequence[str], limit: float = _LIMIT) -> None:
        """Starts it; Ctrl-C does not reach it."""
        self._name, self._end = command[0], time.monotonic() + limit
        # Files, since a full pipe would block it. They are closed with the answer.
        self._out, self._err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
        self._answer: Answer | None = None
        # A person's own SQUEUE_STATES or SQUEUE_PARTITION would hide jobs, which then looked gone.
        env = {k: v for k, v in os.environ.items() if not k.startswith(("SQUEUE_", "SACCT_", "SCANCEL_"))}
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=self._out, stderr=self._err, env=env, start_new_session=True
            )
        except OSError as error:
            self._out.close()
            self._err.close()
            self._answer = Answer(127, "", f"{self._name}: {error.strerror}")

    def answer(self) -> Answer | None:
        """Returns what it said, or None while it has not ended."""
        if self._answer is not None:
            return self._answer
        code = self._process.poll()
        if code is None and time.monotonic() < self._end:
            return None
        if code is None:
            self.end()
            self._answer = Answer(124, "", f"{self._name} does not answer")
            return self._answer
        texts = []
        for file in (self._out, self._err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
            file.close()
        self._answer = Answer(code, texts[0], one_line(texts[1]))
        return self._answer

    def end(self) -> None:
        """Ends it, if it has not answered yet."""
        if self._answer is None:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # It may hang in the kernel, on a file system.
                self._process.wait(1)
            self._out.close()
            self._err.close()

    def wait(self) -> Answer:
        """Waits for it, at most for the limit it was given."""
        while (answer := self.answer()) is None:
            time.sleep(0.02)
        return answer


class Queue:
    """Watches jobs in SLURM's queue: one `squeue` for all of them, seldom.

    Accounting is not needed: a job that has ended stays known to the controller for some minutes (``MinJobAge``), and
    only where it is forgotten `sacct` is asked, once, if it works at all.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` counts seconds."""
        self._clock = clock
        self._asking: Asking | None = None
        self._asked = self._next = 0.0
        self._changed = clock()
        self._known: frozenset[str] = frozenset()
        self._gone: dict[str, float] = {}
        self._forgotten: set[str] = set()
        self._over: set[str] = set()
        self._sacct: Asking | None = None
        self._has_sacct = True
        self._warned: set[tuple[str, str]] = set()
        self._failures = 0

    def poll(self, ids: Collection[str], hurried: Collection[str] = ()) -> dict[str, Entry]:
        """Returns the jobs that have ended; never waits.

        Args:
            ids: The jobs to watch, as ``1234`` or, for a task of an array, ``1234_5``.
            hurried: Those of them of which one look without them is enough, since they were just cancelled.
        """
        now = self._clock()
        if frozenset(ids) != self._known:
            self._known, self._changed = frozenset(ids), now
            self._gone = {job: since for job, since in self._gone.items() if job in self._known}
            self._forgotten &= self._known
            self._next = min(self._next, self._asked + _EVERY)
        ended = self._ask_accounting()
        if not ids:
            return ended
        if self._asking is None and now >= self._next:
            # Once a job is missing, those that have ended are asked for too, to learn how it ended.
            states = ["--states=all"] if self._gone else []
            self._asking, self._asked = Asking(["squeue", "--me", "-h", "-r", *states, "-o", "%i|%T|%r"]), now
        answer = None if self._asking is None else self._asking.answer()
        if answer is None:
            return ended
        self._asking = None
        if answer.code:
            self._complain(answer, now)
            return ended
        self._failures = 0
        self._take_out(entries := _entries(answer.text))
        ended |= self._compare(entries, hurried)
        took, quiet = now - self._asked, (now - self._changed) / _AT_MOST
        self._next = self._asked + min(max(_EVERY, 10 * took, quiet), _AT_MOST)
        if self._gone:
            self._next = self._asked + max(_EVERY, 2 * took)
        return ended

    @property
    def busy(self) -> bool:
        """Whether SLURM has been asked and has not answered yet, so that the next `poll` may tell more."""
        return self._asking is not None or bool(self._forgotten)

    def close(self) -> None:
        """Ends what was asked and not answered."""
        for asking in (self._asking, self._sacct):
            if asking is not None:
                asking.end()
        self._asking = self._sacct = None

    def finished(self, job: str) -> None:
        """Says that a job has left its result: should SLURM put it back into its queue, it is taken out of it.

        That happens to a job that is preempted and ends well in the time it is left.
        """
        self._over.add(job)

    def _compare(self, entries: Mapping[str, Entry], hurried: Collection[str]) -> dict[str, Entry]:
        ended = {}
        for job in self._known - self._forgotten:
            entry = entries.get(job)
            if entry is not None and entry.state not in _FINAL:
                self._gone.pop(job, None)
                self._warn(job, entry)
                continue
            missing = self._asked - self._gone.setdefault(job, self._asked)
            if missing < _SURE_AFTER and job not in hurried:
                continue
            if entry is None and self._has_sacct and job not in hurried:
                self._forgotten.add(job)
            else:
                ended[job] = entry or Entry("")
        return ended

    def _take_out(self, entries: Mapping[str, Entry]) -> None:
        states = {job: entries[job].state if job in entries else "" for job in self._over}
        again = sorted(job for job, state in states.items() if state == "PENDING")
        self._over = {job for job, state in states.items() if state not in ("PENDING", "", *_FINAL)}
        if again:
            _log.info("SLURM would run %s again, whose result is told; it is cancelled.", ", ".join(again))
            cancel(again)

    def _ask_accounting(self) -> dict[str, Entry]:
        """Returns what `sacct` knows of jobs that the controller has forgotten, once it has answered."""
        if not self._forgotten:
            return {}
        if self._sacct is None:
            jobs = ",".join(sorted(self._forgotten))
            self._sacct = Asking(["sacct", "-n", "-X", "-P", "-o", "JobID,State", "-j", jobs], limit=15)
        answer = self._sacct.answer()
        if answer is None:
            return {}
        self._sacct = None
        if answer.code:
            self._has_sacct = False
            _log.debug("sacct is of no use here: %s", answer.complaint)
        found = _entries(answer.text)
        ended = {job: found.get(job, Entry("")) for job in self._forgotten}
        self._forgotten.clear()
        # What accounting calls running has its state from before a crash, or was requeued: the queue decides.
        return {job: e if e.state in _FINAL else Entry("") for job, e in ended.items()}

    def _complain(self, answer: Answer, now: float) -> None:
        self._failures += 1
        self._next = now + min(_EVERY * 2 ** min(self._failures, 8), _AT_MOST)
        self._gone.clear()  # Two looks in a row must agree, and this was none.
        told = ("squeue", answer.complaint)
        if told not in self._warned:
            self._warned.add(told)
            _log.warning("SLURM does not tell what its jobs do (%s); it is asked again.", answer.complaint)

    def _warn(self, job: str, entry: Entry) -> None:
        told = (job, entry.reason)
        if told not in self._warned and entry.state == "PENDING" and entry.reason.startswith(_STUCK):
            self._warned.add(told)
            _log.warning("SLURM job %s will not start by itself: %s", job, entry.reason)


def cancel(jobs: Iterable[str]) -> str:
    """Ends jobs for good, in two calls; returns what `scancel` complains about, "" if nothing."""
    jobs = list(jobs)
    if not jobs:
        return ""
    # submitit's jobs ignore SIGTERM, so that plain scancel takes SLURM's whole KillWait.
    Asking(["scancel", "--quiet", "--signal=KILL", *jobs]).wait()
    answer = Asking(["scancel", *jobs]).wait()
    return answer.complaint if answer.code else ""


def one_line(text: str) -> str:
    """Returns what a command complains about in one line, without its own name in front of each part."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    bare = [line.partition("error: ")[2] or line for line in lines]
    return "; ".join(dict.fromkeys(bare))[:300]


def _entries(text: str) -> dict[str, Entry]:
    entries = {}
    for line in text.splitlines():
        job, _, rest = line.strip().partition("|")
        state, _, reason = rest.partition("|")
        if job and state:
            entries[job] = Entry(state.split()[0].rstrip("+"), reason.strip("() "))  # E.g. "CANCELLED by 1000".
    return entries
