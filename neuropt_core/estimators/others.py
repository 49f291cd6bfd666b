"""Linear models, support vectors, neighbours and perceptrons of scikit-learn: what is searched, and where."""

from __future__ import annotations

from dataclasses import replace

from neuropt_core.estimators.rows import TUNABILITY, Family, Row
from neuropt_core.estimators.trees import class_weight

_HSU = "Hsu, Chang and Lin 2016, A Practical Guide to Support Vector Classification, section 3.2"
_MLP = "scikit-learn, user guide 1.17"
_SHAPED = ("rbf", "poly", "sigmoid")
_PENALISED = (("penalty", ("deprecated", "l1", "l2", "elasticnet")),)

_C = Row(
    argument="C", low=2**-10, high=2**10, log=True, role="linear.C",
    note="the inverse of the penalty: larger fits closer", source=f"{TUNABILITY} (svm: cost 2^-10 to 2^10)",
)  # fmt: skip
_ALPHA = Row(
    argument="alpha", low=1e-3, high=1e3, log=True, words=(0.0,), points=(1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0),
    role="linear.alpha", note="the penalty: larger is simpler", source=f"{TUNABILITY} (glmnet: lambda 2^-10 to 2^10)",
)  # fmt: skip
_EPSILON = Row(
    argument="epsilon", low=1e-3, high=1.0, log=True, words=(0.0,), points=(1e-3, 1e-2, 0.1, 1.0), role="svm.epsilon",
    note="errors below it cost nothing; in the unit of the target",
    source="scikit-learn, user guide 1.4.7.2",
)  # fmt: skip
_KERNELS = (
    Row(argument="kernel", words=("rbf", "linear", "poly"), never=("precomputed",), role="svm.kernel",
        why_not="a kernel that is computed beforehand fits no other data", source=f"{TUNABILITY} (svm)"),
    replace(_C, role="svm.C"),
    Row(argument="gamma", low=2**-15, high=2**3, log=True, words=("scale", "auto"),
        points=(1e-4, 1e-3, 1e-2, 0.1, 1.0), role="svm.gamma", when=(("kernel", _SHAPED),),
        note="how near two samples must be to count as alike", source=_HSU),
    Row(argument="degree", low=2, high=5, whole=True, role="svm.degree", when=(("kernel", ("poly",)),),
        note="of the polynomial", source=f"{TUNABILITY} (svm: 2 to 5)"),
    Row(argument="coef0", low=0.0, high=1.0, role="svm.coef0", wide=True, when=(("kernel", ("poly", "sigmoid")),),
        source="scikit-learn, user guide 1.4.6"),
)  # fmt: skip

SVC = Family(name="SVC", library="sklearn", classes=("SVC",), rows=(*_KERNELS, class_weight()))
SVR = Family(name="SVR", library="sklearn", classes=("SVR",), rows=(*_KERNELS, _EPSILON))
LINEAR_SVM = Family(
    name="LinearSVC, LinearSVR",
    library="sklearn",
    classes=("LinearSVC", "LinearSVR"),
    rows=(replace(_C, role="svm.C"), class_weight()),
)
LOGISTIC = Family(
    name="LogisticRegression",
    library="sklearn",
    classes=("LogisticRegression",),
    rows=(
        replace(_C, needs=_PENALISED),
        Row(argument="l1_ratio", low=0.0, high=1.0, role="linear.l1_ratio", unset=0.0,
            needs=(("solver", ("saga",)), ("penalty", ("deprecated", "elasticnet"))),
            note="0 is the L2 penalty, 1 the L1 penalty", source=f"{TUNABILITY} (glmnet: alpha 0 to 1)"),
        class_weight(),
    ),
    reasons={
        "solver": "the solvers find the same optimum, and each is legal with some penalties only",
        "penalty": "whether it is legal depends on the solver; set l1_ratio with solver=saga to have the mix searched",
    },
)  # fmt: skip
RIDGE = Family(
    name="Ridge, RidgeClassifier",
    library="sklearn",
    classes=("Ridge", "RidgeClassifier"),
    rows=(_ALPHA, class_weight()),
    reasons={"solver": "the solvers find the same optimum"},
)
ELASTIC = Family(
    name="Lasso, ElasticNet",
    library="sklearn",
    classes=("ElasticNet",),
    rows=(
        _ALPHA,
        Row(argument="l1_ratio", low=0.05, high=1.0, role="linear.l1_ratio",
            note="1 is the L1 penalty; near 0 the descent is not reliable",
            source=f"{TUNABILITY} (glmnet: alpha 0 to 1); scikit-learn on l1_ratio <= 0.01"),
    ),
)  # fmt: skip
NEIGHBOURS = Family(
    name="KNeighbors*",
    library="sklearn",
    classes=("KNeighborsClassifier", "KNeighborsRegressor"),
    rows=(
        Row(argument="n_neighbors", low=1, high=30, log=True, whole=True, role="neighbors.n_neighbors",
            source=f"{TUNABILITY} (kknn: 1 to 30)"),
        Row(argument="weights", words=("uniform", "distance"), role="neighbors.weights",
            note="distance: the nearer count more", source="scikit-learn, user guide 1.6.2"),
        Row(argument="p", words=(1, 2), role="neighbors.p", needs=(("metric", ("minkowski",)),),
            note="1: sum of the differences, 2: the straight line", source="scikit-learn, documentation of p"),
    ),
)  # fmt: skip
PERCEPTRON = Family(
    name="MLP*",
    library="sklearn",
    classes=("MLPClassifier", "MLPRegressor"),
    rows=(
        # A network that descends a gradient: here the rules of thumb for a learning rate are right.
        Row(argument="learning_rate_init", low=1e-4, high=1e-1, log=True, role="lr",
            needs=(("solver", ("adam", "sgd")),), source="Bengio 2012, arXiv:1206.5533, section 3.1.1"),
        Row(argument="alpha", low=1e-6, high=1e-1, log=True, words=(0.0,), points=(1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1),
            role="mlp.alpha", note="L2 penalty", source=f"{_MLP} (1e-1 to 1e-6)"),
        Row(argument="activation", words=("relu", "tanh", "logistic"), role="mlp.activation", source=_MLP),
        Row(argument="batch_size", low=8, high=256, log=True, whole=True, words=("auto",), points=(16, 32, 64, 128),
            role="mlp.batch_size", needs=(("solver", ("adam", "sgd")),), note="auto: at most 200",
            source="Bengio 2012, arXiv:1206.5533, section 3.1.1"),
    ),
    reasons={
        "hidden_layer_sizes": "a tuple is no single value; search it yourself through an argument of your own",
        "solver": "lbfgs reads other arguments than adam and sgd do",
    },
)  # fmt: skip
SGD = Family(
    name="SGDClassifier, SGDRegressor",
    library="sklearn",
    classes=("SGDClassifier", "SGDRegressor"),
    rows=(
        replace(_ALPHA, low=1e-6, high=1e-1, points=(1e-6, 1e-5, 1e-4, 1e-3, 1e-2),
                needs=(("penalty", ("l1", "l2", "elasticnet")),),
                source="scikit-learn, user guide 1.5.7 (10^-1 to 10^-7)"),
        Row(argument="l1_ratio", low=0.0, high=1.0, role="linear.l1_ratio", needs=(("penalty", ("elasticnet",)),),
            note="1 is the L1 penalty", source=f"{TUNABILITY} (glmnet: alpha 0 to 1)"),
        class_weight(),
    ),
)  # fmt: skip
