"""Groups of parameters from stem to head, in the order in which the data meets them."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from neuropt_core.nn.graph import Trace
from neuropt_core.nn.library import depth_chains, joined

MOST_GROUPS = 12
"""A model without blocks is cut into at most so many groups before its head."""


@dataclass(frozen=True, slots=True)
class DepthGroup:
    """Parameters of one depth.

    Attributes:
        name: The module path that stands for it, e.g. ``layer1.0``; ``stem`` for what comes before the blocks.
        tensors: The names of its parameters.
    """

    name: str
    tensors: tuple[str, ...]


def owner(tensor: str) -> str:
    """Returns the path of the module that a parameter belongs to; parametrisations belong to what they parametrise."""
    return tensor.partition(".parametrizations.")[0] if ".parametrizations." in tensor else tensor.rpartition(".")[0]


def above(path: str) -> list[str]:
    """Returns the paths of all modules around a module or parameter but the root, the outermost first."""
    parts = path.split(".")
    return [".".join(parts[:i]) for i in range(1, len(parts))]


def within(tensor: str, paths: Iterable[str]) -> bool:
    """Tells whether a parameter lies in one of the modules named by `paths`."""
    return any(tensor.startswith(f"{path}.") for path in paths)


def depth_groups(
    model: nn.Module, seen: Trace, head: tuple[str, ...], *, ask_library: bool = True
) -> tuple[DepthGroup, ...]:
    """Returns all parameters of `model` in groups, stem first, head last; each parameter is in exactly one.

    timm's models, and parts that are timm's models, say what their groups are; elsewhere blocks come from the module
    tree and their order from the autograd graph (from the order of registration where nothing ran), and a model without
    blocks is cut into at most `MOST_GROUPS`. What lies between two blocks joins the later one, what lies behind the
    last block joins that one. Weights that the head shares with an earlier layer stay with the earlier layer.

    Args:
        model: The model; whether its parameters are frozen makes no difference.
        seen: What `trace` found in it.
        head: Module paths of the head.
        ask_library: False goes by graph and module tree alone.
    """
    parameters = dict(model.named_parameters())
    names = list(parameters)
    order = _order(names, seen)
    outside = {id(p) for n, p in model.named_parameters(remove_duplicate=False) if not within(n, head)}
    tied = {n for n, p in parameters.items() if id(p) in outside or n in seen.shared}
    in_head = {n for n in names if n not in tied and within(n, head)}
    body = {n: parameters[n].ndim for n in names if n not in in_head}
    chains = _chains(model, body, seen, depth_chains(model) if ask_library else [])
    blocks = _in_order(chains, order)
    found = _around_blocks(model, list(body), blocks, order) if len(blocks) > 1 else _cut(body, order)
    if in_head:
        found.append(DepthGroup(head[0], tuple(n for n in names if n in in_head)))
    return tuple(found)


def ends_in_head(groups: Sequence[DepthGroup], head: Iterable[str]) -> bool:
    """Tells whether the last group is the head; a head whose weights are all an embedding's has no group of its own."""
    paths = tuple(head)
    return bool(groups) and all(within(n, paths) for n in groups[-1].tensors)


def _order(names: list[str], seen: Trace) -> dict[str, tuple[int, int]]:
    # A parameter that the graph did not reach takes the depth of the one registered before it.
    order: dict[str, tuple[int, int]] = {}
    depth = 0
    for index, name in enumerate(names):
        depth = seen.first.get(name, depth)
        order[name] = (depth, index) if seen.first else (index, index)
    return order


def _chains(
    model: nn.Module, body: Mapping[str, int], seen: Trace, told: list[list[tuple[str, tuple[str, ...]]]]
) -> list[list[DepthGroup]]:
    """Returns the blocks: those that a library told keep its order among themselves, each other one is a chain."""
    chains: list[list[DepthGroup]] = []
    taken: set[str] = set()
    for chain in told:
        groups = [DepthGroup(path, tuple(n for n in group if n in body)) for path, group in chain]
        groups = [group for group in groups if group.tensors]
        # Without the head a last norm is left over, which is no depth of its own.
        if len(groups) > 1 and len(groups) == len(chain) and all(body[n] < 2 for n in groups[-1].tensors):
            last = groups.pop()
            groups[-1] = DepthGroup(groups[-1].name, (*groups[-1].tensors, *last.tensors))
        chains.append(groups)
        taken.update(n for group in groups for n in group.tensors)
    members: dict[str, list[str]] = {block: [] for stage in block_paths(model) for block in _opened(model, stage, seen)}
    for name in body:
        path = next((p for p in above(name) if p in members), None)
        if path is not None and name not in taken:
            members[path].append(name)
    return chains + [[DepthGroup(path, tuple(inside))] for path, inside in members.items() if inside]


