"""The built-in prior: rules of thumb that a colleague would tell, one move at a time, then the surrogate.

It is no LLM and says so. Each rule is a move away from the best configuration so far, so that what helped stays.
The rules and where they come from:

- BatchNorm: running statistics with a small momentum lag behind the weights on a small data set, and a network that
  has learnt looks broken. Measured with `examples/finetune` (momentum 0.01, see docs/demo.md): the same training
  scores far better once the statistics are recomputed in each epoch. Frozen statistics want a smaller rate.
- lr: a factor of 3 either way finds the order of magnitude (Bengio 2012, arXiv:1206.5533, section 3.1).
- `lr_layer_decay` 0.75: the usual value of BEiT, MAE and ConvNeXt recipes; it mostly buys tolerance of a higher lr.
- `head_lr_mult` 10: DAN (arXiv:1502.02791, section 4.1), and many since, where a new head meets loaded layers.
- schedule: ULMFiT's gradual unfreezing.
- lp_ft: Kumar et al. 2022 (arXiv:2202.10054).
- lora at ten times the rate: Schulman et al., LoRA Without Regret (Thinking Machines Lab, 2025), who find the best rate
  about ten times that of full fine-tuning, at any rank.
- head_only and gradual_unfreeze: Kumar et al. 2022 (arXiv:2202.10054) and ULMFiT (arXiv:1801.06146); safe on
  little data.
- L2-SP: Li et al. 2018 (arXiv:1802.01483).
- `label_smoothing` 0.1: Szegedy et al. 2016 (arXiv:1512.00567, section 7). `warmup_share` 0.1: Goyal et al. 2017
  (arXiv:1706.02677, section 2.2: 5 of 90 epochs; BERT's tenth of training). `ema_decay` 0.99: averages some 100 steps,
  fit for runs of hundreds to thousands.
- Weight decay, dropout and activation for training from scratch: common practice, one step each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from neuropt_core.advice import Advice, Advisor, Request
from neuropt_core.space import Categorical, Float, SearchSpace, Value
from neuropt_core.trial import Proposal

Base = Mapping[str, Value]
_LEAST = 6
"""Below about five scored trials TPE draws at random, so a small budget is better spent on rules."""


@dataclass(frozen=True, slots=True)
class Move:
    """One rule of thumb.

    Attributes:
        why: The rule, as a sentence.
        change: (space, best configuration so far) -> the roles' new values; empty where the rule says nothing.
    """

    why: str
    change: Callable[[SearchSpace, Base], dict[str, Value]]


class PriorAdvisor:
    """Rules of thumb first, each once and for at most half of the budget (or six trials), then another advisor."""

    name = "built-in rules of thumb, then Optuna's TPE (not an LLM)"

    def __init__(self, then: Advisor) -> None:
        self._then = then

    def propose(self, request: Request) -> Advice:
        """Returns the next moves from the best configuration so far, and `then`'s proposals when none is left."""
        made = frozenset(t.proposal.rationale for t in request.trials if t.proposal.source == "prior")
        room = max(_LEAST, request.n_trials // 2) - len(made)
        proposals = _moves(request, made, count=max(0, min(room, request.count)))
        missing = request.count - len(proposals)
        if missing == 0:
            return Advice(proposals)
        advice = self._then.propose(request.after(proposals, count=missing))
        return Advice(proposals + advice.proposals, advice.consultations)


def _moves(request: Request, made: frozenset[str], count: int) -> tuple[Proposal, ...]:
    space = request.space
    base = _base(request)
    # Trial 0 may lack a parameter that has no value in the config; filled up, it can be compared.
    taken = [_complete(space, trial.params) or dict(trial.params) for trial in request.trials]
    found: list[Proposal] = []
    for move in _RULES:
        if len(found) == count:
            break
        if move.why in made:
            continue
        changes = {p.name: v for role, v in move.change(space, base).items() if (p := space.by_role(role)) is not None}
        params = _complete(space, {**base, **changes})
        if changes and params is not None and not any(space.alike(params, tried) for tried in taken):
            taken.append(params)
            found.append(Proposal(params, move.why, "prior"))
    return tuple(found)


def _base(request: Request) -> dict[str, Value]:
    best = next(iter(request.ranked), None)
    values = dict(best.params) if best is not None else request.space.defaults()
    # The user's own value may lie outside the bounds that he gave: no rule can move from there.
    return {name: value for name, value in values.items() if request.space[name].check(value) is None}


def _complete(space: SearchSpace, wanted: Base) -> dict[str, Value] | None:
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
        elif isinstance(parameter, Float):
            low, high = parameter.low, parameter.high
            params[parameter.name] = (low * high) ** 0.5 if parameter.log else (low + high) / 2
        else:
            params[parameter.name] = parameter.low
    return None if space.check(params) else params


def _scale(role: str, factor: float, own: bool = False) -> Callable[[SearchSpace, Base], dict[str, Value]]:
    """Multiplies a role's value of the best so far, or the user's own."""

    def change(space: SearchSpace, base: Base) -> dict[str, Value]:
        parameter = space.by_role(role)
        value = None if parameter is None else base.get(parameter.name)
        if own and parameter is not None and parameter.has_default:
            value = parameter.default
        if not isinstance(parameter, Float) or isinstance(value, (bool, str, type(None))) or not value:
            return {}
        return {role: float(f"{value * factor:.3g}")}

    return change


def _onward(space: SearchSpace, base: Base) -> dict[str, Value]:
    """Moves the rate by another factor of 3 away from the user's own, if the best so far has left that."""
    parameter = space.by_role("lr")
    if not isinstance(parameter, Float) or not isinstance(parameter.default, float):
        return {}
    value = base.get(parameter.name)
    if not isinstance(value, float) or value == parameter.default:
        return {}
    return _scale("lr", 3 if value > parameter.default else 1 / 3)(space, base)


def _set(**values: Value) -> Callable[[SearchSpace, Base], dict[str, Value]]:
    """Sets roles; says nothing where the first role is absent or cannot take its value."""

    def change(space: SearchSpace, base: Base) -> dict[str, Value]:
        role, value = next(iter(values.items()))
        parameter = space.by_role(role)
        return {} if parameter is None or parameter.check(value) is not None else dict(values)

    return change


def _both(*changes: Callable[[SearchSpace, Base], dict[str, Value]]) -> Callable[[SearchSpace, Base], dict[str, Value]]:
    """Joins changes; says nothing unless the first one speaks."""

    def change(space: SearchSpace, base: Base) -> dict[str, Value]:
        if not changes[0](space, base):
            return {}
        return {role: value for part in changes for role, value in part(space, base).items()}

    return change


_RULES = (
    Move(
        "Recompute BatchNorm's statistics in each epoch: on little data the running ones lag behind the weights.",
        _set(bn_mode="recalibrate"),
    ),
    Move("A third of your learning rate: does it overshoot?", _scale("lr", 1 / 3, own=True)),
    Move("Three times your learning rate: is it too timid?", _scale("lr", 3, own=True)),
    Move("The best so far has another learning rate than yours: further in that direction.", _onward),
    Move(
        "Unfreeze only the last third and the head: a good default for medium data, and cheaper.",
        _set(freeze_strategy="gradual_unfreeze", lr_layer_decay=1.0, l2sp_regularization=False),
    ),
    Move(
        "Let early layers move less (layer decay 0.75), which tolerates a higher rate at the head.",
        _set(lr_layer_decay=0.75),
    ),
    Move(
        "Train the head alone at ten times the rate: safest on little data, and the cheapest.",
        _both(_set(freeze_strategy="head_only"), _scale("lr", 10)),
    ),
    Move(
        "Keep BatchNorm's loaded statistics, which rest on far more images, with a third of the rate.",
        _both(_set(bn_mode="frozen"), _scale("lr", 1 / 3)),
    ),
    Move("Pull towards the loaded weights (L2-SP), against forgetting.", _set(l2sp_regularization=True)),
    Move(
        "Unfreeze from the head down over the first half of training, so that a raw head shakes no early layer.",
        _set(freeze_strategy="schedule"),
    ),
    Move(
        "The head alone first, then everything: a head that is no longer raw leaves the features in place.",
        _set(freeze_strategy="lp_ft"),
    ),
    Move(
        "Small additions to frozen layers (LoRA) at ten times the rate: little data cannot spoil what was loaded.",
        _both(_set(freeze_strategy="lora"), _scale("lr", 10)),
    ),
    Move("Let the new head learn ten times faster than what was loaded.", _set(head_lr_mult=10.0)),
    Move("Ten times the weight decay, against overfitting.", _scale("wd", 10)),
    Move("The learning rate once more in the direction of the best so far.", _onward),
    Move(
        "Average the weights over some hundred steps, against the noise of the last ones.",
        _set(ema_decay=0.99),
    ),
    Move(
        "Raise the rate in a line over a tenth of training, so that first steps shake little.", _set(warmup_share=0.1)
    ),
    Move("Smooth the labels by 0.1, against overconfidence.", _set(label_smoothing=0.1)),
    Move("Some dropout, against overfitting.", _set(dropout=0.2)),
    Move("GELU in place of the present activation.", _set(activation="gelu")),
)
