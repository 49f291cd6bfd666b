"""The warm-up of the learning rate, stepped beside real optimizers and torch's own schedules."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim import SGD, Optimizer
from torch.optim import lr_scheduler as schedules
from torch.optim.lr_scheduler import LRScheduler

from neuropt_core.errors import ConfigError
from neuropt_core.nn.warmup import WarmUp, cosine, ramp, warmed_up

Make = Callable[[Optimizer, int], LRScheduler]


def _constant(optimizer: Optimizer, steps: int) -> LRScheduler:
    return schedules.LambdaLR(optimizer, lambda step: 1.0)


def _sgd(*rates: float) -> SGD:
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates]
    return SGD(groups)


def _rates(optimizer: Optimizer, schedule: LRScheduler, steps: int, *told: Any) -> list[list[float]]:
    """Trains for `steps` and returns each step's rates, one list a group."""
    seen = []
    for _ in range(steps):
        seen.append([float(group["lr"]) for group in optimizer.param_groups])
        assert schedule.get_last_lr() == pytest.approx(seen[-1])
        optimizer.step()
        schedule.step(*told)
    return [list(column) for column in zip(*seen, strict=True)]


def test_the_rate_rises_in_a_line() -> None:
    """Four steps of warm-up train at 1/8, 3/8, 5/8 and 7/8 of the rate, all others at the rate."""
    optimizer = _sgd(0.8)
    (rates,) = _rates(optimizer, warmed_up(optimizer, 10, 0.4, _constant), 10)
    assert rates == pytest.approx([0.1, 0.3, 0.5, 0.7] + [0.8] * 6)


def test_a_warm_up_shorter_than_a_step_counts() -> None:
    """Half a step of warm-up takes a quarter off the first, one and a half leave 1/3 and 11/12 of the rate."""
    for share, wanted in ((0.1, [0.75, 1, 1, 1, 1]), (0.3, [1 / 3, 11 / 12, 1, 1, 1])):
        optimizer = _sgd(1.0)
        (rates,) = _rates(optimizer, warmed_up(optimizer, 5, share, _constant), 5)
        assert rates == pytest.approx(wanted)


@given(length=st.floats(0.01, 40))
@settings(max_examples=60, deadline=None)
def test_what_is_lost_to_the_warm_up_is_half_its_length(length: float) -> None:
    """Summed over all steps the ramp takes off half its length, never falls and never exceeds the full rate."""
    line = [ramp(step, length) for step in range(42)]
    assert sum(1 - share for share in line) == pytest.approx(length / 2)
    assert line == sorted(line)
    assert 0 < line[0] <= line[-1] == 1


def test_no_warm_up_is_the_schedule_itself() -> None:
    """With a share of 0 there is nothing around the user's schedule, which gets all steps."""
    optimizer, given_ = _sgd(0.1), []

    def make(optimizer: Optimizer, steps: int) -> LRScheduler:
        given_.append((steps, _constant(optimizer, steps)))
        return given_[-1][1]

    assert warmed_up(optimizer, 7, 0.0, make) is given_[0][1]
    assert given_[0][0] == 7
    assert isinstance(warmed_up(_sgd(0.1), 7, 0.0, cosine), schedules.CosineAnnealingLR)


@pytest.mark.parametrize(("steps", "share", "left"), [(100, 0.29, 71), (10, 0.3, 7), (5, 0.99, 1), (1, 0.5, 1)])
def test_the_rest_is_the_users(steps: int, share: float, left: int) -> None:
    """The steps that the warm-up leaves, the one in which it ends among them, are what the schedule is made for."""
    told: list[int] = []

    def make(optimizer: Optimizer, steps: int) -> LRScheduler:
        told.append(steps)
        return _constant(optimizer, steps)

    warmed_up(_sgd(0.1), steps, share, make)
    assert told == [left]


