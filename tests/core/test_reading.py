"""Which helper reads which setting."""

from __future__ import annotations

import inspect

from neuropt_core.nn.tuning import Tuning
from neuropt_core.reading import _READERS, read_by_helpers, unread
from neuropt_core.space import Categorical, Float

_MODE = Categorical(name="bn_mode", choices=("train", "eval"), role="bn_mode")
_AVERAGE = Categorical(name="neuropt.ema_decay", choices=(0.0, 0.99), role="ema_decay")


def test_every_helper_is_a_method_of_tuning() -> None:
    """The table names only what a training loop can call on `Tuning`."""
    named = {helper for needed in _READERS.values() for helpers in needed for helper in helpers}
    assert named <= {name for name, _ in inspect.getmembers(Tuning) if not name.startswith("_")}


def test_all_that_is_needed_must_be_called() -> None:
    """An average has to be updated and evaluated; of BatchNorm's two helpers one is enough."""
    assert unread([_AVERAGE, _MODE], ()) == {
        ("update",): ("neuropt.ema_decay",),
        ("averaged",): ("neuropt.ema_decay",),
        ("step", "update_bn"): ("bn_mode",),
    }
    assert unread([_AVERAGE, _MODE], ("update", "update_bn")) == {("averaged",): ("neuropt.ema_decay",)}
    assert unread([_AVERAGE, _MODE], ("update", "averaged", "step")) == {}


def test_strategies_that_unfreeze_later_need_step() -> None:
    """What is frozen for a while at first is named by its value; a strategy that is not on offer is not named."""
    strategy = Categorical(name="freeze_strategy", choices=("full", "lp_ft"), role="freeze_strategy")
    assert unread([strategy], ("param_groups",)) == {("step",): ("freeze_strategy=lp_ft",)}
    assert unread([strategy], ("step",)) == {}


def test_what_the_building_reads_is_passed_over() -> None:
    """An edit of the architecture is read by `build`, whatever the loop calls."""
    rate = Float(name="neuropt.dropout", low=0.0, high=0.5, role="dropout")
    assert not read_by_helpers(rate.role)
    assert unread([rate], ()) == {}
