"""The rules of thumb as a space card."""

from __future__ import annotations

import json
from dataclasses import replace

import prior_table
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuropt_core.advisors.moves import MOVES
from neuropt_core.advisors.rules import RULES, companions, prior_card
from neuropt_core.advisors.rules_base import role_of, samples_in
from neuropt_core.card import Belief, SpaceCard
from neuropt_core.errors import ConfigError
from neuropt_core.profile import Group, ModelProfile, Pretrained
from neuropt_core.space import Categorical, Float, Int, Parameter, SearchSpace, Value, When
from neuropt_core.spec import StudySpec

ROLES = sorted({role for rule in RULES for role in rule.role.split()})
STRATEGY = Categorical(
    name="neuropt.freeze_strategy",
    choices=("full", "head_only", "gradual_unfreeze", "lora"),
    default="full",
    has_default=True,
    role="freeze_strategy",
)


def _lr(own: float | None = None, low: float = 1e-6, high: float = 1.0) -> Float:
    return Float(name="lr", low=low, high=high, log=True, default=own, has_default=own is not None, role="lr")


def _optimizer(own: str) -> Categorical:
    choices = ("torch.optim.AdamW", "torch.optim.SGD")
    return Categorical(name="optimizer", choices=choices, default=own, has_default=True, role="optimizer")


def _belief(*parameters: Parameter, name: str = "lr", **facts: object) -> Belief | None:
    return prior_card(StudySpec("s", SearchSpace(parameters), **facts), 20).beliefs.get(name)  # type: ignore[arg-type]


@st.composite
def spaces(pick: st.DrawFn) -> SearchSpace:
    found: list[Parameter] = [STRATEGY] if pick(st.booleans()) else []
    for i, role in enumerate(pick(st.lists(st.sampled_from(ROLES), max_size=8))):
        when = (When(STRATEGY.name, ("full",)),) if found[:1] == [STRATEGY] and pick(st.booleans()) else ()
        kind = pick(st.sampled_from(["float", "int", "words", "numbers"]))
        has = pick(st.booleans())
        if kind == "float":
            low = pick(st.floats(1e-6, 1))
            own = pick(st.floats(0, 10))
            top = low * pick(st.floats(2, 1e4))
            found.append(
                Float(
                    name=f"p{i}",
                    low=low,
                    high=top,
                    log=pick(st.booleans()),
                    default=own,
                    has_default=has,
                    when=when,
                    role=role,
                )
            )
        elif kind == "int":
            low_int = pick(st.integers(1, 50))
            found.append(
                Int(
                    name=f"p{i}",
                    low=low_int,
                    high=low_int + 60,
                    step=3,
                    default=low_int,
                    has_default=has,
                    when=when,
                    role=role,
                )
            )
        else:
            choices: tuple[Value, ...] = ("relu", "keep", True, "x") if kind == "words" else (1, 8, 0.1, 0.0)
            found.append(Categorical(name=f"p{i}", choices=choices, default="x", has_default=has, when=when, role=role))
    return SearchSpace(tuple(found) or (_lr(),))


@given(spaces(), st.sampled_from(["", "300 images", "5k rows", "1,000,000 sentences"]), st.integers(1, 40))
def test_whatever_is_believed_is_legal(space: SearchSpace, task: str, n_trials: int) -> None:
    """Intervals and modes lie within the bounds, choices are choices, each with a reason; the portfolio can be run."""
    card = prior_card(StudySpec("s", space, task=task), n_trials)
    for name, belief in card.beliefs.items():
        parameter = space[name]
        assert belief.why
        assert parameter.check(belief.mode) is None
        if isinstance(parameter, Categorical):
            assert all(parameter.check(choice) is None for choice in belief.likely)
        else:
            assert belief.low is not None
            assert belief.high is not None
            assert parameter.low <= belief.low <= belief.mode <= belief.high <= parameter.high  # type: ignore[operator]
    assert len(card.portfolio) <= min(10, n_trials)
    assert all(space.check(p.params) == () and p.source == "prior" for p in card.portfolio)
    pairs = [(p, q) for i, p in enumerate(card.portfolio) for q in card.portfolio[:i]]
    assert not [1 for p, q in pairs if space.alike(p.params, q.params)]
    assert SpaceCard.from_json(json.loads(json.dumps(card.to_json()))) == card


def test_the_rate_goes_by_the_optimizer() -> None:
    """Without a value of the user's, AdamW is believed at 1e-3 and SGD at 1e-2."""
    adam = _belief(_optimizer("torch.optim.AdamW"), _lr())
    sgd = _belief(_optimizer("torch.optim.SGD"), _lr())
    assert adam is not None
    assert sgd is not None
    assert (adam.low, adam.mode, adam.high) == (1e-4, 1e-3, 1e-2)
    assert (sgd.low, sgd.mode, sgd.high) == (1e-3, 1e-2, 1e-1)


def test_the_rate_goes_by_what_trains() -> None:
    """Loaded weights move at a third of the rate from scratch, and a head alone at ten times that."""
    profile = ModelProfile("m", 10, pretrained=Pretrained(True))
    full = _belief(_optimizer("torch.optim.AdamW"), STRATEGY, _lr(), profile=profile)
    head = replace(STRATEGY, default="head_only")
    light = _belief(_optimizer("torch.optim.AdamW"), head, _lr(), profile=profile)
    assert full is not None
    assert light is not None
    assert (full.mode, light.mode) == (3e-4, 3e-3)


