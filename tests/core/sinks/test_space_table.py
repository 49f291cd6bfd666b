"""A search space as a table."""

from __future__ import annotations

from neuropt_core.profile import Touched
from neuropt_core.sinks.space_table import TITLES, condition, names, space_table, touched_table
from neuropt_core.space import Categorical, Float, Int, Parameter, When

SPACE: tuple[Parameter, ...] = (
    Categorical(name="opt", choices=("adamw", "sgd"), default="adamw", has_default=True, role="optimizer"),
    Float(name="opt.lr", low=1e-5, high=0.1, log=True, default=1e-3, has_default=True, role="lr", note="bound"),
    Float(name="opt.momentum", low=0.0, high=0.99, when=(When("opt", ("sgd",)),)),
    Int(name="model.width", low=8, high=64, step=8),
)


def test_each_parameter_has_its_row() -> None:
    """Scale, range, present value, condition, role where the name hides it, and purpose are told; a dash is none."""
    rows = space_table(SPACE).rows
    assert rows[0] == TITLES
    assert rows[1] == ("opt", "choice", "adamw | sgd", "adamw", "-", "optimizer", "which optimizer")
    assert rows[2] == ("opt.lr", "float, log", "1e-05 .. 0.1", "0.001", "-", "-", "step size; bound")
    assert rows[3] == ("opt.momentum", "float", "0 .. 0.99", "-", "opt = sgd", "-", "-")
    assert rows[4][1:3] == ("int, step 8", "8 .. 64")


def test_a_condition_is_told_by_its_shorter_side() -> None:
    """What leaves out one choice of three is told by that one."""
    choices = {"strategy": ("full", "head_only", "last_blocks")}
    assert condition((When("strategy", ("full", "last_blocks")),), choices) == "strategy != head_only"
    assert condition((When("strategy", ("full",)), When("x", (True,))), choices) == "strategy = full and x = true"


def test_layers_are_named_a_few_or_all() -> None:
    """Three layers are named, with how many there are more; all of them where that is asked for."""
    paths = ("a", "b", "c", "d", "")
    assert names(paths) == "a, b, c, and 2 more"
    assert names(paths, full=True) == "a, b, c, d, (model)"
    assert names(paths[:3]) == "a, b, c"
    found = (Touched("neuropt.freeze_strategy", "full", "trains", paths, 1234), Touched("x", None, "the loss"))
    table = touched_table(found)
    assert table.rows[1] == ("neuropt.freeze_strategy", "full", "trains", "5", "1,234", "a, b, c, and 2 more")
    assert table.rows[2] == ("x", "any", "the loss", "-", "-", "")
