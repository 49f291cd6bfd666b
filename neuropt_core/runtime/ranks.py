"""Which of a trial's processes this one is: of several that train together, the first alone writes and judges."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from neuropt_core.files import whole_lines
from neuropt_core.heartbeat import restarts
from neuropt_core.ticket import Ticket

_log = logging.getLogger(__name__)
_PATIENCE, _PAUSE = 60.0, 0.05
"""Seconds that a rank waits for the first one's point, and between two looks at the disk."""
_LAUNCHERS = (
    ("RANK", ("WORLD_SIZE",)),
    ("SLURM_PROCID", ("SLURM_NTASKS", "SLURM_STEP_NUM_TASKS")),
    ("OMPI_COMM_WORLD_RANK", ("OMPI_COMM_WORLD_SIZE",)),
    ("LOCAL_RANK", ("WORLD_SIZE",)),
)
"""Where torchrun, SLURM, Open MPI and Lightning's subprocess launcher say the rank, and of how many; the first that
holds counts. A variable of such a name without its size may mean anything, the rank of an adapter even."""


def global_rank(environ: Mapping[str, str] = os.environ) -> int:
    """Returns this process's rank among those that train together; 0 if it is alone.

    A process group of torch that is up says it best; before, the launcher's variables do.
    """
    distributed: Any = sys.modules.get("torch.distributed")  # Never imported for this: no group is up without it.
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return int(distributed.get_rank())
    for name, sizes in _LAUNCHERS:
        rank = environ.get(name, "")
        if rank.isdecimal() and any(_above_one(environ.get(size, "")) for size in sizes):
            return int(rank)
    return 0


def _above_one(text: str) -> bool:
    return text.isdecimal() and int(text) > 1


class Follower:
    """A rank that is not the first: it learns from the curve's file what the first one made of the same step.

    All ranks stop at the same step, without any communication of their own, so that none waits in a collective call for
    one that has stopped.
    """

    def __init__(self, patience: float = _PATIENCE) -> None:
        """`patience` in seconds; then a report goes on without a verdict."""
        self._patience = patience
        self._start: int | None = None
        self._read = 0
        self._records: list[dict[str, Any]] = []
        self._reported: Counter[int] = Counter()

    def verdict(self, ticket: Ticket, step: int) -> str | None:
        """Returns why the trial is to stop at this report, None if it goes on; waits for the first rank."""
        self._reported[step] += 1
        until = time.monotonic() + self._patience
        while True:
            self._read_on(ticket)
            if stopped := next((r["stopped"] for r in self._records if "stopped" in r), None):
                return str(stopped)
            if sum(record["step"] == step for record in self._records) >= self._reported[step]:
                return None
            if time.monotonic() > until:
                self._complain(step)
                return None
            time.sleep(_PAUSE)

    def _complain(self, step: int) -> None:
        if self._patience and not self._records:
            # The first rank may well never report: then nobody should wait for it again.
            self._patience = 0.0
        _log.warning(
            "Rank 0 has not reported step %d after %d s; it alone is recorded, and tells the others to stop: "
            "call neuropt_core.report there too, with the same steps.",
            step,
            _PATIENCE,
        )

    def _read_on(self, ticket: Ticket) -> None:
        if self._start is None:
            newest = ticket.start()
            # Rank 0 may not have begun yet: what lies there is then of the start before SLURM requeued the job.
            if newest is None or newest.restarts != restarts():
                return
            self._start = newest.number
        lines, self._read = whole_lines(ticket.curve_path, self._read)
        self._records += [line for line in lines if line.get("start", 0) == self._start]
