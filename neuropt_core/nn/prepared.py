"""A model under a trial's settings: its head fitted, edited, adapted, anchored, frozen, in this order."""

from __future__ import annotations

import functools
import logging
from typing import Any

from torch import nn

from neuropt_core.errors import ConfigError
from neuropt_core.estimators import is_estimator
from neuropt_core.nn._sound import refuse_cycles, refuse_lazy
from neuropt_core.nn.classes import adapted
from neuropt_core.nn.depth import DepthGroup, depth_groups, ends_in_head, within
from neuropt_core.nn.edits import EditPlan, apply
from neuropt_core.nn.flow import observe
from neuropt_core.nn.freeze import freeze, frozen_norms, keep_eval, recalibrate, tracked_norms, trained
from neuropt_core.nn.graph import Trace, trace
from neuropt_core.nn.head import check_head, find_head
from neuropt_core.nn.l2sp import Anchor
from neuropt_core.nn.lora import Adapters, find_targets
from neuropt_core.nn.places import told, without_effect
from neuropt_core.nn.schedule import Unfreezing
from neuropt_core.nn.settings import Settings
from neuropt_core.reading import STEPPED

_log = logging.getLogger(__name__)


class Prepared:
    """What `Tuning` works with.

    Args:
        model: The model, just built and owned by the caller; it is changed here.
        settings: What to do with it.

    Attributes:
        model: The same object.
        adapters: Those of ``lora``, or None.
        anchor: The pull towards the loaded weights, or None.
        unfreezing: What ``schedule`` and ``lp_ft`` give back step by step, or None.
        recalibrated: The layers whose statistics are taken afresh.

    Raises:
        ConfigError: It is no module, or a setting does not fit it.
    """

    def __init__(self, model: nn.Module, settings: Settings) -> None:
        if not isinstance(model, nn.Module):
            mend = "An estimator needs no help: hydra.utils.instantiate(cfg.model)." if is_estimator(model) else ""
            raise ConfigError("model", "must build a torch.nn.Module", got=type(model).__name__, mend=mend)
        refuse_cycles(model, "model")
        if settings != Settings():
            refuse_lazy(model, "neuropt")
        self.model, self._settings = model, settings
        check_head(model, settings.head)
        self._adapted = self._fit_head()
        self._known = frozenset(name for name, _ in model.named_parameters())
        if settings.edits != EditPlan():
            self._edit()
        # Adapters change the names of what they stand beside, so they come before all that goes by names.
        self.adapters = self._add_adapters() if settings.freeze_strategy == "lora" else None
        self.anchor = self._make_anchor()
        self.unfreezing = self._freeze()
        self.recalibrated = self._set_norms()

    def merge(self) -> None:
        """Folds the adapters into the weights, in place."""
        if self.adapters is not None:
            self.adapters.merge()
            self.adapters = self.anchor = None
            del self.groups

    @functools.cached_property
    def head(self) -> tuple[str, ...]:
        """Module paths of the head."""
        given = self._settings.head
        return given if given is not None else find_head(self.model, self._seen, self._settings.fresh or ())

    @functools.cached_property
    def _seen(self) -> Trace:
        return trace(self.model, self._settings.example)

    @functools.cached_property
    def groups(self) -> tuple[DepthGroup, ...]:
        """The model's depth groups, stem first, head last."""
        return depth_groups(self.model, self._seen, self.head)

    def head_tensors(self) -> frozenset[str]:
        """Returns the names of the head's parameters.

        Raises:
            ConfigError: There is no head.
        """
        if not ends_in_head(self.groups, self.head):
            raise ConfigError(
                "neuropt.head_lr_mult",
                "needs a model with a head of its own, and none was found",
                got=self._settings.head_lr_mult,
                mend="Name it, e.g. neuropt.head=[fc], or leave the setting out.",
            )
        return frozenset(self.groups[-1].tensors)

    def _fit_head(self) -> tuple[str, ...]:
        wanted = self._settings
        if wanted.num_classes is None:
            return ()
        return adapted(self.model, wanted.num_classes, wanted.head, wanted.fresh or (), wanted.example)

    def _edit(self) -> None:
        plan, flow = self._settings.edits, None
        try:
            head = self.head if plan.needs_head else ()
            if plan.activation != "keep" or plan.pool_type != "keep":
                flow = observe(self.model, trace(self.model, self._settings.example))
            dead = without_effect(plan, self.model, head, flow)
            apply(plan, self.model, head, flow)
        except Exception as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(
                "neuropt",
                f"the edits cannot be made on this model ({type(error).__name__}: {error})",
                got=self._settings.edits,
                mend="Leave them out.",
            ) from error
        for sentence in dead:  # No error: a sweep over several models may set it for all of them.
            _log.warning(sentence)

    def _add_adapters(self) -> Adapters:
        fresh = self._settings.fresh or ()
        targets, reason = find_targets(self.model, self._seen, self.head, fresh)
        if not targets:
            raise ConfigError("neuropt.freeze_strategy", f"cannot be lora: {reason}", got="lora", mend="Use full.")
        groups, known = self.groups, [name for name, _ in self.model.named_parameters() if name in self._known]
        adapters = Adapters(self.model, targets, self._settings.lora_rank, self._settings.lora_dora)
        self.groups = adapters.regrouped(groups)
        self._known = frozenset(adapters.renamed(known))
        return adapters

    def _make_anchor(self) -> Anchor | None:
        if not self._settings.l2sp_regularization:
            return None
        fresh = self._settings.fresh
        names = [n for n, _ in self.model.named_parameters() if n in self._known]
        if fresh is None:
            fresh = tuple(n for n in names if any(n.startswith(f"{path}.") for path in self.head))
        loaded = [n for n in names if n not in fresh and not within(n, self._adapted)]
        return Anchor(self.model, loaded, self._settings.l2sp_strength)

    def _freeze(self) -> Unfreezing | None:
        strategy = self._settings.freeze_strategy
        if strategy == "full":
            return None
        names = trained(strategy, self.model, self.groups, has_head=ends_in_head(self.groups, self.head))
        # What an edit put in (the slopes of a PReLU) was never trained: it learns whatever is frozen around it.
        new = frozenset(n for n, _ in self.model.named_parameters() if n not in self._known)
        if strategy in STEPPED:
            share = self._settings.lp_ft_share if strategy == "lp_ft" else None
            return Unfreezing(self.model, self.groups, always=new, head_share=share)
        if strategy == "lora":  # Fresh tensors train in full, also those outside a head that the user has named.
            names |= {
                n for n, p in self.model.named_parameters() if n in (self._settings.fresh or ()) and p.requires_grad
            }
        freeze(self.model, names | new)
        return None

    def _set_norms(self) -> list[Any]:
        """Sets the BatchNorm policy and returns the layers to recalibrate."""
        tracked, mode = tracked_norms(self.model), self._settings.bn_mode
        if mode != "train" and not tracked:
            _log.warning(told("bn_mode", mode, self.model))
        if mode == "frozen":
            keep_eval(tracked)
            return []
        still = frozen_norms(self.model) if self._settings.freeze_strategy != "full" else []
        held = keep_eval(still)
        if self.unfreezing is not None:
            self.unfreezing.hold(still, held)
        if mode != "recalibrate":
            return []
        moving = [norm for norm in tracked if norm not in still]
        recalibrate(moving)
        return moving
