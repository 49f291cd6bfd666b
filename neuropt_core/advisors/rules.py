"""The rules of thumb as a space card: for each parameter with a known role an interval, a mode, a risk and a reason.

The keyless mode, the stand-in for an LLM, and the control of every claim about one: it writes the same object. The
rules themselves are data (`rules_rates`, `rules_model`, `rules_tuning`, `rules_trees`), and docs/prior.md shows them
as a table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from neuropt_core.advisors import moves
from neuropt_core.advisors.beliefs import at, place_of
from neuropt_core.advisors.rules_base import Rule, Situation, role_of, with_role, word
from neuropt_core.advisors.rules_model import MODEL
from neuropt_core.advisors.rules_rates import RATES
from neuropt_core.advisors.rules_trees import TREES
from neuropt_core.advisors.rules_tuning import TUNING
from neuropt_core.card import Belief, SpaceCard
from neuropt_core.errors import ConfigError
from neuropt_core.space import Categorical, Parameter, Value
from neuropt_core.spec import StudySpec

RULES: tuple[Rule, ...] = (*RATES, *MODEL, *TUNING, *TREES)
_LONGEST = 10
"""Moves in a portfolio: more than the first tenth of a usual budget would hardly be tried."""


def prior_card(spec: StudySpec, n_trials: int) -> SpaceCard:
    """Returns what the rules and the user's hints say of a study's space.

    Args:
        spec: The study. Its hints beat the rules.
        n_trials: The budget in trials; a portfolio longer than it makes no sense.

    Raises:
        ConfigError: A hint's mode lies outside its interval or the space.
    """
    known = prior_beliefs(spec)
    portfolio = moves.portfolio(spec, known, count=min(_LONGEST, max(1, n_trials)))
    return SpaceCard("prior", known, portfolio)


def prior_beliefs(spec: StudySpec) -> dict[str, Belief]:
    """Returns the beliefs alone, by parameter name; a parameter of which no rule speaks has none."""
    situation = Situation.of(spec)
    found: dict[str, Belief] = {}
    for parameter in spec.space.parameters:
        belief = _belief(parameter, situation)
        hint = spec.hints.get(parameter.name)
        if hint is not None:
            belief = _hinted(parameter, hint, belief)
        if belief is not None:
            found[parameter.name] = belief
    return found


def companions(spec: StudySpec, old: Mapping[str, Value], new: Mapping[str, Value]) -> dict[str, Value]:
    """Returns the learning rates that go with another optimizer or freeze strategy, unless `new` changes them itself.

    SGD takes about ten times Adam's rate, and what trains little of a loaded model ten times that of full fine-tuning:
    the rate moves by the ratio of the textbook's rates for the two, as far as the space goes.
    """
    before, after = (_rule("lr", Situation.of(spec, values)) for values in (old, new))
    if before is None or after is None or before is after or before.times_own or after.times_own:
        return {}
    factor = (after.mode or 1.0) / (before.mode or 1.0)
    found: dict[str, Value] = {}
    for parameter in with_role(spec.space, "lr"):
        value = new.get(parameter.name)
        moved = old.get(parameter.name) != value
        if isinstance(parameter, Categorical) or isinstance(value, (bool, str, type(None))) or moved:
            continue
        found[parameter.name] = at(parameter, place_of(parameter, value * factor))
    return found


def _rule(role: str, situation: Situation, *, has_own: bool = True) -> Rule | None:
    spoken = (r for r in RULES if role in r.role.split() and r.holds(situation))
    return next((r for r in spoken if has_own or not r.times_own), None)


def _own(parameter: Parameter) -> float:
    """Returns the user's own number; 0 where there is none."""
    own = parameter.default if parameter.has_default else None
    return 0.0 if isinstance(own, bool) or not isinstance(own, (int, float)) else own


