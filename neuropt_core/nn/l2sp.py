"""L2-SP: a pull towards the weights that were loaded."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn


class Anchor:
    """A copy of loaded weights and the penalty for leaving them, ``1/2 * strength * sum((w - w0) ** 2)``.

    Li, Grandvalet and Davoine, Explicit Inductive Bias for Transfer Learning with Convolutional Networks (ICML 2018),
    equation 2. A sum over all entries, as there, and not a mean. New layers have no starting point worth keeping, so
    they are left to plain weight decay.

    Args:
        model: The model, before any training.
        names: The loaded tensors to keep near.
        strength: The factor alpha, 0 or more.
    """

    def __init__(self, model: nn.Module, names: Iterable[str], strength: float) -> None:
        wanted = frozenset(names)
        self._pairs = {n: (p, p.detach().clone()) for n, p in model.named_parameters() if n in wanted}
        self._strength = strength

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """The loaded weights by name; they do not change with training."""
        return {name: start for name, (_, start) in self._pairs.items()}

    def penalty(self) -> torch.Tensor:
        """Returns the penalty over the weights that train, a scalar on their device."""
        terms = []
        for name, (parameter, start) in self._pairs.items():
            if not parameter.requires_grad:
                continue
            if start.device != parameter.device:  # The user moved the model after it was built.
                start = start.to(parameter.device)
                self._pairs[name] = (parameter, start)
            terms.append((parameter - start).square().sum())
        if not terms:
            return torch.zeros((), device=next((p.device for p, _ in self._pairs.values()), None))
        return 0.5 * self._strength * torch.stack(terms).sum()