def _in_order(chains: list[list[DepthGroup]], order: Mapping[str, tuple[int, int]]) -> list[DepthGroup]:
    """Returns the blocks by where they end; what a library put later never comes earlier.

    By their ends, since a decoder's first block begins with its own input, and needs all of the encoder to end.
    """
    placed = []
    for chain in chains:
        end = (0, 0)
        for group in chain:
            end = max(end, max(order[n] for n in group.tensors))
            placed.append((end, group))
    return [group for _, group in sorted(placed, key=lambda item: item[0])]


def _around_blocks(
    model: nn.Module, body: list[str], blocks: list[DepthGroup], order: Mapping[str, tuple[int, int]]
) -> list[DepthGroup]:
    members = [list(group.tensors) for group in blocks]
    taken = {n for inside in members for n in inside}
    # A table that is looked up within a block (T5's relative positions) is no sign of where the block begins.
    tables = {f"{path}.weight" for path, module in model.named_modules() if isinstance(module, nn.Embedding)}
    start = min(order[n][0] for n in (taken - tables or taken))
    ends = [max(order[n] for n in inside)[0] for inside in members]
    stem: list[str] = []
    for name in body:
        if name in taken:
            continue
        if order[name][0] < start:
            stem.append(name)
        else:
            place = next((i for i, end in enumerate(ends) if end >= order[name][0]), len(blocks) - 1)
            members[place].append(name)
    if stem and blocks[0].name == "stem":  # A library has one of its own; what stands before it learns with it.
        members[0] += stem
        stem = []
    place_of = {name: index for index, name in enumerate(body)}
    groups = [DepthGroup("stem", tuple(stem))] if stem else []
    return groups + [
        DepthGroup(group.name, tuple(sorted(inside, key=place_of.__getitem__)))
        for group, inside in zip(blocks, members, strict=True)
    ]


def _cut(body: Mapping[str, int], order: Mapping[str, tuple[int, int]]) -> list[DepthGroup]:
    """Cuts a model without blocks into layers, and these into at most `MOST_GROUPS` runs of about equal length."""
    layers: dict[str, list[str]] = {}
    for name in body:
        layers.setdefault(owner(name), []).append(name)
    runs: list[DepthGroup] = []
    for path, inside in sorted(layers.items(), key=lambda item: min(order[n] for n in item[1])):
        if runs and all(body[n] < 2 for n in inside):  # A norm goes with the layer before it.
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
    modules = dict(model.named_modules(remove_duplicate=False))
    kinds = Counter(type(modules[path]) for path in found)
    siblings = Counter((place, type(modules[path])) for path, (place, _) in found.items())

    def is_block(path: str) -> bool:
        place, parent = found[path]
        kind = type(modules[path])
        listed = isinstance(parent, (nn.Sequential, nn.ModuleList))
        return (listed and kinds[kind] >= 2) or siblings[place, kind] >= 3

    blocks = {path: None for path in modules if path in found and is_block(path)}
    return [path for path in blocks if not any(place in blocks for place in above(path))]


def _opened(model: nn.Module, path: str, seen: Trace) -> list[str]:
    """Returns the blocks within a stage, a list of blocks of one class that run one after the other; else the path."""
    for name, part in model.get_submodule(path).named_modules():
        if not isinstance(part, (nn.Sequential, nn.ModuleList)):
            continue
        inner = {joined(joined(path, name), key): child for key, child in part.named_children()}
        if len(inner) < 2 or len({type(child) for child in inner.values()}) > 1:
            continue
        if not all(_may_be_block(child) for child in inner.values()):
            continue
        depths = [[seen.first.get(joined(p, n), 0) for n, _ in child.named_parameters()] for p, child in inner.items()]
        starts = [min((depth for depth in found if depth), default=0) for found in depths]
        # Experts side by side start at one depth.
        if all(0 < early < late for early, late in itertools.pairwise(starts)):
            return list(inner)
    return [path]


def _may_be_block(module: nn.Module) -> bool:
    own = not type(module).__module__.startswith("torch.nn.modules") or isinstance(
        module, (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)
    )
    return own and sum(p.ndim >= 2 for p in module.parameters()) >= 2
