"""A Hydra script as a user has it: it knows nothing of neuropt and returns a number, or misbehaves as told."""

from __future__ import annotations

import json
import logging
import math
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

log = logging.getLogger(__name__)


@hydra.main(version_base="1.3", config_path="bowl_conf", config_name="config")
def main(cfg: DictConfig) -> Any:
    """Returns a bowl over log lr and width, smallest at lr=1e-3 and width 64."""
    job = HydraConfig.get().job
    number = -1 if OmegaConf.is_missing(job, "num") else job.num  # A single run has no number.
    record = Path(cfg.record)
    with record.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"number": number, "lr": cfg.optimizer.lr, "width": cfg.width, "act": cfg.act}) + "\n")
    time.sleep(cfg.seconds)
    while (gate := cfg.get("gate")) and not Path(gate).exists():
        time.sleep(0.05)
    if number in cfg.bad.numbers:
        return _misbehave(cfg.bad.how)
    loss = (math.log10(cfg.optimizer.lr) + 3) ** 2 + (math.log2(cfg.width) - 6) ** 2 / 10
    log.info("loss %.4f", loss)
    return loss


def _misbehave(how: str) -> Any:
    if how == "raise":
        raise ValueError("the bowl is broken")
    if how == "exit":
        sys.exit(3)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "memory":
        raise MemoryError("no room")
    returned = {"a_nan": math.nan, "nothing": None, "a_text": "0.5", "a_bool": True, "a_dict": {"loss": 1.0}}
    return returned[how]


if __name__ == "__main__":
    main()
