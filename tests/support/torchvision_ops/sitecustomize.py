"""Lets other processes of a test import torchvision where its compiled library does not load; see `zoo`."""

from __future__ import annotations

import importlib.machinery
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

_KEPT: list[Any] = []


class _Declaring:
    """Declares the operators when torchvision is about to be imported; finds nothing."""

    @classmethod
    def find_spec(cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> None:
        if name != "torchvision":
            return
        sys.meta_path.remove(cls)  # type: ignore[arg-type]
        found = importlib.machinery.PathFinder.find_spec(name)
        if found is None or found.origin is None:
            return
        import torch

        compiled = next(Path(found.origin).parent.glob("_C.*"), None)
        try:
            if compiled is not None:
                torch.ops.load_library(compiled)
                return
        except OSError:
            pass
        library = torch.library.Library("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _KEPT.append(library)  # The declarations last as long as the object.


sys.meta_path.insert(0, _Declaring)  # type: ignore[arg-type]
