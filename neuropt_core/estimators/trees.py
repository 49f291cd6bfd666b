"""Trees and forests of scikit-learn: what is searched, and where."""

from __future__ import annotations

from neuropt_core.estimators.rows import FOREST, TUNABILITY, Family, Row

SKLEARN = "scikit-learn, user guide 1.10 and 1.11"
CRITERION = "it is another loss, so that scores would not compare like with like"
MORE = (
    "more trees are not worse, only slower: set as many as time allows (Probst and Boulesteix 2018, JMLR 18(181)); "
    "space=wide searches it"
)
_SHARES = (0.2, 0.4, 0.6, 0.8)


def max_features(role: str, *words: str | None) -> Row:
    """Returns the share of the features that a split looks at, ``sqrt`` and ``log2`` among the choices."""
    return Row(
        argument="max_features", low=0.05, high=1.0, share=True, words=words, points=(*_SHARES, 1.0), role=role,
        note="share of the features that each split looks at", source=f"{TUNABILITY} (mtry); {FOREST}",
    )  # fmt: skip


def max_depth(role: str, top: int = 30) -> Row:
    """Returns the depth of a tree; None leaves it free."""
    return Row(
        argument="max_depth", low=1, high=top, whole=True, words=(None,), points=(3, 5, 8, 12, 20), role=role,
        note="levels of a tree", source=f"{TUNABILITY} (rpart: 1 to 30)",
    )  # fmt: skip


def min_samples_leaf(role: str, top: int = 60) -> Row:
    """Returns the fewest samples of a leaf, as a whole number; a share of the samples is not searched."""
    return Row(
        argument="min_samples_leaf", low=1, high=top, log=True, whole=True, role=role,
        note="fewest samples in a leaf", source=f"{TUNABILITY} (rpart: 1 to 60)",
    )  # fmt: skip


def min_samples_split(role: str, *, wide: bool) -> Row:
    """Returns the fewest samples of a node that may be split."""
    return Row(
        argument="min_samples_split", low=2, high=60, log=True, whole=True, role=role, wide=wide,
        note="fewest samples in a node that is split", source=f"{TUNABILITY} (rpart: 1 to 60; scikit-learn from 2 on)",
    )  # fmt: skip


def class_weight() -> Row:
    """Returns the weights of the classes: all alike, or so that each class counts alike."""
    return Row(
        argument="class_weight", words=(None, "balanced"), role="any.class_weight", wide=True,
        note="balanced: each class counts alike", source="scikit-learn, documentation of class_weight",
    )  # fmt: skip


def criterion() -> Row:
    """Returns how a classifier's splits are judged; a regressor's criterion is its loss and stays."""
    return Row(
        argument="criterion", words=("gini", "entropy"), role="tree.criterion", wide=True, why_not=CRITERION,
        never=("squared_error", "friedman_mse", "absolute_error", "poisson"), source=SKLEARN,
    )  # fmt: skip


FORESTS = Family(
    name="RandomForest*, ExtraTrees*",
    library="sklearn",
    classes=("RandomForestClassifier", "RandomForestRegressor", "ExtraTreesClassifier", "ExtraTreesRegressor"),
    rows=(
        Row(argument="n_estimators", low=50, high=1000, log=True, whole=True, role="forest.n_estimators", wide=True,
            why_not=MORE, note="trees; more are not worse, only slower",
            source="Probst and Boulesteix 2018, JMLR 18(181)"),
        max_features("forest.max_features", "sqrt", "log2"),
        max_depth("forest.max_depth"),
        min_samples_leaf("forest.min_samples_leaf"),
        min_samples_split("forest.min_samples_split", wide=True),
        Row(argument="bootstrap", words=(True, False), role="forest.bootstrap",
            needs=(("oob_score", (False,)), ("max_samples", (None,))),
            note="whether each tree sees a draw with repetitions", source=f"{TUNABILITY} (ranger: replace)"),
        Row(argument="max_samples", low=0.1, high=1.0, share=True, unset=1.0, role="forest.max_samples",
            when=(("bootstrap", (True,)),), note="share of the samples that each tree draws",
            source=f"{TUNABILITY} (ranger: sample.fraction 0.1 to 1)"),
        criterion(),
        class_weight(),
    ),
)  # fmt: skip

TREES = Family(
    name="DecisionTree*, ExtraTree*",
    library="sklearn",
    classes=("DecisionTreeClassifier", "DecisionTreeRegressor"),
    rows=(
        max_depth("tree.max_depth"),
        min_samples_leaf("tree.min_samples_leaf"),
        min_samples_split("tree.min_samples_split", wide=False),
        Row(argument="ccp_alpha", low=1e-5, high=0.1, log=True, words=(0.0,), points=(1e-4, 1e-3, 1e-2, 0.1),
            role="tree.ccp_alpha", note="cost of a leaf: the tree is pruned by it",
            source=f"{TUNABILITY} (rpart: cp 0 to 1, there relative to the root's error); {SKLEARN}"),
        max_features("tree.max_features", None, "sqrt", "log2"),
        criterion(),
        class_weight(),
    ),
)  # fmt: skip

BAGGING = Family(
    name="Bagging*",
    library="sklearn",
    classes=("BaggingClassifier", "BaggingRegressor"),
    rows=(
        Row(argument="n_estimators", low=10, high=200, log=True, whole=True, role="forest.n_estimators", wide=True,
            why_not=MORE, source="Probst and Boulesteix 2018, JMLR 18(181)"),
        Row(argument="max_samples", low=0.1, high=1.0, share=True, unset=1.0, role="forest.max_samples",
            note="share of the samples that each member draws", source=f"{TUNABILITY} (ranger: sample.fraction)"),
        Row(argument="max_features", low=0.1, high=1.0, share=True, role="forest.max_features",
            note="share of the features that each member sees", source="scikit-learn, user guide 1.11.3"),
    ),
)  # fmt: skip
