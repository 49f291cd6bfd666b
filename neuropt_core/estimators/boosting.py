"""Gradient boosting of scikit-learn, XGBoost and LightGBM: what is searched, and where.

Probst, Boulesteix and Bischl searched XGBoost's eta from 2^-10 to 1; here it ends at 0.005 below, where the most rounds
that are offered, 1000, are too few, and at 0.5 above.
"""

from __future__ import annotations

from dataclasses import replace

from neuropt_core.estimators.rows import TUNABILITY, Family, Row
from neuropt_core.estimators.trees import MORE, class_weight, max_features, min_samples_leaf, min_samples_split

_XGB = "XGBoost, documentation of its parameters"
_LGBM = "LightGBM, documentation: Parameters Tuning"
_HIST = "scikit-learn, user guide 1.11.1"
_STOPS = "early stopping ends the rounds, so that this is only their upper limit: leave it high"
_TREES = (("booster", ("gbtree", "dart", None)),)
_HISTOGRAM = (("tree_method", (None, "auto", "hist", "approx")),)
_BAGS = (("boosting_type", ("gbdt", "dart")),)


def _rate(**more: object) -> Row:
    row = Row(
        argument="learning_rate", low=0.005, high=0.5, log=True, role="boosting.learning_rate",
        note="share of each tree that is added; smaller wants more rounds", source=f"{TUNABILITY} (xgboost: eta)",
    )  # fmt: skip
    return replace(row, **more)  # type: ignore[arg-type]


def _rounds(argument: str, **more: object) -> Row:
    row = Row(
        argument=argument, low=50, high=1000, log=True, whole=True, role="boosting.n_estimators", why_not=_STOPS,
        note="rounds of boosting; the time of a trial grows with it",
        source=f"{TUNABILITY} (xgboost: nrounds, 1 to 5000)",
    )  # fmt: skip
    return replace(row, **more)  # type: ignore[arg-type]


def _share(argument: str, role: str, note: str, low: float = 0.1, **more: object) -> Row:
    row = Row(
        argument=argument, low=low, high=1.0, role=f"boosting.{role}", note=note, source=f"{TUNABILITY} (xgboost)"
    )
    return replace(row, **more)  # type: ignore[arg-type]


def _penalty(argument: str, role: str, note: str, **more: object) -> Row:
    row = Row(
        argument=argument, low=1e-3, high=1e3, log=True, words=(0.0,), points=(1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0),
        role=f"boosting.{role}", note=note, source=f"{TUNABILITY} (xgboost: 2^-10 to 2^10)",
    )  # fmt: skip
    return replace(row, **more)  # type: ignore[arg-type]


_ROWS, _COLUMNS = "share of the rows that each tree sees", "share of the columns that each tree sees"
_L1, _L2 = "L1 penalty on the leaves", "L2 penalty on the leaves"

HIST = Family(
    name="HistGradientBoosting*",
    library="sklearn",
    classes=("HistGradientBoostingClassifier", "HistGradientBoostingRegressor"),
    rows=(
        _rate(),
        _rounds("max_iter", needs=(("early_stopping", (False, "auto")),)),
        Row(argument="max_leaf_nodes", low=4, high=255, log=True, whole=True, words=(None,),
            points=(7, 15, 31, 63, 127), role="boosting.num_leaves", note="leaves of a tree",
            source=f"{_HIST}; {_LGBM} (num_leaves)"),
        Row(argument="max_depth", low=2, high=15, whole=True, words=(None,), points=(3, 5, 8, 12),
            role="boosting.max_depth", note="levels of a tree", source=f"{TUNABILITY} (xgboost: 1 to 15)"),
        Row(argument="min_samples_leaf", low=2, high=100, log=True, whole=True, role="boosting.min_child_samples",
            note="fewest samples in a leaf; small data want fewer", source=_HIST),
        _penalty("l2_regularization", "reg_lambda", _L2),
        _share("max_features", "max_features", "share of the features that each split looks at", share=True),
        Row(argument="max_bins", low=16, high=255, log=True, whole=True, role="boosting.max_bin", wide=True,
            note="bins of a feature", source=_HIST),
        class_weight(),
    ),
)  # fmt: skip

