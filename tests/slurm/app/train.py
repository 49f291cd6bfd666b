"""A Hydra script whose trials take as long as they are told, note each start and end, and go on where they stopped."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import beside
import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

import neuropt_core

STEP = 0.1
REPORTED = 10
"""Steps from one point of the curve to the next."""


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: DictConfig) -> float:
    """Works for a while, in steps that are kept in its checkpoints; returns a bowl's height."""
    number = HydraConfig.get().job.num
    kept = neuropt_core.checkpoint_dir() / "step"
    done = int(kept.read_text()) if kept.exists() else 0
    _note(cfg, "start", number, step=done)
    seconds = float(cfg.seconds[number % len(cfg.seconds)])
    while done * STEP < seconds:
        time.sleep(STEP)
        done += 1
        if done % REPORTED == 0:
            neuropt_core.report(done, worked=done * STEP)
        kept.with_suffix(".new").write_text(str(done))
        os.replace(kept.with_suffix(".new"), kept)  # The job may be ended in the middle of a write.
    _note(cfg, "end", number, step=done)
    return beside.height(cfg.optimizer.lr)


def _note(cfg: DictConfig, what: str, number: int, **more: int) -> None:
    shown = {name: os.environ.get(name, "") for name in ("SLURM_JOB_ID", "SLURM_RESTART_COUNT", "CUDA_VISIBLE_DEVICES")}
    line = json.dumps({"what": what, "number": number, "time": time.time(), **more, **shown})
    with Path(cfg.record).open("a", encoding="utf-8") as file:
        file.write(line + "\n")


if __name__ == "__main__":
    main()