def _belief(parameter: Parameter, situation: Situation) -> Belief | None:
    rule = _rule(role_of(parameter), situation, has_own=_own(parameter) > 0)
    if rule is None:
        return None
    why = f"{rule.why} ({rule.source})"
    if rule.likely:
        choices = _likely(parameter, rule)
        return Belief(mode=choices[0], likely=choices, risk=rule.risk, why=why) if choices else None
    low, mode, high = _interval(parameter, rule)
    if isinstance(parameter, Categorical):
        numbers = _numbers(parameter)
        near = sorted((c for c in numbers if low <= c <= high), key=lambda c: _distance(c, mode))
        return Belief(low, high, near[0], tuple(near), rule.risk, why) if near else None
    low, high = max(low, parameter.low), min(high, parameter.high)
    if low > high:
        return None
    believed = at(parameter, place_of(parameter, min(max(mode, low), high)))
    # Few digits, or the grid of whole numbers, may put the mode beside an end: the interval then reaches to it.
    return Belief(min(low, believed), max(high, believed), believed, (), rule.risk, why)


def _interval(parameter: Parameter, rule: Rule) -> tuple[float, float, float]:
    """Returns low, mode and high, the user's own value taken into account: half the way to it, and within reach."""
    assert rule.low is not None and rule.mode is not None and rule.high is not None  # noqa: PT018 - the test of RULES
    low, mode, high = rule.low, rule.mode, rule.high
    own = parameter.default if parameter.has_default else None
    if isinstance(own, bool) or not isinstance(own, (int, float)):
        return low, mode, high
    if rule.times_own:
        return low * own, mode * own, high * own
    positive = own > 0 and low > 0
    halfway = math.sqrt(own * mode) if positive else (own + mode) / 2
    if rule.decade and positive:
        return min(own / 10, halfway), halfway, max(own * 10, halfway)
    return min(low, own), halfway, max(high, own)


def _likely(parameter: Parameter, rule: Rule) -> tuple[Value, ...]:
    if not isinstance(parameter, Categorical):
        return ()
    own = word(parameter.default) if parameter.has_default else ""
    wanted = [own if name == "*" else name.replace("_", "") for name in rule.likely]
    by_word = {_said(choice): choice for choice in reversed(parameter.choices)}
    return tuple(by_word[name] for name in dict.fromkeys(wanted) if name in by_word)


def _said(choice: Value) -> str:
    return str(float(choice)) if isinstance(choice, int) and not isinstance(choice, bool) else word(choice)


def _numbers(parameter: Categorical) -> list[int | float]:
    return [c for c in parameter.choices if isinstance(c, (int, float)) and not isinstance(c, bool)]


def _distance(one: float, other: float) -> float:
    return abs(math.log(one / other)) if one > 0 and other > 0 else abs(one - other)


def _hinted(parameter: Parameter, hint: Belief, rule: Belief | None) -> Belief | None:
    """Returns the user's belief; what the hint leaves open is the rule's where the two agree."""
    why = f"You said so: {hint.why}" if hint.why and hint.why != "You said so." else "You said so."
    if isinstance(parameter, Categorical):
        likely = tuple(c for c in hint.likely if parameter.check(c) is None)
        if hint.mode is not None and parameter.check(hint.mode) is None:
            likely = (hint.mode, *(c for c in likely if c != hint.mode))
        mode = likely[0] if likely else None
        return replace(hint, mode=mode, likely=likely, why=why) if likely else rule
    low = max(parameter.low, parameter.low if hint.low is None else hint.low)
    high = min(parameter.high, parameter.high if hint.high is None else hint.high)
    if low > high:
        return None
    mode = hint.mode if hint.mode is not None or rule is None else rule.mode
    if not isinstance(mode, (int, float)) or not low <= mode <= high:
        if hint.mode is not None:
            rule_broken = f"needs a mode between {low:g} and {high:g}"
            raise ConfigError(f"hydra.sweeper.priors.{parameter.name}", rule_broken, got=hint.mode)
        mode = at(parameter, (place_of(parameter, low) + place_of(parameter, high)) / 2)
    return Belief(low, high, mode, (), hint.risk or ("" if rule is None else rule.risk), why)
