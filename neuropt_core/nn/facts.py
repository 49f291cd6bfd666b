"""What a model costs and what it is made of, measured on the example that it ran on: facts for whoever advises."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from neuropt_core.nn.example import device_of, kept_generators, run, shadow
from neuropt_core.nn.families import claims, main_family, shares_of_parameters
from neuropt_core.nn.graph import Trace
from neuropt_core.profile import Facts

LONG_SECONDS = 10.0
"""A model whose one pass takes longer is not run again for the sake of facts."""

_UNCOUNTED = ("_cudnn_rnn", "miopen_rnn", "_flash", "_transformer_encoder_layer", "_native_multi_",
              "_scaled_dot_product_flash_attention_for_cpu", "mkldnn_linear", "_weight_int", "_sparse_mm", "_fft_",
              "_cdist", "_convert_weight", "quantized_")  # fmt: skip
_OWN = ("aten", "prim", "prims", "profiler")
_NAMES = {2: "vector", 3: "sequence", 4: "image", 5: "volume"}


def find_facts(model: nn.Module, seen: Trace, groups: int, *, guessed: bool = True) -> Facts:
    """Returns what a model costs and consists of; costs two forward passes of a copy, the model stays as it is.

    Args:
        model: The model.
        seen: What `trace` found in it; without an example in it nothing is measured, and the reason is kept.
        groups: How many depth groups it has.
        guessed: Whether the shape of the example was guessed.
    """
    missing: dict[str, str] = {}
    flops, memory, callers = None, None, frozenset[str]()
    work: dict[str, float] = {}
    if seen.example is None:
        missing = dict.fromkeys(("flops", "activation_bytes"), seen.reason)
    else:
        try:
            seconds = time.monotonic()
            flops, work, callers = _count(model, seen.example, seen.seconds)
            seconds = time.monotonic() - seconds
        except Exception as error:  # noqa: BLE001 - another mode is on while the model runs; the reason is kept
            missing["flops"], seconds = _words(error), seen.seconds
        try:
            memory = _kept_for_backward(model, seen.example, seconds)
        except Exception as error:  # noqa: BLE001 - in train mode a model may fail in its own way; the reason is kept
            missing["activation_bytes"] = _words(error)
    tensors = {id(t): t for t in (*model.parameters(), *model.buffers()) if not nn.parameter.is_lazy(t)}.values()
    sizes: dict[str, int] = {}
    for tensor in tensors:
        name = str(tensor.dtype).removeprefix("torch.")
        sizes[name] = sizes.get(name, 0) + _bytes(tensor)
    trained = [p for p in model.parameters() if p.requires_grad and not nn.parameter.is_lazy(p)]
    families = shares_of_parameters(model, callers)
    return Facts(
        input_kind="" if seen.example is None else kind_of(seen.example, model),
        guessed=guessed,
        input_shape=() if seen.example is None else tuple(seen.example.shape[1:]),
        flops=flops,
        activation_bytes=memory,
        depth=max(seen.last.values(), default=0),
        depth_groups=groups,
        families=families,
        work=work,
        mainly=main_family(claims(model, callers), work or families),
        weight_bytes=sizes,
        adam_bytes=2 * sum(_bytes(p) for p in trained),
        missing=missing,
    )


def kind_of(example: torch.Tensor, model: nn.Module) -> str:
    """Returns what an example stands for: image, volume, signal, sequence, vector or tokens."""
    if not example.is_floating_point():
        return "tokens"
    kernels = [m.in_channels for m in model.modules() if isinstance(m, nn.Conv1d)]
    if example.ndim == 3 and example.shape[1] in kernels[:1]:
        return "signal"
    return _NAMES.get(example.ndim, "tensor")


class _TooLong(Exception):
    """A pass takes longer than facts are worth."""


def _words(error: Exception) -> str:
    text = str(error) if isinstance(error, _TooLong) else f"{type(error).__name__}: {error}"
    return (text.splitlines() or [""])[0]


def _bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's, without types
    """Notes the operations that really run; entered before a counter, it sees what that one has taken apart."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: set[Any] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.add(getattr(func, "_overloadpacket", func))
        return func(*args, **(kwargs or {}))


class _Attention(TorchFunctionMode):
    """Notes the innermost module that calls scaled_dot_product_attention, by the counter's names."""

    def __init__(self, counter: FlopCounterMode) -> None:
        super().__init__()
        self._counter = counter
        self.callers: set[str] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is nn.functional.scaled_dot_product_attention:
            self.callers.add(max(self._counter.mod_tracker.parents, key=lambda name: name.count(".")))
        return func(*args, **(kwargs or {}))


