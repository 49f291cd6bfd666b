"""What the advisors make of an estimator."""

from __future__ import annotations

from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import FunctionTransformer
from xgboost import XGBClassifier

from neuropt_core.advice import Request
from neuropt_core.advisors.rules import prior_beliefs, prior_card
from neuropt_core.advisors.rules_base import role_of
from neuropt_core.estimators import inspect_estimator
from neuropt_core.estimators.known import FAMILIES
from neuropt_core.llm.prompt import system_text
from neuropt_core.space import SearchSpace
from neuropt_core.spec import StudySpec


def _spec(estimator: object) -> StudySpec:
    profile = inspect_estimator(estimator, target=type(estimator).__name__, prefix="model.", space="wide")
    return StudySpec("s", SearchSpace(profile.offered), profile=profile)


def test_no_rule_of_gradient_descent_speaks_of_a_tree_or_a_linear_model() -> None:
    """Each argument has a role of its own, so that no plain name such as alpha is taken for something else."""
    roles = {row.role for family in FAMILIES for row in family.rows if row.role != "lr"}
    assert all("." in role for role in roles)
    for parameter in _spec(XGBClassifier()).space.parameters:
        assert role_of(parameter) == parameter.role != "lr"
    assert prior_beliefs(_spec(Ridge())) == {}


def test_the_rate_of_a_perceptron_is_one_of_gradient_descent() -> None:
    """There the rules of thumb for a learning rate are right."""
    spec = _spec(MLPClassifier())
    assert role_of(spec.space["model.learning_rate_init"]) == "lr"
    assert "model.learning_rate_init" in prior_beliefs(spec)


def test_boosting_begins_with_smaller_steps_and_more_of_them() -> None:
    """The portfolio trades the rate against the rounds in one move, with its reason."""
    spec = _spec(XGBClassifier(learning_rate=0.3, n_estimators=100))
    first = prior_card(spec, 20).portfolio[0]
    assert first.params["model.learning_rate"] == 0.1
    assert first.params["model.n_estimators"] == 300
    assert "smaller steps" in first.rationale
    belief = prior_beliefs(spec)["model.learning_rate"]
    assert belief.mode is not None
    assert 0.05 <= float(belief.mode) < 0.3


def test_a_forest_is_tried_with_fewer_features_at_a_split() -> None:
    """What a forest's studies found most worth tuning comes first."""
    spec = _spec(RandomForestClassifier())
    portfolio = prior_card(spec, 20).portfolio
    assert any(p.params["model.max_features"] == 0.2 for p in portfolio)
    assert [spec.space.check(p.params) for p in portfolio] == [()] * len(portfolio)


def test_the_prompt_says_what_the_model_is() -> None:
    """An LLM is told class, library and present values, and nothing of layers or pretrained weights."""
    text = system_text(Request(_spec(XGBClassifier(max_depth=3)), (), 0, 1, 10))
    assert "The model: XGBClassifier, a XGBoost estimator XGBClassifier" in text
    assert "max_depth=3" in text
    assert "the others are None" in text
    assert "Boosting and forests, what is known" in text
    assert "best hyperparameters of a machine-learning estimator" in text
    assert "depth groups" not in text
    assert "neuropt" not in text


def test_an_objects_words_do_not_reach_the_prompt() -> None:
    """Of what is no scalar, and of texts in a class that is not known, only the class is told."""
    secret = FunctionTransformer(kw_args={"token": "sk-ant-canary"}, feature_names_out="canary")
    profile = inspect_estimator(secret, target="t")
    assert profile.estimator is not None
    assert profile.estimator.arguments["kw_args"] == "dict"
    assert profile.estimator.arguments["feature_names_out"] == "str"
    assert "canary" not in str(profile)
