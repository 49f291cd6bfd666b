"""An example input on which a model runs, guessed from its first layer and from what it says of itself."""

from __future__ import annotations

import contextlib
import copy
import random
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from neuropt_core.nn._call import arguments
from neuropt_core.nn.library import input_sides, is_detector, is_transformers

BATCH = 2
"""Samples in an example; two, since BatchNorm in train mode cannot normalise one value per channel."""

TOLERANCE = 1e-4
"""Relative and absolute, within which two answers are the same."""

_SIDES = (64, 32, 28, 224, 299)
_TOKENS = 16
_KINDS = (nn.Embedding, nn.Linear, nn.RNNBase, nn.MultiheadAttention, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def candidates(model: nn.Module, given: tuple[int, ...] | None = None) -> Iterator[torch.Tensor]:
    """Yields inputs worth trying, the likeliest first; the same ones for the same architecture.

    Shapes: images ``(2, channels, side, side)``, signals ``(2, channels, 256)``, volumes ``(2, channels, 16, 16, 16)``,
    sequences ``(2, 16, features)``, vectors ``(2, features)``, token ids ``(2, 16)``. Where the shape of a sample is
    `given`, nothing else is tried: token ids if it has one number and the first layer is an embedding, else reals.
    """
    generator = torch.Generator().manual_seed(0)
    for shape, vocabulary in _shapes(model) if given is None else [_told(given, model)]:
        if vocabulary:
            yield _ended(torch.randint(0, vocabulary, shape, generator=generator), model, vocabulary)
        else:
            yield torch.randn(shape, generator=generator).to(_precision(model))


def _told(shape: tuple[int, ...], model: nn.Module) -> tuple[tuple[int, ...], int]:
    first = next((module for module in model.modules() if isinstance(module, _KINDS)), None)
    tokens = isinstance(first, nn.Embedding) and len(shape) == 1
    return (BATCH, *shape), first.num_embeddings if isinstance(first, nn.Embedding) and tokens else 0


def _precision(model: nn.Module) -> torch.dtype:
    return next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)


def _ended(ids: torch.Tensor, model: nn.Module, vocabulary: int) -> torch.Tensor:
    # transformers' classifiers on encoder-decoders read the state at the end token, which must be there just once.
    end = getattr(getattr(model, "config", None), "eos_token_id", None)
    if is_transformers(model) and isinstance(end, int) and 0 <= end < vocabulary:
        ids[ids == end] = (end + 1) % vocabulary
        ids[:, -1] = end
    return ids


def _shapes(model: nn.Module) -> Iterator[tuple[tuple[int, ...], int]]:
    if is_detector(model):  # One size is as good as another, and each takes seconds.
        yield (BATCH, 3, _SIDES[0], _SIDES[0]), 0
        return
    # The first registered layer is mostly the first to run; where it is not (a head defined first), convolutions and
    # embeddings give away the input. A wrong guess fails at once and costs nothing.
    layers = [module for module in model.modules() if isinstance(module, _KINDS)]
    telling = [module for module in layers if not isinstance(module, nn.Linear)]
    tried: set[tuple[tuple[int, ...], int]] = set()
    for layer in (*layers[:1], *telling[:2], *layers[1:5]):
        for guess in _shapes_for(layer, model):
            if guess not in tried:
                tried.add(guess)
                yield guess
    if not layers:
        yield (BATCH, 3, _SIDES[0], _SIDES[0]), 0


def _shapes_for(layer: nn.Module, model: nn.Module) -> Iterator[tuple[tuple[int, ...], int]]:
    if isinstance(layer, nn.Embedding):
        yield (BATCH, _TOKENS), layer.num_embeddings
    elif isinstance(layer, nn.Linear):
        yield (BATCH, layer.in_features), 0
        yield (BATCH, _TOKENS, layer.in_features), 0
    elif isinstance(layer, nn.RNNBase):
        yield (BATCH, _TOKENS, layer.input_size), 0
    elif isinstance(layer, nn.MultiheadAttention):
        yield (BATCH, _TOKENS, layer.embed_dim), 0
    elif isinstance(layer, nn.Conv1d):
        # Whisper takes nothing but 30 seconds, which its strided convolution halves to so many positions.
        positions = getattr(getattr(model, "config", None), "max_source_positions", None)
        if is_transformers(model) and isinstance(positions, int):
            yield (BATCH, layer.in_channels, 2 * positions), 0
        yield (BATCH, layer.in_channels, 256), 0
    elif isinstance(layer, nn.Conv3d):
        yield (BATCH, layer.in_channels, 16, 16, 16), 0
    elif isinstance(layer, nn.Conv2d):
        for side in (*_hinted_sides(model), *_SIDES[:1], *input_sides(model), *_SIDES[1:]):
            yield (BATCH, layer.in_channels, side, side), 0