def _count(model: nn.Module, example: torch.Tensor, expected: float) -> tuple[int, dict[str, float], frozenset[str]]:
    """Returns the FLOPs of one sample's forward pass, their shares by family, and the modules that call attention.

    `torch.utils.flop_counter` counts a multiplication with its addition as two, and matrix products and convolutions
    only. It misses fused kernels, so that attention and recurrent layers are run without them: with the fast path and
    fused attention left on, ViT-B/16 at 224 pixels counts 11.3 and 16.8 in place of 17.56 G multiply-adds.

    Raises:
        ValueError: An operation ran that is not counted and does more than one pass over its input.
    """
    _check_time(expected)
    twin = shadow(model).eval()
    counter, ran = FlopCounterMode(display=False, custom_mapping=_products()), _Operations()
    attention = _Attention(counter)
    leaf = example.to(device_of(twin), copy=True)
    with kept_generators(twin), torch.no_grad(), _plain_kernels(twin), ran, counter, attention:
        run(twin, leaf)
    odd = sorted(str(op) for op in ran.seen if op not in counter.flop_registry and _heavy(op))
    if odd:
        raise ValueError(f"{odd[0]} is not counted")
    counts = {name: sum(by_op.values()) for name, by_op in counter.get_flop_counts().items()}
    total = counts.get("Global", 0)
    root = type(twin).__name__
    callers = frozenset(name.partition(".")[2] for name in attention.callers)
    work: dict[str, float] = {}
    for path, family in claims(twin, callers).items():
        done = counts.get(f"{root}.{path}" if path else root, 0)
        if done:
            work[family] = work.get(family, 0) + done / total
    rest = 1 - sum(work.values())
    if total and rest > 1e-3:
        work["other"] = rest
    return round(total / len(example)), work, callers


def _products() -> dict[Any, Callable[..., int]]:
    """Returns formulas for what torch's counter has none for: products with vectors, and the CPU's recurrent layer."""

    def mv(matrix: Any, *args: Any, **kwargs: Any) -> int:
        return 2 * int(math.prod(matrix))

    def addmv(start: Any, matrix: Any, *args: Any, **kwargs: Any) -> int:
        return 2 * int(math.prod(matrix))

    def layer(steps: Any, inner: Any, hidden: Any, *args: Any, **kwargs: Any) -> int:
        return 2 * int(math.prod(steps[:2]) * (math.prod(inner) + math.prod(hidden)))  # One direction of one layer.

    aten = torch.ops.aten
    return {aten.mv: mv, aten.dot: mv, aten.vdot: mv, aten.addmv: addmv, aten.mkldnn_rnn_layer: layer}


def _heavy(operation: Any) -> bool:
    space, _, name = str(operation).partition(".")
    return space not in _OWN or any(part in name for part in _UNCOUNTED)


@contextlib.contextmanager
def _plain_kernels(model: nn.Module) -> Iterator[None]:
    """Has attention and recurrent layers computed by matrix products, which are what a counter sees."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))
            if any(isinstance(module, nn.RNNBase) for module in model.modules()) and device_of(model).type == "cuda":
                stack.enter_context(torch.backends.cudnn.flags(enabled=False))
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _kept_for_backward(model: nn.Module, example: torch.Tensor, expected: float) -> int:
    """Returns the bytes that autograd keeps for one sample in train mode: every storage once, weights left out.

    What is made of weights alone (a normalised weight) is shared out over the batch, too: an estimate.
    """
    _check_time(expected)
    twin = shadow(model).train()
    weights = {_place(t) for t in (*twin.parameters(), *twin.buffers())}
    kept: dict[Any, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.layout is torch.strided and _place(tensor) not in weights:
            kept[_place(tensor)] = tensor.untyped_storage().nbytes()
        # A node that keeps its own output must not hold that very tensor: the two would keep each other alive.
        return tensor.detach()

    leaf = example.to(device_of(twin), copy=True)
    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
    with kept_generators(twin), torch.enable_grad(), hooks:
        outputs = run(twin, leaf)  # Held until all is counted, so that no storage's address is used a second time.
    total = sum(kept.values())
    del outputs
    return round(total / len(example))


def _place(tensor: torch.Tensor) -> tuple[torch.device, int] | int:
    if tensor.layout is not torch.strided:
        return id(tensor)
    return tensor.device, tensor.untyped_storage().data_ptr()


def _check_time(expected: float) -> None:
    if expected > LONG_SECONDS:
        raise _TooLong(f"one pass takes {expected:.0f} s, so it was not run again")
