"""Trains one configuration of a recorded task as examples/finetune/train.py would, and returns its curve."""

from __future__ import annotations

import copy
import functools
import math
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "finetune"))
from data import Split, load
from train import evaluate, train_epoch

import neuropt_core
from neuropt_core.space import Value

Row = tuple[float, float, float, float]
"""Of one epoch: train_loss, val_loss, val_accuracy in [0, 1], and seconds of CPU time."""


def train(config: Mapping[str, Any], params: Mapping[str, Value], seed: int, epochs: int | None = None) -> list[Row]:
    """Trains on one thread and returns a row for each epoch; the one in which a loss is no finite number is the last.

    Args:
        config: The job's config, as `CurveTask.config` holds it.
        params: What is searched, by dotted key.
        seed: Of weights, batches and dropout; the split of the data does not depend on it.
        epochs: Fewer than the config says, to check what was recorded; the schedule keeps its length.
    """
    cfg = OmegaConf.create(copy.deepcopy(dict(config)))
    for key, value in params.items():
        OmegaConf.update(cfg, key, value, force_add=True)
    torch.set_num_threads(1)
    splits = _data(**config["data"])
    torch.manual_seed(seed)
    model, tuning = neuropt_core.build(cfg)
    model.to(memory_format=torch.channels_last)
    groups = tuning.param_groups(lr=cfg.optimizer.lr, weight_decay=cfg.optimizer.weight_decay)
    optimizer = instantiate(cfg.optimizer)(groups)
    schedule = tuning.scheduler(optimizer, cfg.epochs)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    order = torch.Generator().manual_seed(seed)
    rows: list[Row] = []
    for epoch in range(cfg.epochs if epochs is None else epochs):
        began = time.process_time()
        tuning.step(epoch / cfg.epochs)
        batches = torch.randperm(len(splits[0].labels), generator=order).split(cfg.batch_size)
        train_loss = train_epoch(model, splits[0], optimizer, tuning, scaler, batches)
        schedule.step()
        val_loss, accuracy = evaluate(tuning.averaged, splits[1], batch_size=256)
        rows.append((train_loss, val_loss, accuracy, time.process_time() - began))
        if not (math.isfinite(train_loss) and math.isfinite(val_loss)):
            break
    return rows


@functools.cache
def _data(name: str, train: int, val: int, size: int) -> tuple[Split, Split]:
    return load(dir=os.environ.get("DATA_DIR", "data"), name=name, train=train, val=val, size=size)[:2]
