"""L2-SP: a pull towards the weights that were loaded."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from neuropt_core.errors import ConfigError


class Anchor:
    """A copy of loaded weights and the penalty for leaving them, ``1/2 * strength * sum((w - w0) ** 2)``.

    Li, Grandvalet and Davoine, Explicit Inductive Bias for Transfer Learning with Convolutional Networks (ICML 2018),
    equation 2. A sum over all entries, as there, and not a mean. New layers have no starting point worth keeping, so
    they are left to plain weight decay.

    Args:
        model: The model, before any training.
        names: The loaded tensors to keep near.
        strength: The factor alpha, 0 or more.

    Raises:
        ConfigError: A weight has no values yet (it lies on the meta device).
    """

    def __init__(self, model: nn.Module, names: Iterable[str], strength: float) -> None:
        wanted = frozenset(names)
        self._model, self._strength = model, strength
        for name, p in model.named_parameters():
            if name in wanted and p.is_meta:
                raise ConfigError(
                    "neuropt.l2sp_regularization",
                    f"needs the loaded weights, and {name} lies on the meta device",
                    mend="Load them before neuropt_core.build returns the model, or leave it out.",
                )
        self._start = {n: p.detach().clone() for n, p in model.named_parameters() if n in wanted}

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """The loaded weights by name; they do not change with training."""
        return dict(self._start)

    def penalty(self) -> torch.Tensor:
        """Returns the penalty over the weights that train, a scalar on their device, in float32 or better.

        Squares of half-precision weights overflow (float16) or vanish in their own sum (bfloat16), so they are taken
        in float32 whatever the model's type, and under autocast too.
        """
        # Looked up by name at each call: moving a model between devices may put new parameters in place of the old.
        parameters = dict(self._model.named_parameters())
        total = torch.zeros((), device=next((p.device for p in parameters.values()), None))
        for name, start in self._start.items():
            parameter = parameters[name]
            if not parameter.requires_grad:
                continue
            if start.device != parameter.device:
                start = self._start[name] = start.to(parameter.device)
            fine = torch.promote_types(parameter.dtype, torch.float32)
            away = parameter.to(fine) - start.to(fine)
            total = total + (torch.view_as_real(away) if away.is_complex() else away).square().sum()
        return 0.5 * self._strength * total
