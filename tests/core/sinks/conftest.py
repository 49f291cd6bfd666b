"""What the tests of all sinks need."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from neuropt_core.sinks.mlflow import MlflowSink
from neuropt_core.sinks.tensorboard import TensorBoardSink
from neuropt_core.sinks.wandb import WandbSink


@pytest.fixture(scope="module", autouse=True)
def patient() -> Iterator[None]:
    """A sink whose test names no patience has much: a child's imports take long where all cores are busy."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"patience": 300.0, "init_timeout": 120.0}.items():
            patch.setitem(WandbSink.__init__.__kwdefaults__, name, value)
        for sink in (TensorBoardSink, MlflowSink):
            patch.setattr(sink.__init__, "__defaults__", (os.environ, 300.0))
        yield
