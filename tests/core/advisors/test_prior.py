"""The built-in rules of thumb."""

from __future__ import annotations

from dataclasses import replace

from neuropt_core.advice import Rejection, Request, own_configuration
from neuropt_core.advisors.moves import MOVES
from neuropt_core.advisors.prior import PriorAdvisor
from neuropt_core.card import Belief, SpaceCard
from neuropt_core.space import Categorical, Float, Int, SearchSpace, When
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Outcome, Proposal, Trial, TrialState

STRATEGIES = ("full", "head_only", "gradual_unfreeze")
SPACE = SearchSpace(
    (
        Float(name="optimizer.lr", low=1e-5, high=1e-2, log=True, default=1e-3, has_default=True, role="lr"),
        Float(name="optimizer.weight_decay", low=1e-5, high=0.3, log=True, default=0.01, has_default=True, role="wd"),
        Categorical(
            name="neuropt.freeze_strategy",
            choices=STRATEGIES,
            default="full",
            has_default=True,
            role="freeze_strategy",
        ),
        Float(
            name="neuropt.lr_layer_decay",
            low=0.5,
            high=1.0,
            default=1.0,
            has_default=True,
            role="lr_layer_decay",
            when=(When("neuropt.freeze_strategy", ("full", "gradual_unfreeze")),),
        ),
        Categorical(
            name="neuropt.bn_mode",
            choices=("train", "frozen", "recalibrate"),
            default="train",
            has_default=True,
            role="bn_mode",
        ),
        Categorical(name="width", choices=(16, 32), default=16, has_default=True),
    )
)
SPEC = StudySpec("s", SPACE)


def _baseline(value: float = 1.0) -> Trial:
    return Trial(0, own_configuration(SPACE), Outcome(TrialState.COMPLETE, value))


def _changed(proposal: Proposal, base: Trial) -> dict[str, object]:
    return {k: v for k, v in proposal.params.items() if base.params.get(k) != v}


def _study(n_trials: int, score: object) -> list[Trial]:
    """Plays a whole study, scoring each proposal by a function of its parameters."""
    advisor, trials = PriorAdvisor(), [_baseline()]
    while len(trials) < n_trials:
        request = Request(SPEC, tuple(trials), len(trials), 1, n_trials)
        (proposal,) = advisor.propose(request).proposals
        value = score(proposal.params)  # type: ignore[operator]
        trials.append(Trial(len(trials), proposal, Outcome(TrialState.COMPLETE, value)))
    return trials


def _moves(trials: list[Trial]) -> list[Trial]:
    return [t for t in trials if t.proposal.rationale in {move.why for move in MOVES}]


def test_every_rule_is_legal_and_used_once() -> None:
    """No rule repeats itself or leaves the space, whatever the scores."""
    trials = _study(20, lambda params: 2.0)
    rules = [t.proposal.rationale for t in _moves(trials)]
    assert len(rules) == len(set(rules)) >= 6
    assert all(SPACE.check(t.params) == () for t in trials)
    assert len({repr(dict(t.params)) for t in trials}) == len(trials)


def test_what_helped_stays() -> None:
    """Each move starts from the best configuration so far, so recalibrated statistics that helped are kept."""
    trials = _study(16, lambda params: 0.5 if params["neuropt.bn_mode"] == "recalibrate" else 2.0)
    moves = _moves(trials)
    assert moves[0].params["neuropt.bn_mode"] == "recalibrate"
    kept = [t for t in moves if "BatchNorm's loaded" not in t.proposal.rationale]
    assert all(t.params["neuropt.bn_mode"] == "recalibrate" for t in kept)
    assert len(kept) >= 5


def test_what_hurt_is_dropped() -> None:
    """A move that made things worse is not in the moves after it."""
    trials = _study(16, lambda params: 5.0 if params["neuropt.bn_mode"] == "recalibrate" else 0.9)
    later = _moves(trials)[1:]
    assert later
    assert all(t.params["neuropt.bn_mode"] != "recalibrate" for t in later)


def test_a_rate_that_helped_is_followed() -> None:
    """When a third of the rate was better, a ninth is tried too, and not three times the first."""
    trials = _study(14, lambda params: {0.000333: 0.5, 0.000111: 0.4}.get(params["optimizer.lr"], 2.0))
    rates = [t.params["optimizer.lr"] for t in trials]
    assert 0.000333 in rates
    assert 0.000111 in rates


def test_head_only_comes_with_a_higher_rate_and_without_layer_decay() -> None:
    """Training the head alone takes ten times the rate, and what then has no meaning is left out."""
    trials = _study(20, lambda params: 2.0)
    (head,) = [t for t in _moves(trials) if t.params["neuropt.freeze_strategy"] == "head_only"]
    assert head.params["optimizer.lr"] == 0.01
    assert "neuropt.lr_layer_decay" not in head.params


def test_a_rate_that_did_not_change_is_not_followed() -> None:
    """While the best has the user's own rate, nothing is said of a direction."""
    trials = _study(20, lambda params: 0.5 if params["optimizer.lr"] == 1e-3 else 2.0)
    assert len(_moves(trials)) >= 6
    assert not [t for t in trials if "direction" in t.proposal.rationale]