def _hinted_sides(model: nn.Module) -> Iterator[int]:
    # torchvision's ViT says image_size, timm's nets img_size; a side that is too large only costs time.
    for name in ("image_size", "img_size"):
        try:
            hint = getattr(model, name, None)
        except Exception:  # noqa: BLE001 - a property runs the model's own code; a hint is not needed
            continue
        side = hint[-1] if isinstance(hint, (tuple, list)) and hint else hint
        if isinstance(side, int) and not isinstance(side, bool) and 8 <= side <= 512:
            yield side


def run(model: nn.Module, example: torch.Tensor) -> Any:
    """Returns what `model` answers to an example, on the model's device; `arguments` says what else it is given.

    transformers' encoder-decoders want an input for the decoder too: token ids of its vocabulary, or the example itself
    where that is made of token ids.
    """
    example = example.to(device_of(model))
    config = getattr(model, "config", None) if is_transformers(model) else None
    if not getattr(config, "is_encoder_decoder", False):
        positional, named = arguments(model, example)
        return model(*positional, **named)
    ids = example.new_zeros(len(example), _TOKENS, dtype=torch.long) if example.is_floating_point() else example
    return model(example, decoder_input_ids=ids)


def tensors_in(output: object) -> list[torch.Tensor]:
    """Returns the floating-point tensors of a model's output, in order; of an output with ``logits`` only these.

    Of a named tuple all: torchvision's holds the logits of auxiliary classifiers beside those of the last one.
    """
    logits = getattr(output, "logits", None)
    if isinstance(logits, torch.Tensor) and not isinstance(output, tuple):
        return [logits]
    if isinstance(output, torch.Tensor):
        return [output] if output.is_floating_point() else []
    if isinstance(output, dict):
        output = list(output.values())
    if isinstance(output, (list, tuple)):
        return [tensor for item in output for tensor in tensors_in(item)]
    return []


def close(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> bool:
    """Tells whether two answers have the same shapes and are equal to 1e-4: what a model computes has not changed."""
    pairs = zip(one, other, strict=True)
    return all(a.shape == b.shape and torch.allclose(a, b, atol=TOLERANCE, rtol=TOLERANCE) for a, b in pairs)


def toy_loss(outputs: Sequence[torch.Tensor]) -> torch.Tensor:
    """Returns one number that depends on all of `outputs`, to see where a gradient goes."""
    return torch.stack([t.float().square().mean() for t in outputs]).sum()


def shadow(model: nn.Module) -> nn.Module:
    """Returns a copy that shares the weights' memory and nothing else, so that a large model is copied for free.

    Modules, buffers and hooks are copies, and the parameters are new objects, all of which ask for a gradient: one may
    run it, edit it and differentiate it, but must not train it.
    """
    memo: dict[int, torch.Tensor] = {
        id(p): nn.Parameter(p.detach(), requires_grad=p.is_floating_point() or p.is_complex())
        for p in model.parameters()
        if type(p) is nn.Parameter
    }
    return copy.deepcopy(model, {**memo, **computed(model)})


def computed(model: nn.Module) -> dict[int, torch.Tensor]:
    """Returns a memo for `copy.deepcopy` with copies of what modules have computed from their weights and kept.

    torch.nn.utils.weight_norm and pruning do so. Such tensors are no leaves, which deepcopy refuses; the next forward
    computes them afresh.
    """
    made = (
        v for m in model.modules() for v in vars(m).values() if isinstance(v, torch.Tensor) and v.grad_fn is not None
    )
    return {id(value): value.detach().clone() for value in made}


@contextlib.contextmanager
def kept_generators(model: nn.Module | None = None) -> Iterator[None]:
    """Runs a model's code so that nothing global stays changed, and without compiling what `torch.compile` wraps.

    Python's, numpy's and torch's random generators (the CPU's and that of the model's own device) and the gradient
    mode are put back.

    Args:
        model: The model; None where it is yet to be built.
    """
    device, numpy = device_of(model) if model is not None else torch.device("cpu"), sys.modules.get("numpy")
    python_state = random.getstate()
    numpy_state = numpy.random.get_state() if numpy is not None else None
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=[device] if device.type == "cuda" else []))
        stack.enter_context(torch.set_grad_enabled(torch.is_grad_enabled()))
        # From torch 2.6 on. Compiling takes minutes, for a pass or two; where it was never asked for, its module is
        # not loaded, and loading it takes seconds.
        if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        try:
            yield
        finally:
            random.setstate(python_state)
            if numpy is not None:
                numpy.random.set_state(numpy_state)


def device_of(model: nn.Module) -> torch.device:
    """Returns where the model's first parameter lies; the CPU for a model without any."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))
