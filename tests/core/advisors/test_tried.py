"""Which configurations were tried."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from neuropt_core.advisors._tried import Tried, key_of
from neuropt_core.space import Categorical, Float, Int, SearchSpace, Value

SPACE = SearchSpace(
    (
        Categorical(name="opt", choices=(1, True, "1")),
        Float(name="lr", low=1e-4, high=1e-1, log=True),
        Float(name="drop", low=0.0, high=0.5),
        Int(name="width", low=1, high=3),
    )
)
RATES = st.one_of(st.floats(1e-4, 1e-1), st.sampled_from((0.01, 0.0101, 0.0107, 0.0108, -1.0, 0.0, None, "x", True)))
DRAWN = st.fixed_dictionaries(
    {"opt": st.sampled_from((1, True, "1")), "lr": RATES, "width": st.integers(1, 2)},
    optional={"drop": st.sampled_from((0.1, 0.104, 0.106, 0.9)), "foreign": st.integers(0, 1)},
)


@given(st.lists(DRAWN, max_size=12), DRAWN)
def test_it_finds_what_a_walk_over_all_would(noted: list[dict[str, Value]], asked: dict[str, Value]) -> None:
    """The neighbours that it looks at are enough, whatever the values: a user's own may lie anywhere."""
    tried = Tried(SPACE)
    for params in noted:
        tried.add(params)
    assert tried.has_like(asked) == any(SPACE.alike(asked, other) for other in noted)


def test_keys_tell_types_apart() -> None:
    """1, 1.0 and True are three values; the order of the names is none."""
    assert len({key_of({"x": value}) for value in (1, 1.0, True)}) == 3
    assert key_of({"x": 1, "y": 2}) == key_of({"y": 2, "x": 1})