SCHEDULES: dict[str, Make] = {
    "cosine": cosine,
    "constant": _constant,
    "step": lambda o, n: schedules.StepLR(o, 2),
    "exponential": lambda o, n: schedules.ExponentialLR(o, 0.5),
    "polynomial": schedules.PolynomialLR,
    "cycle": lambda o, n: schedules.OneCycleLR(o, [0.4, 0.04], total_steps=n + 1, cycle_momentum=False),
    "restarts": lambda o, n: schedules.CosineAnnealingWarmRestarts(o, 3),
    "multiplied": lambda o, n: schedules.MultiplicativeLR(o, lambda step: 0.9),
    "chained": lambda o, n: schedules.ChainedScheduler([schedules.ExponentialLR(o, 0.9), schedules.StepLR(o, 3)]),
    "sequence": lambda o, n: schedules.SequentialLR(
        o, [schedules.ConstantLR(o, 0.5, 3), schedules.ExponentialLR(o, 0.9)], milestones=[3]
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_any_schedule_follows_as_if_there_had_been_no_warm_up(name: str) -> None:
    """After four steps every schedule of torch gives the rates that it gives alone, groups keep their ratio before."""
    alone = _sgd(0.4, 0.04)
    wanted = _rates(alone, SCHEDULES[name](alone, 6), 6)
    optimizer = _sgd(0.4, 0.04)
    found = _rates(optimizer, warmed_up(optimizer, 10, 0.4, SCHEDULES[name]), 10)
    for rates, then in zip(found, wanted, strict=True):
        assert rates[4:] == then
        assert rates[:4] == pytest.approx([then[0] * share for share in (0.125, 0.375, 0.625, 0.875)])


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_that_starts_within_the_warm_up_is_not_held_back(name: str) -> None:
    """A line that ends in mid-step lowers that step alone, and those after it are the schedule's own."""
    alone = _sgd(0.4, 0.04)
    wanted = _rates(alone, SCHEDULES[name](alone, 6), 6)
    optimizer = _sgd(0.4, 0.04)
    found = _rates(optimizer, warmed_up(optimizer, 10, 0.45, SCHEDULES[name]), 10)
    for rates, then in zip(found, wanted, strict=True):
        assert rates[5:] == then[1:]
        assert rates[4] == pytest.approx(then[0] * (0.5 + 0.5 * 4.25 / 4.5))


def test_a_plateau_follows() -> None:
    """ReduceLROnPlateau, which torch's own sequence refuses, gets its metric once the warm-up is over."""
    optimizer = _sgd(1.0)
    schedule = warmed_up(optimizer, 10, 0.2, lambda o, n: schedules.ReduceLROnPlateau(o, factor=0.1, patience=1))
    (rates,) = _rates(optimizer, schedule, 10, 3.0)
    assert rates == pytest.approx([0.25, 0.75, 1.0, 1.0, 1.0, 0.1, 0.1, 0.01, 0.01, 0.001])


@pytest.mark.parametrize("stop", [0, 2, 4, 5, 8])
@pytest.mark.parametrize("optimizer_first", [True, False])
@pytest.mark.parametrize("name", ["cosine", "restarts", "sequence", "cycle"])
def test_it_goes_on_from_its_state(name: str, stop: int, optimizer_first: bool) -> None:
    """Saved and loaded at any step, in any order with the optimizer, it ends as if it had never stopped."""
    whole = _sgd(0.4, 0.04)
    wanted = _rates(whole, warmed_up(whole, 10, 0.45, SCHEDULES[name]), 10)
    optimizer = _sgd(0.4, 0.04)
    schedule = warmed_up(optimizer, 10, 0.45, SCHEDULES[name])
    before = _rates(optimizer, schedule, stop) if stop else [[], []]
    saved = copy.deepcopy((optimizer.state_dict(), schedule.state_dict()))
    again = _sgd(0.4, 0.04)
    if optimizer_first:
        again.load_state_dict(saved[0])
        # A schedule takes the rates that it finds for the full ones, so these have to be put back before.
        for group in again.param_groups:
            group["lr"] = group["initial_lr"]
    resumed = warmed_up(again, 10, 0.45, SCHEDULES[name])
    if not optimizer_first:
        again.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    after = _rates(again, resumed, 10 - stop)
    assert [a + b for a, b in zip(before, after, strict=True)] == wanted


def test_a_rate_in_a_tensor_stays_that_tensor() -> None:
    """Captured graphs read the rate from one tensor, which is written and never replaced."""
    rate = torch.tensor(0.5)
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=rate, capturable=False, foreach=False)
    schedule = warmed_up(optimizer, 4, 0.5, _constant)
    held = optimizer.param_groups[0]["lr"]
    (rates,) = _rates(optimizer, schedule, 4)
    assert optimizer.param_groups[0]["lr"] is held
    assert rates == pytest.approx([0.125, 0.375, 0.5, 0.5])


def test_it_is_a_scheduler_to_others() -> None:
    """Libraries ask whether something is an LRScheduler, for its optimizer and for its count of steps."""
    optimizer = _sgd(0.1)
    schedule = warmed_up(optimizer, 4, 0.5, _constant)
    assert isinstance(schedule, WarmUp)
    assert isinstance(schedule, LRScheduler)
    assert schedule.optimizer is optimizer
    assert schedule.last_epoch == 0


@pytest.mark.parametrize("steps", [0, -1, 2.5, True, "ten"])
def test_steps_are_checked(steps: Any) -> None:
    """A number of steps that is no whole number above 0 is refused."""
    with pytest.raises(ConfigError, match="whole number above 0"):
        warmed_up(_sgd(0.1), steps, 0.5, cosine)


def test_what_makes_no_schedule_is_told() -> None:
    """A function that returns something else, such as nothing at all, is named."""
    nothing: Any = lambda optimizer, steps: None  # noqa: E731
    with pytest.raises(ConfigError, match=r"then: must return .* got 'NoneType'"):
        warmed_up(_sgd(0.1), 4, 0.5, nothing)