def test_moves_and_variations_take_turns() -> None:
    """Three moves come first, then every other proposal is one, up to six or half of the budget."""
    trials = _study(14, lambda params: 2.0)
    assert [t.proposal.source for t in trials[1:]] == ["prior"] * 13
    kinds = "".join("m" if t in _moves(trials) else "v" for t in trials[1:])
    assert kinds == "mmmvmvmvmvmvv"
    assert len(_moves(_study(30, lambda params: 2.0))) <= 15


def test_several_are_proposed_at_once_for_parallel_workers() -> None:
    """A request for four gets four different proposals, before any score but none is needed."""
    advice = PriorAdvisor().propose(Request(SPEC, (Trial(0, own_configuration(SPACE)),), 1, 4, 20))
    assert len({repr(dict(p.params)) for p in advice.proposals}) == 4
    assert all(len(_changed(p, _baseline())) >= 1 for p in advice.proposals)


def test_a_wide_space_has_moves_of_its_own() -> None:
    """Where a schedule and a rate of the head's own are searched, each is tried once."""
    strategy = Categorical(
        name="neuropt.freeze_strategy",
        choices=("full", "schedule"),
        default="full",
        has_default=True,
        role="freeze_strategy",
    )
    mult = Float(
        name="neuropt.head_lr_mult", low=1.0, high=30.0, log=True, default=1.0, has_default=True, role="head_lr_mult"
    )
    space = SearchSpace((strategy, mult))
    start = Trial(0, own_configuration(space), Outcome(TrialState.COMPLETE, 1.0))
    advice = PriorAdvisor().propose(Request(StudySpec("s", space), (start,), 1, 2, 20))
    assert [p.params for p in advice.proposals] == [
        {"neuropt.freeze_strategy": "schedule", "neuropt.head_lr_mult": 1.0},
        {"neuropt.freeze_strategy": "full", "neuropt.head_lr_mult": 10.0},
    ]
    assert [p.source for p in advice.proposals] == ["prior", "prior"]


def test_what_any_training_can_vary_is_tried_once() -> None:
    """Averaging, warm-up and label smoothing have a move each, with the usual value."""
    space = SearchSpace(
        (
            Float(
                name="neuropt.label_smoothing", low=0.0, high=0.2, default=0.0, has_default=True, role="label_smoothing"
            ),
            Float(name="neuropt.warmup_share", low=0.0, high=0.3, default=0.0, has_default=True, role="warmup_share"),
            Categorical(
                name="neuropt.ema_decay", choices=(0.0, 0.9, 0.99), default=0.0, has_default=True, role="ema_decay"
            ),
        )
    )
    start = Trial(0, own_configuration(space), Outcome(TrialState.COMPLETE, 1.0))
    advice = PriorAdvisor().propose(Request(StudySpec("s", space), (start,), 1, 3, 20))
    plain = {"neuropt.label_smoothing": 0.0, "neuropt.warmup_share": 0.0, "neuropt.ema_decay": 0.0}
    assert [p.params for p in advice.proposals] == [
        {**plain, "neuropt.ema_decay": 0.99},
        {**plain, "neuropt.warmup_share": 0.1},
        {**plain, "neuropt.label_smoothing": 0.1},
    ]


def test_strategies_of_a_wide_space_are_tried() -> None:
    """lp_ft is tried as it is, lora at ten times the rate and with a rank."""
    strategy = Categorical(
        name="neuropt.freeze_strategy",
        choices=("full", "lp_ft", "lora"),
        default="full",
        has_default=True,
        role="freeze_strategy",
    )
    only = {name: (When("neuropt.freeze_strategy", (name,)),) for name in ("lp_ft", "lora")}
    share = Float(name="neuropt.lp_ft_share", low=0.1, high=0.5, default=0.3, has_default=True, when=only["lp_ft"])
    rank = Int(name="neuropt.lora_rank", low=4, high=64, log=True, default=8, has_default=True, when=only["lora"])
    rate = Float(name="lr", low=1e-5, high=0.1, log=True, default=1e-3, has_default=True, role="lr")
    space = SearchSpace((strategy, share, rank, rate))
    start = Trial(0, own_configuration(space), Outcome(TrialState.COMPLETE, 1.0))
    advice = PriorAdvisor().propose(Request(StudySpec("s", space), (start,), 1, 6, 20))
    moves = [p.params for p in advice.proposals if p.rationale in {move.why for move in MOVES}]
    assert moves[2:] == [
        {"neuropt.freeze_strategy": "lp_ft", "neuropt.lp_ft_share": 0.3, "lr": 1e-3},
        {"neuropt.freeze_strategy": "lora", "neuropt.lora_rank": 8, "lr": 0.01},
    ]


def test_chance_depends_on_seed_and_number() -> None:
    """The same request gets the same answer from another advisor, and another seed another one."""
    trials = tuple(_study(9, lambda params: params["optimizer.lr"]))
    request = Request(SPEC, trials, 9, 8, 20)
    first = PriorAdvisor().propose(request)
    assert PriorAdvisor().propose(request) == first
    other = PriorAdvisor().propose(replace(request, spec=replace(SPEC, seed=1)))
    assert [p.params for p in other.proposals] != [p.params for p in first.proposals]


