"""Dropout layers: where in a network they stand, which of them one setting moves, and one put in front of the head."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from neuropt_core.nn.depth import within

DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)

GROUPS: dict[str, frozenset[str]] = {
    "head": frozenset({"head", "heads", "classifier", "classifiers", "cls", "fc", "logits", "score"}),
    "embedding": frozenset({"embed", "embeds", "embedding", "embeddings", "emb", "embd", "pos", "wpe", "wte"}),
    "attention": frozenset({"attn", "attention", "attentions", "mha", "msa", "selfattn"}),
    "mlp": frozenset({"mlp", "mlps", "ffn", "ffns", "ff", "feedforward", "ffw", "dense", "intermediate"}),
}  # fmt: skip
"""Part of a network -> the words that name it in module paths; where one component has several, the first part wins."""


class InputDropout:
    """A forward pre-hook, for keywords too, that drops parts of a layer's input while the layer trains.

    A hook and not a wrapper: the names of the parameters stay what checkpoints know.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Returns the arguments with the first tensor among them under dropout."""
        for index, value in enumerate(args):
            if isinstance(value, torch.Tensor):
                return (*args[:index], self._drop(value, module), *args[index + 1 :]), kwargs
        for name, value in kwargs.items():
            if isinstance(value, torch.Tensor):
                return args, {**kwargs, name: self._drop(value, module)}
        return args, kwargs

    def _drop(self, value: torch.Tensor, module: nn.Module) -> torch.Tensor:
        return nn.functional.dropout(value, self.rate, module.training)


def input_dropouts(model: nn.Module, head: Iterable[str]) -> dict[str, InputDropout]:
    """Returns path of a head -> the dropout that was put in front of it."""
    return {
        path: hook
        for path in head
        for hook in model.get_submodule(path)._forward_pre_hooks.values()
        if isinstance(hook, InputDropout)
    }


def group_of(path: str, head: Iterable[str]) -> str:
    """Returns the part of `GROUPS` that a layer belongs to, by the words of its path, the innermost first; else "".

    Words are whole: ``attn_drop`` and ``SelfAttention`` are attention's, while ``effnet`` has no ``ff``.
    """
    if within(path, head) or path in head:
        return "head"
    for component in reversed(path.split(".")):
        parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", component)
        words = {part.lower() for part in parts}
        if {"feed", "forward"} <= words:
            words.add("feedforward")
        for group, names in GROUPS.items():
            if words & names:
                return group
    return ""


def commonest(rates: Iterable[float]) -> float | None:
    """Returns the commonest rate, the first of several equally common; None of none."""
    counted = Counter(rates).most_common(1)
    return counted[0][0] if counted else None


def at_usual(rates: Mapping[str, float]) -> tuple[str, ...]:
    """Returns the paths of the layers at the commonest rate: the others were set apart on purpose and stay as set."""
    usual = commonest(rates.values())
    return tuple(path for path, rate in rates.items() if rate == usual)


def wanted_rates(
    rates: Mapping[str, float], dropout: float | None, by_group: Mapping[str, float], head: tuple[str, ...]
) -> dict[str, dict[str, float]]:
    """Returns setting -> path -> rate, for the layers whose rate must change.

    Args:
        rates: The present rates of all dropout layers.
        dropout: The rate for the layers in no group of `by_group`; None leaves them.
        by_group: Group -> rate; of each group the layers at the group's usual rate follow.
        head: Module paths of the head.
    """
    groups = {path: group_of(path, head) for path in rates}
    rest = {path: rate for path, rate in rates.items() if groups[path] not in by_group}
    wanted: dict[str, dict[str, float]] = {}
    if dropout is not None:
        wanted["dropout"] = dict.fromkeys(at_usual(rest), dropout)
    for group, rate in by_group.items():
        mine = {path: present for path, present in rates.items() if groups[path] == group}
        wanted[f"dropout_{group}"] = dict.fromkeys(at_usual(mine), rate)
    return {s: {p: rate for p, rate in places.items() if rates[p] != rate} for s, places in wanted.items()}
