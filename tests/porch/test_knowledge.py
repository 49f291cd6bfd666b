"""What the user believes and wants tried first."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydra_plugins.neuropt_sweeper._knowledge import queued, read_enqueue, read_priors
from neuropt_core.card import Belief
from neuropt_core.errors import ConfigError
from neuropt_core.space import Categorical, Float, Int, SearchSpace, When
from neuropt_core.trial import Proposal, Trial

SPACE = SearchSpace(
    (
        Float(name="opt.lr", low=1e-5, high=1e-1, log=True, default=1e-3, has_default=True, role="lr"),
        Categorical(name="opt.kind", choices=("adamw", "sgd"), default="adamw", has_default=True),
        Float(name="opt.momentum", low=0.0, high=0.99, when=(When("opt.kind", ("sgd",)),)),
        Int(name="width", low=8, high=64, step=8, default=7, has_default=True),
    )
)
WHY = "The user says so (hydra.sweeper.priors)."
OWN = {"opt.lr": 1e-3, "opt.kind": "adamw", "width": 16}


@pytest.mark.parametrize(
    ("name", "said", "belief"),
    [
        ("lr", 1e-3, Belief(mode=1e-3, why=WHY)),
        ("opt.lr", {"mode": 1e-3, "low": 1e-4, "high": 1e-2}, Belief(1e-4, 1e-2, 1e-3, why=WHY)),
        ("opt.lr", {"low": 1e-3}, Belief(1e-3, 1e-1, pytest.approx(1e-2), why=WHY)),
        ("width", {"low": 8, "high": 40, "why": "of  memory"}, Belief(8.0, 40.0, 24, why="The user says: of memory")),
        ("opt.kind", "sgd", Belief(mode="sgd", likely=("sgd",), why=WHY)),
        ("opt.kind", {"likely": ["sgd", "adamw"]}, Belief(mode="sgd", likely=("sgd", "adamw"), why=WHY)),
        (
            "opt.kind",
            {"mode": "adamw", "likely": ["sgd", "adamw"]},
            Belief(None, None, "adamw", ("adamw", "sgd"), "", WHY),
        ),
        ("opt.kind", "sgd where it is noisy", Belief(why="The user says: sgd where it is noisy")),
    ],
)
def test_each_form_of_a_prior_becomes_a_belief(name: str, said: Any, belief: Belief) -> None:
    """A value, an interval, an order of choices and words are kept under the parameter's name."""
    (found,) = read_priors({name: said}, SPACE).values()
    assert found == belief


def test_words_lose_the_secrets_that_an_interpolation_brought() -> None:
    """What goes to a vendor and into the journal holds no value of a secret variable."""
    (found,) = read_priors({"lr": "see https://x with hunter2-hunter2"}, SPACE, ("hunter2-hunter2",)).values()
    assert "hunter2" not in found.why


@pytest.mark.parametrize(
    ("priors", "says"),
    [
        ({"opt.lt": 1e-3}, "Did you mean opt.lr"),
        ({"zzz": 1e-3}, "Searched are opt.lr, opt.kind, opt.momentum, width"),
        ({"lr": 1e-3, "opt.lr": 1e-3}, "something is said already"),
        ({"lr": 1.0}, "must satisfy 1e-05 <= value <= 0.1, got 1.0"),
        ({"lr": "1e-3x"}, "must be a finite number"),
        ({"lr": True}, "must be a finite number"),
        ({"lr": [1e-3]}, "must be a finite number"),
        ({"lr": {"mode": 1e-2, "high": 1e-3}}, "needs low <= mode <= high"),
        ({"lr": {"low": 1e-3, "high": 1e-3}}, "low below high"),
        ({"lr": {"likely": [1e-3]}}, "takes mode, low, high, why"),
        ({"lr": {}}, "takes mode, low, high, why"),
        ({"lr": {"why": "because"}}, "takes mode, low, high, why"),
        ({"lr": {"low": 1e-3, "why": 3}}, "priors.lr.why: must be words"),
        ({"opt.kind": "sdg"}, "must be one of ['adamw', 'sgd'], got 'sdg'. Did you mean sgd"),
        ({"opt.kind": {"likely": []}}, "must name at least one value"),
        ({"opt.kind": {"likely": "sgd"}}, "must be a list"),
        ({"width": 12}, "must be 8 plus a multiple of 8"),
        (["lr"], "must map parameters"),
    ],
)
def test_a_prior_that_does_not_fit_is_refused(priors: Any, says: str) -> None:
    """An unknown name, a value outside the space and a form that says nothing each get their sentence."""
    with pytest.raises(ConfigError) as caught:
        read_priors(priors, SPACE)
    assert says in str(caught.value)


def test_what_an_entry_leaves_out_is_the_users_own() -> None:
    """Names and roles, nested or dotted, set values; the rest of the configuration is what the config says."""
    first, second = read_enqueue(
        [{"lr": 1e-2, "width": 16}, {"opt": {"kind": "sgd", "momentum": 0.5}, "width": 8}], SPACE
    )
    assert dict(first.params) == {**OWN, "opt.lr": 1e-2}
    assert dict(second.params) == {"opt.lr": 1e-3, "opt.kind": "sgd", "opt.momentum": 0.5, "width": 8}
    assert first.source == "user"
    assert first.rationale == "You asked for it in hydra.sweeper.enqueue[0]: opt.lr=0.01, width=16."


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (3, "must be a mapping"),
        ({}, "must be a mapping"),
        ({"lt": 1, "width": 8}, "Did you mean lr"),
        ({"lr": 5.0, "width": 8}, "enqueue[0].lr: must satisfy"),
        ({"lr": 1e-3, "opt.lr": 1e-3, "width": 8}, "names opt.lr twice"),
        ({"opt.momentum": 0.5, "width": 8}, "opt.momentum counts only where opt.kind is sgd"),
        ({"opt.kind": "sgd", "width": 8}, "enqueue[0].opt.momentum: is missing. Give it a value"),
        ({"lr": 1e-2}, "enqueue[0].width: your own value 7 is not legal"),
    ],
)
def test_an_entry_that_could_not_run_is_refused(entry: Any, says: str) -> None:
    """Before anything is launched it is told what is unknown, illegal, without effect or missing."""
    with pytest.raises(ConfigError) as caught:
        read_enqueue([entry], SPACE)
    assert says in str(caught.value)


def _user(width: int) -> Proposal:
    return Proposal({**OWN, "width": width}, "Asked for.", "user")


@given(st.lists(st.integers(1, 3)), st.integers(0, 8))
def test_the_queue_runs_once_in_its_order(widths: list[int], done: int) -> None:
    """However far a study has come, what is left is the rest of the list; what stands there twice runs twice."""
    enqueue = [_user(width) for width in widths]
    trials = [Trial(0, Proposal(OWN, "Yours.", "default"))]
    trials += [Trial(i, p) for i, p in enumerate(enqueue[:done], start=1)]
    left = queued(enqueue, trials)
    assert sorted(p.params["width"] for p in left) == sorted(widths[done:])  # type: ignore[type-var]
    for proposal in left:
        trials.append(Trial(len(trials), proposal))
    assert queued(enqueue, trials) == []


def test_only_what_the_user_asked_for_counts_as_tried() -> None:
    """An advisor's trial of the same values does not take the user's place, and 1 is not true."""
    same = Trial(1, Proposal({**OWN, "width": 8}, "Chance.", "random"))
    assert queued([_user(8)], [same]) == [_user(8)]
    assert queued([_user(1)], [Trial(1, _user(True))]) == [_user(1)]
