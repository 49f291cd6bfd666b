"""Rules for boosting and forests, by the roles that `neuropt_core.estimators` gives their arguments.

A rate of boosting is no rate of gradient descent on weights, so that none of `rules_rates` speaks of it: it is the
share of each tree that is added, and trades against the number of trees.
"""

from __future__ import annotations

from neuropt_core.advisors.rules_base import Rule

_FRIEDMAN = "Friedman 2001, Annals of Statistics 29(5), section 5"
_STOCHASTIC = "Friedman 2002, Computational Statistics and Data Analysis 38(4)"
_ESL = "Hastie, Tibshirani and Friedman 2009, The Elements of Statistical Learning"
_TUNABILITY = "Probst, Boulesteix and Bischl 2019 (Tunability), JMLR 20(53)"
_FOREST = "Probst, Wright and Boulesteix 2019, arXiv:1804.03515, section 2"
_XGB = "XGBoost documentation, Notes on Parameter Tuning"
_LGBM = "LightGBM documentation, Parameters Tuning"

TREES = (
    Rule(
        role="boosting.learning_rate",
        low=0.01,
        mode=0.05,
        high=0.3,
        risk="A small rate with few rounds ends before it has fitted.",
        why="Small rates (0.1 and below) generalise better, with more rounds in exchange.",
        source=f"{_FRIEDMAN}; {_ESL}, section 10.12.1",
    ),
    Rule(
        role="boosting.n_estimators",
        low=100,
        mode=300,
        high=1000,
        risk="Many rounds with a high rate overfit, and each costs time.",
        why="More rounds pay off where the rate is small: half the rate wants about twice the rounds.",
        source=f"{_FRIEDMAN}; {_ESL}, section 10.12.1",
    ),
    Rule(
        role="boosting.max_depth",
        low=2,
        mode=5,
        high=10,
        risk="Deep trees overfit on few rows.",
        why="Trees of four to eight leaves suffice in most boosting; libraries begin at 3 to 6 levels.",
        source=f"{_ESL}, section 10.11; {_XGB}",
    ),
    Rule(
        role="boosting.num_leaves",
        low=7,
        mode=31,
        high=127,
        risk="Many leaves overfit on few rows.",
        why="The main control of a tree that grows leaf by leaf; it should stay below 2^max_depth.",
        source=_LGBM,
    ),
    Rule(
        role="boosting.subsample boosting.max_samples",
        low=0.5,
        mode=0.8,
        high=1.0,
        why="A draw of about half of the rows or more for each tree decorrelates them, and is faster.",
        source=f"{_STOCHASTIC}; {_XGB}",
    ),
    Rule(
        role="boosting.colsample_bytree boosting.colsample_bylevel boosting.colsample_bynode boosting.max_features",
        low=0.4,
        mode=0.8,
        high=1.0,
        why="Some of the columns for each tree make trees less alike, most where columns are many.",
        source=f"{_XGB}; Chen and Guestrin 2016 (XGBoost), arXiv:1603.02754, section 2.3",
    ),
    Rule(
        role="boosting.min_child_weight",
        low=1.0,
        mode=2.0,
        high=20.0,
        risk="Large values cannot fit what is rare.",
        why="A floor on what a leaf stands on keeps boosting from fitting single rows.",
        source=f"{_XGB}; {_TUNABILITY}, the optimal defaults",
    ),
    Rule(
        role="boosting.min_child_samples",
        low=5,
        mode=20,
        high=50,
        risk="On small data large values leave no split at all.",
        why="The libraries' default is 20; small data want fewer, large data hundreds.",
        source=_LGBM,
    ),
    Rule(
        role="forest.max_features",
        likely=("sqrt", "0.4", "0.2", "log2", "0.6", "1.0"),
        risk="Few features at a split miss the rare ones that matter.",
        why="The most tunable argument of a forest: fewer features make trees less alike, and each of them weaker.",
        source=f"{_FOREST}; {_TUNABILITY}, the optimal defaults",
    ),
    Rule(
        role="forest.min_samples_leaf",
        low=1,
        mode=2,
        high=10,
        risk="Large leaves blur what few rows show.",
        why="Forests grow deep trees; slightly larger leaves help where there is noise, and are faster.",
        source=_FOREST,
    ),
    Rule(
        role="forest.max_samples",
        low=0.4,
        mode=0.7,
        high=1.0,
        why="Smaller draws make trees less alike and faster; the default is seldom the best.",
        source=f"{_FOREST}; {_TUNABILITY}, the optimal defaults",
    ),
    Rule(
        role="svm.C",
        low=0.1,
        mode=10.0,
        high=500.0,
        risk="Large values follow noise, and may take very long.",
        why="Over 38 data sets the best common value lay far above 1.",
        source=f"{_TUNABILITY}, the optimal defaults",
    ),
)
