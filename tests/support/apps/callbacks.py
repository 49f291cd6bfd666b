"""A callback of the user's own, beside the script."""

from __future__ import annotations

from typing import Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig


class Notes(Callback):
    """Says what each job returned."""

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Is called in the job's process."""
        print(f"job {config.hydra.job.num} returned {job_return.return_value}", flush=True)
