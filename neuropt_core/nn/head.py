"""The head: the layers that turn features into the answer."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from torch import nn
from torch.nn.modules.conv import _ConvNd

from neuropt_core.errors import ConfigError
from neuropt_core.nn.depth import above, owner, within
from neuropt_core.nn.flow import observe
from neuropt_core.nn.graph import Trace
from neuropt_core.nn.library import Word, library_word


def find_head(model: nn.Module, seen: Trace, fresh: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Returns the module paths of the head, outermost, in order of registration; empty if there is none of its own.

    Three together: fresh layers, the classifiers that the model's library names (`library_word`), and the first layers
    met when walking back from the outputs, auxiliary ones included. Where nothing ran, the last registered layer with a
    weight matrix or kernel stands for the latter. A classifier that shares its weights with an embedding is no head of
    its own, also if it has a bias of its own; nor is the last layer of a library's model that was built without one.
    Nor is what runs before a quantised layer, whose packed weights are no parameters and cannot be trained.

    Args:
        model: The model.
        seen: What `trace` found in it.
        fresh: Names of the tensors that were not loaded; empty when nothing was loaded or all was.
    """
    word = library_word(model)
    last = _frontier(model, seen) if seen.frontier else _last_registered(model)
    last = [path for path in last if not _among(path, word.bodies)]
    if _ends_packed(model, seen, last):
        return ()
    named = [_unwrap(model, path) for path in _named(model, seen, word, last)]
    found = {path for path in (*last, *named, *_fresh_modules(model, frozenset(fresh))) if path}
    return tuple(path for path, _ in model.named_modules() if path in found and not within(path, found))


def _ends_packed(model: nn.Module, seen: Trace, last: list[str]) -> bool:
    """Tells whether a quantised layer comes after all that is in `last`: in the pass or, where none ran, by name."""
    modules = dict(model.named_modules())
    # torch.ao.nn.quantized's own names: of linear and convolutional layers and embeddings, and of recurrent ones.
    packed = [p for p, m in modules.items() if hasattr(m, "_packed_params") or hasattr(m, "_all_weight_values")]
    if not packed:
        return False
    starts = {call.path: call.start for call in observe(model, seen).calls}
    order = starts or {path: index for index, path in enumerate(modules)}
    return max(order.get(path, -1) for path in packed) > max((order.get(path, -1) for path in last), default=-1)


def _frontier(model: nn.Module, seen: Trace) -> list[str]:
    last = [owner(n) for n in seen.frontier if n not in seen.shared]
    own = [n for n, p in model.named_parameters() if p.ndim >= 2 and n not in seen.shared]
    return last if any(within(n, last) for n in own) else []


def _named(model: nn.Module, seen: Trace, word: Word, last: list[str]) -> list[str]:
    """Returns the library's classifiers that have weights of their own and, in a part of the model, make the output."""
    found = []
    for part, paths in word.heads.items():
        own = [path for path in paths if _has_own_weights(model, path, seen)]
        # A user's module may hold a whole classifier and take only its features.
        if not part or any(_among(path, own) for path in last):
            found += own
    return found


def _has_own_weights(model: nn.Module, path: str, seen: Trace) -> bool:
    elsewhere = {id(p) for n, p in model.named_parameters(remove_duplicate=False) if not within(n, (path,))}
    inside = [(n, p) for n, p in model.named_parameters() if within(n, (path,))]
    return any(p.ndim >= 2 and id(p) not in elsewhere and n not in seen.shared for n, p in inside)


def _among(path: str, paths: Iterable[str]) -> bool:
    return any(not above or path == above or path.startswith(f"{above}.") for above in paths)


def _last_registered(model: nn.Module) -> list[str]:
    layers = (nn.Linear, _ConvNd)  # A lazy layer's weights have no dimensions yet.
    lazy = {id(m.weight) for m in model.modules() if isinstance(m, layers) and nn.parameter.is_lazy(m.weight)}
    named = model.named_parameters(remove_duplicate=False)
    weights = [(n, p) for n, p in named if id(p) in lazy or p.ndim >= 2]
    tied = sum(p is weights[-1][1] for _, p in weights) > 1 if weights else False
    return [] if tied else [owner(n) for n, _ in weights[-1:]]


def _fresh_modules(model: nn.Module, fresh: frozenset[str]) -> list[str]:
    """Returns the largest modules whose weights are all fresh; a wrapper around one layer gives way to the layer."""
    whole: dict[str, bool] = {}
    for name, p in model.named_parameters():
        # Zeros and ones of a fresh layer look loaded or not at chance; they follow the layer's own weights.
        if p.ndim >= 2 or name in fresh:
            for path in above(name):
                whole[path] = whole.get(path, True) and name in fresh
    found = {path for path, _ in model.named_modules() if whole.get(path)}
    outermost = [path for path, _ in model.named_modules() if path in found and found.isdisjoint(above(path))]
    return [_unwrap(model, path) for path in outermost]


def _unwrap(model: nn.Module, path: str) -> str:
    module = model.get_submodule(path)
    inner = [name for name, child in module.named_children() if any(True for _ in child.parameters())]
    if len(inner) == 1 and not list(module.parameters(recurse=False)):
        return _unwrap(model, f"{path}.{inner[0]}")
    return path


def check_head(model: nn.Module, head: tuple[str, ...] | None) -> None:
    """Checks that a head that was named is there.

    Raises:
        ConfigError: The model has no module of that path.
    """
    paths = {path for path, _ in model.named_modules() if path}
    for path in head or ():
        if path not in paths:
            near = difflib.get_close_matches(path, sorted(paths), n=1)
            raise ConfigError("neuropt.head", "must name modules of the model", got=path, mend=f"Near: {near}.")
