"""The moves that a textbook would try first, each a change of a configuration, with its reason and source.

The order is that of expected worth on a small budget: what was measured to decide (BatchNorm's statistics in
fine-tuning), the learning rate, what is frozen, then what regularises. A move is made from the best configuration so
far, so that what helped stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from neuropt_core.advisors.beliefs import at, place_of
from neuropt_core.advisors.rules_base import role_of, with_role, word
from neuropt_core.card import Belief
from neuropt_core.space import Categorical, Float, Int, Parameter, SearchSpace, Value
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Proposal

Base = Mapping[str, Value]
Beliefs = Mapping[str, Belief]
Change = Callable[[SearchSpace, Beliefs, Base], dict[str, Value]]
"""(space, beliefs, best configuration so far) -> new values by name; empty where the move says nothing."""

_EVERYWHERE = ("lr", "wd", "batch_size", "dropout", "momentum", "width")
"""Roles that nearly every training has: their textbook values are tried together once."""


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
    return moves_from(spec.space, beliefs, own, taken=(own,), made=(), count=count, parent=None)


def moves_from(
    space: SearchSpace,
    beliefs: Beliefs,
    base: Base,
    *,
    taken: Iterable[Base],
    made: Iterable[str],
    count: int,
    parent: int | None,
) -> tuple[Proposal, ...]:
    """Returns the next moves that are legal in the space and lead to something that is not there yet.

    Args:
        space: Where they must lie.
        beliefs: By parameter name.
        base: Where they start.
        taken: The configurations that are there.
        made: The reasons of the moves that were made.
        count: How many moves at most.
        parent: The number of the trial that `base` is.
    """
    gone, known = frozenset(made), [dict(params) for params in taken]
    found: list[Proposal] = []
    for move in MOVES:
        if len(found) >= count:
            break
        if move.why in gone:
            continue
        changes = move.change(space, beliefs, base)
        params = complete(space, {**base, **changes}) if changes else None
        if params is not None and not any(space.alike(params, tried) for tried in known):
            known.append(params)
            found.append(Proposal(params, move.why, "prior", intent="explore", parent=parent))
    return tuple(found)


def legal_part(space: SearchSpace, values: Base) -> dict[str, Value]:
    """Returns the legal ones of `values`: the user's own may be out of bounds, and no rule can move from there."""
    return {name: value for name, value in values.items() if name in space and space[name].check(value) is None}


def complete(space: SearchSpace, wanted: Base) -> dict[str, Value] | None:
    """Returns `wanted` with newly active parameters at their defaults and inactive ones left out; None if illegal."""
    params: dict[str, Value] = {}
    for parameter in space.parameters:
        if not space.is_active(parameter.name, params):
            continue
        if parameter.name in wanted:
            params[parameter.name] = wanted[parameter.name]
        elif parameter.has_default and parameter.check(parameter.default) is None:
            params[parameter.name] = parameter.default
        elif isinstance(parameter, Categorical):
            params[parameter.name] = parameter.choices[0]
        else:
            params[parameter.name] = at(parameter, 0.5)
    return None if space.check(params) else params


def _scale(role: str, factor: float, own: bool = False) -> Change:
    """Multiplies a role's value of the best so far, or the user's own."""

    def change(space: SearchSpace, beliefs: Beliefs, base: Base) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for parameter in with_role(space, role):
            value = parameter.default if own and parameter.has_default else base.get(parameter.name)
            if (
                isinstance(parameter, Float)
                and isinstance(value, (int, float))
                and value
                and not isinstance(value, bool)
            ):
                found[parameter.name] = float(f"{value * factor:.3g}")
        return found

    return change


def _whole(role: str, factor: float) -> Change:
    """Multiplies whole numbers, as far as the space goes; says nothing where that leaves them all as they are."""

    def change(space: SearchSpace, beliefs: Beliefs, base: Base) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for parameter in with_role(space, role):
            value = base.get(parameter.name)
            if isinstance(parameter, Int) and isinstance(value, int):
                found[parameter.name] = at(parameter, place_of(parameter, value * factor))
            elif isinstance(parameter, Categorical) and type(value) is int:
                found[parameter.name] = _nearest(parameter, value * factor, value)
        return {} if all(base[name] == value for name, value in found.items()) else found

    return change


