"""How a configuration is told beside another one."""

from __future__ import annotations

from neuropt_core.advisors.chance import differences
from neuropt_core.space import Categorical, Float, SearchSpace

SPACE = SearchSpace(
    (
        Float(name="x", low=1000.0, high=1010.0),
        Float(name="lr", low=1e-5, high=1.0, log=True),
        Categorical(name="act", choices=("a", "b")),
    )
)


def test_differences_are_told_in_digits_that_differ() -> None:
    """What changes is told from, and to, in as many digits as the parameter's range needs."""
    old = {"x": 1003.0, "lr": 0.001, "act": "a"}
    assert differences({"x": 1003.5, "lr": 0.00030004}, old, SPACE) == "x 1003 -> 1003.5, lr 0.001 -> 0.0003"
    assert differences({**old, "act": "b"}, old, SPACE) == "act a -> b"
    assert differences({"lr": 0.1}, {}, SPACE) == "lr 0.1"
    assert differences(old, old, SPACE) == "nothing"
