"""What is offered for an estimator, and what is not, with its reason."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import estimator_table
import pytest
from sklearn.ensemble import (
    AdaBoostClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sweeps import environment
from torch import nn
from xgboost import XGBClassifier

from neuropt_core.errors import IntrospectionError
from neuropt_core.estimators import inspect_estimator, is_estimator
from neuropt_core.profile import ModelProfile
from neuropt_core.space import Categorical, Float, Int, Parameter, When


class MyForest(RandomForestClassifier):
    """A user's own class below a known one."""


class Stranger:
    """A user's own estimator, which inherits from nothing."""

    def __init__(self, **params: object) -> None:
        self.params = params

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """As scikit-learn has it."""
        return dict(self.params)

    def set_params(self, **params: object) -> Stranger:
        """As scikit-learn has it."""
        self.params |= params
        return self


class Torch(nn.Linear):
    """A torch module that follows the protocol too."""

    get_params = set_params = lambda self, **_: {}


def _found(estimator: object, **more: Any) -> tuple[dict[str, Parameter], ModelProfile]:
    profile = inspect_estimator(estimator, target="it", **more)
    return {p.name: p for p in profile.offered}, profile


def test_what_an_estimator_is() -> None:
    """Whatever has both methods is one; a class is none, nor is a torch module."""
    assert is_estimator(SVC())
    assert is_estimator(Stranger())
    assert not any(map(is_estimator, (SVC, Torch(1, 1), nn.Linear(1, 1), object(), "SVC")))


def test_the_wall_between_us_and_the_libraries() -> None:
    """Importing the package loads neither scikit-learn nor numpy nor torch."""
    code = "import sys, neuropt_core.estimators; print({'sklearn', 'numpy', 'torch', 'xgboost'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_present_values_are_defaults_and_widen_ranges() -> None:
    """A value beyond a range moves the end of the range, and never itself."""
    offered, _ = _found(HistGradientBoostingClassifier(max_iter=4000, learning_rate=0.001, max_depth=40))
    rounds, rate, depth = offered["max_iter"], offered["learning_rate"], offered["max_depth"]
    assert isinstance(rounds, Int)
    assert isinstance(rate, Float)
    assert isinstance(depth, Int)
    assert (rounds.default, rounds.low, rounds.high) == (4000, 50, 4000)
    assert (rate.default, rate.low, rate.high) == (0.001, 0.001, 0.5)
    assert (depth.default, depth.high) == (40, 40)


def test_what_is_no_number_becomes_a_choice() -> None:
    """None, words, and zero on a log scale stand among numbers; a number of one's own is a scale again."""
    offered, _ = _found(HistGradientBoostingClassifier())
    for name, value in (("max_depth", None), ("l2_regularization", 0.0)):
        parameter = offered[name]
        assert isinstance(parameter, Categorical)
        assert parameter.default == parameter.choices[0] == value
    assert isinstance(_found(SVC())[0]["gamma"], Categorical)
    gamma = _found(SVC(gamma=0.2))[0]["gamma"]
    assert isinstance(gamma, Float)
    assert gamma.log


def test_conditions_hold_what_depends_on_another_argument() -> None:
    """A kernel's arguments count under that kernel only, and draws of samples only where there are any."""
    offered, _ = _found(SVC(), prefix="model.")
    assert offered["model.degree"].when == (When("model.kernel", ("poly",)),)
    assert offered["model.gamma"].when == (When("model.kernel", ("rbf", "poly")),)
    forest, profile = _found(RandomForestClassifier(oob_score=True))
    assert forest["max_samples"].when == ()
    assert profile.left_out["bootstrap"] == "has no effect, or is not allowed, with oob_score=True"


@pytest.mark.parametrize(
    ("estimator", "name", "words"),
    [
        (RandomForestClassifier(max_features=3), "max_features", "present value 3 is no share"),
        (RandomForestClassifier(), "n_estimators", "more trees are not worse"),
        (RandomForestClassifier(random_state=1), "random_state", "seed of chance"),
        (XGBClassifier(early_stopping_rounds=5), "n_estimators", "early stopping ends the rounds"),
        (GradientBoostingClassifier(n_iter_no_change=3), "n_estimators", "early stopping ends the rounds"),
        (HistGradientBoostingClassifier(early_stopping=True), "max_iter", "early stopping ends the rounds"),
        (XGBClassifier(booster="gblinear"), "max_depth", "has no effect with booster='gblinear'"),
        (SVC(kernel="precomputed"), "kernel", "computed beforehand"),
        (SVC(kernel="linear", gamma=[1]), "gamma", "present value of class list is no single finite value"),
        (LogisticRegression(C=float("inf")), "C", "present value inf is no finite number"),
        (LogisticRegression(), "l1_ratio", "with solver='lbfgs'"),
        (LogisticRegression(), "solver", "find the same optimum"),
        (Stranger(bandwidth=1.0), "bandwidth", "its range for Stranger is not known"),
        (Stranger(max_depth=None), "max_depth", "its present value None is no whole number"),
        (Stranger(learning_rate="constant"), "learning_rate", "'constant' is no finite number"),
    ],
)
def test_what_is_left_out_has_its_reason(estimator: object, name: str, words: str) -> None:
    """An argument that makes no sense as things stand is not offered, and the reason says what stands in its way."""
    offered, profile = _found(estimator)
    assert name not in offered
    assert words in profile.left_out[name]


