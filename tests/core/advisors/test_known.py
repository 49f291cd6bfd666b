"""The configurations that are there."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from neuropt_core.advisors.known import Known
from neuropt_core.space import Categorical, Float, Int, SearchSpace, Value, When

SPACE = SearchSpace(
    (
        Categorical(name="c", choices=(1, True, "a")),
        Float(name="x", low=1e-3, high=1.0, log=True, when=(When("c", (1, "a")),)),
        Float(name="y", low=-1.0, high=1.0),
        Int(name="n", low=1, high=2),
    )
)


def _one(rng: random.Random) -> dict[str, Value]:
    c = rng.choice((1, True, "a"))
    near = rng.choice((1.0, 1.2, rng.uniform(0.1, 0.2), rng.uniform(0.1, 0.2)))  # 1.2: the user's own, out of bounds.
    x: dict[str, Value] = {} if c is True else {"x": near}
    return {"c": c, **x, "y": rng.choice((0.0, 0.015, 0.03)), "n": rng.choice((1, 2))}


@given(st.integers(0, 10**6))
def test_it_tells_what_a_look_at_each_would_tell(seed: int) -> None:
    """A configuration is new exactly where none that is there is alike, however they are sorted."""
    rng = random.Random(seed)
    there = [_one(rng) for _ in range(10)]
    known = Known(SPACE, there)
    for _ in range(20):
        params = _one(rng)
        new = not any(SPACE.alike(params, other) for other in there)
        assert known.add(params) is new
        if new:
            there.append(params)


def test_what_was_added_is_known() -> None:
    """The second of two equal configurations is not new."""
    known = Known(SPACE)
    params: dict[str, Value] = {"c": True, "y": 0.5, "n": 1}
    assert known.add(params)
    assert not known.add(dict(params))
