"""A Hydra script whose score depends on its seed, and whose first attempts fail as told."""

from __future__ import annotations

import importlib
import json
import math
import random
import time
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf


@hydra.main(version_base="1.3", config_path="noisy_conf", config_name="config")
def main(cfg: DictConfig) -> float:
    """Returns a bowl over log lr, smallest at lr=1e-3, with noise that the seed decides."""
    job = HydraConfig.get().job
    number = -1 if OmegaConf.is_missing(job, "num") else job.num
    record = Path(cfg.record)
    before = [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
    attempt = sum(line["number"] == number for line in before)
    with record.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"number": number, "lr": cfg.optimizer.lr, "seed": cfg.seed}) + "\n")
    time.sleep(cfg.seconds)
    if number in cfg.bad.numbers and attempt < cfg.bad.attempts:
        if cfg.bad.how == "import":
            importlib.import_module("no_such_module")
        if cfg.bad.how == "key":
            return float(cfg.no_such_key)
        raise ValueError(f"{cfg.optimizer.lr} of {number} is broken")
    while (gate := cfg.get("gate")) and not Path(gate).exists():
        time.sleep(0.05)
    return (math.log10(cfg.optimizer.lr) + 3) ** 2 + cfg.noise * random.Random(f"{cfg.seed}").gauss(0, 1)


if __name__ == "__main__":
    main()