GRADIENT = Family(
    name="GradientBoosting*",
    library="sklearn",
    classes=("GradientBoostingClassifier", "GradientBoostingRegressor"),
    rows=(
        _rate(),
        _rounds("n_estimators", needs=(("n_iter_no_change", (None,)),)),
        Row(argument="max_depth", low=1, high=15, whole=True, words=(None,), points=(3, 5, 8, 12),
            role="boosting.max_depth", note="levels of a tree", source=f"{TUNABILITY} (xgboost: 1 to 15)"),
        _share("subsample", "subsample", _ROWS),
        min_samples_leaf("boosting.min_samples_leaf"),
        min_samples_split("boosting.min_samples_split", wide=True),
        max_features("boosting.max_features", None, "sqrt", "log2"),
    ),
)  # fmt: skip

ADABOOST = Family(
    name="AdaBoost*",
    library="sklearn",
    classes=("AdaBoostClassifier", "AdaBoostRegressor"),
    rows=(
        Row(argument="learning_rate", low=0.01, high=2.0, log=True, role="adaboost.learning_rate",
            note="weight of each member; smaller wants more rounds", source="scikit-learn, user guide 1.11.4"),
        Row(argument="n_estimators", low=25, high=500, log=True, whole=True, role="adaboost.n_estimators",
            note="rounds", source="scikit-learn, user guide 1.11.4"),
    ),
)  # fmt: skip

_DEPTH = Row(argument="max_depth", low=1, high=15, whole=True, words=(0,), points=(3, 5, 8, 12), unset=6,
             role="boosting.max_depth", when=_TREES, note="levels of a tree",
             source=f"{TUNABILITY} (xgboost: 1 to 15)")  # fmt: skip
_CHILD = Row(argument="min_child_weight", low=1.0, high=128.0, log=True, words=(0.0,), points=(1.0, 3.0, 10.0, 30.0),
             unset=1.0, role="boosting.min_child_weight", when=_TREES,
             note="least weight (second derivatives) in a leaf",
             source=f"{TUNABILITY} (xgboost: 2^0 to 2^7)")  # fmt: skip
_GAMMA = Row(argument="gamma", low=1e-3, high=10.0, log=True, words=(0.0,), points=(1e-2, 0.1, 1.0, 5.0), unset=0.0,
             role="boosting.min_split_gain", when=_TREES, wide=True, aliases=("min_split_loss",),
             note="least gain of a split", source=_XGB)  # fmt: skip
_BIN = Row(argument="max_bin", low=16, high=512, log=True, whole=True, unset=256, role="boosting.max_bin", wide=True,
           needs=_HISTOGRAM, when=_TREES, note="bins of a feature",
           source=_XGB)  # fmt: skip

XGB = Family(
    name="XGBClassifier, XGBRegressor, XGBRanker",
    library="xgboost",
    classes=("XGBModel",),
    rows=(
        Row(argument="booster", words=("gbtree", "dart", "gblinear"), unset="gbtree", role="boosting.booster",
            wide=True, needs=(("tree_method", (None,)),), note="gblinear is a linear model",
            source=f"{TUNABILITY}; {_XGB}"),
        _rate(unset=0.3, aliases=("eta",)),
        _rounds("n_estimators", unset=100, needs=(("early_stopping_rounds", (None,)),)),
        _DEPTH,
        _CHILD,
        _share("subsample", "subsample", _ROWS, unset=1.0, when=_TREES),
        _share("colsample_bytree", "colsample_bytree", _COLUMNS, unset=1.0, when=_TREES),
        _share("colsample_bylevel", "colsample_bylevel", "share of the columns that each level sees", unset=1.0,
               when=_TREES, wide=True),
        _share("colsample_bynode", "colsample_bynode", "share of the columns that each split sees", unset=1.0,
               when=_TREES, needs=_HISTOGRAM, wide=True),
        _penalty("reg_lambda", "reg_lambda", _L2, unset=1.0, aliases=("lambda",)),
        _penalty("reg_alpha", "reg_alpha", _L1, unset=0.0, aliases=("alpha",)),
        _GAMMA,
        _BIN,
    ),
)  # fmt: skip

