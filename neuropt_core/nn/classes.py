"""A head for another number of classes."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from neuropt_core.errors import ConfigError
from neuropt_core.nn.depth import owner, within
from neuropt_core.nn.example import kept_generators, run, shadow
from neuropt_core.nn.graph import Trace, trace
from neuropt_core.nn.head import find_head
from neuropt_core.nn.library import is_detector, is_timm, is_transformers, library_word

_WHERE = "neuropt.num_classes"
_MEND = "Build it with the right number (num_classes, num_labels), and leave the setting out."


def adapted(
    model: nn.Module,
    classes: int,
    head: tuple[str, ...] | None = None,
    fresh: tuple[str, ...] = (),
    example: tuple[int, ...] | None = None,
) -> tuple[str, ...]:
    """Looks for the head of `model`, unless it is named, and adapts it: `adapt` says how, and what it raises.

    Args:
        model: A model that the caller owns.
        classes: The number of outputs, 1 or more.
        head: Module paths of its head; None looks for it.
        fresh: Names of the tensors that were not loaded.
        example: The shape of one sample of its input; None guesses.
    """
    seen = trace(model, example)
    return adapt(model, seen, find_head(model, seen, fresh) if head is None else head, classes)


def adapt(model: nn.Module, seen: Trace, head: tuple[str, ...], classes: int) -> tuple[str, ...]:
    """Gives `model` a fresh last layer wherever its head has another number of outputs than `classes`.

    timm's models do it themselves (``reset_classifier``). Elsewhere each last linear layer or convolution of the head,
    those of auxiliary heads too, gives way to a fresh one of the same kind and inputs under torch's default
    initialisation; what lies before it in the head stays. transformers' models are told by ``config.num_labels``. A
    model whose head is right already is left untouched.

    Args:
        model: A model that the caller owns.
        seen: What `trace` found in it.
        head: Module paths of its head.
        classes: The number of outputs, 1 or more.

    Returns:
        Paths of the layers that were replaced, in order of registration.

    Raises:
        ConfigError: There is no head, its weights are an embedding's, or it answers something other than one class
            among several: boxes, words, or outputs of several sizes.
    """
    last = _last_layers(model, seen, head)
    sizes = {path: _outputs(model.get_submodule(path)) for path in last}
    _refuse(model, seen, sizes)
    if set(sizes.values()) == {classes}:
        return ()
    changed = _by_timm(model, last, classes)
    for path in last:
        if not within(path, changed) and path not in changed and sizes[path] != classes:
            _replace(model, path, classes)
            changed.append(path)
    _tell_transformers(model, changed, classes)
    _prove(model, seen, changed, classes)
    return tuple(path for path, _ in model.named_modules() if path in changed)


def _last_layers(model: nn.Module, seen: Trace, head: tuple[str, ...]) -> list[str]:
    """Returns the linear layers and convolutions that make the outputs; without a trace the last one of each head."""
    if seen.frontier:
        met = {owner(n) for n in seen.frontier}
        last = [(path, m) for path, m in model.named_modules() if path in met and (path in head or within(path, head))]
        return [path for path, module in last if isinstance(module, (nn.Linear, _ConvNd))]
    found = []
    for path in head:
        layers = [n for n, m in model.get_submodule(path).named_modules() if isinstance(m, (nn.Linear, _ConvNd))]
        found += [f"{path}.{layers[-1]}" if layers[-1] else path] if layers else []
    return found


def _outputs(layer: Any) -> int:
    return int(layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels)


def _refuse(model: nn.Module, seen: Trace, sizes: dict[str, int]) -> None:
    if not sizes:
        rule = "needs a model with a classifier of its own, and none was found"
        raise ConfigError(_WHERE, rule, mend="Name it, e.g. neuropt.head=[fc], or leave the setting out.")
    if seen.shared:
        raise ConfigError(_WHERE, f"cannot change a head that shares weights: {sorted(seen.shared)[0]}", mend=_MEND)
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{path}: {size}" for path, size in sizes.items())
        raise ConfigError(_WHERE, f"needs heads with equal numbers of outputs, found {told}", mend=_MEND)
    if any(is_detector(module) for module in model.modules()):
        raise ConfigError(_WHERE, "cannot change a detector, whose head gives boxes too", mend=_MEND)
    layers = [model.get_submodule(path) for path in sizes]
    for module in model.modules():
        if is_transformers(module) and any(layer is module.get_output_embeddings() for layer in layers):  # type: ignore[operator]
            rule = f"cannot change {type(module).__name__}, whose outputs are words"
            raise ConfigError(_WHERE, rule, mend=_MEND)
    for part in library_word(model).heads:
        owned: Any = model.get_submodule(part)
        if is_transformers(owned) and owned.config.num_labels not in sizes.values():
            rule = f"does not know the head of {type(owned).__name__}, which counts its classes in a way of its own"
            raise ConfigError(_WHERE, rule, mend=_MEND)


def _by_timm(model: nn.Module, last: list[str], classes: int) -> list[str]:
    changed: list[str] = []
    for part, paths in library_word(model).heads.items():
        owned: Any = model.get_submodule(part)
        ours = [path for path in last if path in paths or within(path, paths)]
        # A classifier that a person put in timm's place, a small MLP say, keeps all but its last layer.
        foreign = any(isinstance(model.get_submodule(path), nn.Sequential) for path in paths)
        if is_timm(owned) and ours and not foreign:
            owned.reset_classifier(classes)
            changed += [path for path in last if path in ours or not part or within(path, (part,))]
    return changed


def _replace(model: nn.Module, path: str, classes: int) -> None:
    # A copy is in the old one's mode, of its class, and wears its hooks.
    old: Any = model.get_submodule(path)
    if nn.utils.parametrize.is_parametrized(old):
        raise ConfigError(_WHERE, f"cannot replace the parametrised layer {path}", mend=_MEND)
    fresh, linear = copy.deepcopy(old), isinstance(old, nn.Linear)
    setattr(fresh, "out_features" if linear else "out_channels", classes)
    if not any(nn.parameter.is_lazy(p) for p in old.parameters()):  # A lazy layer asks for its sizes when it runs.
        axis = 1 if isinstance(old, _ConvTransposeNd) else 0
        groups = 1 if linear else old.groups
        if classes % groups:
            raise ConfigError(_WHERE, f"must be a multiple of the groups of {path}, {groups}", got=classes, mend=_MEND)
        shape = list(old.weight.shape)
        shape[axis] = classes // groups if axis else classes
        fresh.weight = nn.Parameter(old.weight.new_empty(shape))
        if old.bias is not None:
            fresh.bias = nn.Parameter(old.bias.new_empty(classes))
        fresh.reset_parameters()
    for place, module in list(model.named_modules(remove_duplicate=False)):
        if module is old:
            above, _, name = place.rpartition(".")
            setattr(model.get_submodule(above), name, fresh)


def _tell_transformers(model: nn.Module, changed: list[str], classes: int) -> None:
    for part, paths in library_word(model).heads.items():
        owned: Any = model.get_submodule(part)
        if is_transformers(owned) and any(path in paths or within(path, paths) for path in changed):
            owned.config.num_labels = classes
            if hasattr(owned, "num_labels"):
                owned.num_labels = classes


def _prove(model: nn.Module, seen: Trace, changed: list[str], classes: int) -> None:
    """Runs a copy: what follows the new layer, a norm or a reshape, may count on the old number."""
    if seen.example is None:
        return
    twin = shadow(model).eval()
    try:
        with kept_generators(twin), torch.no_grad():
            run(twin, seen.example)
    except Exception as error:
        rule = f"does not fit what follows {', '.join(changed)} ({type(error).__name__}: {error})".splitlines()[0]
        raise ConfigError(_WHERE, rule, got=classes, mend=_MEND) from error
