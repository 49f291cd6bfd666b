"""Finds the backend for the user's launcher, or takes the one that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.plugins.launcher import Launcher

from hydra_plugins.neuropt_sweeper._backend import Backend
from hydra_plugins.neuropt_sweeper._batch import BatchBackend
from hydra_plugins.neuropt_sweeper._interrupt import Interrupt
from hydra_plugins.neuropt_sweeper._process import ProcessBackend, why_not
from hydra_plugins.neuropt_sweeper.config import NeuroptSweeperConf


def make_backend(conf: NeuroptSweeperConf, launcher: Launcher, interrupt: Interrupt) -> Backend:
    """Returns the backend, which looks at the launcher unless ``hydra.sweeper.backend`` names one.

    Raises:
        ConfigError: The backend that is named cannot run under this launcher.
    """
    if isinstance(launcher, BasicLauncher) and conf.isolate:
        if not (reason := why_not(launcher)):
            each = conf.budget.gpus_per_trial
            return ProcessBackend(launcher, conf.max_parallel, gpus_per_trial=each, around=interrupt.sparing_children)
        backend = BatchBackend(launcher, 1)
        backend.words += f": {reason}"
        return backend
    return BatchBackend(launcher, conf.max_parallel or 1, _around(launcher, interrupt))


def _around(launcher: Launcher, interrupt: Interrupt) -> Callable[[], AbstractContextManager[None]]:
    # Where jobs run in this process, Ctrl-C must reach the training code itself.
    return nullcontext if isinstance(launcher, BasicLauncher) else interrupt.sparing_children
