"""Which estimators are known: by the names of their classes and the library that defines them, not by importing it."""

from __future__ import annotations

from dataclasses import replace

from neuropt_core.estimators.boosting import ADABOOST, GRADIENT, HIST, LGBM, XGB, XGBRF
from neuropt_core.estimators.others import ELASTIC, LINEAR_SVM, LOGISTIC, NEIGHBOURS, PERCEPTRON, RIDGE, SGD, SVC, SVR
from neuropt_core.estimators.rows import Family, Row
from neuropt_core.estimators.trees import BAGGING, FORESTS, TREES

FAMILIES: tuple[Family, ...] = (
    FORESTS,
    TREES,
    BAGGING,
    HIST,
    GRADIENT,
    ADABOOST,
    XGBRF,
    XGB,
    LGBM,
    LOGISTIC,
    SVC,
    SVR,
    LINEAR_SVM,
    NEIGHBOURS,
    PERCEPTRON,
    RIDGE,
    ELASTIC,
    SGD,
)
_BY_CLASS = {(family.library, name): family for family in FAMILIES for name in family.classes}
_LIBRARIES = {"sklearn": "scikit-learn", "xgboost": "XGBoost", "lightgbm": "LightGBM", "catboost": "CatBoost"}


def _plain(row: Row) -> Row:
    """Returns a row without what is peculiar to one library: only a number that is given is searched."""
    return replace(row, words=(), points=(), unset=None, needs=(), when=(), aliases=(), wide=False)


_NAMES = ("learning_rate", "n_estimators", "max_depth", "min_child_weight", "subsample", "colsample_bytree")
STRANGER = Family(
    name="any other estimator",
    library="",
    classes=(),
    rows=tuple(
        _plain(row)
        for family, names in (
            (XGB, _NAMES),
            (LGBM, ("num_leaves", "min_child_samples")),
            (FORESTS, ("min_samples_leaf",)),
        )
        for row in family.rows
        if row.argument in names
    ),
)
"""Names that mean the same in all libraries that have them; searched only where the present value is a number there."""


def family_of(estimator: object) -> Family:
    """Returns the family of an estimator's class or of the nearest class that it inherits from, else `STRANGER`."""
    for kind in type(estimator).__mro__:
        found = _BY_CLASS.get((kind.__module__.partition(".")[0], kind.__name__))
        if found is not None:
            return found
    return STRANGER


def library_of(estimator: object) -> str:
    """Returns what the library that an estimator comes from, or inherits from, is called."""
    for kind in type(estimator).__mro__:
        root = kind.__module__.partition(".")[0]
        if root in _LIBRARIES:
            return _LIBRARIES[root]
    return type(estimator).__module__.partition(".")[0]