XGBRF = Family(
    name="XGBRFClassifier, XGBRFRegressor",
    library="xgboost",
    classes=("XGBRFClassifier", "XGBRFRegressor"),
    rows=(
        Row(argument="n_estimators", low=50, high=1000, log=True, whole=True, unset=100, role="forest.n_estimators",
            wide=True, why_not=MORE, source="Probst and Boulesteix 2018, JMLR 18(181)"),
        replace(_DEPTH, role="forest.max_depth"),
        _CHILD,
        _share("subsample", "subsample", _ROWS, unset=0.8, when=_TREES),
        _share("colsample_bynode", "colsample_bynode", "share of the columns that each split sees", unset=0.8,
               when=_TREES, needs=_HISTOGRAM),
        _penalty("reg_lambda", "reg_lambda", _L2, unset=1e-5, low=1e-5, aliases=("lambda",)),
        _GAMMA,
        _BIN,
    ),
    reasons={"learning_rate": "it must stay 1 in a forest, whose trees are averaged (XGBoost, Random Forests)"},
)  # fmt: skip

LGBM = Family(
    name="LGBMClassifier, LGBMRegressor, LGBMRanker",
    library="lightgbm",
    classes=("LGBMModel",),
    rows=(
        _rate(needs=_BAGS, aliases=("eta", "shrinkage_rate")),
        _rounds("n_estimators",
                aliases=("num_iterations", "num_boost_round", "num_round", "num_trees", "num_iteration"),
                needs=(("early_stopping_round", (None, 0, -1)), ("early_stopping_rounds", (None, 0, -1)),
                       ("n_iter_no_change", (None, 0, -1)))),
        Row(argument="num_leaves", low=4, high=255, log=True, whole=True, role="boosting.num_leaves",
            aliases=("num_leaf", "max_leaves", "max_leaf_nodes"), note="leaves of a tree", source=_LGBM),
        Row(argument="max_depth", low=2, high=15, whole=True, words=(-1,), points=(3, 5, 8, 12),
            role="boosting.max_depth", note="levels of a tree; -1 is no limit", source=_LGBM),
        Row(argument="min_child_samples", low=5, high=100, log=True, whole=True, role="boosting.min_child_samples",
            aliases=("min_data_in_leaf", "min_data_per_leaf", "min_data", "min_samples_leaf"),
            note="fewest samples in a leaf; small data want fewer", source=_LGBM),
        Row(argument="subsample_freq", words=(0, 1), role="boosting.subsample_freq", needs=_BAGS,
            aliases=("bagging_freq",), note="0: each tree sees all rows; 1: each a new draw, of share subsample",
            source="LightGBM, documentation of bagging_freq"),
        _share("subsample", "subsample", _ROWS, needs=_BAGS,
               when=(("subsample_freq", (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)),),
               aliases=("bagging_fraction", "bagging", "sub_row")),
        _share("colsample_bytree", "colsample_bytree", _COLUMNS, aliases=("feature_fraction", "sub_feature")),
        _penalty("reg_lambda", "reg_lambda", _L2, aliases=("lambda_l2", "lambda")),
        _penalty("reg_alpha", "reg_alpha", _L1, aliases=("lambda_l1", "l1_regularization")),
        Row(argument="min_split_gain", low=1e-3, high=10.0, log=True, words=(0.0,), points=(1e-2, 0.1, 1.0),
            role="boosting.min_split_gain", wide=True, aliases=("min_gain_to_split",), note="least gain of a split",
            source=_LGBM),
        class_weight(),
    ),
)  # fmt: skip
