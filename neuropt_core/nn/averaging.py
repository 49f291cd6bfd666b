"""An exponential moving average of a model's weights, to evaluate and to save."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from neuropt_core.errors import ConfigError
from neuropt_core.nn.example import computed

_STATISTICS = ("running_mean", "running_var")


def decay_at(updates: int, decay: float) -> float:
    """Returns the factor of an update: ``min(decay, (1 + n) / (10 + n))`` after n of them.

    So a short run does not average in its start: the window grows with the run, to about n / 9 updates. It is the rule
    of TensorFlow's ``tf.train.ExponentialMovingAverage`` with ``num_updates``.

    Args:
        updates: How many updates were made before, n.
        decay: The factor in the long run, in [0, 1).
    """
    return min(decay, (1 + updates) / (10 + updates))


class Average:
    """Averages weights and running statistics as training goes on; the copy is made at the first update.

    Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging (1992), with exponential weights. What
    trains is averaged, and so are BatchNorm's running statistics, since they belong to the weights that they were
    taken under. All else is as the model has it when it is asked for: what is frozen, counts, masks (whose infinities
    have no mean), the vectors of a spectral norm (whose mean has another length).

    ``torch.optim.swa_utils.AveragedModel`` makes its copy at once, averages half precision in half precision, where
    small updates vanish, and takes either all buffers or none; only its arithmetic is used here.

    Args:
        model: The model; it may be moved to another device or type, before and after the first update.
        decay: How much of the average an update keeps in the long run, in (0, 1).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._model, self._decay = model, decay
        self._copy: nn.Module | None = None
        self._mean: dict[str, torch.Tensor] = {}
        self._updates = 0

    def update(self) -> None:
        """Takes the present weights into the average; the first time they are the average.

        Raises:
            ConfigError: The model cannot be copied, or has other tensors than at the first update.
        """
        with torch.inference_mode(False), torch.no_grad():
            if self._copy is None:
                self._copy = _copied(self._model)
                # In the copy's own memory, but for half precision.
                self._mean = {n: _fine(t) for n, t in _tensors(self._copy).items() if _has_mean(n, t)}
            else:
                self._take()
        self._updates += 1

    @property
    def module(self) -> nn.Module:
        """The averaged copy, in eval mode, of the device and type that the model has now; before an update the model.

        It is one and the same module at every call, whose weights go on with the average.
        """
        if self._copy is None:
            return self._model
        with torch.inference_mode(False), torch.no_grad():
            now = self._present()
            for name, target in _tensors(self._copy).items():
                if name in self._mean and _moves(name, now[name]):
                    target.data = self._mean[name].to(now[name].device, now[name].dtype)
                elif name in now:
                    target.data = now[name].detach().clone()
                    if name in self._mean:
                        self._mean[name] = _fine(target.data)
        return self._copy

    def _take(self) -> None:
        now = self._present()
        names = [name for name in self._mean if _moves(name, now[name])]
        for name in names:
            self._mean[name] = self._mean[name].to(now[name].device)
        means = [self._mean[name] for name in names]
        weights = [now[name].detach().to(mean.dtype) for name, mean in zip(names, means, strict=True)]
        if names:
            get_ema_multi_avg_fn(decay_at(self._updates, self._decay))(means, weights, self._updates)  # type: ignore[no-untyped-call]

    def _present(self) -> dict[str, torch.Tensor]:
        """Returns the model's tensors by name: moving a model may put new ones in place of the old."""
        assert self._copy is not None  # Both callers have seen to it.
        now = _tensors(self._model)
        wanted = {name for name, _ in self._copy.named_parameters()}
        odd = (wanted ^ {name for name, _ in self._model.named_parameters()}) | (self._mean.keys() - now.keys())
        if odd:
            raise ConfigError(
                "tuning.update",
                "needs the same tensors in the model at every call",
                got=f"{min(odd)}, which is new or gone",
                mend="Change the model before the first update, or set neuropt.ema_decay=0.",
            )
        return now


def _copied(model: nn.Module) -> nn.Module:
    try:
        memo: dict[int, Any] = dict(computed(model))
        return copy.deepcopy(model, memo).eval().requires_grad_(False)
    except Exception as error:  # copying runs the model's own code; the reason is told
        raise ConfigError(
            "neuropt.ema_decay",
            f"needs a model that can be copied ({type(error).__name__}: {error})".splitlines()[0],
            got=type(model).__name__,
            mend="Set it to 0.",
        ) from error


def _tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _has_mean(name: str, tensor: torch.Tensor) -> bool:
    real = tensor.is_floating_point() or tensor.is_complex()
    return real and (isinstance(tensor, nn.Parameter) or _is_statistic(name))


def _is_statistic(name: str) -> bool:
    return name.rpartition(".")[2] in _STATISTICS


def _moves(name: str, tensor: torch.Tensor) -> bool:
    return tensor.requires_grad or _is_statistic(name)


def _fine(tensor: torch.Tensor) -> torch.Tensor:
    """Returns the tensor itself, or, of half precision, a copy in single precision."""
    return tensor.detach().to(torch.promote_types(tensor.dtype, torch.float32))
