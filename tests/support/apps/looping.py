"""A Hydra script that reports for as long as it is let, or hangs and hears nothing; a checkpoint lets it go on."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

import neuropt_core


@hydra.main(version_base="1.3", config_path="looping_conf", config_name="config")
def main(cfg: DictConfig) -> float:
    """Returns a loss after `epochs`, or once the file `until` is there; jobs in `hang.numbers` hear nothing till then."""
    number = HydraConfig.get().job.num
    hangs = number in cfg.hang.numbers
    if hangs:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    kept = Path(neuropt_core.checkpoint_dir() or ".") / "epoch"
    begin = int(kept.read_text()) if kept.exists() else 0
    for epoch in range(begin, cfg.epochs if number not in cfg.brief.numbers else 1):
        neuropt_core.report(epoch, val_loss=1.0 / (epoch + 1) + cfg.x)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(str(epoch + 1))
        while hangs and not Path(cfg.until).exists():
            time.sleep(0.05)
        time.sleep(cfg.seconds)
        if Path(cfg.until).exists():
            break
    return 1.0 / cfg.epochs + float(cfg.x)


if __name__ == "__main__":
    main()
