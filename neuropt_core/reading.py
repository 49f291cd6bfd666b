"""Which helper of `neuropt_core.Tuning` reads which setting, so that one that nothing reads can be named."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from neuropt_core.space import Parameter

Helpers = tuple[str, ...]
"""Names of methods of `Tuning`; one of them is enough."""

_READERS: dict[str, tuple[Helpers, ...]] = {
    "lr": (("param_groups",),),
    "wd": (("param_groups",),),
    "lr_layer_decay": (("param_groups",),),
    "head_lr_mult": (("param_groups",),),
    "l2sp_regularization": (("penalty",),),
    "l2sp_strength": (("penalty",),),
    "bn_mode": (("step", "update_bn"),),
    "lp_ft_share": (("step",),),
    "label_smoothing": (("cross_entropy",),),
    "warmup_share": (("scheduler",),),
    "ema_decay": (("update",), ("averaged",)),
}
"""Role -> what must be called, all of it, for its value to have an effect; what is not here is read by `build`."""
STEPPED = ("lp_ft", "schedule")
"""Strategies that begin with the head alone, and that only `step` unfreezes as training goes on."""


def read_by_helpers(role: str) -> bool:
    """Tells whether a helper of the training loop reads a role's value, and not the building of the model."""
    return role in _READERS


def unread(parameters: Iterable[Parameter], called: Collection[str]) -> dict[Helpers, tuple[str, ...]]:
    """Returns the helpers of which one should have been called -> the parameters that nothing reads without it.

    Args:
        parameters: What is searched; other roles than those of helpers are passed over.
        called: The helpers that a training loop has called.
    """
    missing: dict[Helpers, tuple[str, ...]] = {}
    for parameter in parameters:
        for helpers in _READERS.get(parameter.role, ()):
            if not set(helpers) & set(called):
                missing[helpers] = (*missing.get(helpers, ()), parameter.name)
        if parameter.role == "freeze_strategy" and "step" not in called:
            stuck = [f"{parameter.name}={name}" for name in STEPPED if parameter.check(name) is None]
            if stuck:
                missing[("step",)] = (*missing.get(("step",), ()), *stuck)
    return missing
