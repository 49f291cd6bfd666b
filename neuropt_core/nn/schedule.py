"""Unfreezing as training goes on: the head first, then the rest at once or one depth group after the other."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils.hooks import RemovableHandle

from neuropt_core.errors import ConfigError
from neuropt_core.nn.depth import DepthGroup
from neuropt_core.nn.freeze import freeze, frozen_norms

ALL_FROM = 0.5
"""Share of training from which on everything is trained."""


def stages(model: nn.Module, groups: Sequence[DepthGroup]) -> tuple[frozenset[str], ...]:
    """Returns what each stage unfreezes: the last depth group first, the stem last; what the user froze is in none."""
    free = {name for name, p in model.named_parameters() if p.requires_grad}
    found = (frozenset(n for n in group.tensors if n in free) for group in reversed(groups))
    return tuple(stage for stage in found if stage)


def reached(count: int, progress: float) -> int:
    """Returns how many of `count` stages train at `progress`: one at 0, all from `ALL_FROM` on, evenly in between.

    Howard and Ruder, Universal Language Model Fine-tuning for Text Classification (ACL 2018, arXiv:1801.06146),
    section 3.3, unfreeze the last layer first and one more in each epoch. Shares of training in place of epochs come
    to the end in any number of epochs, on a network of any depth, and leave the second half to the whole network.

    Args:
        count: Stages, 1 or more.
        progress: The share of training that is done, in [0, 1).
    """
    # A little more, so that rounding keeps no group for an epoch too long: 15 / 44 / 0.5 * 22 is below 15.
    return min(count, 1 + int(progress / ALL_FROM * (count - 1) + 1e-9))


def probed(count: int, progress: float, share: float) -> int:
    """Returns how many of `count` stages train at `progress`: the head's alone before `share`, all from there on.

    Kumar et al., Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution (ICLR 2022,
    arXiv:2202.10054): a raw head shakes the features below it in full fine-tuning; trained alone first (linear
    probing), it leaves them in place when they come free (LP-FT).

    Args:
        count: Stages, 1 or more.
        progress: The share of training that is done, in [0, 1).
        share: The share of training that the head has to itself, in (0, 1).
    """
    return 1 if progress < share - 1e-9 else count


class Unfreezing:
    """Freezes all but the head, and gives back the depth groups before it, never taking one away again.

    Args:
        model: The model; it is frozen here.
        groups: Its depth groups, stem first, head last.
        always: Parameters that train from the start wherever they lie.
        head_share: The share of training that the head has to itself, in (0, 1), before all else comes free at once;
            None gives back one group after the other.

    Raises:
        ConfigError: Training is distributed.
    """

    def __init__(
        self,
        model: nn.Module,
        groups: Sequence[DepthGroup],
        always: frozenset[str] = frozenset(),
        *,
        head_share: float | None = None,
    ) -> None:
        _refuse_processes(head_share)
        self._model, self._stages, self._share = model, stages(model, groups), head_share
        self.names = frozenset().union(*self._stages)
        """All parameters that train sooner or later."""
        self._done = 1
        self._held: dict[_NormBase, RemovableHandle] = {}
        freeze(model, frozenset().union(*self._stages[:1]) | always)

    def hold(self, norms: Sequence[_NormBase], handles: Sequence[RemovableHandle]) -> None:
        """Is given the layers that keep their statistics until what they belong to is trained, with their handles."""
        self._held = dict(zip(norms, handles, strict=True))

    def advance(self, progress: float) -> list[_NormBase]:
        """Unfreezes what `progress` allows, and returns the layers whose statistics move from now on.

        Raises:
            ConfigError: Training has become distributed since this was made.
        """
        count = len(self._stages)
        if self._done < count:
            _refuse_processes(self._share)  # Lightning makes its processes known only once the module is made.
        now = reached(count, progress) if self._share is None else probed(count, progress, self._share)
        if now <= self._done:
            return []
        # By name, since moving a model between devices may put new parameters in place of the old.
        parameters = dict(self._model.named_parameters())
        for stage in self._stages[self._done : now]:
            for name in stage:
                parameters[name].requires_grad_(True)
        self._done = now
        return self._thaw()

    def _thaw(self) -> list[_NormBase]:
        still = {id(norm) for norm in frozen_norms(self._model)}
        thawed = [norm for norm in self._held if id(norm) not in still]
        above = {id(child): parent for parent in self._model.modules() for child in parent.children()}
        for norm in thawed:
            self._held.pop(norm).remove()
            # A loop that calls model.train() only once, before the first epoch, does not do it again for this layer.
            norm.train(above.get(id(norm), self._model).training)
        return thawed


def _refuse_processes(head_share: float | None) -> None:
    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return
    # DDP sums the gradients of what required one when the model was wrapped, and of nothing unfrozen later: the
    # replicas would drift apart without a word.
    processes = torch.distributed.get_world_size()
    if processes > 1:
        raise ConfigError(
            "neuropt.freeze_strategy",
            f"must be one that works in several processes, of which there are {processes}",
            got="schedule" if head_share is None else "lp_ft",
            mend="Use gradual_unfreeze.",
        )
