"""How deep each parameter lies: the autograd graph of one forward pass, and groups from stem to head."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from neuropt_core.nn.example import candidates, device_of, shadow, tensors_in

MOST_GROUPS = 12
"""A model without blocks is cut into at most so many groups before its head."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What one forward pass of a copy of the model showed.

    Attributes:
        example: The input, on the CPU; None if no guess ran.
        reason: Why nothing ran, in words; else "".
        first: Parameter -> depth of its first use: the most parametrised operations on a path from the input to it.
        last: Parameter -> depth of its last use; differs from `first` for tied and recurrent weights.
        frontier: Parameters met first when walking back from the output.
        called: Paths of the modules whose forward ran; a layer used only by its ``.weight`` is not among them.
    """

    example: torch.Tensor | None = None
    reason: str = ""
    first: Mapping[str, int] = field(default_factory=dict)
    last: Mapping[str, int] = field(default_factory=dict)
    frontier: tuple[str, ...] = ()
    called: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class DepthGroup:
    """Parameters of one depth.

    Attributes:
        name: The module path that stands for it, e.g. ``layer1.0``; ``stem`` for what comes before the blocks.
        tensors: The names of its parameters.
    """

    name: str
    tensors: tuple[str, ...]


def trace(model: nn.Module) -> Trace:
    """Runs a copy of `model` in eval mode on guessed inputs until one works, and reads the autograd graph.

    The model, its buffers and the random generators stay as they were.
    """
    if any(isinstance(p, nn.parameter.UninitializedParameter) or p.is_meta for p in model.parameters()):
        return Trace(reason="some of its weights have no values yet")
    try:
        twin = shadow(model).eval()
    except Exception as error:  # noqa: BLE001 - copying runs the model's own code; the reason is kept
        return Trace(reason=f"it cannot be copied ({type(error).__name__}: {error})")
    complaint, fallback = "no guess fits its first layer", None
    for example in candidates(twin):
        try:
            found = _run(twin.eval(), example)
        except Exception as error:  # noqa: BLE001 - a wrong guess fails in the model's own way; the last reason is kept
            complaint = f"it does not run on {tuple(example.shape)} ({type(error).__name__}: {error})".splitlines()[0]
            continue
        if _trains(twin, example):
            return found
        fallback = fallback or found
    return fallback or Trace(reason=complaint)


def _trains(twin: nn.Module, example: torch.Tensor) -> bool:
    """Tells whether an input serves in train mode too, where auxiliary heads may ask for larger images."""
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            twin.train()(example.to(device_of(twin)))
    except Exception:  # noqa: BLE001 - the model's own complaint; another input is tried, and this one kept in reserve
        return False
    return True


def _run(twin: nn.Module, example: torch.Tensor) -> Trace:
    called: set[str] = set()
    hooks = [
        module.register_forward_pre_hook(lambda _module, _args, name=name: called.add(name))
        for name, module in twin.named_modules(remove_duplicate=False)
    ]
    # The input asks for a gradient so that what depends on it can be told from what is made of weights alone.
    leaf = example.to(device_of(twin), copy=True).requires_grad_(example.is_floating_point())
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            outputs = tensors_in(twin(leaf))
    finally:
        for hook in hooks:
            hook.remove()
    if not outputs:
        raise TypeError("its output holds no tensor of real numbers")
    names: dict[torch.Tensor, str] = {parameter: name for name, parameter in twin.named_parameters()}
    first, last, frontier = _Graph(names, leaf).read([out.grad_fn for out in outputs if out.grad_fn is not None])
    return Trace(example, "", first, last, frontier, frozenset(called))


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

    def read(self, roots: list[Any]) -> tuple[dict[str, int], dict[str, int], tuple[str, ...]]:
        """Returns first and last depth of every parameter that was reached, and the frontier."""
        stack = [(root, False) for root in roots]
        while stack:
            node, ready = stack.pop()
            if ready:
                self._settle(node)
            elif node not in self._active:
                stack.append((node, True))
                stack += [(child, False) for child in _children(node) if child not in self._active]
        return self.first, self.last, self._frontier(roots)

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

    def _frontier(self, roots: list[Any]) -> tuple[str, ...]:
        found: dict[str, None] = {}
        seen, stack = set(roots), list(roots)
        while stack:
            node = stack.pop()
            if not self._active[node]:
                continue
            used = self._weights[node]
            found.update(dict.fromkeys(sorted(name for name in used if self._sizes[name][1] > 1)))
            # A norm or a temperature after the classifier is part of the head, not the whole of it: walk on.
            if any(self._sizes[name][0] >= 2 for name in used):
                continue
            fresh = [child for child in _children(node) if child not in seen]
            seen.update(fresh)
            stack += fresh
        return tuple(found)


def _children(node: Any) -> list[Any]:
    return [child for child, _ in node.next_functions if child is not None]


def owner(tensor: str) -> str:
    """Returns the path of the module that a parameter belongs to; parametrisations belong to what they parametrise."""
    return tensor.partition(".parametrizations.")[0] if ".parametrizations." in tensor else tensor.rpartition(".")[0]


def within(tensor: str, paths: Iterable[str]) -> bool:
    """Tells whether a parameter lies in one of the modules named by `paths`."""
    return any(tensor.startswith(f"{path}.") for path in paths)


def depth_groups(model: nn.Module, seen: Trace, head: tuple[str, ...]) -> tuple[DepthGroup, ...]:
    """Returns all parameters of `model` in groups, stem first, head last; each parameter is in exactly one.

    Blocks come from the module tree and their order from the autograd graph (from the order of registration where
    nothing ran). What lies between two blocks joins the later one, what lies behind the last block joins that one.
    Weights that the head shares with an earlier layer stay with the earlier layer.

    Args:
        model: The model.
        seen: What `trace` found in it.
        head: Module paths of the head.
    """
    names = [name for name, _ in model.named_parameters()]
    order = _order(names, seen)
    tied = {n for n in names if seen.first.get(n) != seen.last.get(n)}
    in_head = {n for n in names if within(n, head) and n not in tied}
    body = [n for n in names if n not in in_head]
    paths = block_paths(model)
    members: dict[str, list[str]] = {path: [n for n in body if within(n, (path,))] for path in paths}
    members = {path: inside for path, inside in members.items() if inside}
    found = _around_blocks(body, members, order) if len(members) > 1 else _cut(model, body, order)
    if in_head:
        found.append(DepthGroup(head[0], tuple(n for n in names if n in in_head)))
    return tuple(found)


def _order(names: list[str], seen: Trace) -> dict[str, tuple[int, int]]:
    # A parameter that the graph did not reach takes the depth of the one registered before it.
    order: dict[str, tuple[int, int]] = {}
    depth = 0
    for index, name in enumerate(names):
        depth = seen.first.get(name, depth)
        order[name] = (depth, index) if seen.first else (index, index)
    return order


def _around_blocks(
    body: list[str], members: dict[str, list[str]], order: Mapping[str, tuple[int, int]]
) -> list[DepthGroup]:
    spans = sorted((min(order[n] for n in inside), path) for path, inside in members.items())
    paths = [path for _, path in spans]
    ends = [max(order[n] for n in members[path])[0] for path in paths]
    stem: list[str] = []
    taken = {n for inside in members.values() for n in inside}
    for name in body:
        if name in taken:
            continue
        if order[name][0] < spans[0][0][0]:
            stem.append(name)
        else:
            place = next((i for i, end in enumerate(ends) if end >= order[name][0]), len(paths) - 1)
            members[paths[place]].append(name)
    groups = [DepthGroup("stem", tuple(stem))] if stem else []
    return groups + [DepthGroup(path, tuple(sorted(members[path], key=body.index))) for path in paths]


def _cut(model: nn.Module, body: list[str], order: Mapping[str, tuple[int, int]]) -> list[DepthGroup]:
    """Cuts a model without blocks into layers, and these into at most `MOST_GROUPS` runs of about equal length."""
    dims = {name: p.ndim for name, p in model.named_parameters()}
    layers: dict[str, list[str]] = {}
    for name in body:
        layers.setdefault(owner(name), []).append(name)
    runs: list[DepthGroup] = []
    for path, inside in sorted(layers.items(), key=lambda item: min(order[n] for n in item[1])):
        if runs and all(dims[n] < 2 for n in inside):  # A norm goes with the layer before it.
            runs[-1] = DepthGroup(runs[-1].name, (*runs[-1].tensors, *inside))
        else:
            runs.append(DepthGroup(path or inside[0], tuple(inside)))
    count = min(MOST_GROUPS, len(runs))
    cuts = [runs[i * len(runs) // count : (i + 1) * len(runs) // count] for i in range(count)]
    return [DepthGroup(cut[0].name, tuple(n for run in cut for n in run.tensors)) for cut in cuts]


def block_paths(model: nn.Module) -> list[str]:
    """Returns the paths of the repeated blocks: the outermost modules of a class that stands there again and again.

    A block is a class of somebody's own (not of torch.nn) with two or more weight matrices or kernels, which sits in a
    Sequential or ModuleList and occurs twice or more, or has two siblings of its class.
    """
    found: dict[str, tuple[str, nn.Module]] = {}
    stack: list[tuple[str, nn.Module]] = [("", model)]
    while stack:
        path, parent = stack.pop()
        for name, child in parent.named_children():
            where = f"{path}.{name}" if path else name
            if _may_be_block(child):
                found[where] = (path, parent)
            stack.append((where, child))
    modules = dict(model.named_modules())
    kinds = [type(modules[path]) for path in found]

    def is_block(path: str) -> bool:
        above, parent = found[path]
        kind = type(modules[path])
        siblings = [p for p, (other, _) in found.items() if other == above and type(modules[p]) is kind]
        listed = isinstance(parent, (nn.Sequential, nn.ModuleList))
        return (listed and kinds.count(kind) >= 2) or len(siblings) >= 3

    blocks = [path for path in modules if path in found and is_block(path)]
    return [path for path in blocks if not within(path, blocks)]


def _may_be_block(module: nn.Module) -> bool:
    own = not type(module).__module__.startswith("torch.nn.modules") or isinstance(
        module, (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)
    )
    return own and sum(p.ndim >= 2 for p in module.parameters()) >= 2
