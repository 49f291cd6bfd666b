"""A Hydra script in which trial n misbehaves in way n, and each trial tells what it saw of Hydra's settings."""

from __future__ import annotations

import gc
import json
import math
import os
import signal
import sys
import time
import weakref
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

HELD: dict[str, Any] = {}
"""A weak reference to the model of the trial before, where that ran in this process."""


class Model:
    """Stands for a network whose memory a later trial needs."""


class Unpicklable(Exception):
    """Cannot cross the border of a process, as those of some libraries that hold a lock or a handle."""

    def __reduce__(self) -> Any:
        """Refuses."""
        raise TypeError("this exception cannot be pickled")


@hydra.main(version_base="1.3", config_path="matrix_conf", config_name="config")
def main(cfg: DictConfig) -> Any:
    """Returns a score, or does what the config lists for its number."""
    gc.collect()
    before = HELD.get("model")
    job = HydraConfig.get().job
    told = {
        "number": job.num,
        "id": str(job.id),
        "name": job.override_dirname,
        "env": os.environ.get("MATRIX"),
        "cwd": os.getcwd(),
        "output_dir": HydraConfig.get().runtime.output_dir,
        "pid": os.getpid(),
        "held": before is not None and before() is not None,
    }
    with Path(cfg.record).open("a", encoding="utf-8") as file:
        file.write(json.dumps(told) + "\n")
    model = Model()
    HELD["model"] = weakref.ref(model)
    how = cfg.ways[job.num] if job.num < len(cfg.ways) else "ok"
    if how in ("raises", "unpicklable", "exits"):
        _raise(how, model)
    if how == "killed":
        time.sleep(0.5)  # Beside another job, where two run at a time.
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "beside":  # Dies once the next trial has begun.
        end = time.monotonic() + 120
        while f'"number": {job.num + 1},' not in Path(cfg.record).read_text():
            assert time.monotonic() < end, "nobody runs beside"
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "slow":
        time.sleep(3)
    if how == "hangs":
        time.sleep(3600)
    return {"diverges": math.nan, "nothing": None}.get(how, math.log10(cfg.optimizer.lr) ** 2)


def _raise(how: str, model: Model) -> None:
    if how == "exits":
        sys.exit(3)
    raise Unpicklable(model) if how == "unpicklable" else ValueError("the trial is broken")


if __name__ == "__main__":
    main()