def test_every_argument_is_offered_or_left_out() -> None:
    """Nothing is dropped without a word, also within parts."""
    pipeline = make_pipeline(StandardScaler(), AdaBoostClassifier(RandomForestClassifier()))
    offered, profile = _found(pipeline)
    parts = {name for name, value in pipeline.get_params().items() if is_estimator(value)}
    assert set(offered) | set(profile.left_out) == set(pipeline.get_params()) - parts
    assert {"adaboostclassifier__learning_rate", "adaboostclassifier__estimator__max_depth"} <= set(offered)


def test_a_search_within_is_left_alone() -> None:
    """GridSearchCV varies its estimator's arguments itself."""
    offered, _ = _found(GridSearchCV(SVC(), {"C": [1, 2]}))
    assert offered == {}


def test_classes_are_known_by_what_they_inherit() -> None:
    """A subclass of the user's is searched as its base; a class of his own by the names that mean one thing only."""
    assert _found(MyForest())[0].keys() == _found(RandomForestClassifier())[0].keys()
    offered, profile = _found(Stranger(learning_rate=0.1, max_depth=4, seed=1))
    assert set(offered) == {"learning_rate", "max_depth"}
    assert profile.estimator is not None
    assert profile.estimator.library == __name__.partition(".")[0]


def test_aliases_that_the_user_wrote_are_searched() -> None:
    """XGBoost takes eta for learning_rate; setting both would be a conflict."""
    offered, profile = _found(XGBClassifier(eta=0.2))
    assert offered["eta"].default == 0.2
    assert "learning_rate" not in offered
    assert profile.left_out["learning_rate"] == "it is given as eta"


def test_what_the_user_searches_is_there_to_depend_on() -> None:
    """The booster, searched by the user, carries the conditions of what a tree needs."""
    offered, _ = _found(XGBClassifier(), prefix="m.", searched={"m.booster"})
    assert offered["m.max_depth"].when[0].name == "m.booster"
    assert "m.booster" not in _found(XGBClassifier(), prefix="m.")[0]


def test_a_profile_survives_the_journal_and_says_what_it_is() -> None:
    """It comes back from plain data as it was; the summary has the form of a torch model's, with reasons in groups."""
    _, profile = _found(RandomForestClassifier(), prefix="model.")
    assert ModelProfile.from_json(profile.to_json()) == profile
    lines = profile.summary(("model.max_depth",)).splitlines()
    count = len(RandomForestClassifier().get_params())
    assert lines[0] == f"Introspected scikit-learn estimator RandomForestClassifier ({count} arguments):"
    assert lines[1] == "  Search space: ['model.max_depth']"
    assert any(line.startswith("  Left out: model.n_jobs, model.oob_score") for line in lines)
    assert "Pretrained" not in profile.summary()
    old = {k: v for k, v in ModelProfile("m", 3).to_json().items() if k != "estimator"}
    assert ModelProfile.from_json(old) == ModelProfile("m", 3)


def test_an_estimator_that_cannot_tell_is_an_error() -> None:
    """A broken get_params is told in one sentence."""

    class Broken(Stranger):
        def get_params(self, deep: bool = True) -> dict[str, object]:
            raise RuntimeError("no\nidea")

    with pytest.raises(IntrospectionError, match=r"it: get_params\(\) fails \(RuntimeError: no idea\)"):
        _found(Broken())


def test_odd_values_of_arguments_are_left_out() -> None:
    """An object whose every attribute raises is left out by its class, and a name that is no text is an error."""

    class Touchy:
        def __getattr__(self, name: str) -> object:
            raise RuntimeError(name)

    class Odd(Stranger):
        def get_params(self, deep: bool = True) -> dict[str, object]:
            return {"touchy": Touchy()}

    class Numbered(Stranger):
        def get_params(self, deep: bool = True) -> dict[Any, object]:
            return {1: 2}

    assert "touchy" in _found(Odd())[1].left_out
    with pytest.raises(IntrospectionError, match="names an argument by a int"):
        _found(Numbered())


def test_the_page_shows_the_table() -> None:
    """docs/estimators.md has today's rows; estimator_table.py writes them anew."""
    assert estimator_table.page() == estimator_table.PAGE.read_text(encoding="utf-8")
