"""The head: the layers that turn features into the answer."""

from __future__ import annotations

from torch import nn

from neuropt_core.nn.depth import owner, within
from neuropt_core.nn.graph import Trace


def find_head(model: nn.Module, seen: Trace, fresh: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Returns the module paths of the head, outermost, in order of registration; empty if there is none of its own.

    Fresh layers and the first layers met when walking back from the outputs, auxiliary ones included, together. Where
    nothing ran, the last registered layer with a weight matrix or kernel stands for the latter. A classifier that
    shares its weights with an embedding is no head of its own, also if it has a bias of its own.

    Args:
        model: The model.
        seen: What `trace` found in it.
        fresh: Names of the tensors that were not loaded; empty when nothing was loaded or all was.
    """
    if seen.frontier:
        last = [owner(n) for n in seen.frontier if n not in seen.shared]
        own = [n for n, p in model.named_parameters() if p.ndim >= 2 and n not in seen.shared]
        last = last if any(within(n, last) for n in own) else []
    else:
        last = _last_registered(model)
    found = {path for path in (*last, *_fresh_modules(model, frozenset(fresh))) if path}
    return tuple(path for path, _ in model.named_modules() if path in found and not within(path, found))


def _last_registered(model: nn.Module) -> list[str]:
    weights = [(n, p) for n, p in model.named_parameters(remove_duplicate=False) if p.ndim >= 2]
    tied = sum(p is weights[-1][1] for _, p in weights) > 1 if weights else False
    return [] if tied else [owner(n) for n, _ in weights[-1:]]


def _fresh_modules(model: nn.Module, fresh: frozenset[str]) -> list[str]:
    """Returns the largest modules whose weights are all fresh; a wrapper around one layer gives way to the layer."""

    def whole(path: str) -> bool:
        # Zeros and ones of a fresh layer look loaded or not at chance; they follow the layer's own weights.
        inside = [n for n, p in model.named_parameters() if within(n, (path,)) and (p.ndim >= 2 or n in fresh)]
        return bool(inside) and all(n in fresh for n in inside)

    found = [path for path, _ in model.named_modules() if path and whole(path)]
    outermost = [path for path in found if not within(path, found)]
    return [_unwrap(model, path) for path in outermost]


def _unwrap(model: nn.Module, path: str) -> str:
    module = model.get_submodule(path)
    inner = [name for name, child in module.named_children() if any(True for _ in child.parameters())]
    if len(inner) == 1 and not list(module.parameters(recurse=False)):
        return _unwrap(model, f"{path}.{inner[0]}")
    return path
