"""Beliefs as chance."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuropt_core.advisors.beliefs import FLOOR, at, draw_from, perturbed, place_of, redrawn, weight
from neuropt_core.advisors.chance import draw
from neuropt_core.card import Belief
from neuropt_core.space import Categorical, Float, Int, Parameter, SearchSpace, When

LR = Float(name="lr", low=1e-6, high=1.0, log=True, default=1e-3, has_default=True)


@st.composite
def parameters(pick: st.DrawFn, name: str, when: tuple[When, ...] = ()) -> Parameter:
    kind = pick(st.sampled_from(["float", "int", "categorical"]))
    log = pick(st.booleans())
    if kind == "categorical":
        choices = pick(
            st.lists(st.sampled_from([None, True, 1, 1.0, "a", "b"]), min_size=1, max_size=4, unique_by=repr)
        )
        return Categorical(name=name, choices=tuple(choices), when=when)
    if kind == "int":
        low, step = pick(st.integers(1, 20)), 1 if log else pick(st.integers(1, 3))
        return Int(name=name, low=low, high=low + pick(st.integers(3, 50)), log=log, step=step, when=when)
    low = pick(st.floats(1e-6, 10)) * (1 if log else pick(st.sampled_from([1, -1])))
    high = low * pick(st.floats(1.5, 1000)) if low > 0 else pick(st.floats(0.0, 10))
    return Float(name=name, low=low, high=high, log=log, when=when, default=high * 3, has_default=pick(st.booleans()))


@st.composite
def spaces(pick: st.DrawFn) -> SearchSpace:
    switch = Categorical(name="switch", choices=("on", "off", "half"))
    count = pick(st.integers(0, 4))
    plain = [pick(parameters(f"p{i}")) for i in range(count)]
    below = [pick(parameters(f"c{i}", (When("switch", ("on",)),))) for i in range(pick(st.integers(0, 3)))]
    return SearchSpace((switch, *plain, *below))


def believed(parameter: Parameter, rng: random.Random) -> Belief:
    if isinstance(parameter, Categorical):
        likely = tuple(rng.sample(parameter.choices, rng.randint(1, len(parameter.choices))))
        return Belief(mode=likely[0], likely=likely)
    low, mode, high = sorted(at(parameter, rng.random()) for _ in range(3))
    return Belief(low, high, mode)


@given(spaces(), st.integers(0, 10**6))
def test_a_mutation_is_legal_and_unlike_its_parent(space: SearchSpace, seed: int) -> None:
    """Whatever the space, conditions and beliefs: a mutation can be run, differs, and so does a bold redraw legally."""
    rng = random.Random(seed)
    beliefs = {p.name: believed(p, rng) for p in space.parameters if rng.random() < 0.7}
    parent = draw(space, seed, 1)
    child = perturbed(space, parent, beliefs, rng)
    assert child is not None
    assert space.check(child) == ()
    assert not space.alike(child, parent)
    assert space.check(redrawn(space, parent, beliefs, rng, 0.5)) == ()


@given(parameters("p"), st.integers(0, 10**6))
def test_a_draw_is_legal_and_weighs_at_most_as_much_as_the_mode(parameter: Parameter, seed: int) -> None:
    """Draws stay inside the parameter; weights lie in (0, 1], and the mode's is 1."""
    rng = random.Random(seed)
    belief = believed(parameter, rng)
    assert weight(parameter, belief, belief.mode) == pytest.approx(1)
    for _ in range(5):
        value = draw_from(parameter, belief, rng)
        assert parameter.check(value) is None
        assert 0 < weight(parameter, belief, value) <= 1 + 1e-12
        assert weight(parameter, None, value) == 1


@given(parameters("p"), st.floats(0, 1))
def test_a_place_and_its_value_say_the_same(parameter: Parameter, place: float) -> None:
    """A value comes back from its place, within the digits that are kept."""
    if isinstance(parameter, Categorical):
        return
    value = at(parameter, place)
    assert parameter.check(value) is None
    again = at(parameter, place_of(parameter, value))
    assert again == value or place_of(parameter, again) == pytest.approx(place_of(parameter, value), abs=0.01)


def test_most_draws_are_believed_and_some_are_not() -> None:
    """About three quarters lie in the interval (four fifths of nine tenths, and some by chance), the rest around it."""
    rng, belief = random.Random(0), Belief(1e-4, 1e-2, 1e-3)
    values = [float(str(draw_from(LR, belief, rng))) for _ in range(4000)]
    inside = sum(1e-4 <= v <= 1e-2 for v in values) / 4000
    assert 0.70 < inside < 0.80
    far = sum(not 1e-5 <= v <= 1e-1 for v in values) / 4000
    assert FLOOR / 4 < far < FLOOR


def test_the_likelier_choice_is_drawn_more_often() -> None:
    """Choices come in the order of the belief, and what it leaves out comes too."""
    which = Categorical(name="c", choices=("a", "b", "c", "d"))
    rng, belief = random.Random(0), Belief(mode="c", likely=("c", "a"))
    counts = dict.fromkeys(which.choices, 0)
    for _ in range(4000):
        counts[str(draw_from(which, belief, rng))] += 1
    assert counts["c"] > counts["a"] > counts["b"] > 40
    assert weight(which, belief, "a") > weight(which, belief, "b") == weight(which, belief, "d")


def test_a_half_known_belief_is_one() -> None:
    """A mode without an interval, and an interval without a mode, both draw where they point."""
    rng = random.Random(0)
    for belief in (Belief(mode=1e-3), Belief(low=1e-4, high=1e-2)):
        assert weight(LR, belief, 1e-3) == pytest.approx(1, abs=0.01)
        assert weight(LR, belief, 1e-6) < 0.5
        assert LR.check(draw_from(LR, belief, rng)) is None


def test_nothing_is_near_the_only_configuration() -> None:
    """A space of one configuration has no mutation."""
    alone = SearchSpace((Categorical(name="c", choices=("a",)),))
    assert perturbed(alone, {"c": "a"}, {}, random.Random(0)) is None


def test_an_illegal_parent_has_legal_children() -> None:
    """The user's own value may lie outside the bounds that he gave; what comes of it does not."""
    space = SearchSpace((replace(LR, default=5.0), Float(name="x", low=0, high=1)))
    for seed in range(20):
        child = perturbed(space, {"lr": 5.0, "x": 0.5}, {}, random.Random(seed))
        assert child is not None
        assert space.check(child) == ()


def test_a_belief_that_points_at_the_parent_still_leads_away() -> None:
    """Where all that is believed is the parent's own value, a mutation differs from it none the less."""
    space, belief = SearchSpace((LR,)), Belief(1e-3, 1e-3, 1e-3)
    for seed in range(200):
        child = perturbed(space, {"lr": 1e-3}, {"lr": belief}, random.Random(seed))
        assert child is not None
        assert not space.alike(child, {"lr": 1e-3})
