"""The search space."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuropt_core.advisors.chance import draw
from neuropt_core.errors import ConfigError
from neuropt_core.space import Categorical, Float, Int, Parameter, SearchSpace, When

names = st.sampled_from(["a", "b.c", "neuropt.x", "lr"])


@st.composite
def parameters(pick: st.DrawFn, name: str) -> Parameter:
    kind = pick(st.sampled_from(["float", "int", "categorical"]))
    if kind == "float":
        low = pick(st.floats(1e-6, 10))
        return Float(name=name, low=low, high=low * pick(st.floats(1.5, 100)), log=pick(st.booleans()))
    if kind == "int":
        low = pick(st.integers(1, 20))
        return Int(name=name, low=low, high=low + pick(st.integers(1, 50)), log=pick(st.booleans()))
    choices = pick(st.lists(st.one_of(st.none(), st.booleans(), st.text(max_size=3)), min_size=1, unique=True))
    return Categorical(name=name, choices=tuple(choices), default=choices[0], has_default=True, role="r", note="n")


@st.composite
def spaces(pick: st.DrawFn) -> SearchSpace:
    chosen = [pick(parameters(name)) for name in pick(st.lists(names, min_size=1, unique=True))]
    first = chosen[0]
    if isinstance(first, Categorical):
        when = (When(first.name, first.choices[:1]),)
        chosen.append(Float(name="conditional", low=0, high=1, when=when))
    return SearchSpace(tuple(chosen))


@given(spaces())
def test_a_space_survives_json(space: SearchSpace) -> None:
    """What is written into the journal is read back as an equal space."""
    assert SearchSpace.from_json(json.loads(json.dumps(space.to_json()))) == space


@given(spaces(), st.integers(0, 99), st.integers(0, 99))
def test_a_draw_is_legal_and_repeatable(space: SearchSpace, seed: int, number: int) -> None:
    """Chance stays inside the space, leaves inactive parameters out, and depends on (seed, number) alone."""
    values = draw(space, seed, number)
    assert space.check(values) == ()
    assert draw(space, seed, number) == values


@pytest.mark.parametrize(
    ("parameter", "legal", "illegal"),
    [
        (
            Float(name="p", low=0.1, high=1),
            [0.1, 1, 1.0, 0.5],
            [0.0999, 1.01, True, "0.5", None, float("nan"), 10**400],
        ),
        (Int(name="p", low=1, high=9, step=2), [1, 3, 9], [2, 0, 11, 3.0, True, "3"]),
        (Categorical(name="p", choices=(1, "1", True, None)), [1, "1", True, None], [1.0, "x", False, 0]),
    ],
)
def test_a_value_is_legal_or_a_rule_says_why(parameter: Parameter, legal: list[object], illegal: list[object]) -> None:
    """Nothing is converted on the way: a bool is no number, and 1, 1.0, True and "1" are four values."""
    assert [parameter.check(value) for value in legal] == [None] * len(legal)
    assert all(parameter.check(value) for value in illegal)


def test_a_condition_decides_what_is_asked_for() -> None:
    """A conditional parameter is wanted exactly where its condition holds, along the whole chain."""
    space = SearchSpace(
        (
            Categorical(name="a", choices=("x", "y")),
            Categorical(name="b", choices=("u", "v"), when=(When("a", ("y",)),)),
            Float(name="c", low=0, high=1, when=(When("b", ("v",)),)),
        )
    )
    assert space.check({"a": "x"}) == ()
    assert space.check({"a": "y", "b": "u"}) == ()
    assert space.check({"a": "y", "b": "v", "c": 0.5}) == ()
    assert [v.name for v in space.check({"a": "y", "b": "v"})] == ["c"]
    assert [v.name for v in space.check({"a": "x", "c": 0.5})] == ["c"]
    assert [v.rule for v in space.check({"a": "x", "z": 1})] == ["is not in the search space"]


def test_check_changes_nothing() -> None:
    """A value out of range is reported with its rule and stays what it was."""
    values = {"lr": 3.0}
    (violation,) = SearchSpace((Float(name="lr", low=1e-5, high=0.1),)).check(values)
    assert str(violation) == "lr: must satisfy 1e-05 <= value <= 0.1, got 3.0"
    assert values == {"lr": 3.0}


@pytest.mark.parametrize(
    "build",
    [
        lambda: Float(name="p", low=1, high=1),
        lambda: Float(name="p", low=0, high=1, log=True),
        lambda: Float(name="p", low=0, high=float("inf")),
        lambda: Int(name="p", low=1, high=9, step=0),
        lambda: Int(name="p", low=1, high=9, step=2, log=True),
        lambda: Categorical(name="p", choices=()),
        lambda: Categorical(name="p", choices=("a", "a")),
        lambda: SearchSpace((Float(name="p", low=0, high=1), Float(name="p", low=0, high=1))),
        lambda: SearchSpace((Float(name="p", low=0, high=1, when=(When("q", (1,)),)),)),
    ],
)
def test_an_impossible_space_is_refused(build: object) -> None:
    """Bounds, choices and conditions that mean nothing raise at once."""
    with pytest.raises(ConfigError):
        build()  # type: ignore[operator]


def test_the_defaults_are_the_active_ones() -> None:
    """Trial 0 holds the user's values; what is inactive under them is left out."""
    space = SearchSpace(
        (
            Categorical(name="o", choices=("adam", "sgd"), default="adam", has_default=True),
            Float(name="m", low=0, high=1, default=0.9, has_default=True, when=(When("o", ("sgd",)),)),
            Float(name="lr", low=0, high=1, default=3.0, has_default=True),
            Float(name="none", low=0, high=1),
        )
    )
    assert space.defaults() == {"o": "adam", "lr": 3.0}
