"""Freezing: which parameters a strategy trains, and BatchNorm statistics that stay where they are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.optim.swa_utils import update_bn
from torch.utils.hooks import RemovableHandle

from neuropt_core.errors import ConfigError
from neuropt_core.nn.depth import DepthGroup
from neuropt_core.reading import STEPPED

SEED_STRATEGIES = ("full", "head_only", "gradual_unfreeze", "last_blocks", "all_but_embeddings")
"""Names as in loevlie/neuropt, whose benchmark also names ``last_blocks``."""

_BY_NAME = (*SEED_STRATEGIES, "norm_and_bias", *STEPPED)
STRATEGIES = (*_BY_NAME, "lora")
_NEED_HEAD = ("head_only", "gradual_unfreeze", "last_blocks", *STEPPED)

BN_MODES = ("train", "frozen", "recalibrate")


def trained(strategy: str, model: nn.Module, groups: Sequence[DepthGroup], *, has_head: bool) -> frozenset[str]:
    """Returns the names of the parameters that a strategy trains; what the user has frozen stays frozen.

    ``full`` trains everything, ``head_only`` the head, ``last_blocks`` the last block and the head,
    ``gradual_unfreeze`` the last third of the groups before the head and the head, ``all_but_embeddings`` everything
    but ``nn.Embedding`` layers, and ``norm_and_bias`` the norms' weights, all biases and the head. ``lp_ft`` and
    ``schedule`` train everything in the end (`neuropt_core.nn.schedule` says when). ``lora`` trains the head, and with
    it the adapters that `neuropt_core.nn.lora` puts in.

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
    if strategy == "lora":
        return frozenset(n for n in (groups[-1].tensors if has_head else ()) if n in free)
    if strategy not in STRATEGIES:
        raise ConfigError("neuropt.freeze_strategy", f"must be one of {list(STRATEGIES)}", got=strategy)
    if not has_head:
        raise ConfigError(
            "neuropt.freeze_strategy",
            "needs a model with a head of its own, and none was found",
            got=strategy,
            mend="Name it, e.g. neuropt.head=[fc], or use full.",
        )
    if strategy in STEPPED:
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
    model: nn.Module,
    groups: Sequence[DepthGroup],
    *,
    has_head: bool,
    strategies: Sequence[str] = _BY_NAME,
) -> tuple[dict[str, frozenset[str]], dict[str, str]]:
    """Returns those of `strategies` worth trying with what they train, and for the others the reason why not.

    A strategy that trains nothing, or the same as an earlier one, is not worth a trial. ``lp_ft`` and ``schedule``
    train what ``full`` trains, but not from the start, so they are worth one wherever there is a head and more than
    the head to unfreeze; with two depth groups ``schedule`` is ``lp_ft`` with a share of one half. ``lora`` adds
    weights and so is like no other; `neuropt_core.nn.lora.find_targets` judges it.
    """
    kept: dict[str, frozenset[str]] = {}
    merged: dict[str, str] = {}
    for strategy in strategies:
        if not has_head and strategy in _NEED_HEAD:
            merged[strategy] = "the model has no head of its own"
            continue
        names = trained(strategy, model, groups, has_head=has_head)
        if strategy in STEPPED and 0 < len(names.intersection(groups[-1].tensors)) < len(names):
            if strategy == "schedule" and "lp_ft" in kept and sum(bool(names & set(g.tensors)) for g in groups) == 2:
                merged[strategy] = "unfreezes as lp_ft with a share of one half"
            else:
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


def update_statistics(
    model: nn.Module, norms: Sequence[_NormBase], loader: Iterable[object], device: torch.device | str | None = None
) -> None:
    """Takes the statistics of some BatchNorm layers afresh over a loader, by ``torch.optim.swa_utils.update_bn``.

    torch's function resets all of a model's BatchNorm layers, and puts them all into train mode. Here it is shown those
    in `norms` alone; the others keep theirs to the bit and normalise with them. A layer that the pass does not reach
    keeps its statistics, and every module its mode.

    Args:
        model: The model; it runs in train mode without gradients, as torch's function has it.
        norms: The layers whose statistics are replaced by the mean over the batches; other kinds are left alone.
        loader: Batches: a tensor, or a list or tuple whose first item is what the model is called with.
        device: Where batches are moved to; None leaves them where they are.

    Raises:
        ConfigError: The loader is empty.
    """
    moving = [norm for norm in norms if isinstance(norm, _BatchNorm)]
    if not moving:
        return
    modes = [(module, module.training) for module in model.modules()]
    before = [(norm, {key: value.clone() for key, value in norm.named_buffers(recurse=False)}) for norm in moving]
    momenta = [norm.momentum for norm in moving]
    view = _Moving(model, moving)
    try:
        update_bn(loader, view, None if device is None else torch.device(device))
    finally:
        for module, mode in modes:
            module.training = mode
        for norm, momentum in zip(moving, momenta, strict=True):
            norm.momentum = momentum
        for norm, values in before:
            if not norm.num_batches_tracked:
                for key, value in values.items():
                    getattr(norm, key).copy_(value)
    if not view.calls:
        raise ConfigError("tuning.update_bn", "needs a loader with one batch or more", got="none")


class _Moving(nn.Module):
    """A model of whose layers only some can be seen; it runs as the whole."""

    def __init__(self, model: nn.Module, norms: Sequence[nn.Module]) -> None:
        super().__init__()
        self.norms = nn.ModuleList(norms)
        self.calls = 0
        self._whole = (model,)  # In a tuple, so that torch does not take it for a part.

    def train(self, mode: bool = True) -> _Moving:
        self._whole[0].train(mode)
        return super().train(mode)

    def forward(self, batch: torch.Tensor) -> object:
        self.calls += 1
        return self._whole[0](batch)
