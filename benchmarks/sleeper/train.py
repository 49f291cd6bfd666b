"""A job that holds a worker for a while and computes next to nothing; its length is a function of its number."""

from __future__ import annotations

import os
import time

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

if os.environ.get("SLEEPER_TORCH"):
    import torch  # At the top, where training scripts have it.


@hydra.main(version_base="1.3", config_path=".", config_name="config")
def main(cfg: DictConfig) -> float:
    """Sleeps and returns a score."""
    if os.environ.get("SLEEPER_TORCH"):
        torch.ones(8).sum()
    time.sleep(cfg.seconds[HydraConfig.get().job.num % len(cfg.seconds)])
    return (cfg.x - 0.3) ** 2


if __name__ == "__main__":
    main()