def _nearest(parameter: Categorical, wanted: float, present: int) -> Value:
    """Returns the choice nearest to `wanted` on its side of `present`; `present` where there is none."""
    numbers = [c for c in parameter.choices if type(c) is int and (c > present) == (wanted > present) and c != present]
    return min(numbers, key=lambda c: abs(c - wanted), default=present)


def _onward(space: SearchSpace, beliefs: Beliefs, base: Base) -> dict[str, Value]:
    """Moves the rate by another factor of 3 away from the user's own, if the best so far has left that."""
    found: dict[str, Value] = {}
    for parameter in with_role(space, "lr"):
        value, own = base.get(parameter.name), parameter.default
        if isinstance(parameter, Float) and isinstance(own, float) and isinstance(value, float) and value != own:
            found[parameter.name] = float(f"{value * (3 if value > own else 1 / 3):.3g}")
    return found


def _set(**values: Value) -> Change:
    """Sets roles; says nothing where the first role is absent or cannot take its value."""

    def change(space: SearchSpace, beliefs: Beliefs, base: Base) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for place, (role, value) in enumerate(values.items()):
            able = [p for p in with_role(space, role) if p.check(value) is None]
            if not able and place == 0:
                return {}
            found.update(dict.fromkeys((p.name for p in able), value))
        return found

    return change


def _choose(role: str, *words: str) -> Change:
    """Sets a choice that goes by one of several names, if another one is there; all parameters of the role at once."""

    def change(space: SearchSpace, beliefs: Beliefs, base: Base) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for parameter in with_role(space, role):
            if isinstance(parameter, Categorical) and word(base.get(parameter.name)) not in words:
                named = {word(choice): choice for choice in reversed(parameter.choices)}
                first = next((named[w] for w in words if w in named), None)
                if first is not None:
                    found[parameter.name] = first
        return found

    return change


def _both(*changes: Change) -> Change:
    """Joins changes; says nothing unless the first one speaks."""

    def change(space: SearchSpace, beliefs: Beliefs, base: Base) -> dict[str, Value]:
        if not changes[0](space, beliefs, base):
            return {}
        return {name: value for part in changes for name, value in part(space, beliefs, base).items()}

    return change


def _textbook(space: SearchSpace, beliefs: Beliefs, base: Base) -> dict[str, Value]:
    """Sets the numbers that every training has to their modes; says nothing of fewer than two."""
    found: dict[str, Value] = {}
    for parameter in space.parameters:
        belief = beliefs.get(parameter.name)
        if belief is not None and _is_number(parameter) and role_of(parameter) in _EVERYWHERE:
            found[parameter.name] = belief.mode
    return found if len(found) > 1 else {}


def _is_number(parameter: Parameter) -> bool:
    return isinstance(parameter, (Float, Int))


