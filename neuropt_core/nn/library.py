"""What a model's own library says of it, timm or transformers, without importing either."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping, ValuesView
from dataclasses import dataclass
from typing import Any

from torch import nn

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Word:
    """What libraries say of the heads in a model.

    Attributes:
        heads: Path of a library's model within the whole ("" for the whole) -> module paths of its classifiers.
        bodies: Paths of modules that hold features only, so that no layer within is a head.
    """

    heads: Mapping[str, tuple[str, ...]]
    bodies: tuple[str, ...]


def joined(path: str, name: str) -> str:
    """Returns the path of what is called `name` within `path`."""
    return f"{path}.{name}" if path and name else path or name


def is_transformers(module: nn.Module) -> bool:
    """Tells whether a module is one of Hugging Face transformers' models, or of a class made from one."""
    kinds = type(module).__mro__
    return any(kind.__name__ == "PreTrainedModel" and kind.__module__.startswith("transformers.") for kind in kinds)


def is_timm(module: nn.Module) -> bool:
    """Tells whether a module speaks as timm's models do: by ``get_classifier`` and ``reset_classifier``."""
    return all(callable(getattr(type(module), name, None)) for name in ("get_classifier", "reset_classifier"))


def is_detector(module: nn.Module) -> bool:
    """Tells whether a module is one of torchvision's detectors, which give boxes and scale their images themselves."""
    return any(kind.__module__.startswith("torchvision.models.detection.") for kind in type(module).__mro__)


def library_word(model: nn.Module) -> Word:
    """Returns the classifiers that libraries name in `model`, and in any part of it that is a library's model.

    timm's models name theirs in ``get_classifier()``. In transformers the head is all that lies outside
    ``base_model``: the ``dense`` layer in RoBERTa's classifier, DistilBERT's ``pre_classifier``, SegFormer's decoder.
    Whether a part's classifier is the whole model's head is for the caller to find out.
    """
    heads: dict[str, tuple[str, ...]] = {}
    bodies: list[str] = []
    stack = [("", model)]
    while stack:
        path, module = stack.pop()
        named, inner = _spoken(path, module)
        if named:
            heads[path] = named
        bodies += inner
        if not named and not inner:
            stack += [(joined(path, name), child) for name, child in module.named_children()]
    return Word(heads, tuple(bodies))


def _spoken(path: str, module: nn.Module) -> tuple[tuple[str, ...], list[str]]:
    if is_timm(module):
        return _timm_classifier(path, module)
    if type(module).__module__ == "timm.models._features":
        return (), [path]  # It was asked for feature maps.
    if not is_transformers(module):
        return (), []
    prefix = getattr(type(module), "base_model_prefix", "")
    base = getattr(module, prefix, None) if prefix else None
    if not isinstance(base, nn.Module):
        # Encoder-decoders and a few others have their head beside parts of other names; a model without one is called
        # BertModel, T5Stack or ResNetBackbone, where one with a head says what it is for.
        headed = any(word in type(module).__name__ for word in ("For", "Head"))
        return ((), []) if headed else ((), [path])
    within = {id(p) for p in base.parameters()}
    found = [
        joined(path, name)
        for name, child in module.named_children()
        if child is not base and any(p.ndim >= 2 and id(p) not in within for p in child.parameters())
    ]
    return tuple(found), [joined(path, prefix)] if found else []


def _timm_classifier(path: str, module: Any) -> tuple[tuple[str, ...], list[str]]:
    try:
        named = module.get_classifier()
    except (AttributeError, NotImplementedError):
        return (), []  # Its head was replaced by something else, and the library no longer knows.
    layers = list(_opened(named))
    paths = {id(part): name for name, part in module.named_modules()}
    if any(id(layer) not in paths for layer in layers):
        return (), []  # The interface is timm's, the answer is not.
    found = tuple(joined(path, paths[id(layer)]) for layer in layers if next(layer.parameters(), None) is not None)
    return found, [] if found else [path]


def _opened(named: Any) -> Iterator[Any]:
    """Yields what stands for a layer alone; a list of layers is never called itself."""
    if isinstance(named, nn.ModuleDict):
        named = named.values()
    if isinstance(named, (tuple, list, nn.ModuleList, ValuesView)):
        for item in named:
            yield from _opened(item)
    elif named is not None:
        yield named


def depth_chains(model: nn.Module) -> list[list[tuple[str, tuple[str, ...]]]]:
    """Returns timm's own groups of parameters, stem first: one chain for each outermost model with a `group_matcher`.

    All parameters count, whether they are frozen or not. The last group is what the matcher does not speak of: the
    head, and a norm before it. Source: `timm.models._manipulate.group_with_matcher`; a model that has a matcher without
    timm having been imported is left to the caller.

    Returns:
        Chains of (path, names): the path stands for the group; names are those of `model`.
    """
    timm = sys.modules.get("timm.models._manipulate")
    if timm is None:
        return []
    names = {id(p): name for name, p in model.named_parameters()}
    chains = []
    for module in _with_matcher(model):
        try:
            layers = timm.group_parameters(module, module.group_matcher(coarse=False))
        except Exception as error:  # noqa: BLE001 - a matcher is other people's patterns on a model that was changed
            _log.warning("the group_matcher of %s fails (%s): the graph orders it", type(module).__name__, error)
            continue
        own = dict(module.named_parameters())
        groups = [tuple(names[id(own[n])] for n in layers[i]) for i in sorted(layers)]
        if len(groups) > 1:
            chains.append([(_stands_for(group, index == 0), group) for index, group in enumerate(groups)])
    return chains


def input_sides(model: nn.Module) -> Iterator[int]:
    """Yields the sides in pixels of the images that a library's model, or one within `model`, was made for."""
    for module in model.modules():
        if is_timm(module):
            size = (getattr(module, "pretrained_cfg", None) or {}).get("input_size") or (0,)
        elif is_transformers(module):
            size = (getattr(getattr(module, "config", None), "image_size", None),)
        else:
            continue
        if isinstance(size[-1], int) and size[-1] > 0:
            yield size[-1]
            return


def _with_matcher(model: nn.Module) -> Iterator[Any]:
    stack = [model]
    while stack:
        module = stack.pop()
        if callable(getattr(type(module), "group_matcher", None)):
            yield module
        else:
            stack += reversed(list(module.children()))


def _stands_for(group: tuple[str, ...], first: bool) -> str:
    """Returns the longest module path that holds three in four of a group's tensors; else "stem" or where it begins."""
    counts: dict[str, int] = {}
    for name in group:
        parts = name.split(".")[:-1]
        for end in range(1, len(parts) + 1):
            path = ".".join(parts[:end])
            counts[path] = counts.get(path, 0) + 1
    held = [path for path, count in counts.items() if 4 * count >= 3 * len(group)]
    begin = "stem" if first else group[0].rpartition(".")[0] or group[0]
    return max(held, key=lambda path: path.count("."), default=begin)
