"""A search space in plain Python: what is inferred, what is explicit, and what is refused in one sentence."""

from __future__ import annotations

from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuropt_core import Categorical, IntUniform, LogUniform, Uniform, space
from neuropt_core.archsearch.dimensions import dimension, middle, read_space
from neuropt_core.errors import ConfigError

_NAMES = st.sampled_from(["lr", "weight_decay", "dropout", "n_layers", "hidden_dim", "momentum", "anything", "a.b"])
_NUMBERS = st.one_of(
    st.integers(-(10**9), 10**9), st.floats(-1e9, 1e9, allow_nan=False, allow_infinity=False, allow_subnormal=False)
)


@given(_NAMES, st.tuples(_NUMBERS, _NUMBERS).map(lambda two: tuple(sorted(two))))
def test_an_inferred_range_accepts_its_own_bounds_and_its_middle(name: str, bounds: tuple[float, float]) -> None:
    """Whatever two bounds are inferred to be, both of them and the middle are legal values."""
    if float(bounds[0]) == float(bounds[1]):
        with pytest.raises(ConfigError):
            dimension(name, bounds)
        return
    found = dimension(name, bounds)
    assert isinstance(found, (space.Float, space.Int))
    for value in (found.low, found.high, *bounds, middle(found)):
        assert found.check(value) is None


@given(st.lists(st.one_of(st.booleans(), st.integers(), st.text(max_size=5), st.none()), min_size=1, max_size=6))
def test_choices_accept_themselves(choices: list[Any]) -> None:
    """Every choice of a list is legal, and True is not taken for 1; a list that repeats one is refused."""
    keys = {(type(choice), choice) for choice in choices}
    if len(keys) < len(choices):
        with pytest.raises(ConfigError, match="each choice once"):
            dimension("k", choices)
        return
    found = dimension("k", choices)
    assert all(found.check(choice) is None for choice in choices)
    assert middle(found) is choices[0]


@pytest.mark.parametrize(
    ("name", "given_", "kind", "log"),
    [
        ("lr", (1e-4, 1e-1), space.Float, True),
        ("wd", (1e-6, 1e-2), space.Float, True),
        ("wd", (0, 1), space.Float, False),
        ("dropout", (0.0, 0.5), space.Float, False),
        ("dropout", (0, 1), space.Float, False),
        ("anything", (0.1, 50.0), space.Float, True),
        ("n_layers", (2, 8), space.Int, False),
        ("hidden_dim", (32, 512), space.Int, False),
        ("max_iter", (10, 5000), space.Int, True),
    ],
)
def test_what_a_range_is_inferred_to_be(name: str, given_: tuple[float, float], kind: type, log: bool) -> None:
    """Names and bounds tell the kind and the scale, as documented."""
    found = dimension(name, given_)
    assert type(found) is kind
    assert found.log is log  # type: ignore[union-attr]


def test_explicit_types_and_the_engines_own() -> None:
    """The four types, their defaults, and the engine's parameters are taken as they are."""
    own = space.Int(name="k", low=1, high=9, step=2)
    found = read_space(
        {
            "lr": LogUniform(1e-4, 1e-1, default=1e-3),
            "momentum": Uniform(0.8, 0.99),
            "depth": IntUniform(2, 8),
            "optimizer": Categorical(["sgd", "adam"], default="adam"),
            "k": own,
            "width": [numpy.int64(3), 5],
        }
    )
    assert found.defaults() == {"lr": 1e-3, "optimizer": "adam"}
    assert found["k"] is own
    assert [type(choice) for choice in found["width"].choices] == [int, int]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "given_",
    [
        {},
        {"lr": 0.1},
        {"lr": (0.1, 1e-3)},
        {"lr": (1, 2, 3)},
        {"lr": (True, 2)},
        {"act": ("relu", "gelu")},
        {"act": {"relu", "gelu"}},
        {"act": []},
        {"k": [(1, 2)]},
        {"k": [float("nan")]},
        {"k": Categorical("abc")},
        {"n": IntUniform(0.5, 2)},  # type: ignore[arg-type]
        {"lr": LogUniform(0.0, 1.0)},
        {"lr": LogUniform(1e-4, 1e-1, default=1.0)},
        {"lr": space.Float(name="other", low=0, high=1)},
        {3: [1, 2]},
    ],
)
def test_a_bad_entry_is_refused_in_a_sentence(given_: dict[Any, Any]) -> None:
    """What describes no parameter is refused, and the text names the entry."""
    with pytest.raises(ConfigError) as error:
        read_space(given_)
    assert str(next(iter(given_), "search_space")) in str(error.value)
    assert "\n" not in str(error.value)
