"""Freezing: which parameters a strategy trains, and BatchNorm statistics that stay where they are."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils.hooks import RemovableHandle

from neuropt_core.errors import ConfigError
from neuropt_core.nn.depth import DepthGroup

SEED_STRATEGIES = ("full", "head_only", "gradual_unfreeze", "last_blocks", "all_but_embeddings")
"""Names as in loevlie/neuropt, whose benchmark also names ``last_blocks``."""

STRATEGIES = (*SEED_STRATEGIES, "norm_and_bias", "schedule")
_NEED_HEAD = ("head_only", "gradual_unfreeze", "last_blocks", "schedule")

BN_MODES = ("train", "frozen", "recalibrate")


def trained(strategy: str, model: nn.Module, groups: Sequence[DepthGroup], *, has_head: bool) -> frozenset[str]:
    """Returns the names of the parameters that a strategy trains; what the user has frozen stays frozen.

    ``full`` trains everything, ``head_only`` the head, ``last_blocks`` the last block and the head,
    ``gradual_unfreeze`` the last third of the groups before the head and the head, ``all_but_embeddings`` everything
    but ``nn.Embedding`` layers, ``norm_and_bias`` the norms' weights, all biases and the head, and ``schedule``
    everything in the end (`neuropt_core.nn.schedule` says when).

    Args:
        strategy: One of `STRATEGIES`.
        model: The model; nothing is changed.
        groups: Its depth groups, stem first, head last.
        has_head: Whether the last group is the head.

    Raises:
        ConfigError: The strategy is unknown, or needs a head that the model does not have.
    """
    free = {name for name, p in model.named_parameters() if p.requires_grad}
    if strategy == "full":
        return frozenset(free)
    if strategy == "all_but_embeddings":
        embeddings = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
        return frozenset(n for n, p in model.named_parameters() if n in free and id(p) not in embeddings)
    if strategy == "norm_and_bias":
        head = groups[-1].tensors if has_head else ()
        return frozenset(n for n in (*head, *_norms_and_biases(model)) if n in free)
    if strategy not in STRATEGIES:
        raise ConfigError("neuropt.freeze_strategy", f"must be one of {list(STRATEGIES)}", got=strategy)
    if not has_head:
        raise ConfigError(
            "neuropt.freeze_strategy",
            "needs a model with a head of its own, and none was found",
            got=strategy,
            mend="Name it, e.g. neuropt.head=[fc], or use full.",
        )
    if strategy == "schedule":
        return frozenset(free)
    body = len(groups) - 1
    kept = {"head_only": 0, "last_blocks": 1, "gradual_unfreeze": math.ceil(body / 3)}[strategy]
    return frozenset(n for group in groups[max(0, body - kept) :] for n in group.tensors if n in free)


def _norms_and_biases(model: nn.Module) -> list[str]:
    """Returns the parameters that scale and shift: of layers called norms, whoever wrote them, and all biases.

    They are vectors, in whatever shape; a matrix of a layer with "norm" in its name, or a table of biases for relative
    positions, is a weight like others.
    """
    norms = {path for path, module in model.named_modules() if "norm" in type(module).__name__.lower()}
    found = []
    for name, parameter in model.named_parameters():
        place, _, leaf = name.partition(".parametrizations.") if ".parametrizations." in name else name.rpartition(".")
        leaf = leaf.partition(".")[0]
        if sum(size > 1 for size in parameter.shape) <= 1 and (
            place in norms or leaf.startswith("bias") or leaf.endswith("bias")
        ):
            found.append(name)
    return found


def distinct(
    model: nn.Module, groups: Sequence[DepthGroup], *, has_head: bool, strategies: Sequence[str] = STRATEGIES
) -> tuple[dict[str, frozenset[str]], dict[str, str]]:
    """Returns those of `strategies` worth trying with what they train, and for the others the reason why not.

    A strategy that trains nothing, or the same as an earlier one, is not worth a trial. ``schedule`` trains what
    ``full`` trains, but not from the start, so it is worth one wherever there is more than the head to unfreeze.
    """
    kept: dict[str, frozenset[str]] = {}
    merged: dict[str, str] = {}
    for strategy in strategies:
        if not has_head and strategy in _NEED_HEAD:
            merged[strategy] = "the model has no head of its own"
            continue
        names = trained(strategy, model, groups, has_head=has_head)
        if strategy == "schedule" and names - frozenset(groups[-1].tensors):
            kept[strategy] = names
            continue
        twin = next((other for other, same in kept.items() if same == names), None)
        if twin is not None:
            merged[strategy] = f"trains the same as {twin}"
        elif not names:
            merged[strategy] = "trains nothing"
        else:
            kept[strategy] = names
    return kept, merged


def freeze(model: nn.Module, names: frozenset[str]) -> None:
    """Takes every parameter outside `names` out of training; never puts one in."""
    for name, parameter in model.named_parameters():
        if name not in names:
            parameter.requires_grad_(False)


def tracked_norms(model: nn.Module) -> list[_NormBase]:
    """Returns the layers that keep running statistics (BatchNorm, and InstanceNorm that tracks)."""
    return [m for m in model.modules() if isinstance(m, _NormBase) and m.running_mean is not None]


def frozen_norms(model: nn.Module) -> list[_NormBase]:
    """Returns the layers with running statistics that lie in a frozen part of the model.

    A layer without weights of its own lies where its parent lies.
    """
    above = {id(child): parent for parent in model.modules() for child in parent.children()}
    found = []
    for norm in tracked_norms(model):
        place = norm if any(True for _ in norm.parameters()) else above.get(id(norm), norm)
        weights = list(place.parameters())
        if weights and not any(p.requires_grad for p in weights):
            found.append(norm)
    return found


def keep_eval(norms: Sequence[_NormBase]) -> list[RemovableHandle]:
    """Makes layers use and keep their running statistics from now on, whatever mode the model is put into.

    The handles, one a layer, end it; the layer's mode is then the caller's to restore.

    ``requires_grad=False`` does not stop running statistics, and the ``model.train()`` of every training loop undoes
    an ``eval()``. A hook in front of each layer's forward is what no loop can skip, also one that calls a part of the
    model alone.
    """
    return [norm.register_forward_pre_hook(_put_in_eval) for norm in norms]


def _put_in_eval(norm: nn.Module, args: object) -> None:
    norm.eval()


def recalibrate(norms: Sequence[_NormBase]) -> None:
    """Makes running statistics the plain mean over the batches seen from now on.

    ``torch.optim.swa_utils.update_bn`` does the same (momentum None, a fresh count) in a pass of its own over the data
    after training. Called at each epoch's start this costs no pass; the price is that the weights move while the mean
    is taken. The values are left as they are: the first batch replaces them, since its share is 1/1.
    """
    for norm in norms:
        norm.momentum = None
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked.zero_()
