"""Where a trial keeps its own checkpoints, so that it goes on where it was interrupted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from neuropt_core.ticket import Ticket


def checkpoint_dir() -> Path:
    """Returns the folder for this trial's own checkpoints, made if need be; the path is absolute.

    In a sweep it is ``neuropt/checkpoints`` in the job's output folder: the same for all attempts at the trial and for
    a job that SLURM requeues, another one for each trial. Outside a sweep it is ``checkpoints`` in the run's own output
    folder (``hydra.run.dir``), so that a new run never goes on from another one's checkpoint unasked; without Hydra,
    ``checkpoints`` in the working directory.

    Several processes that train together get the same folder; which of them writes is up to the script.

    Example:
        A loop that goes on where it was interrupted::

            path = neuropt_core.checkpoint_dir() / "last.pt"
            first = 0
            if path.exists():
                state = torch.load(path)
                model.load_state_dict(state["model"])
                first = state["epoch"] + 1
            for epoch in range(first, epochs):
                train(model)
                torch.save({"model": model.state_dict(), "epoch": epoch}, path.with_suffix(".new"))
                os.replace(path.with_suffix(".new"), path)  # A job that is killed while it writes keeps the old one.
                neuropt_core.report(epoch, val_loss=validate(model))

    Raises:
        OSError: The folder cannot be made.
    """
    ticket = Ticket.current()
    folder = _outside() if ticket is None else ticket.checkpoints
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _outside() -> Path:
    # Never imported for this: a process in which Hydra runs the job has it.
    hydra: Any = sys.modules.get("hydra.core.hydra_config")
    if hydra is not None and hydra.HydraConfig.initialized():
        return Path(hydra.HydraConfig.get().runtime.output_dir).absolute() / "checkpoints"
    return Path("checkpoints").absolute()
