"""Activation layers: which kinds are known, by which name, and a new one in the place of an old one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable

from torch import nn

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "leaky_relu": nn.LeakyReLU,
    "mish": nn.Mish,
    "hardswish": nn.Hardswish,
    "prelu": nn.PReLU,
    "relu6": nn.ReLU6,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "celu": nn.CELU,
    "softplus": nn.Softplus,
}
"""The activations that can be put in: the seven that loevlie/neuropt names, then those that models bring along."""

SEED_ACTIVATIONS = tuple(ACTIVATIONS)[:7]
# Tanh, Sigmoid, Softmax and GLU are left alone: they shape outputs and gates, where another range breaks the meaning.

_CLASSES = {make: name for name, make in ACTIVATIONS.items()}
# timm and transformers bring classes of their own for the same functions; the names tell them without an import.
_NAMED = {
    **dict.fromkeys(("gelu", "newgelu", "fastgelu", "quickgelu", "gelutanh", "pytorchgelutanh", "clippedgelu"), "gelu"),
    **dict.fromkeys(("silu", "swish"), "silu"),
    **dict.fromkeys(("mish", "mishme"), "mish"),
    **dict.fromkeys(("hardswish", "hardswishme"), "hardswish"),
}


def activation_kind(module: nn.Module) -> str:
    """Returns the name in `ACTIVATIONS` of the function that a layer computes; "" if it is none that can be swapped."""
    for known, name in _CLASSES.items():
        if isinstance(module, known):  # type: ignore[arg-type]
            return name
    if module._modules or module._parameters:
        return ""
    return _NAMED.get(type(module).__name__.lower().removesuffix("activation"), "")


def new_activation(kind: str, old: nn.Module, present: Iterable[nn.Module], model: nn.Module) -> nn.Module:
    """Returns a layer of `kind` for the place of `old`.

    Its settings (a slope, the alpha of an ELU) are those of the model's first layer of that kind, else torch's own.
    Only ReLU works in place, where `old` did: it is the one that needs its own result alone on the way back. Others
    would clash with a layer behind them that works in place too (MobileNetV3's dropout), or save no memory by it.

    Args:
        kind: A name in `ACTIVATIONS`.
        old: The layer that it replaces.
        present: The model's layers that could serve as its pattern.
        model: Tells the device and type of new parameters.
    """
    make = ACTIVATIONS[kind]
    pattern = next((layer for layer in present if type(layer) is make), None)
    new = copy.deepcopy(pattern) if pattern is not None and not pattern._parameters else make()
    if hasattr(new, "inplace"):
        new.inplace = kind == "relu" and bool(getattr(old, "inplace", False))  # type: ignore[assignment]
    return like(new, model)


def like(new: nn.Module, model: nn.Module) -> nn.Module:
    """Returns `new` with its parameters on the device and in the type of the model's."""
    first = next((p for p in model.parameters() if p.is_floating_point()), None)
    return new if first is None else new.to(device=first.device, dtype=first.dtype)


def settle_encoder_layer(layer: nn.Module) -> None:
    """Tells a ``nn.TransformerEncoderLayer`` which activation its fused path for inference must compute.

    torch notes the activation once, at construction (torch/nn/modules/transformer.py, ``activation_relu_or_gelu``:
    1, 2, or 0 for "not fused"); without this an edited layer would train with one function and predict with another.
    """
    if isinstance(layer, nn.TransformerEncoderLayer) and isinstance(layer.activation, nn.Module):
        exact = isinstance(layer.activation, nn.GELU) and layer.activation.approximate == "none"
        layer.activation_relu_or_gelu = 1 if isinstance(layer.activation, nn.ReLU) else 2 if exact else 0
