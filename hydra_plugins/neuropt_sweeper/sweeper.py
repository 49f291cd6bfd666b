"""The Hydra plugin. Hydra imports this at the start of every app on the machine, so it imports next to nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class NeuroptSweeper(Sweeper):
    """Introspects the configured model, asks an advisor what to try, launches the trials, keeps the study."""

    hydra_context: HydraContext
    config: DictConfig

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keeps what Hydra hands over; nothing is done before `sweep`."""
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def sweep(self, arguments: list[str]) -> Sequence[Any]:
        """Runs the study to the end of its budget; returns its trials."""
        from hydra_plugins.neuropt_sweeper._sweep import run_sweep

        return run_sweep(self.settings, self.hydra_context, self.task_function, self.config, arguments)
