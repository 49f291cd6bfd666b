"""The moves that a textbook would try first, each a change of a configuration, with its reason and source.

The order is that of expected worth on a small budget: what was measured to decide (BatchNorm's statistics in
fine-tuning), the learning rate, what is frozen, then what regularises. A move is made from the best configuration so
far, so that what helped stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from neuropt_core.advisors.changes import (
    Base,
    Beliefs,
    Change,
    chosen,
    complete,
    legal_part,
    multiplied,
    onward,
    put,
    scaled,
    textbook,
    together,
)
from neuropt_core.advisors.known import Known
from neuropt_core.space import SearchSpace
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Proposal


@dataclass(frozen=True, slots=True)
class Move:
    """One textbook move.

    Attributes:
        why: The rule, as a sentence.
        change: What it changes.
        source: Where it is written.
    """

    why: str
    change: Change
    source: str


def portfolio(spec: StudySpec, beliefs: Beliefs, count: int) -> tuple[Proposal, ...]:
    """Returns up to `count` different moves away from the user's own configuration, the most promising first."""
    own = legal_part(spec.space, spec.space.defaults())
    return moves_from(spec.space, beliefs, own, taken=Known(spec.space, (own,)), made=(), count=count, parent=None)


def moves_from(
    space: SearchSpace,
    beliefs: Beliefs,
    base: Base,
    *,
    taken: Known,
    made: Iterable[str],
    count: int,
    parent: int | None,
) -> tuple[Proposal, ...]:
    """Returns the next moves that are legal in the space and lead to something that is not there yet.

    Args:
        space: Where they must lie.
        beliefs: By parameter name.
        base: Where they start.
        taken: The configurations that are there; what is proposed joins them.
        made: The reasons of the moves that were made.
        count: How many moves at most.
        parent: The number of the trial that `base` is.
    """
    gone = frozenset(made)
    found: list[Proposal] = []
    for move in MOVES:
        if len(found) >= count:
            break
        if move.why in gone:
            continue
        changes = move.change(space, beliefs, base)
        params = complete(space, {**base, **changes}) if changes else None
        if params is not None and taken.add(params):
            found.append(Proposal(params, move.why, "prior", intent="explore", parent=parent))
    return tuple(found)


