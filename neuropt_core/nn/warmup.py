"""Linear warm-up of the learning rate in front of any schedule."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

from neuropt_core.errors import ConfigError


def cosine(optimizer: Optimizer, steps: int) -> LRScheduler:
    """Returns a cosine from the present rates down to zero over `steps` (Loshchilov and Hutter, arXiv:1608.03983)."""
    return CosineAnnealingLR(optimizer, steps)


def warmed_up(
    optimizer: Optimizer, steps: int, share: float, then: Callable[[Optimizer, int], LRScheduler]
) -> LRScheduler:
    """Returns a schedule that warms up over `share` of all steps and then does as `then` does in the rest of them.

    Args:
        optimizer: Its groups hold the full rates.
        steps: How often the schedule will be stepped in all, 1 or more; batches or epochs.
        share: Share of the steps spent on warm-up, in [0, 1); 0 returns what `then` makes, and nothing around it.
        then: Makes the schedule for the steps that the warm-up leaves.

    Raises:
        ConfigError: The steps are no whole number above 0, or `then` makes no scheduler.
    """
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise ConfigError("tuning.scheduler: steps", "must be a whole number above 0", got=steps)
    # Rounded, since 0.29 * 100 is a little below 29.
    length = round(share * steps, 9)
    schedule = then(optimizer, steps - math.floor(length))
    if not isinstance(schedule, LRScheduler):
        raise ConfigError(
            "tuning.scheduler: then",
            "must return a torch.optim.lr_scheduler.LRScheduler",
            got=type(schedule).__name__,
            mend="It is called with the optimizer and the number of steps that are left.",
        )
    return schedule if share == 0 else WarmUp(optimizer, length, schedule)


def ramp(step: int, length: float) -> float:
    """Returns the share of the full rate in a step of a warm-up, in (0, 1].

    It is the mean of ``min(1, s / length)`` over s in [step, step + 1]: a line, of which every length can be told from
    every other, also where steps are epochs and the warm-up is shorter than one. Over many steps it is
    ``(step + 1/2) / length``.

    Args:
        step: Steps done, 0 or more.
        length: How many steps the warm-up takes, 0 or more, whole or not.
    """
    if step >= length:
        return 1.0
    end = min(step + 1.0, length)
    return (end**2 - step**2) / (2 * length) + (step + 1 - end)


class WarmUp(LRScheduler):
    """Raises every group's rate in a line to where another schedule starts, then hands over to that schedule.

    Goyal et al., Accurate, Large Minibatch SGD (2017, arXiv:1706.02677), section 2.2: a rate that grows by a constant
    amount at each iteration. The other schedule waits, so any one will do: torch's ``SequentialLR`` takes no
    ``ReduceLROnPlateau``, and restarts its second schedule by a closed form that some do not have.

    Args:
        optimizer: The optimizer.
        length: How many steps the warm-up takes, above 0, whole or not.
        then: What follows, just made: the rates that the groups hold now are those of its first step.
    """

    def __init__(self, optimizer: Optimizer, length: float, then: LRScheduler) -> None:
        # LRScheduler's own beginning would take a step: `then` has taken it, and watches the optimizer's steps.
        self.optimizer, self._length, self._then = optimizer, length, then
        self.last_epoch, self._step_count = 0, 1
        self._start = self._rates()
        self._warm()

    def step(self, *args: Any, **kwargs: Any) -> None:
        """Goes on by one step; what is given, such as a plateau's metric, goes to the other schedule once it runs."""
        self.last_epoch += 1
        self._step_count += 1
        # The step in which the line ends is the other schedule's first.
        over = self.last_epoch - math.floor(self._length)
        if over <= 0:
            self._warm()
            return
        if over == 1:
            self._set(self._start)
        self._then.step(*args, **kwargs)
        self._last_lr = self._rates()

    def state_dict(self) -> dict[str, Any]:
        """Returns what `load_state_dict` needs to go on, as plain data and the other schedule's state."""
        return {
            "last_epoch": self.last_epoch,
            "start": list(self._start),
            "lr": self._rates(),
            "then": self._then.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on where `state_dict` was taken, and sets the groups' rates to what they were then."""
        self.last_epoch = state_dict["last_epoch"]
        self._step_count = self.last_epoch + 1
        self._start = list(state_dict["start"])
        self._then.load_state_dict(state_dict["then"])
        # Making a schedule sets rates, so whoever loads the optimizer first would go on with a beginner's.
        self._set(state_dict["lr"])
        self._last_lr = self._rates()

    def _warm(self) -> None:
        share = ramp(self.last_epoch, self._length)
        self._set([share * rate for rate in self._start])
        self._last_lr = self._rates()

    def _rates(self) -> list[Any]:
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def _set(self, rates: list[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            if isinstance(group["lr"], torch.Tensor):  # A rate that a captured graph reads stays the same tensor.
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
