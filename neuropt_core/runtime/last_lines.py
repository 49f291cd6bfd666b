"""What a job printed last: for people, and for the kind of a failure of which nobody else tells."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from neuropt_core.redact import redact, secrets_of
from neuropt_core.ticket import Ticket

_LINES, _WIDTH, _BYTES = 20, 500, 64 * 1024
_SLURM_SAYS = (
    (re.compile(r"oom[-_ ]kill|out[ -]of[ -]memory", re.IGNORECASE), "host_out_of_memory"),
    (re.compile(r"DUE TO TIME LIMIT"), "timeout"),
    (re.compile(r"DUE TO PREEMPTION"), "preempted"),
    (re.compile(r"DUE TO NODE FAILURE"), "node_lost"),
)
"""What slurmstepd and srun write into a job's own output when they end it."""


def last_lines(ticket: Ticket, more: Sequence[Path] = ()) -> str:
    """Returns the last lines that a job has printed, without secrets; "" if there are none.

    Of its own output, else of submitit's files, else of the job's Hydra log: the first that holds anything.

    Args:
        ticket: The attempt's.
        more: Files that are looked at first.
    """
    for path in (*more, ticket.output_path, *_submitits(ticket), *_hydras(ticket)):
        if lines := _tail(path):
            return "\n".join(lines)
    return ""


def kind_by_log(log: str) -> str:
    """Returns the kind of failure that SLURM has written into a job's output; "" if it has not."""
    for line in reversed(log.splitlines()):
        if re.match(r"(slurmstepd|srun)(-[\w.-]+)?: ", line):  # A virtual node adds its name.
            for words, kind in _SLURM_SAYS:
                if words.search(line):
                    return kind
    return ""


def _tail(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []  # Not there, or not to be read: there is another one, or there is nothing to show.
    # Secrets go before anything is cut, which could halve one. Of a bar that is drawn anew only its last state counts.
    clean = redact(text, *secrets_of(os.environ))
    lines = [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in clean.split("\n")]
    full = [line for line in lines if line][-_LINES:]
    return [line if len(line) <= _WIDTH else f"{line[:_WIDTH]}…" for line in full]


def _submitits(ticket: Ticket) -> Iterator[Path]:
    if folder := ticket.submitit_folder():
        yield from sorted(folder.glob("*_log.err"))
        yield from sorted(folder.glob("*_log.out"))


def _hydras(ticket: Ticket) -> list[Path]:
    return sorted(ticket.folder.parent.glob("*.log"))