_BENGIO = "Bengio 2012, arXiv:1206.5533"
MOVES: tuple[Move, ...] = (
    Move(
        "Recompute BatchNorm's statistics in each epoch: on little data the running ones lag behind the weights.",
        put(bn_mode="recalibrate"),
        "measured: benchmarks/results/fine_tuning.md, docs/demo.md",
    ),
    Move(
        "The textbook's values throughout, halfway from yours: where one is far off, this shows it.",
        textbook,
        "the table of rules",
    ),
    Move(
        "A third of your learning rate: does it overshoot?", scaled("lr", 1 / 3, own=True), f"{_BENGIO}, section 3.1.1"
    ),
    Move("Three times your learning rate: is it too timid?", scaled("lr", 3, own=True), f"{_BENGIO}, section 3.1.1"),
    Move(
        "The best so far has another learning rate than yours: further in that direction.",
        onward,
        f"{_BENGIO}, section 3.1.1",
    ),
    Move(
        "Twice the width: too few units hurt, and more than needed hurt little.",
        multiplied("width", 2),
        f"{_BENGIO}, section 3.2",
    ),
    Move(
        "Deeper by half, or by a layer: what takes several steps is easier to express in several layers.",
        multiplied("depth", 1.5),
        "Montúfar et al. 2014, arXiv:1402.1869",
    ),
    Move(
        "A rate that falls along a cosine, so that the last steps are small.",
        chosen("lr_schedule", "cosine", "cos", "cosineannealing", "cosineannealinglr"),
        "Loshchilov and Hutter 2017, arXiv:1608.03983",
    ),
    Move(
        "Half the batch: more steps in the same number of epochs, and small batches often generalise better.",
        multiplied("batch_size", 1 / 2),
        "Masters and Luschi 2018, arXiv:1804.07612",
    ),
    Move(
        "Unfreeze only the last third and the head: early layers are general, and it is cheaper.",
        put(freeze_strategy="gradual_unfreeze", lr_layer_decay=1.0, l2sp_regularization=False),
        "common practice; Yosinski et al. 2014, arXiv:1411.1792, section 1",
    ),
    Move(
        "Let early layers move less than late ones (layer decay 0.75).",
        put(lr_layer_decay=0.75),
        "He et al. 2022 (MAE), arXiv:2111.06377, table 9; Bao et al. 2022 (BEiT, code: large), arXiv:2106.08254",
    ),
    Move(
        "Train the head alone at ten times the rate: nothing that was loaded is lost, and it is the cheapest.",
        together(put(freeze_strategy="head_only"), scaled("lr", 10)),
        "Kumar et al. 2022, arXiv:2202.10054",
    ),
    Move(
        "Keep BatchNorm's loaded statistics, which rest on far more images, with a third of the rate.",
        together(put(bn_mode="frozen"), scaled("lr", 1 / 3)),
        "measured: benchmarks/results/fine_tuning.md",
    ),
    Move(
        "Pull towards the loaded weights (L2-SP), against forgetting.",
        put(l2sp_regularization=True),
        "Li et al. 2018, arXiv:1802.01483",
    ),
    Move(
        "Unfreeze from the head down over the first half of training, so that a raw head shakes no early layer.",
        put(freeze_strategy="schedule"),
        "Howard and Ruder 2018 (ULMFiT), arXiv:1801.06146",
    ),
    Move(
        "The head alone first, then everything: a head that is no longer raw leaves the features in place.",
        put(freeze_strategy="lp_ft"),
        "Kumar et al. 2022, arXiv:2202.10054",
    ),
    Move(
        "Small additions to frozen layers (LoRA) at ten times the rate: what was loaded stays as it is.",
        together(put(freeze_strategy="lora"), scaled("lr", 10)),
        "Schulman et al. 2025, LoRA Without Regret (Thinking Machines Lab): ten times the rate, at any rank",
    ),
    Move(
        "Let the new head learn ten times faster than what was loaded.",
        put(head_lr_mult=10.0),
        "Long et al. 2015 (DAN), arXiv:1502.02791, section 4.1",
    ),
    Move(
        "Ten times the weight decay, against overfitting.",
        scaled("wd", 10),
        "common practice",
    ),
    Move("The learning rate once more in the direction of the best so far.", onward, f"{_BENGIO}, section 3.1.1"),
    Move(
        "Average the weights over some hundred steps, against the noise of the last ones.",
        put(ema_decay=0.99),
        "Polyak and Juditsky 1992; fit for runs of hundreds to thousands of steps",
    ),
    Move(
        "Raise the rate in a line over a tenth of training, so that first steps shake little.",
        put(warmup_share=0.1),
        "Goyal et al. 2017, arXiv:1706.02677; google-research/bert, run_classifier.py (a tenth)",
    ),
    Move(
        "Smooth the labels by 0.1, against overconfidence.",
        put(label_smoothing=0.1),
        "Szegedy et al. 2016, arXiv:1512.00567, section 7",
    ),
    Move(
        "A third of your rate of boosting with three times the rounds: smaller steps generalise better.",
        together(scaled("boosting.learning_rate", 1 / 3, own=True), multiplied("boosting.n_estimators", 3)),
        "Friedman 2001, Annals of Statistics 29(5), section 5",
    ),
    Move(
        "Four fifths of the rows and of the columns for each tree, so that trees are less alike.",
        together(put(**{"boosting.subsample": 0.8}), put(**{"boosting.colsample_bytree": 0.8})),
        "Friedman 2002, Computational Statistics and Data Analysis 38(4)",
    ),
    Move(
        "Trees of three levels: boosting sums up what shallow trees see.",
        put(**{"boosting.max_depth": 3}),
        "Hastie, Tibshirani and Friedman 2009, The Elements of Statistical Learning, section 10.11",
    ),
    Move(
        "Each tree sees a new draw of the rows, four fifths of them (LightGBM draws none by default).",
        put(**{"boosting.subsample_freq": 1, "boosting.subsample": 0.8}),
        "LightGBM documentation, Parameters Tuning",
    ),
    Move(
        "Fewer features at each split, so that the forest's trees are less alike.",
        put(**{"forest.max_features": 0.2}),
        "Probst, Wright and Boulesteix 2019, arXiv:1804.03515, section 2",
    ),
    Move(
        "Larger leaves, against noise.",
        put(**{"forest.min_samples_leaf": 4}),
        "Probst, Wright and Boulesteix 2019, arXiv:1804.03515, section 2",
    ),
    Move("Some dropout, against overfitting.", put(dropout=0.2), "Srivastava et al. 2014, JMLR 15"),
    Move("GELU in place of the present activation.", put(activation="gelu"), "Hendrycks and Gimpel 2016"),
)
