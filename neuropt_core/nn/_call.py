"""How a model is called on one tensor: what else its forward asks for, where that can be made of the tensor."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn

_TOLD = ("mask", "label", "target", "edge", "adj")  # What stands for the task is not made up.
_TIMES = ("t", "time", "timestep", "timesteps", "step")


def arguments(model: nn.Module, example: torch.Tensor) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Returns positional and keyword arguments for ``forward``, the example first.

    Required parameters beyond the first get: lengths as long as the example is, steps of a diffusion 0, and anything
    else (the second image of a pair) the example with its samples in reverse. Masks and labels are not made up: the
    call then fails by Python's own word on what is missing.
    """
    needed = [p for p in _parameters(model) if p.default is p.empty]
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    positional = [p for p in needed if p.kind in kinds]
    named = [p for p in needed if p.kind is inspect.Parameter.KEYWORD_ONLY]
    made = {p.name: _made(p.name, example) for p in (*positional, *named)[1:]}
    made = {name: value for name, value in made.items() if value is not None}
    if named and not any(p.kind in (*kinds, inspect.Parameter.VAR_POSITIONAL) for p in _parameters(model)):
        return (), {named[0].name: example, **made}
    return (example,), made


def _made(name: str, example: torch.Tensor) -> torch.Tensor | None:
    low = name.lower()
    if "len" in low and example.ndim >= 2:
        return torch.full((len(example),), example.shape[1])  # On the CPU, as pack_padded_sequence wants them.
    if low in _TIMES:
        return torch.zeros(len(example), dtype=torch.long, device=example.device)
    return None if any(word in low for word in _TOLD) else example.flip(0)


def _parameters(model: nn.Module) -> list[inspect.Parameter]:
    inner: Any = model.module if isinstance(model, nn.DataParallel) else model
    inner = inner.__dict__.get("_modules", {}).get("_orig_mod", inner)  # What torch.compile wraps.
    try:
        return list(inspect.signature(inner.forward).parameters.values())
    except (TypeError, ValueError):  # Compiled code has no signature.
        return []
