"""A trial's settings at work on a model, and the helpers that a training loop needs for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.nn import Module as Module
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from neuropt_core.errors import ConfigError
from neuropt_core.nn._sound import refuse_lazy
from neuropt_core.nn.averaging import Average
from neuropt_core.nn.depth import DepthGroup
from neuropt_core.nn.freeze import recalibrate, update_statistics
from neuropt_core.nn.groups import parameter_groups
from neuropt_core.nn.prepared import Prepared
from neuropt_core.nn.settings import Settings as Settings
from neuropt_core.nn.settings import is_number
from neuropt_core.nn.smoothing import smoothed_cross_entropy
from neuropt_core.nn.warmup import cosine, warmed_up


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
        self._model, self._settings, self._used = model, settings or Settings(), used
        self._made = Prepared(model, self._settings)
        self._average = Average(model, self._settings.ema_decay) if self._settings.ema_decay else None

    def param_groups(self, *, lr: float, weight_decay: float | None = None) -> list[dict[str, Any]]:
        """Returns parameter groups for any torch optimizer, with absolute ``lr`` and ``weight_decay`` in each.

        The head learns at `lr` times ``neuropt.head_lr_mult``, each depth group before it at `lr`, or the earlier the
        slower if ``neuropt.lr_layer_decay`` is below 1. Norms and biases have no weight decay unless
        ``neuropt.wd_norms_and_biases`` says so. Frozen parameters are left out, but for those that ``schedule`` or
        ``lp_ft`` will unfreeze: they are in their groups from the start, without a gradient, so that schedulers and
        checkpoints see one layout.

        Args:
            lr: The learning rate, above 0; ``neuropt.lr``, where it is set, takes its place.
            weight_decay: For weight matrices and kernels, 0 or more; ``neuropt.wd`` takes its place likewise. None
                leaves theirs to the optimizer's own argument, as in a partial that the config made.
        """
        self._used("param_groups")
        refuse_lazy(self._model, "param_groups")
        lr = lr if self._settings.lr is None else self._settings.lr
        weight_decay = weight_decay if self._settings.wd is None else self._settings.wd
        stated = 0.0 if weight_decay is None else weight_decay
        for name, value, legal in (("lr", lr, lr > 0), ("weight_decay", stated, stated >= 0)):
            if not math.isfinite(value) or not legal:
                raise ConfigError(f"param_groups: {name}", "must be finite and positive", got=value)
        decay = self._settings.lr_layer_decay
        groups = (
            self._made.groups
            if decay < 1
            else (DepthGroup("all", tuple(n for n, _ in self._model.named_parameters())),)
        )
        return parameter_groups(
            self._model,
            groups,
            lr=lr,
            weight_decay=weight_decay,
            decay=decay,
            reference=self._settings.lr_layer_decay_groups,
            decay_vectors=self._settings.wd_norms_and_biases,
            head=self._made.head_tensors() if self._settings.head_lr_mult != 1 else (),
            head_mult=self._settings.head_lr_mult,
            names=self._made.unfreezing.names if self._made.unfreezing is not None else None,
        )

    def penalty(self) -> torch.Tensor:
        """Returns what to add to the loss: L2-SP if it is on, else a zero on the model's device."""
        self._used("penalty")
        if self._made.anchor is not None:
            return self._made.anchor.penalty()
        return torch.zeros((), device=next((p.device for p in self._model.parameters()), None))

    def cross_entropy(self, logits: torch.Tensor, targets: torch.Tensor, **options: Any) -> torch.Tensor:
        """Returns ``torch.nn.functional.cross_entropy`` with ``neuropt.label_smoothing``, to train with.

        Under ``torch.no_grad`` it is the plain one, so that scores of different trials can be compared.

        Args:
            logits: Of shape ``(n, c)`` or ``(n, c, d1, ...)``.
            targets: Classes of shape ``(n)`` or ``(n, d1, ...)``, or probabilities in the shape of `logits`.
            options: The function's other arguments; a ``label_smoothing`` among them is refused.
        """
        self._used("cross_entropy")
        return smoothed_cross_entropy(logits, targets, self._settings.label_smoothing, **options)

    def scheduler(
        self, optimizer: Optimizer, steps: int, then: Callable[[Optimizer, int], LRScheduler] = cosine
    ) -> LRScheduler:
        """Returns a learning rate schedule: a linear warm-up over ``neuropt.warmup_share`` of `steps`, then yours.

        Step it as often as `steps` counts: once a batch if they are batches, which is finer, or once an epoch.

        Args:
            optimizer: The optimizer, with the full rates in its groups.
            steps: How often ``step()`` will be called in all, 1 or more.
            then: Makes your schedule from the optimizer and the number of steps that are left, all of them where the
                share is 0; any of torch's will do. Without it: a cosine to zero.
        """
        self._used("scheduler")
        return warmed_up(optimizer, steps, self._settings.warmup_share, then)

    def update(self) -> None:
        """Takes the weights into their moving average, if ``neuropt.ema_decay`` is on; call it after each step."""
        self._used("update")
        if self._average is not None:
            self._average.update()

    @property
    def averaged(self) -> nn.Module:
        """The model to evaluate and to save: the averaged one, or, where nothing was averaged, the model itself.

        Its state dict has the model's names. It is a copy of what ``build`` returned, without what was wrapped around
        that later (DistributedDataParallel, ``torch.compile``), and shares no memory with it. Ask for it at each
        evaluation, since then it follows the model to its device and type.
        """
        self._used("averaged")
        return self._model if self._average is None else self._average.module

    def step(self, progress: float) -> None:
        """Tells how far training is; call it at the START of each epoch, before its first batch.

        ``schedule`` and ``lp_ft`` unfreeze by it, and ``recalibrate`` starts its statistics afresh. What was unfrozen
        stays so, and a second call with the same progress changes nothing more.

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
        thawed = self._made.unfreezing.advance(progress) if self._made.unfreezing is not None else []
        if self._settings.bn_mode == "recalibrate":
            self._made.recalibrated += thawed
        recalibrate(self._made.recalibrated)

    def update_bn(self, loader: Iterable[Any], device: torch.device | str | None = None) -> None:
        """Under ``bn_mode=recalibrate`` takes the statistics afresh in a pass over `loader`; else does nothing.

        Without it the statistics are the mean over the batches since `step`, which costs no pass but lags behind the
        weights within the epoch. Called after the last epoch, or before each evaluation, this is exact. Layers in
        frozen parts of the model keep theirs to the bit.

        Args:
            loader: The training data: batches that are a tensor, or a list or tuple with the model's input first.
            device: Where to move them; None leaves them where they are.

        Raises:
            ConfigError: The loader is empty.
        """
        self._used("update_bn")
        update_statistics(self._model, self._made.recalibrated, loader, device)

    def merge(self) -> None:
        """Under ``lora`` folds the adapters into the weights, in place, once training is over; else does nothing.

        The state_dict has the names of the model without adapters from then on, and loads wherever that does. Until
        then it holds ``<layer>.base_layer.weight`` beside ``<layer>.lora_A`` and ``lora_B``, which load into a model
        that was built with the same settings.
        """
        self._made.merge()

    @property
    def pretrained_weights(self) -> dict[str, torch.Tensor]:
        """The loaded weights by name while L2-SP is on, else nothing."""
        return self._made.anchor.weights if self._made.anchor is not None else {}

    @property
    def head(self) -> tuple[str, ...]:
        """Module paths of the head."""
        return self._made.head