def test_the_users_rate_counts_half() -> None:
    """The mode lies halfway to the user's own rate, and the interval is a factor of ten around that."""
    belief = _belief(_optimizer("torch.optim.AdamW"), _lr(1e-2))
    assert belief is not None
    assert belief.low == pytest.approx(1e-3)
    assert belief.high == pytest.approx(1e-1)
    assert belief.mode == pytest.approx(10**-2.5, rel=0.01)


def test_nothing_is_believed_outside_the_bounds() -> None:
    """An interval that misses the bounds is no belief, and one that overlaps is cut."""
    assert _belief(_optimizer("torch.optim.AdamW"), _lr(low=0.1)) is None
    cut = _belief(_optimizer("torch.optim.AdamW"), _lr(low=2e-3))
    assert cut is not None
    assert (cut.low, cut.mode) == (2e-3, 2e-3)


def test_the_users_hint_beats_the_rule() -> None:
    """A hint takes the rule's place and says whose it is; what it leaves open is filled."""
    space = (_optimizer("torch.optim.AdamW"), _lr(1e-3))
    hinted = _belief(*space, hints={"lr": Belief(low=0.1, high=0.5)})
    assert hinted is not None
    assert (hinted.low, hinted.high, hinted.why) == (0.1, 0.5, "You said so.")
    assert hinted.mode == pytest.approx(0.224, rel=0.01)
    wanted = _belief(*space, name="optimizer", hints={"optimizer": Belief(likely=("torch.optim.SGD",))})
    assert wanted is not None
    assert wanted.likely == ("torch.optim.SGD",)
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.priors\.lr: needs a mode between"):
        _belief(*space, hints={"lr": Belief(mode=7.0)})


def test_what_to_freeze_goes_by_how_many_samples_there_are() -> None:
    """Few samples freeze, many do not, and where nobody says how many nothing is believed."""
    few = _belief(STRATEGY, name=STRATEGY.name, task="320 labelled images of clothes")
    many = _belief(STRATEGY, name=STRATEGY.name, task="We have 50k images.")
    assert few is not None
    assert many is not None
    assert (few.mode, many.mode) == ("gradual_unfreeze", "full")
    assert _belief(STRATEGY, name=STRATEGY.name, task="Sort clothes into 10 classes.") is None


def test_the_decay_goes_by_depth() -> None:
    """A deep model is believed to take a steeper decay over its groups than a shallow one."""
    decay = Float(name="d", low=0.5, high=1.0, role="lr_layer_decay")
    modes = []
    for count in (12, 4):
        groups = tuple(Group(str(i), 1, 1) for i in range(count))
        belief = _belief(decay, name="d", profile=ModelProfile("m", 1, groups=groups))
        modes.append(None if belief is None else belief.mode)
    assert modes == [0.75, 0.9]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("320 labelled images", 320),
        ("50k rows", 50_000),
        ("1,281,167 training images and 50,000 validation images", 1_281_167),
        ("1.2M sentences", 1_200_000),
        ("10 classes, 224 pixels", None),
        ("ResNet50 images", None),
        ("", None),
    ],
)
def test_samples_are_read_from_the_task(text: str, count: int | None) -> None:
    """Only a number that counts samples is one, with its k or M."""
    assert samples_in(text) == count


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("model.n_units_1", "width"),
        ("train.batch_size", "batch_size"),
        ("base_lr", "lr"),
        ("model.num_layers", "depth"),
        ("dropout_2", "dropout"),
        ("optim._target_", "optimizer"),
        ("model.hidden_dim", "width"),
        ("model.alpha", ""),
        ("seed", ""),
        ("n_epochs", ""),
        ("color", ""),
    ],
)
def test_plain_names_are_known(name: str, role: str) -> None:
    """What most configs call a thing is known without introspection, and nothing else is."""
    assert role_of(Int(name=name, low=1, high=9)) == role


def test_a_rate_goes_along_with_its_optimizer_and_strategy() -> None:
    """SGD in AdamW's place takes ten times the rate from scratch, a head alone too; a rate that was set stays."""
    spec = StudySpec("s", SearchSpace((_optimizer("torch.optim.AdamW"), _lr(1e-3))))
    old: dict[str, Value] = {"optimizer": "torch.optim.AdamW", "lr": 1e-3}
    assert companions(spec, old, {**old, "optimizer": "torch.optim.SGD"}) == {"lr": pytest.approx(1e-2)}
    assert companions(spec, old, {**old, "optimizer": "torch.optim.SGD", "lr": 2e-3}) == {}
    assert companions(spec, old, {**old, "lr": 2e-3}) == {}


def test_each_rule_says_one_thing_with_its_source() -> None:
    """A rule has either choices or three ordered numbers, a reason and a source; so has each move."""
    for rule in RULES:
        numbers = (rule.low, rule.mode, rule.high)
        assert bool(rule.likely) != (None not in numbers)
        assert rule.likely or numbers == tuple(sorted(numbers))  # type: ignore[type-var]
        assert rule.why.endswith(".")
        assert rule.source
    assert all(move.why.endswith((".", "?")) and move.source for move in MOVES)
    assert len({move.why for move in MOVES}) == len(MOVES)


def test_the_page_shows_the_rules() -> None:
    """docs/prior.md has the tables of today's rules and moves; prior_table.py writes them anew."""
    assert prior_table.page() == prior_table.PAGE.read_text()
