"""An example input on which a model runs, guessed from its first layer and from what it says of itself."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

BATCH = 2
"""Samples in an example; two, since BatchNorm in train mode cannot normalise one value per channel."""

_SIDES = (64, 32, 28, 224, 299)
_TOKENS = 16
_CONVOLUTIONS = {nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}


def candidates(model: nn.Module) -> Iterator[torch.Tensor]:
    """Yields inputs worth trying, the likeliest first; the same ones for the same architecture.

    Shapes: images ``(2, channels, side, side)``, signals ``(2, channels, 256)``, volumes ``(2, channels, 16, 16, 16)``,
    sequences ``(2, 16, features)``, vectors ``(2, features)``, token ids ``(2, 16)``.
    """
    generator = torch.Generator().manual_seed(0)
    for shape, vocabulary in _shapes(model):
        if vocabulary:
            yield torch.randint(0, vocabulary, shape, generator=generator)
        else:
            yield torch.randn(shape, generator=generator)


def _shapes(model: nn.Module) -> Iterator[tuple[tuple[int, ...], int]]:
    first = _first_layer(model)
    if isinstance(first, nn.Embedding):
        yield (BATCH, _TOKENS), first.num_embeddings
    elif isinstance(first, nn.Linear):
        yield (BATCH, first.in_features), 0
        yield (BATCH, _TOKENS, first.in_features), 0
    elif isinstance(first, nn.RNNBase):
        yield (BATCH, _TOKENS, first.input_size), 0
    elif isinstance(first, nn.MultiheadAttention):
        yield (BATCH, _TOKENS, first.embed_dim), 0
    elif isinstance(first, nn.Conv1d):
        yield (BATCH, first.in_channels, 256), 0
    elif isinstance(first, nn.Conv3d):
        yield (BATCH, first.in_channels, 16, 16, 16), 0
    else:
        channels = first.in_channels if isinstance(first, nn.Conv2d) else 3
        for side in (*_hinted_sides(model), *_SIDES):
            yield (BATCH, channels, side, side), 0


def _first_layer(model: nn.Module) -> nn.Module | None:
    kinds = (nn.Embedding, nn.Linear, nn.RNNBase, nn.MultiheadAttention, *_CONVOLUTIONS)
    return next((module for module in model.modules() if isinstance(module, kinds)), None)


def _hinted_sides(model: nn.Module) -> Iterator[int]:
    # torchvision's ViT says image_size, timm's nets img_size; a side that is too large only costs time.
    for name in ("image_size", "img_size"):
        hint = getattr(model, name, None)
        side = hint[-1] if isinstance(hint, (tuple, list)) and hint else hint
        if isinstance(side, int) and not isinstance(side, bool) and 8 <= side <= 512:
            yield side


def tensors_in(output: object) -> list[torch.Tensor]:
    """Returns the floating-point tensors of a model's output, in order; of an output with ``logits`` only these."""
    logits = getattr(output, "logits", None)
    if isinstance(logits, torch.Tensor):
        return [logits]
    if isinstance(output, torch.Tensor):
        return [output] if output.is_floating_point() else []
    if isinstance(output, dict):
        output = list(output.values())
    if isinstance(output, (list, tuple)):
        return [tensor for item in output for tensor in tensors_in(item)]
    return []
