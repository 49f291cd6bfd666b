"""The cross entropy of a training loop, with label smoothing."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from neuropt_core.errors import ConfigError


def smoothed_cross_entropy(
    logits: torch.Tensor, targets: torch.Tensor, smoothing: float, **options: Any
) -> torch.Tensor:
    """Returns torch's cross entropy with `smoothing` while gradients are taken, and the plain one while not.

    Szegedy et al., Rethinking the Inception Architecture (2016, arXiv:1512.00567), section 7. A smoothed loss is no
    score: the more it smooths the larger it is at best, so what is computed under ``torch.no_grad`` is not smoothed.

    Args:
        logits: Of shape ``(n, c)`` or ``(n, c, d1, ...)``, or ``(c)``.
        targets: Classes of shape ``(n)`` or ``(n, d1, ...)``, or shares of each class in the shape of `logits`.
        smoothing: The share of the target that is spread evenly over all classes, in [0, 1).
        options: Passed on to ``torch.nn.functional.cross_entropy``: ``weight``, ``ignore_index``, ``reduction``.

    Raises:
        ConfigError: `options` has a ``label_smoothing`` of its own.
    """
    if "label_smoothing" in options:
        raise ConfigError(
            "tuning.cross_entropy: label_smoothing",
            "comes from the config",
            got=options["label_smoothing"],
            mend="Leave the argument out and set neuropt.label_smoothing.",
        )
    smoothing = smoothing if torch.is_grad_enabled() else 0.0
    return functional.cross_entropy(logits, targets, label_smoothing=smoothing, **options)
