"""A script that knows nothing of neuropt: Hydra instantiates its model, and its score shows the rates that reach it."""

from __future__ import annotations

import hydra
from hydra.utils import instantiate
from omegaconf import DictConfig


@hydra.main(version_base="1.3", config_path="plain_conf", config_name="config")
def main(cfg: DictConfig) -> float:
    """Returns the model's rate of dropout plus ten times that of its branch."""
    net = instantiate(cfg.model)
    return float(net.drop.p + 10 * getattr(net.path, "rate", 0.0))


if __name__ == "__main__":
    main()
