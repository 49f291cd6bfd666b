"""The places in which trials run on one machine: which GPUs and how many threads each has."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from hydra_plugins.neuropt_sweeper._gpus import Gpus
from neuropt_core.errors import ConfigError

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Slots:
    """Places for trials, numbered from 0.

    Attributes:
        count: How many there are, at least 1.
        gpus: The GPUs of this machine that may be used.
        each: How many GPUs a trial gets; 0 or more.
        cores: Processor cores that this process may use.
    """

    count: int
    gpus: Gpus
    each: int
    cores: int

    @classmethod
    def of(cls, capacity: int | None, gpus: Gpus, each: int | None) -> Slots:
        """Returns the slots for what is asked for and what there is.

        Args:
            capacity: How many; None takes one for each group of GPUs, and one on a machine without any.
            gpus: The GPUs that may be used.
            each: How many GPUs a trial needs; None is one where there are any.

        Raises:
            ConfigError: A trial needs more GPUs than there are.
        """
        needed = min(1, len(gpus.ids)) if each is None else each
        if needed > len(gpus.ids):
            raise ConfigError(
                "hydra.sweeper.budget.gpus_per_trial",
                f"must be at most the number of GPUs that this process may use, {len(gpus.ids)}",
                got=needed,
                mend=f"{gpus.variable} and nvidia-smi -L say which these are.",
            )
        default = len(gpus.ids) // needed if needed else 1
        return cls(default if capacity is None else capacity, gpus, needed, len(os.sched_getaffinity(0)))

    @property
    def groups(self) -> list[tuple[str, ...]]:
        """The GPUs that trials get together; more trials than groups share them in turn."""
        ids, each = self.gpus.ids, self.each
        return [ids[start : start + each] for start in range(0, len(ids) - each + 1, each)] if each else []

    @property
    def threads(self) -> int:
        """Threads for each trial, so that all together have one for each core."""
        return max(1, self.cores // self.count)

    @property
    def words(self) -> str:
        """For people, e.g. ``a process for each trial, 4 at a time, on GPUs 0, 1, 2, 3, one each``."""
        groups = self.groups[: self.count]
        used = [gpu for group in groups for gpu in group]
        where = f"on GPU{'s' if len(used) > 1 else ''} {', '.join(used)}"
        if not groups:
            threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
            where = "on the CPU" + (f", {threads} each" if self.count > 1 else "")
        elif self.count > len(groups):
            where += ", shared" if len(groups) == 1 else ", shared in turn"
        elif len(used) > 1:
            where += f", {'one' if self.each == 1 else self.each} each" if len(groups) > 1 else ""
        return f"a process for each trial, {self.count} at a time, {where}"

    def environment(self, slot: int, environ: Mapping[str, str]) -> dict[str, str]:
        """Returns the environment of a trial's process: the given one, with the slot's GPUs and threads.

        A number of threads that the user set is kept; a single trial at a time may use what its libraries choose.
        """
        extra = {}
        if self.gpus.ids:
            group = self.groups[slot % len(self.groups)] if self.groups else ()
            extra[self.gpus.variable] = ",".join(group)
        if self.count > 1:
            extra |= {name: str(self.threads) for name in _THREADS if name not in environ}
        return {**environ, **extra}
