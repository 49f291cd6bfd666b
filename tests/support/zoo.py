"""Real architectures for tests, torchvision's without its compiled operators."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from types import ModuleType

import pytest
import torch


@pytest.fixture(scope="session")
def models() -> Iterator[ModuleType]:
    """torchvision.models, for tests on real architectures; skips where torchvision is absent.

    On a CPU build of torch from another index, `import torchvision` fails with "operator torchvision::nms does not
    exist", because its compiled library does not load; declaring the operators' signatures is enough for its models,
    which never call them. Where the library loads, nothing is declared: it would clash.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = pytest.importorskip("torchvision.models", exc_type=ModuleNotFoundError)
            library = None
        except RuntimeError as error:
            if "does not exist" not in str(error):
                raise
            library = torch.library.Library("torchvision", "FRAGMENT")
            for name in ("nms", "qnms"):
                library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            found = importlib.import_module("torchvision.models")
    yield found
    del library  # The declarations last as long as the object.