_BENGIO = "Bengio 2012, arXiv:1206.5533"
MOVES: tuple[Move, ...] = (
    Move(
        "Recompute BatchNorm's statistics in each epoch: on little data the running ones lag behind the weights.",
        _set(bn_mode="recalibrate"),
        "measured: benchmarks/results/fine_tuning.md, docs/demo.md",
    ),
    Move(
        "The textbook's values throughout, halfway from yours: where one is far off, this shows it.",
        _textbook,
        "the table of rules",
    ),
    Move("A third of your learning rate: does it overshoot?", _scale("lr", 1 / 3, own=True), f"{_BENGIO}, section 3.1"),
    Move("Three times your learning rate: is it too timid?", _scale("lr", 3, own=True), f"{_BENGIO}, section 3.1"),
    Move(
        "The best so far has another learning rate than yours: further in that direction.",
        _onward,
        f"{_BENGIO}, section 3.1",
    ),
    Move(
        "Twice the width: too few units hurt, and more than needed hurt little.",
        _whole("width", 2),
        f"{_BENGIO}, section 3.2",
    ),
    Move(
        "Deeper by half, or by a layer: what is built of several steps takes several layers.",
        _whole("depth", 1.5),
        f"{_BENGIO}, section 3.2; Montufar et al. 2014, arXiv:1402.1869",
    ),
    Move(
        "A rate that falls along a cosine: it ends lower than a constant one.",
        _choose("lr_schedule", "cosine", "cos", "cosineannealing", "cosineannealinglr"),
        "Loshchilov and Hutter 2017, arXiv:1608.03983",
    ),
    Move(
        "Half the batch: more steps in the same number of epochs, and noise that regularises.",
        _whole("batch_size", 1 / 2),
        "Masters and Luschi 2018, arXiv:1804.07612",
    ),
    Move(
        "Unfreeze only the last third and the head: a good default for medium data, and cheaper.",
        _set(freeze_strategy="gradual_unfreeze", lr_layer_decay=1.0, l2sp_regularization=False),
        "Kumar et al. 2022, arXiv:2202.10054; Howard and Ruder 2018, arXiv:1801.06146",
    ),
    Move(
        "Let early layers move less (layer decay 0.75), which tolerates a higher rate at the head.",
        _set(lr_layer_decay=0.75),
        "the usual value of the recipes of BEiT (arXiv:2106.08254), MAE and ConvNeXt",
    ),
    Move(
        "Train the head alone at ten times the rate: safest on little data, and the cheapest.",
        _both(_set(freeze_strategy="head_only"), _scale("lr", 10)),
        "Kumar et al. 2022, arXiv:2202.10054",
    ),
    Move(
        "Keep BatchNorm's loaded statistics, which rest on far more images, with a third of the rate.",
        _both(_set(bn_mode="frozen"), _scale("lr", 1 / 3)),
        "measured: benchmarks/results/fine_tuning.md",
    ),
    Move(
        "Pull towards the loaded weights (L2-SP), against forgetting.",
        _set(l2sp_regularization=True),
        "Li et al. 2018, arXiv:1802.01483",
    ),
    Move(
        "Unfreeze from the head down over the first half of training, so that a raw head shakes no early layer.",
        _set(freeze_strategy="schedule"),
        "Howard and Ruder 2018 (ULMFiT), arXiv:1801.06146",
    ),
    Move(
        "The head alone first, then everything: a head that is no longer raw leaves the features in place.",
        _set(freeze_strategy="lp_ft"),
        "Kumar et al. 2022, arXiv:2202.10054",
    ),
    Move(
        "Small additions to frozen layers (LoRA) at ten times the rate: little data cannot spoil what was loaded.",
        _both(_set(freeze_strategy="lora"), _scale("lr", 10)),
        "Schulman et al. 2025, LoRA Without Regret (Thinking Machines Lab): ten times the rate, at any rank",
    ),
    Move(
        "Let the new head learn ten times faster than what was loaded.",
        _set(head_lr_mult=10.0),
        "Long et al. 2015 (DAN), arXiv:1502.02791, section 4.1",
    ),
    Move(
        "Ten times the weight decay, against overfitting.",
        _scale("wd", 10),
        "common practice; Loshchilov and Hutter 2019, arXiv:1711.05101, figure 2",
    ),
    Move("The learning rate once more in the direction of the best so far.", _onward, f"{_BENGIO}, section 3.1"),
    Move(
        "Average the weights over some hundred steps, against the noise of the last ones.",
        _set(ema_decay=0.99),
        "Polyak and Juditsky 1992; fit for runs of hundreds to thousands of steps",
    ),
    Move(
        "Raise the rate in a line over a tenth of training, so that first steps shake little.",
        _set(warmup_share=0.1),
        "Goyal et al. 2017, arXiv:1706.02677, section 2.2; BERT's tenth of training",
    ),
    Move(
        "Smooth the labels by 0.1, against overconfidence.",
        _set(label_smoothing=0.1),
        "Szegedy et al. 2016, arXiv:1512.00567, section 7",
    ),
    Move("Some dropout, against overfitting.", _set(dropout=0.2), "Srivastava et al. 2014, JMLR 15"),
    Move("GELU in place of the present activation.", _set(activation="gelu"), "Hendrycks and Gimpel 2016"),
)
