"""Optuna's samplers as an advisor."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuropt_core.advice import Request
from neuropt_core.advisors.chance import RandomAdvisor
from neuropt_core.advisors.surrogate import SurrogateAdvisor
from neuropt_core.curve import Curve, Point
from neuropt_core.errors import ConfigError
from neuropt_core.objectives import Constraint
from neuropt_core.space import Categorical, Float, Int, SearchSpace, Value, When
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Failure, Outcome, Proposal, Trial, TrialState

SPACE = SearchSpace(
    (
        Float(name="lr", low=1e-5, high=1.0, log=True),
        Int(name="width", low=8, high=64, step=8),
        Categorical(name="opt", choices=("adam", "sgd", None, True)),
        Float(name="momentum", low=0.0, high=0.99, when=(When("opt", ("sgd",)),)),
    )
)
NUMERIC = SearchSpace((Float(name="lr", low=1e-5, high=1.0, log=True), Int(name="width", low=8, high=64)))


def _request(n: int, space: SearchSpace = SPACE, direction: str = "minimize", failing: float = math.inf) -> Request:
    """A history of n random trials scored by the distance of lr from 1e-3; lr above `failing` fails."""
    spec = StudySpec("s", space, direction)  # type: ignore[arg-type]
    trials: tuple[Trial, ...] = ()
    for number in range(n):
        (proposal,) = RandomAdvisor().propose(Request(spec, trials, number, 1, 99)).proposals
        trials += (_told(number, proposal, failing, direction),)
    return Request(spec, trials, n, 1, 99)


def _told(number: int, proposal: Proposal, failing: float = math.inf, direction: str = "minimize") -> Trial:
    lr = _lr(proposal)
    if lr > failing:
        return Trial(number, proposal, Outcome(TrialState.FAIL, failure=Failure("out_of_memory", "no room")))
    score = abs(math.log10(lr) + 3)
    return Trial(number, proposal, Outcome(TrialState.COMPLETE, score if direction == "minimize" else -score))


def _lr(proposal: Proposal) -> float:
    lr = proposal.params["lr"]
    assert isinstance(lr, float)
    return lr


def _outcome(kind: str, value: float) -> Outcome | None:
    """One of all ways in which a trial can end, or None while it runs."""
    curve = Curve(tuple(Point(i, {"val_loss": value + 3 - i}) for i in range(3)))
    if kind == "COMPLETE":
        return Outcome(TrialState.COMPLETE, value, Curve((*curve.points, Point(3, {"val_loss": value}))), seconds=9.0)
    if kind == "PRUNED":
        return Outcome(TrialState.PRUNED, curve=curve, reason="hopeless")
    if kind == "running":
        return None
    return Outcome(TrialState.FAIL, failure=Failure(kind, "no"))


ENDS = st.tuples(
    st.sampled_from(("COMPLETE", "COMPLETE", "PRUNED", "out_of_memory", "non_finite", "preempted", "running")),
    st.floats(-5, 5),
    st.integers(0, 12),
)


def _history(ends: list[tuple[str, float, int]], spec: StudySpec) -> tuple[Trial, ...]:
    """Trials whose configurations are drawn by a number, so that equal numbers are replicates."""
    drawn = [RandomAdvisor().propose(Request(spec, (), salt, 1, 99)).proposals[0] for _, _, salt in ends]
    pairs = zip(drawn, ends, strict=True)
    return tuple(Trial(n, proposal, _outcome(kind, value)) for n, (proposal, (kind, value, _)) in enumerate(pairs))


@pytest.mark.parametrize("n", [0, 1, 3, 12])
def test_proposals_are_legal_and_a_function_of_the_request(n: int) -> None:
    """The same request gives the same legal proposals, with however little history, and no two alike."""
    request = replace(_request(n), count=4)
    advice = SurrogateAdvisor().propose(request)
    assert len(advice.proposals) == 4
    assert len({repr(dict(p.params)) for p in advice.proposals}) == 4
    for proposal in advice.proposals:
        assert SPACE.check(proposal.params) == ()
        assert proposal.source == "surrogate"
        assert proposal.rationale
    assert SurrogateAdvisor().propose(request) == advice


@settings(max_examples=25, deadline=None)
@given(st.lists(ENDS, max_size=25), st.integers(0, 3))
def test_every_proposal_is_legal_and_unlike_all_trials(ends: list[tuple[str, float, int]], seed: int) -> None:
    """Whatever became of the trials, what is proposed is in the space and was not tried, running ones included."""
    spec = StudySpec("s", SPACE, seed=seed, constraints=(Constraint("val_loss", True, 1.0),))
    trials = _history(ends, spec)
    proposals = SurrogateAdvisor().propose(Request(spec, trials, len(trials), 3, 99)).proposals
    assert len(proposals) == 3
    before = [t.params for t in trials]
    for proposal in proposals:
        assert SPACE.check(proposal.params) == ()
        assert not any(SPACE.alike(proposal.params, other) for other in before)
        before.append(proposal.params)


@settings(max_examples=20, deadline=None)
@given(st.lists(ENDS, min_size=1, max_size=30), st.data())
def test_an_advisor_that_saw_the_study_grow_answers_as_a_fresh_one(
    ends: list[tuple[str, float, int]], data: st.DataObject
) -> None:
    """Trials told late and in any order, replicates, and other studies in between leave no trace."""
    spec = StudySpec("s", SPACE, constraints=(Constraint("val_loss", True, 1.0),))
    final = _history(ends, spec)
    seasoned = SurrogateAdvisor()
    order = data.draw(st.permutations(range(len(final))))
    state: list[Trial] = [Trial(t.number, t.proposal) for t in final]
    for step, number in enumerate(order):
        state[number] = final[number]
        if step % 7 == 0:
            seasoned.propose(Request(spec, tuple(state), len(state), 1, 99))
    if data.draw(st.booleans()):
        seasoned.propose(Request(spec, final[:3], 3, 1, 99))
    request = Request(spec, final, len(final), 2, 99)
    assert seasoned.propose(request) == SurrogateAdvisor().propose(request)


def test_a_slate_is_what_single_questions_give_one_after_another() -> None:
    """Asking for three at once, or for one and then two beside it as running, gives the same configurations."""
    request = _request(15)
    slate = SurrogateAdvisor().propose(replace(request, count=3)).proposals
    first = SurrogateAdvisor().propose(request).proposals
    rest = SurrogateAdvisor().propose(request.after(first, count=2)).proposals
    assert [p.params for p in slate] == [p.params for p in first + rest]


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize("kind", ["tpe", "gp"])
def test_it_learns_where_the_good_scores_are(kind: str, direction: str) -> None:
    """After thirty scored trials its proposals lie nearer to the optimum than chance does, in both directions."""
    request = replace(_request(30, NUMERIC if kind == "gp" else SPACE, direction), count=2 if kind == "gp" else 6)

    def distance(proposals: tuple[Proposal, ...]) -> float:
        return sum(abs(math.log10(_lr(p)) + 3) for p in proposals) / len(proposals)

    advice = SurrogateAdvisor(kind).propose(request)
    assert all(f"Optuna's {kind.upper()} on 30" in p.rationale for p in advice.proposals)
    assert distance(advice.proposals) < distance(RandomAdvisor().propose(request).proposals) * 0.7


@pytest.mark.parametrize("kind", ["tpe", "gp"])
def test_failures_keep_it_away(kind: str) -> None:
    """Trials that ran out of memory at large lr make it propose small ones, without any penalty number of ours."""
    space = NUMERIC if kind == "gp" else SPACE
    request = replace(_request(30, space, failing=1e-2), count=2 if kind == "gp" else 6)
    advice = SurrogateAdvisor(kind).propose(request)
    assert sum(_lr(p) > 1e-2 for p in advice.proposals) <= request.count // 6


def test_a_wall_of_memory_is_learnt() -> None:
    """Where a wide network runs out of memory and score grows with width, a study hits the wall in few trials."""
    space = SearchSpace((Int(name="width", low=8, high=1024, log=True), Float(name="x", low=0.0, high=1.0)))

    def failures(seed: int) -> int:
        spec, advisor, trials = StudySpec("s", space, seed=seed), SurrogateAdvisor("tpe"), ()
        for number in range(40):
            (proposal,) = advisor.propose(Request(spec, trials, number, 1, 40)).proposals
            width, x = proposal.params["width"], proposal.params["x"]
            assert isinstance(width, int)
            assert isinstance(x, float)
            outcome = _outcome("out_of_memory", 0) if width > 200 else _outcome("COMPLETE", (x - 0.4) ** 2 + 8 / width)
            trials += (Trial(number, proposal, outcome),)
        return sum(t.state is TrialState.FAIL for t in trials)

    # Told as FAIL, which TPE forgets, the same seeds fail 20 times and more.
    assert sum(map(failures, range(3))) / 3 < 15


def test_what_only_a_machine_did_is_not_told() -> None:
    """A trial that was preempted changes no proposal; one that has a score, or was stopped, does."""
    request = replace(_request(40), count=6)
    best = request.ranked[0]

    def rates(*instead: Trial) -> list[float]:
        trials = (*request.trials[: best.number], *instead, *request.trials[best.number + 1 :])
        return [_lr(p) for p in SurrogateAdvisor().propose(replace(request, trials=trials)).proposals]

    assert rates(replace(best, outcome=_outcome("preempted", 0.0))) == rates()
    assert rates(replace(best, outcome=_outcome("PRUNED", 0.0))) != rates()
    assert rates(best) != rates()


def test_trials_that_run_are_kept_away_from() -> None:
    """Trials that run where the next ones would go turn the proposals elsewhere."""
    request = replace(_request(30), count=6)
    first = SurrogateAdvisor().propose(request).proposals
    beside = replace(request, trials=(*request.trials, *(Trial(100 + i, p) for i, p in enumerate(first))))
    assert [p.params for p in SurrogateAdvisor().propose(beside).proposals] != [p.params for p in first]


def test_it_keeps_a_constraint_of_the_study() -> None:
    """Where the best scores break a bound, it proposes what keeps the bound."""
    constraint = Constraint("latency", True, 24.0)
    trials = []
    for trial in _request(40).trials:
        width = trial.params["width"]
        assert isinstance(width, int)
        curve = Curve((Point(0, {"latency": float(width)}),))
        trials.append(replace(trial, outcome=Outcome(TrialState.COMPLETE, 1.0 / width, curve)))

    def widths(constraints: tuple[Constraint, ...]) -> list[Value]:
        spec = StudySpec("s", SPACE, constraints=constraints)
        advice = SurrogateAdvisor().propose(Request(spec, tuple(trials), 40, 8, 99))
        return [p.params["width"] for p in advice.proposals]

    kept = [w for w in widths((constraint,)) if isinstance(w, int) and w <= 24]
    free = [w for w in widths(()) if isinstance(w, int) and w <= 24]
    assert len(kept) >= 6
    assert len(free) <= 2


@pytest.mark.parametrize("kind", ["tpe", "gp"])
def test_several_objectives_are_modelled_together(kind: str) -> None:
    """With two objectives that pull lr to 1e-4 and 1e-2, it proposes what lies between them."""
    spec = StudySpec("s", NUMERIC, "minimize", further=("maximize",))
    trials = []
    for trial in _request(40, NUMERIC).trials:
        lr = math.log10(_lr(trial.proposal))
        outcome = Outcome(TrialState.COMPLETE, abs(lr + 4), further=(-abs(lr + 2),))
        trials.append(replace(trial, outcome=outcome))
    trials[5] = replace(trials[5], outcome=_outcome("out_of_memory", 0.0))
    trials[6] = replace(trials[6], outcome=_outcome("PRUNED", 0.0))
    count = 1 if kind == "gp" else 6
    advice = SurrogateAdvisor(kind).propose(Request(spec, tuple(trials), 40, count, 99))
    assert all("2 objectives" in p.rationale for p in advice.proposals)
    assert sum(10**-4.5 <= _lr(p) <= 10**-1.5 for p in advice.proposals) >= 2 * count / 3


def test_failures_before_any_score_do_no_harm() -> None:
    """A study that has only failed, or was only stopped, is still answered."""
    for kind in ("out_of_memory", "PRUNED"):
        trials = tuple(replace(t, outcome=_outcome(kind, 1.0)) for t in _request(12, NUMERIC).trials)
        advice = SurrogateAdvisor().propose(Request(StudySpec("s", NUMERIC), trials, 12, 2, 99))
        assert len(advice.proposals) == 2


def test_the_gaussian_process_is_for_few_numbers_and_enough_scores() -> None:
    """`auto` takes it in a numeric space from fifteen scores on, and says so; a choice or a condition forbids it."""

    def who(request: Request) -> str:
        return SurrogateAdvisor().propose(request).proposals[0].rationale.split(" on ")[0]

    assert who(_request(15, NUMERIC)) == "Optuna's GP"
    assert who(_request(14, NUMERIC)) == "Optuna's TPE"
    assert who(_request(15, SPACE)) == "Optuna's TPE"
    conditional = (*NUMERIC.parameters, Float(name="m", low=0.0, high=1.0, when=(When("width", (8,)),)))
    assert who(_request(15, SearchSpace(conditional))) == "Optuna's TPE"
    many = SearchSpace((*NUMERIC.parameters, *(Float(name=f"x{i}", low=0.0, high=1.0) for i in range(19))))
    assert who(_request(15, many)) == "Optuna's TPE"


def test_the_gaussian_process_takes_stopped_and_running_trials() -> None:
    """Failures, stopped and running trials, and constraints can all be told to it at once."""
    spec = StudySpec("s", NUMERIC, constraints=(Constraint("val_loss", True, 3.0),))
    kinds = ["COMPLETE"] * 5 + ["PRUNED", "out_of_memory", "running"]
    ends = [(kinds[i % 8], i / 10, i) for i in range(32)]
    proposals = SurrogateAdvisor("gp").propose(Request(spec, _history(ends, spec), 32, 2, 99)).proposals
    assert all("GP on 20" in p.rationale for p in proposals)


def test_a_dear_configuration_is_passed_over() -> None:
    """With cost_aware, of several proposals the one is taken whose neighbours took the least time."""
    trials = []
    for trial in _request(40).trials:
        width = trial.params["width"]
        assert isinstance(width, int)
        trials.append(replace(trial, outcome=replace(trial.outcome, seconds=float(width**3))))

    def widths(cost_aware: bool) -> float:
        spec = StudySpec("s", SPACE, cost_aware=cost_aware)
        advice = SurrogateAdvisor().propose(Request(spec, tuple(trials), 40, 8, 99))
        return sum(w for p in advice.proposals if isinstance(w := p.params["width"], int))

    assert widths(True) < 0.8 * widths(False)


def test_an_earlier_study_is_evidence() -> None:
    """Thirty scored trials of a warm start, scored on another scale, lead to where the optimum is."""
    own = _request(1)
    earlier = _request(30).trials
    moved = tuple(
        replace(t, outcome=Outcome(TrialState.COMPLETE, 100.0 + (t.value or 0.0))) if t.value is not None else t
        for t in earlier
    )
    advice = SurrogateAdvisor().propose(replace(own, earlier=moved, count=6))
    distances = [abs(math.log10(_lr(p)) + 3) for p in advice.proposals]
    assert sum(distances) / 6 < 0.9
    assert SurrogateAdvisor().left_out(replace(own, earlier=moved)) == 0


def test_a_baseline_outside_the_space_does_no_harm() -> None:
    """The user's own value may lie beyond the bounds; such a trial is known but not modelled."""
    outside = Trial(0, Proposal({"lr": 5.0}, "Yours.", "default"), Outcome(TrialState.COMPLETE, 0.1))
    request = Request(StudySpec("s", SPACE), (outside,), 1, 2, 9)
    assert len(SurrogateAdvisor().propose(request).proposals) == 2


def test_a_space_that_is_used_up_still_gets_an_answer() -> None:
    """When every configuration has been tried, it repeats one and says so, rather than hang or raise."""
    space = SearchSpace((Categorical(name="only", choices=("a", "b")),))
    told = tuple(
        Trial(n, Proposal({"only": c}, "x", "random"), Outcome(TrialState.COMPLETE, n)) for n, c in enumerate("ab")
    )
    (proposal,) = SurrogateAdvisor().propose(Request(StudySpec("s", space), told, 2, 1, 9)).proposals
    assert (proposal.source, proposal.stands_in_for) == ("random", "surrogate")
    assert "repeat" in proposal.rationale


def test_an_unknown_kind_is_refused() -> None:
    """The setting is one of three words."""
    with pytest.raises(ConfigError, match=r"hydra.sweeper.surrogate: must be one of auto, tpe, gp"):
        SurrogateAdvisor("cma")
