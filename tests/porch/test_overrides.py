"""Hydra's grammar, both ways."""

from __future__ import annotations

import math
import string

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from hydra_plugins.neuropt_sweeper._overrides import encode, override, parse_arguments, parse_params
from neuropt_core.errors import ConfigError
from neuropt_core.space import Categorical, Float, Int, When

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(10**18), max_value=10**18),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    st.text(alphabet="${}\\'\"ab:,.=()[]~+@ \n\t#" + string.digits),
)


def _decoded(text: str) -> object:
    """What a job would find under `key` when it is launched with this override."""
    parsed = OverridesParser.create().parse_override(text)
    cfg = OmegaConf.create({"key": "before"})
    OmegaConf.update(cfg, "key", parsed.value(), merge=True)
    # As plain data: comparing a ListConfig with a list would parse the list's strings as interpolations.
    return OmegaConf.to_container(cfg, resolve=True)["key"]  # type: ignore[call-overload, index]


@settings(max_examples=400)
@given(scalars)
@example("${oc.env:HOME}")
@example("\\${oc.env:HOME}")
@example("\\\\${a}")
@example("choice(1,2)")
@example("a,b")
@example("null")
@example("1e-3")
@example("")
@example("trailing\\")
@example("it's")
@example("x\x00y")
@example(1e-320)
@example(-0.0)
def test_every_scalar_and_string_comes_back_as_itself(value: object) -> None:
    """What is encoded for Hydra reaches the job's config unchanged in type and value."""
    if value == "???":
        return
    back = _decoded(override("key", value))  # type: ignore[arg-type]
    assert type(back) is type(value)
    assert back == value


def test_an_interpolation_stays_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that reads the environment is text in the job's config, not the variable's content."""
    monkeypatch.setenv("NEUROPT_CANARY", "leaked")
    assert _decoded(override("key", "${oc.env:NEUROPT_CANARY}")) == "${oc.env:NEUROPT_CANARY}"


@settings(max_examples=100)
@given(st.lists(st.text(alphabet="ab._${}'\\,[]:0 ", max_size=8), max_size=4))
@example(["${oc.env:HOME}", "${", "\\${x}"])
def test_a_list_of_strings_comes_back_as_itself(values: list[str]) -> None:
    """Lists of names, such as the head's modules, survive the trip too."""
    if "???" in values:
        return
    assert _decoded(override("key", values)) == values


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, "???"])
def test_what_has_no_text_is_refused(value: object) -> None:
    """A number that is not finite and the mark of a missing value raise instead of meaning something else."""
    with pytest.raises(ConfigError):
        encode(value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "parameter"),
    [
        ("lr=interval(0.1,0.5)", Float(name="lr", low=0.1, high=0.5)),
        ("lr=tag(log,interval(1e-5,1e-1))", Float(name="lr", low=1e-5, high=1e-1, log=True)),
        ("n=int(interval(1,9))", Int(name="n", low=1, high=9)),
        ("n=tag(log,int(interval(1,64)))", Int(name="n", low=1, high=64, log=True)),
        ("n=range(1,8,2)", Int(name="n", low=1, high=7, step=2)),
        ("x=range(0,1,0.25)", Categorical(name="x", choices=(0.0, 0.25, 0.5, 0.75))),
        ("a=choice(x,'y z',1,true,1.5)", Categorical(name="a", choices=("x", "y z", 1, True, 1.5))),
        ("a=x,null", Categorical(name="a", choices=("x", None))),
        ("a=shuffle(choice(x,y))", Categorical(name="a", choices=("x", "y"))),
    ],
)
def test_hydras_sweeps_become_parameters(text: str, parameter: object) -> None:
    """Each form of Hydra's grammar that can be searched gives the parameter that it means."""
    (written,) = parse_arguments([text]).searched
    assert written.parameter == parameter
    assert written.prefix == ""


def test_fixed_overrides_are_kept_word_for_word() -> None:
    """What the user fixes is passed on as typed, deletions included, and its key is known."""
    parsed = parse_arguments(["a.b=1", "~c", "++d=[1,2]", "+e=interval(0,1)"])
    assert parsed.fixed == ("a.b=1", "~c", "++d=[1,2]")
    assert parsed.fixed_names == {"a.b", "c", "d"}
    assert parsed.searched[0].prefix == "+"


@pytest.mark.parametrize("text", ["a=glob(*)", "a=choice([1],[2])", "a=range(3,3)", "a=interval(2,1)", "a=choice("])
def test_what_cannot_be_searched_is_refused_in_a_sentence(text: str) -> None:
    """The error names the place and what is wrong there."""
    with pytest.raises(ConfigError) as caught:
        parse_arguments([text])
    assert "\n" not in str(caught.value)


def test_params_take_the_same_grammar_and_plain_values() -> None:
    """In hydra.sweeper.params a string is grammar and a plain value is fixed, as in Hydra's Optuna sweeper."""
    parsed = parse_params([("a", "choice(1,2)"), ("b", 3), ("c", "x"), ("d", None)])
    assert [w.parameter for w in parsed.searched] == [Categorical(name="a", choices=(1, 2))]
    assert parsed.fixed == ("b=3", "c=x", "d=null")
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.params\.e"):
        parse_params([("e", [1, 2])])


def test_a_mapping_in_params_is_a_space_with_its_conditions() -> None:
    """Under `when` stands a value or a list of values for each parameter that it depends on."""
    when = {"kind": "sgd", "layers": [1, 2], "wide": True}
    (written,) = parse_params([("+m", {"space": "interval(0, 1)", "when": when})]).searched
    conditions = (When("kind", ("sgd",)), When("layers", (1, 2)), When("wide", (True,)))
    assert written.parameter == Float(name="m", low=0.0, high=1.0, when=conditions)
    assert written.prefix == "+"


@pytest.mark.parametrize(
    "value",
    [
        {"space": "interval(0,1)"},
        {"space": "interval(0,1)", "when": {}},
        {"space": "interval(0,1)", "when": "kind=sgd"},
        {"space": "interval(0,1)", "when": {"kind": []}},
        {"space": "interval(0,1)", "when": {"kind": {"a": 1}}},
        {"space": "interval(0,1)", "when": {"kind": "sgd"}, "log": True},
        {"space": [0, 1], "when": {"kind": "sgd"}},
        {"space": "0.5", "when": {"kind": "sgd"}},
        {},
    ],
)
def test_a_mapping_that_is_no_condition_is_refused(value: object) -> None:
    """A missing or strange part, and a condition on what is not searched, are named."""
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.params\.m"):
        parse_params([("m", value)])


def test_a_range_after_a_fixed_value_is_refused() -> None:
    """A value, then a range for the same key, leaves open which is meant; a value after a range removes the range."""
    with pytest.raises(ConfigError, match="an earlier override on the line fixes"):
        parse_arguments(["a=1", "++a=interval(0,1)"])
    assert parse_arguments(["a=interval(0,1)", "a=1"]).fixed_names == {"a"}
