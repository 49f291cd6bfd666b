"""Gradual unfreezing: the head first, then one more depth group from the top at a time."""

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


class Unfreezing:
    """Freezes all but the head, and gives back one depth group after the other, never taking one away again.

    Args:
        model: The model; it is frozen here.
        groups: Its depth groups, stem first, head last.
        always: Parameters that train from the start wherever they lie.

    Raises:
        ConfigError: Training is distributed.
    """

    def __init__(self, model: nn.Module, groups: Sequence[DepthGroup], always: frozenset[str] = frozenset()) -> None:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            # DDP sums the gradients of what required one when the model was wrapped, and of nothing unfrozen later:
            # the replicas would drift apart without a word.
            processes = torch.distributed.get_world_size()
            if processes > 1:
                raise ConfigError(
                    "neuropt.freeze_strategy",
                    f"schedule works in a single process, and there are {processes}",
                    got="schedule",
                    mend="Use gradual_unfreeze.",
                )
        self._model, self._stages = model, stages(model, groups)
        self.names = frozenset().union(*self._stages)
        """All parameters that train sooner or later."""
        self._done = 1
        self._held: dict[_NormBase, RemovableHandle] = {}
        freeze(model, frozenset().union(*self._stages[:1]) | always)

    def hold(self, norms: Sequence[_NormBase], handles: Sequence[RemovableHandle]) -> None:
        """Is given the layers that keep their statistics until what they belong to is trained, with their handles."""
        self._held = dict(zip(norms, handles, strict=True))

    def advance(self, progress: float) -> list[_NormBase]:
        """Unfreezes what `progress` allows, and returns the layers whose statistics move from now on."""
        now = reached(len(self._stages), progress)
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