def test_a_slate_is_as_long_as_asked_for() -> None:
    """Thirty proposals at once are legal and unlike each other and what was tried."""
    trials = tuple(_study(5, lambda params: params["optimizer.lr"]))
    slate = PriorAdvisor().propose(Request(SPEC, trials, 5, 30, 40)).proposals
    known = [dict(t.params) for t in trials] + [dict(p.params) for p in slate]
    assert len(slate) == 30
    assert all(SPACE.check(p.params) == () for p in slate)
    assert not [1 for i, one in enumerate(known) for other in known[:i] if SPACE.alike(one, other)]


def test_it_runs_dry_only_where_the_space_is_used_up() -> None:
    """Of eight configurations each is proposed once, and then nothing is."""
    space = SearchSpace(tuple(Categorical(name=n, choices=(1, 2), default=1, has_default=True) for n in "abc"))
    start = Trial(0, own_configuration(space), Outcome(TrialState.COMPLETE, 1.0))
    advice = PriorAdvisor().propose(Request(StudySpec("s", space), (start,), 1, 30, 40))
    assert len({tuple(p.params.values()) for p in advice.proposals}) == 7


def test_the_best_of_an_earlier_study_is_a_base_until_it_is_beaten() -> None:
    """What an earlier study found is built upon until this one knows better; its numbers are no parents here."""
    good = {**SPACE.defaults(), "neuropt.bn_mode": "frozen", "width": 32}
    earlier = (Trial(4, Proposal(good, "Then.", "llm"), Outcome(TrialState.COMPLETE, 0.1)),)
    request = Request(SPEC, (_baseline(),), 1, 6, 20, earlier=earlier)
    moves = [p for p in PriorAdvisor().propose(request).proposals if p.rationale in {m.why for m in MOVES}]
    assert all(p.params["width"] == 32 and p.parent is None for p in moves)
    beaten = (_baseline(0.05),)
    moves = list(PriorAdvisor().propose(replace(request, trials=beaten)).proposals[:3])
    assert all(p.params["width"] == 16 and p.parent == 0 for p in moves)


def test_an_llms_card_changes_nothing() -> None:
    """The keyless control does not read what an LLM wrote of the space."""
    request = Request(SPEC, (_baseline(),), 1, 9, 20)
    card = SpaceCard("llm", {"optimizer.lr": Belief(1e-5, 2e-5, 1.5e-5)})
    assert PriorAdvisor().propose(replace(request, card=card)) == PriorAdvisor().propose(request)


def test_a_refused_proposal_does_not_come_back() -> None:
    """What was put aside as hopeless is not proposed again; what was only crowded out may be."""
    request = Request(SPEC, (_baseline(),), 1, 1, 20)
    (first,) = PriorAdvisor().propose(request).proposals
    for rule, again in (("hopeless", False), ("crowded", True)):
        refused = replace(request, rejected=(Rejection(first, 1, rule, "So."),))
        assert (PriorAdvisor().propose(refused).proposals[0] == first) is again


def test_nothing_speaks_of_an_llm() -> None:
    """The name says that it is none, and no reason claims otherwise."""
    assert "not an LLM" in PriorAdvisor.name
    assert not [t for t in _study(20, lambda params: 2.0) if "LLM" in t.proposal.rationale]


def test_a_repetition_is_no_place_of_its_own() -> None:
    """Second runs of the best are passed over, so that the next configuration keeps its turns as the second best."""
    trials = [_baseline(3.0)]
    for value, rate in ((1.0, 1e-4), (2.0, 1e-2)):
        proposal = Proposal({**own_configuration(SPACE).params, "optimizer.lr": rate}, "Because.", "prior")
        trials.append(Trial(len(trials), proposal, Outcome(TrialState.COMPLETE, value)))
    again = replace(trials[1].proposal, source="replicate", parent=1)
    trials += [Trial(n, again, Outcome(TrialState.COMPLETE, 1.0)) for n in (3, 4)]
    slate = PriorAdvisor().propose(Request(SPEC, tuple(trials), 5, 40, 80)).proposals
    whose = {p.rationale.split(":")[0] for p in slate if p.rationale.startswith("A variation of")}
    assert {f"A variation of the {place}" for place in ("best so far, trial 1", "second best so far, trial 2")} <= whose
    assert not any("trial 3" in words or "trial 4" in words for words in whose)


def test_a_bold_variation_counts_its_changes() -> None:
    """A variation by the rules says several respects only where it changes more than one parameter."""
    trials = (_baseline(),)
    slate = PriorAdvisor().propose(Request(SPEC, trials, 1, 40, 80)).proposals
    bold = [p for p in slate if p.rationale.startswith("Away from the best so far, trial 0, in ")]
    assert len(bold) > 4
    for proposal in bold:
        gone = trials[0].params.keys() - proposal.params.keys()
        several = len(gone | _changed(proposal, trials[0]).keys()) > 1
        assert ("in several respects" in proposal.rationale) == several
