"""A trial's settings at work on a model, and the helpers that a training loop needs for them."""

from __future__ import annotations

import difflib
import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import Module as Module

from neuropt_core.errors import ConfigError
from neuropt_core.nn.depth import DepthGroup, depth_groups, ends_in_head
from neuropt_core.nn.edits import EditPlan, apply
from neuropt_core.nn.freeze import (
    freeze,
    frozen_norms,
    keep_eval,
    recalibrate,
    tracked_norms,
    trained,
)
from neuropt_core.nn.graph import Trace, trace
from neuropt_core.nn.groups import parameter_groups
from neuropt_core.nn.head import find_head
from neuropt_core.nn.l2sp import Anchor
from neuropt_core.nn.schedule import Unfreezing
from neuropt_core.nn.settings import Settings as Settings
from neuropt_core.nn.settings import is_number


class Tuning:
    """The trial's settings at work; each helper does the plain thing where nothing was set.

    Args:
        model: The model, just built and owned by the caller; it is edited and frozen here.
        settings: What to do with it.
        used: Is told the name of each helper that the training loop calls.

    Raises:
        ConfigError: It is no module, or a setting does not fit it.
    """

    def __init__(
        self,
        model: nn.Module,
        settings: Settings | None = None,
        used: Callable[[str], None] = lambda name: None,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise ConfigError("model", "must build a torch.nn.Module", got=type(model).__name__)
        self._model, self._settings, self._used = model, settings or Settings(), used
        self._known = frozenset(name for name, _ in model.named_parameters())
        _check_head(model, self._settings.head)
        if self._settings.edits != EditPlan():
            apply(self._settings.edits, model, self.head if self._settings.edits.needs_head else ())
        self._anchor = self._make_anchor()
        self._unfreezing = self._freeze()
        self._recalibrated = self._set_norms()

    def param_groups(self, *, lr: float, weight_decay: float = 0.0) -> list[dict[str, Any]]:
        """Returns parameter groups for any torch optimizer, with absolute ``lr`` and ``weight_decay`` in each.

        The head learns at `lr` times ``neuropt.head_lr_mult``, each depth group before it at `lr`, or the earlier the
        slower if ``neuropt.lr_layer_decay`` is below 1. Norms and biases have no weight decay. Frozen parameters are
        left out, but for those that ``schedule`` will unfreeze: they are in their groups from the start, without a
        gradient, so that schedulers and checkpoints see one layout.

        Args:
            lr: The learning rate, above 0; ``neuropt.lr``, where it is set, takes its place.
            weight_decay: For weight matrices and kernels, 0 or more; ``neuropt.wd`` takes its place likewise.
        """
        self._used("param_groups")
        lr = lr if self._settings.lr is None else self._settings.lr
        weight_decay = weight_decay if self._settings.wd is None else self._settings.wd
        for name, value, legal in (("lr", lr, lr > 0), ("weight_decay", weight_decay, weight_decay >= 0)):
            if not math.isfinite(value) or not legal:
                raise ConfigError(f"param_groups: {name}", "must be finite and positive", got=value)
        decay = self._settings.lr_layer_decay
        groups = (
            self._groups if decay < 1 else (DepthGroup("all", tuple(n for n, _ in self._model.named_parameters())),)
        )
        return parameter_groups(
            self._model,
            groups,
            lr=lr,
            weight_decay=weight_decay,
            decay=decay,
            head=self._head_tensors() if self._settings.head_lr_mult != 1 else (),
            head_mult=self._settings.head_lr_mult,
            names=self._unfreezing.names if self._unfreezing is not None else None,
        )

    def penalty(self) -> torch.Tensor:
        """Returns what to add to the loss: L2-SP if it is on, else a zero on the model's device."""
        self._used("penalty")
        if self._anchor is not None:
            return self._anchor.penalty()
        return torch.zeros((), device=next((p.device for p in self._model.parameters()), None))

    def step(self, progress: float) -> None:
        """Tells how far training is; call it at the START of each epoch, before its first batch.

        ``schedule`` unfreezes by it, and ``recalibrate`` starts its statistics afresh. What was unfrozen stays so, and
        a second call with the same progress changes nothing more.

        Args:
            progress: ``epoch / epochs``, in [0, 1).
        """
        if not is_number(progress) or not 0 <= progress < 1:
            raise ConfigError(
                "tuning.step",
                "needs 0 <= progress < 1, at each epoch's start",
                got=progress,
                mend="Use epoch / epochs.",
            )
        self._used("step")
        thawed = self._unfreezing.advance(progress) if self._unfreezing is not None else []
        if self._settings.bn_mode == "recalibrate":
            self._recalibrated += thawed
        recalibrate(self._recalibrated)

    @property
    def pretrained_weights(self) -> dict[str, torch.Tensor]:
        """The loaded weights by name while L2-SP is on, else nothing."""
        return self._anchor.weights if self._anchor is not None else {}

    @functools.cached_property
    def head(self) -> tuple[str, ...]:
        """Module paths of the head."""
        given = self._settings.head
        return given if given is not None else find_head(self._model, self._seen, self._settings.fresh or ())

    @functools.cached_property
    def _seen(self) -> Trace:
        return trace(self._model)

    @functools.cached_property
    def _groups(self) -> tuple[DepthGroup, ...]:
        return depth_groups(self._model, self._seen, self.head)

    def _head_tensors(self) -> frozenset[str]:
        if not ends_in_head(self._groups, self.head):
            raise ConfigError(
                "neuropt.head_lr_mult",
                "needs a model with a head of its own, and none was found",
                got=self._settings.head_lr_mult,
                mend="Name it, e.g. neuropt.head=[fc], or leave the setting out.",
            )
        return frozenset(self._groups[-1].tensors)

    def _make_anchor(self) -> Anchor | None:
        if not self._settings.l2sp_regularization:
            return None
        fresh = self._settings.fresh
        names = [n for n, _ in self._model.named_parameters() if n in self._known]
        if fresh is None:
            fresh = tuple(n for n in names if any(n.startswith(f"{path}.") for path in self.head))
        return Anchor(self._model, [n for n in names if n not in fresh], self._settings.l2sp_strength)

    def _freeze(self) -> Unfreezing | None:
        strategy = self._settings.freeze_strategy
        if strategy == "full":
            return None
        names = trained(strategy, self._model, self._groups, has_head=ends_in_head(self._groups, self.head))
        # What an edit put in (the slopes of a PReLU) was never trained: it learns whatever is frozen around it.
        new = frozenset(n for n, _ in self._model.named_parameters() if n not in self._known)
        if strategy == "schedule":
            return Unfreezing(self._model, self._groups, always=new)
        freeze(self._model, names | new)
        return None

    def _set_norms(self) -> list[Any]:
        """Sets the BatchNorm policy and returns the layers to recalibrate."""
        tracked, mode = tracked_norms(self._model), self._settings.bn_mode
        if mode == "frozen":
            keep_eval(tracked)
            return []
        still = frozen_norms(self._model) if self._settings.freeze_strategy != "full" else []
        held = keep_eval(still)
        if self._unfreezing is not None:
            self._unfreezing.hold(still, held)
        if mode != "recalibrate":
            return []
        moving = [norm for norm in tracked if norm not in still]
        recalibrate(moving)
        return moving


def _check_head(model: nn.Module, head: tuple[str, ...] | None) -> None:
    paths = {path for path, _ in model.named_modules() if path}
    for path in head or ():
        if path not in paths:
            near = difflib.get_close_matches(path, sorted(paths), n=1)
            raise ConfigError("neuropt.head", "must name modules of the model", got=path, mend=f"Near: {near}.")
