"""Every range against the real library: both ends and each choice of what is offered can be fitted."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import lightgbm
import numpy as np
import pytest
import xgboost
from sklearn import ensemble, linear_model, neighbors, neural_network, svm, tree
from sklearn.base import clone, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neuropt_core.estimators import inspect_estimator
from neuropt_core.space import Categorical, Parameter, SearchSpace, Value

_QUIET: dict[str, Any] = {"verbosity": -1, "n_jobs": 1}
ESTIMATORS = (
    ensemble.RandomForestClassifier(5),
    ensemble.RandomForestRegressor(5),
    ensemble.ExtraTreesClassifier(5, max_depth=4, bootstrap=True),
    ensemble.ExtraTreesRegressor(5, max_features=0.5),
    ensemble.BaggingClassifier(n_estimators=3),
    ensemble.HistGradientBoostingClassifier(max_iter=3),
    ensemble.HistGradientBoostingRegressor(max_iter=3, l2_regularization=0.1, max_depth=4, max_leaf_nodes=None),
    ensemble.GradientBoostingClassifier(n_estimators=3),
    ensemble.GradientBoostingRegressor(n_estimators=3, max_depth=None),
    ensemble.AdaBoostClassifier(n_estimators=3),
    ensemble.AdaBoostRegressor(tree.DecisionTreeRegressor(max_depth=2), n_estimators=3),
    tree.DecisionTreeClassifier(),
    tree.DecisionTreeRegressor(ccp_alpha=0.01, max_features="sqrt"),
    linear_model.LogisticRegression(),
    linear_model.LogisticRegression(solver="saga", max_iter=20),
    linear_model.Ridge(),
    linear_model.RidgeClassifier(alpha=0.0),
    linear_model.Lasso(),
    linear_model.ElasticNet(),
    linear_model.SGDClassifier(penalty="elasticnet"),
    svm.SVC(max_iter=1000),
    svm.SVC(kernel="sigmoid", gamma=0.1, max_iter=1000),
    svm.SVR(max_iter=1000),
    svm.LinearSVC(),
    neighbors.KNeighborsClassifier(),
    neighbors.KNeighborsRegressor(p=3),
    neural_network.MLPClassifier((8,), max_iter=3),
    neural_network.MLPRegressor(hidden_layer_sizes=(8,), solver="sgd", max_iter=3, batch_size=32),
    xgboost.XGBClassifier(n_estimators=3, n_jobs=1),
    xgboost.XGBRegressor(n_estimators=3, n_jobs=1, tree_method="exact", gamma=0.1, eta=0.1),
    xgboost.XGBRFClassifier(n_estimators=3, n_jobs=1),
    lightgbm.LGBMClassifier(n_estimators=3, **_QUIET),
    lightgbm.LGBMRegressor(n_estimators=3, bagging_freq=2, feature_fraction=0.5, **_QUIET),
    lightgbm.LGBMRegressor(n_estimators=3, boosting_type="rf", subsample_freq=1, subsample=0.5, **_QUIET),
    make_pipeline(StandardScaler(), svm.SVC(max_iter=1000)),
)


def _data(estimator: Any) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 6))
    score = x[:, 0] + 0.5 * x[:, 1] ** 2 + 0.1 * rng.normal(size=300)
    return x, np.digitize(score, [0.0, 0.7]) if is_classifier(estimator) else score


def _tried(parameter: Parameter) -> tuple[Value, ...]:
    if isinstance(parameter, Categorical):
        return parameter.choices
    rounds = parameter.role.endswith("n_estimators")
    # 1000 rounds are as legal as 60, and take long.
    return (parameter.low, min(parameter.high, 60) if rounds else parameter.high)


def _points(space: SearchSpace) -> Iterator[dict[str, Value]]:
    """Yields the user's own configuration with one value moved, and what depends on it switched on."""
    own = {p.name: p.default for p in space.parameters}
    for parameter in space.parameters:
        for value in _tried(parameter):
            moved = {**own, **{c.name: c.values[-1] for c in parameter.when}, parameter.name: value}
            yield {name: v for name, v in moved.items() if space.is_active(name, moved)}


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_both_ends_and_every_choice_can_be_fitted(estimator: Any) -> None:
    """What is offered for an estimator is legal for the library that is installed, wherever in its range."""
    profile = inspect_estimator(estimator, target="it", space="wide")
    space = SearchSpace(profile.offered)
    assert len(space) > 0
    assert {p.name for p in profile.offered} | set(profile.left_out) <= set(estimator.get_params())
    x, y = _data(estimator)
    for point in _points(space):
        assert space.check(point) == (), point
        with warnings.catch_warnings():
            # It says that more steps would help, not that a value is illegal.
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted = clone(estimator).set_params(**point).fit(x, y)
        assert len(fitted.predict(x[:5])) == 5
