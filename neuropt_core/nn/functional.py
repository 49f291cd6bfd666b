"""What a model computes by functions instead of layers, so that no edit can reach it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from neuropt_core.nn.activations import activation_kind
from neuropt_core.nn.dropout import DROPOUTS
from neuropt_core.nn.droppath import drop_path_attribute

_ACTIVATIONS = frozenset({
    "relu", "relu6", "gelu", "silu", "leaky_relu", "mish", "hardswish", "prelu", "elu", "selu", "celu", "softplus",
})  # fmt: skip
_DROPOUTS = frozenset({"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"})
_ATTENTION = "scaled_dot_product_attention"


class FunctionalCalls(TorchFunctionMode):
    """Counts the calls of activations, dropouts and global pools that a model's own code makes.

    What a layer of torch calls to do its work is not counted, nor what runs inside an activation of a library. The
    modules push and pop themselves (`enter` and `leave` are their hooks).

    Attributes:
        counts: Function -> calls, e.g. ``{"relu": 17}``; ``mean`` stands for a mean over all positions of a map.
    """

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self._stack: list[nn.Module] = []

    def enter(self, module: nn.Module) -> None:
        """Notes that a module's forward begins."""
        self._stack.append(module)

    def leave(self) -> None:
        """Notes that the innermost module's forward has ended."""
        self._stack.pop()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Lets a function run, and counts it."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "").removesuffix("_")
        if self._stack and not _is_layer(self._stack[-1]) and _counts(name, self._stack[-1], args, kwargs):
            self.counts[name] += 1
        return func(*args, **kwargs)


def _is_layer(module: nn.Module) -> bool:
    """Tells whether a module's own calls are its work; torch's transformer layers call functions as models do."""
    if isinstance(module, (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)):
        return False
    ours = type(module).__module__.startswith(("torch.nn.", "torch.ao."))
    return ours or bool(activation_kind(module)) or bool(drop_path_attribute(module))


def _has_rate(module: nn.Module) -> bool:
    """Tells whether a module keeps a rate as a plain number: in eval mode attention is called without it."""
    rates = (value for name, value in vars(module).items() if "drop" in name)
    return any(isinstance(rate, float) and 0 < rate < 1 for rate in rates)


def _counts(name: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    if name in _ACTIVATIONS or name in _DROPOUTS:
        return True
    if name == _ATTENTION:
        # Code that hands over the rate of a dropout layer of its own (timm's does) follows that layer.
        return _has_rate(module) and not any(isinstance(child, DROPOUTS) for child in module.children())
    if name.startswith("adaptive_") and "pool" in name:
        return True
    if name == "mean" and args and isinstance(args[0], torch.Tensor) and args[0].ndim >= 4:
        dims = kwargs.get("dim", args[1] if len(args) > 1 else ())
        kept = kwargs.get("keepdim", args[2] if len(args) > 2 else False)
        # Squeeze-and-excitation keeps the dimensions, to gate with what it gets; a pool before a head does not.
        return isinstance(dims, (tuple, list)) and len(dims) == args[0].ndim - 2 and not kept
    return False
