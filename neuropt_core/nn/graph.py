"""The autograd graph of one forward pass: how deep each parameter lies, and what stands in front of the output."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from neuropt_core.nn.example import candidates, device_of, kept_generators, run, shadow, tensors_in

_MOST_GUARDED = 2 * 2**30  # Bytes; what is larger takes minutes a pass on a CPU anyway.


@dataclass(frozen=True, slots=True)
class Trace:
    """What one forward pass of a copy of the model showed.

    Attributes:
        example: The input, on the CPU; None if no guess ran.
        reason: Why nothing ran, in words; else "".
        first: Parameter -> depth of its first use: the most parametrised operations on a path from the input to it.
        last: Parameter -> depth of its last use; differs from `first` for tied and recurrent weights.
        frontier: Parameters met first when walking back from the output, in train mode where that has outputs of its
            own (auxiliary heads). Where one feeds another it is none: features beside the logits have no head.
        shared: Those of the frontier that are used elsewhere in the model too, as a head tied to an embedding is.
        called: Paths of the modules whose forward ran; a layer used only by its ``.weight`` is not among them.
        outputs: What came out, without a graph, to compare edited models with.
        seconds: How long the pass took in eval mode.
    """

    example: torch.Tensor | None = None
    reason: str = ""
    first: Mapping[str, int] = field(default_factory=dict)
    last: Mapping[str, int] = field(default_factory=dict)
    frontier: tuple[str, ...] = ()
    shared: frozenset[str] = frozenset()
    called: frozenset[str] = frozenset()
    outputs: tuple[torch.Tensor, ...] = ()
    seconds: float = 0.0


def trace(model: nn.Module, given: tuple[int, ...] | None = None) -> Trace:
    """Runs a copy of `model` in eval mode on guessed inputs until one works, and reads the autograd graph.

    If the shape of one sample is `given`, on an input of that shape and no other.
    The model, its buffers and the random generators stay as they were.
    """
    if any(isinstance(p, nn.parameter.UninitializedParameter) or p.is_meta for p in model.parameters()):
        return Trace(reason="some of its weights have no values yet")
    try:
        twin = shadow(model).eval()
    except Exception as error:  # noqa: BLE001 - copying runs the model's own code; the reason is kept
        return Trace(reason=f"it cannot be copied ({type(error).__name__}: {error})")
    with _guarded(model) as changed:
        found = _first_that_works(twin, given)
    return Trace(reason=f"its forward changes its own weights ({changed[0]})") if changed else found


def _first_that_works(twin: nn.Module, given: tuple[int, ...] | None) -> Trace:
    way_out = "" if given else "; neuropt.example names the shape"
    complaint, fallback = f"no guess fits its first layer{way_out}", None
    for example in candidates(twin, given):
        try:
            found = _run(twin.eval(), example)
        except Exception as error:  # noqa: BLE001 - a wrong guess fails in the model's own way; the last reason is kept
            complaint = f"it does not run on {tuple(example.shape)} ({type(error).__name__}: {error})".splitlines()[0]
            if isinstance(error, NotImplementedError):  # An operator that torch lacks here, whatever the input.
                break
            # Python's own word on an argument that was not made up (`_call`): no shape gives it.
            absent = isinstance(error, TypeError) and " missing " in str(error)
            complaint += "" if absent else way_out
            continue
        trained = _in_training(twin, example)
        if trained is not None:
            return _joined(found, trained)
        fallback = fallback or found
    return fallback or Trace(reason=complaint)


@contextlib.contextmanager
def _guarded(model: nn.Module) -> Iterator[list[str]]:
    """Puts weights back that a pass of a copy changed, and says which: the copy shares their memory.

    A forward that clips its weights does so, and an embedding with ``max_norm``. Beyond `_MOST_GUARDED` bytes the
    weights are not kept a second time, and only counted as unchanged.
    """
    weights = {n: p.detach() for n, p in model.named_parameters() if p.layout is torch.strided}
    size = sum(p.numel() * p.element_size() for p in weights.values())
    kept = {n: p.clone() for n, p in weights.items()} if size <= _MOST_GUARDED else {}
    changed: list[str] = []
    yield changed
    for name, before in kept.items():
        # Bytes are compared: a weight that is not a number equals itself, too.
        if not torch.equal(_raw(weights[name]), _raw(before)):
            weights[name].copy_(before)
            changed.append(name)


def _raw(weight: torch.Tensor) -> torch.Tensor:
    return weight.contiguous().reshape(-1).view(torch.uint8)


def _in_training(twin: nn.Module, example: torch.Tensor) -> Trace | None:
    """Returns what a pass in train mode shows; None if the input does not serve there (auxiliary heads want more)."""
    try:
        return _run(twin.train(), example)
    except Exception:  # noqa: BLE001 - the model's own complaint; another input is tried, and this one kept in reserve
        return None


def _joined(found: Trace, trained: Trace) -> Trace:
    """Adds to a pass in eval mode what runs only in training."""
    if all(name in found.first for name in trained.frontier):
        frontier, shared = found.frontier, found.shared
    else:
        frontier, shared = trained.frontier, trained.shared
    return replace(
        found,
        first={**trained.first, **found.first},
        last={**trained.last, **found.last},
        frontier=frontier,
        shared=shared,
    )


def _run(twin: nn.Module, example: torch.Tensor) -> Trace:
    called: set[str] = set()
    hooks = [
        module.register_forward_pre_hook(lambda _module, _args, name=name: called.add(name))
        for name, module in twin.named_modules(remove_duplicate=False)
        if not isinstance(module, torch.jit.ScriptModule)
    ]
    # The input asks for a gradient so that what depends on it can be told from what is made of weights alone.
    leaf = example.to(device_of(twin), copy=True).requires_grad_(example.is_floating_point())
    began = time.monotonic()
    try:
        with kept_generators(twin), torch.enable_grad():
            outputs = tensors_in(run(twin, leaf))
        seconds = time.monotonic() - began
    finally:
        for hook in hooks:
            hook.remove()
    if not outputs:
        raise TypeError("its output holds no tensor of real numbers")
    names: dict[torch.Tensor, str] = {parameter: name for name, parameter in twin.named_parameters()}
    graph = _Graph(names, leaf)
    frontier, elsewhere = graph.read([out.grad_fn for out in outputs if out.grad_fn is not None])
    # One layer that goes over its own output again, step by step, shares its weights with nobody.
    recurrent = {p for module in twin.modules() if isinstance(module, nn.RNNBase) for p in module.parameters()}
    shared = elsewhere - {names[p] for p in recurrent}
    ran = frozenset(called)
    values = tuple(t.detach() for t in outputs)
    return Trace(example, "", graph.first, graph.last, frontier, shared, ran, values, seconds)


class _Graph:
    """The backward graph, read once from the outputs to the leaves.

    A node is *active* if it depends on the input. Weights reach active nodes through inactive ones (transposes,
    expansions, weight normalisation), which count as part of the weight.
    """

    def __init__(self, names: Mapping[torch.Tensor, str], leaf: torch.Tensor) -> None:
        self._names, self._leaf = names, leaf
        self._active: dict[Any, bool] = {}
        self._depth: dict[Any, int] = {}
        self._weights: dict[Any, frozenset[str]] = {}
        self._sizes = {name: (p.ndim, p.numel()) for p, name in names.items()}
        self.first: dict[str, int] = {}
        self.last: dict[str, int] = {}

    def read(self, roots: list[Any]) -> tuple[tuple[str, ...], frozenset[str]]:
        """Returns the frontier and those of it that are used elsewhere too; fills `first` and `last`."""
        stack = [(root, False) for root in roots]
        while stack:
            node, ready = stack.pop()
            if ready:
                self._settle(node)
            elif node not in self._active:
                stack.append((node, True))
                stack += [(child, False) for child in _children(node) if child not in self._active]
        return self._frontier(roots)

    def _settle(self, node: Any) -> None:
        if node in self._active:
            return
        variable = getattr(node, "variable", None)
        if variable is not None:
            self._active[node] = variable is self._leaf
            self._depth[node] = 0
            name = self._names.get(variable)
            self._weights[node] = frozenset() if name is None else frozenset({name})
            return
        children = _children(node)
        used = frozenset().union(*(self._weights[c] for c in children if not self._active[c]))
        # Looking up token ids depends on the input, though whole numbers have no gradient to show it.
        self._active[node] = any(self._active[c] for c in children) or node.name().startswith("Embedding")
        if not self._active[node]:
            self._depth[node], self._weights[node] = 0, used
            return
        depth = max((self._depth[c] for c in children if self._active[c]), default=0) + bool(used)
        self._depth[node], self._weights[node] = depth, used
        for name in used:
            self.first[name] = min(depth, self.first.get(name, depth))
            self.last[name] = max(depth, self.last.get(name, depth))

    def _frontier(self, roots: list[Any]) -> tuple[tuple[str, ...], frozenset[str]]:
        met: list[Any] = []
        stops: list[Any] = []
        seen, stack = set(roots), list(roots)
        while stack:
            node = stack.pop()
            if not self._active[node]:
                continue
            met.append(node)
            # A norm or a temperature after the classifier is part of the head, not the whole of it: walk on.
            if any(self._sizes[name][0] >= 2 for name in self._weights[node]):
                stops.append(node)
                continue
            fresh = [child for child in _children(node) if child not in seen]
            seen.update(fresh)
            stack += fresh
        below = _below(stops)
        kept = dict.fromkeys(node for node in met if node not in below)
        names = (name for node in kept for name in sorted(self._weights[node]) if self._sizes[name][1] > 1)
        frontier = tuple(dict.fromkeys(names))
        others = (node for node, active in self._active.items() if active and node not in kept)
        elsewhere = frozenset(name for node in others for name in self._weights[node])
        return frontier, elsewhere.intersection(frontier)


def _below(nodes: list[Any]) -> set[Any]:
    """Returns all that some of `nodes` are computed from."""
    found: set[Any] = set()
    stack = list(nodes)
    while stack:
        fresh = [child for child in _children(stack.pop()) if child not in found]
        found.update(fresh)
        stack += fresh
    return found


def _children(node: Any) -> list[Any]:
    return [child for child, _ in node.next_functions if child is not None]
