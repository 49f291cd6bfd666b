"""A Hydra script that shows in which process it runs, and misbehaves there as told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf


class Net:
    """A class of the script itself, which a config names by `__main__`."""

    def __init__(self, width: int) -> None:
        self.width = width


class Stubborn(Exception):
    """An exception that cannot be pickled."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.lock = open(os.devnull)  # noqa: SIM115 - what makes it so


OmegaConf.register_new_resolver("twice", lambda number: 2 * number, replace=True)
CONFIG = {
    "optimizer": {"lr": 0.1, "weight_decay": 0.01},
    "part": {"_target_": "__main__.Net", "width": "${twice:${base}}"},
    "base": 4,
    "seconds": 0.0,
    "together": 0,
    "bad": {"numbers": [], "how": "raise"},
    "record": "???",
}
ConfigStore.instance().store(name="child", node=CONFIG)


@hydra.main(version_base="1.3", config_path=None, config_name="child")
def main(cfg: DictConfig) -> Any:
    """Returns the learning rate, after writing down where it ran."""
    number = hydra.core.hydra_config.HydraConfig.get().job.num
    names = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")
    seen: dict[str, Any] = {name: os.environ.get(name) for name in names}
    part = hydra.utils.instantiate(cfg.part)
    seen |= {"number": number, "pid": os.getpid(), "sid": os.getsid(0), "parent": os.getppid(), "cwd": os.getcwd()}
    seen |= {"class": type(part).__module__, "width": part.width, "sleeper": None, "began": time.time()}
    if cfg.bad.how in ("kill", "hang") and number in cfg.bad.numbers:
        seen["sleeper"] = subprocess.Popen(["sleep", "600"]).pid
    with Path(cfg.record).open("a", encoding="utf-8") as file:
        file.write(json.dumps(seen) + "\n")
    end = time.monotonic() + 120
    while len(Path(cfg.record).read_text().splitlines()) < cfg.together:
        assert time.monotonic() < end, "the others do not run at the same time"
        time.sleep(0.05)
    print(f"printed by {number}", flush=True)
    print("\r 10%\r 20%", end="", file=sys.stderr, flush=True)
    time.sleep(cfg.seconds)
    return _misbehave(cfg.bad.how) if number in cfg.bad.numbers else cfg.optimizer.lr


def _misbehave(how: str) -> Any:
    if how == "raise":
        raise ValueError("the child is broken")
    if how == "exit":
        sys.exit(3)
    if how == "os_exit":
        os._exit(4)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "stubborn":
        raise Stubborn("cannot be pickled")
    if how == "breakpoint":
        breakpoint()
    if how == "hang":
        time.sleep(600)
    return {"a_nan": float("nan"), "nothing": None}[how]


if __name__ == "__main__":
    OmegaConf.register_new_resolver("unused", lambda: "a resolver that importing the script does not register")
    main()
