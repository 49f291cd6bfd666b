"""The judge over candidates."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from spaces import MIXED, told

from neuropt_core.advice import Request
from neuropt_core.advisors.chance import draw
from neuropt_core.advisors.slate import Judge, results
from neuropt_core.curve import Curve, Point
from neuropt_core.objectives import Constraint
from neuropt_core.space import Value
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Failure, Outcome, Proposal, Trial, TrialState

ONE: dict[str, Value] = {"lr": 1e-3, "dropout": 0.0, "width": 64, "opt": "adam"}
OOM = Outcome(TrialState.FAIL, failure=Failure("out_of_memory", "CUDA out of memory"))
NODE = Outcome(TrialState.FAIL, failure=Failure("node_lost", "gone"))


def _loss(params: dict[str, Value]) -> float:
    return abs(math.log10(float(params["lr"])) + 3)  # type: ignore[arg-type]


def _request(trials: tuple[Trial, ...], **spec: object) -> Request:
    return Request(StudySpec("s", MIXED, **spec), trials, len(trials), 1, 20)  # type: ignore[arg-type]


def _many(n: int = 20, wall: int | None = None) -> tuple[Trial, ...]:
    tried = [draw(MIXED, 0, i) for i in range(n)]
    return told(tried, [OOM if wall and int(p["width"]) > wall else _loss(p) for p in tried])  # type: ignore[arg-type]


def test_repetitions_are_found() -> None:
    """A candidate within the distance of a trial, a running one too, or of what was just taken, is named with it."""
    running = Trial(1, Proposal({**ONE, "lr": 0.1}, "Because.", "llm"))
    judge = Judge(_request((*told([ONE], [1.0]), running)))
    candidates = [{**ONE, "lr": 1.01e-3}, {**ONE, "lr": 0.1}, {**ONE, "lr": 1e-5}, {**ONE, "lr": 1e-5}]
    assert judge.twins(candidates, 0.02, [{**ONE, "lr": 1e-5}]) == [0, 1, 2, 2]
    assert judge.twins([{**ONE, "width": 65}], 0.0) == [None]
    assert judge.twins([{**ONE, "lr": 1.5e-3}], 0.02) == [None]
    assert judge.twins([{**ONE, "lr": 1.01e-3}], 0.0) == [0]


def test_the_better_candidate_is_worth_more() -> None:
    """What the trials say is good has the greater expected improvement and the better expected place."""
    good, bad = Judge(_request(_many())).verdicts([{**ONE, "lr": 1.1e-3}, {**ONE, "lr": 0.9}])
    assert good.worth > bad.worth
    assert good.rank < bad.rank
    assert good.predicted is not None
    assert good.predicted.p10 < good.predicted.p50 < good.predicted.p90


def test_hopeless_is_what_even_an_optimist_ranks_below_the_median() -> None:
    """Far from the good rates, among many results, a candidate is refused with the reason; a good one never is."""
    good, bad = Judge(_request(_many(40))).verdicts([ONE, {**ONE, "lr": 0.95, "dropout": 0.25, "width": 90}])
    assert good.hopeless == ""
    assert "optimistic" in bad.hopeless


def test_a_wall_of_failures_is_learnt() -> None:
    """Where wide networks ran out of memory, a wide candidate is refused for that, and a narrow one is not."""
    narrow, wide = Judge(_request(_many(40, wall=150))).verdicts([{**ONE, "width": 32}, {**ONE, "width": 500}])
    assert "likely to fail" in wide.hopeless
    assert "fail" not in narrow.hopeless
    assert wide.worth < narrow.worth


def test_a_maximised_score_is_judged_the_other_way_round() -> None:
    """With direction maximize the verdicts on the negated scores are the same, and what is predicted is negated."""
    trials = _many()
    mirrored = tuple(replace(t, outcome=Outcome(TrialState.COMPLETE, -t.value)) for t in trials if t.value is not None)
    here = Judge(_request(trials)).verdicts([ONE])[0]
    there = Judge(_request(mirrored, direction="maximize")).verdicts([ONE])[0]
    assert there.worth == pytest.approx(here.worth)
    assert here.predicted is not None
    assert there.predicted is not None
    assert there.predicted.p50 == pytest.approx(-here.predicted.p50)


def test_results_tell_failures_without_a_false_magnitude() -> None:
    """A failure is the 90th percentile of the scores, a stopped trial the 75th, and a lost node nothing at all."""
    stopped = Outcome(TrialState.PRUNED, reason="hopeless")
    configurations = [draw(MIXED, 0, i) for i in range(8)]
    scores: list[float | Outcome] = [0.0, 1.0, 2.0, 3.0, 4.0, OOM, stopped, NODE]
    found = results(_request(told(configurations, scores)))
    assert [loss for _, loss in found] == pytest.approx([0, 1, 2, 3, 4, 3.6, 3.0])


def test_repetitions_count_once() -> None:
    """A configuration that ran three times is one result, the mean."""
    found = results(_request(told([ONE, {**ONE, "lr": 0.1}, ONE, ONE], [1.0, 5.0, 2.0, 3.0])))
    assert [loss for _, loss in found] == [2.0, 5.0]


def test_constraints_and_several_objectives_go_by_the_studys_order() -> None:
    """Who breaks a constraint has the greater loss whatever its score, and of objectives the dominated one has."""

    def measured(value: float, latency: float) -> Outcome:
        return Outcome(TrialState.COMPLETE, value, Curve((Point(0, {"latency_ms": latency}),)))

    two = [ONE, {**ONE, "lr": 0.1}]
    limits = (Constraint("latency_ms", True, 20.0),)
    found = results(_request(told(two, [measured(0.1, 30.0), measured(0.9, 10.0)]), constraints=limits))
    assert [loss for _, loss in found] == [1.0, 0.0]
    pairs: list[float | Outcome] = [
        Outcome(TrialState.COMPLETE, 1.0, further=(5.0,)),
        Outcome(TrialState.COMPLETE, 1.0, further=(6.0,)),
    ]
    found = results(_request(told(two, pairs), further=("maximize",)))
    assert [loss for _, loss in found] == [1.0, 0.0]


def test_cost_counts_where_it_is_asked_for() -> None:
    """With cost_aware a candidate that takes long is worth less than before, early in the study."""
    tried = [draw(MIXED, 0, i) for i in range(12)]
    slow: list[float | Outcome] = [
        Outcome(TrialState.COMPLETE, _loss(p), seconds=float(p["width"]))  # type: ignore[arg-type]
        for p in tried
    ]
    pair = [{**ONE, "width": 20}, {**ONE, "width": 500}]
    plain = [v.worth for v in Judge(_request(told(tried, slow))).verdicts(pair)]
    aware = [v.worth for v in Judge(_request(told(tried, slow), cost_aware=True)).verdicts(pair)]
    assert aware[0] / aware[1] > 2 * plain[0] / plain[1]
    last = replace(_request(told(tried, slow), cost_aware=True), number=20)
    assert [v.worth for v in Judge(last).verdicts(pair)] == pytest.approx(plain)  # The budget is spent: score alone.


def test_a_long_study_is_judged_by_all_of_its_results() -> None:
    """Of 400 results 150 make the model, the best among them; the median and the place are still those of all 400."""
    judge = Judge(_request(_many(400)))
    losses = sorted(_loss(draw(MIXED, 0, i)) for i in range(400))
    some = [draw(MIXED, 1, i) for i in range(40)]
    verdicts = judge.verdicts(some)
    assert max(v.rank for v in verdicts) > 250
    better = [v for p, v in zip(some, verdicts, strict=True) if _loss(p) < losses[120]]
    assert len(better) > 5
    assert [v.hopeless for v in better if v.hopeless] == []


def test_those_that_run_are_believed() -> None:
    """Beside a running trial a candidate is worth less than where nothing runs, so that workers spread out."""
    near, trials = {**ONE, "lr": 1.1e-3}, _many()
    running = Trial(len(trials), Proposal({**ONE, "lr": 1e-3}, "Because.", "llm"))
    alone, beside = (Judge(_request(ts)).verdicts([near])[0].worth for ts in (trials, (*trials, running)))
    assert beside < 0.7 * alone


def test_a_likely_failure_lessens_worth_and_is_refused_above_one_half() -> None:
    """Worth is weighed by the chance to fail; at a little more than one half a candidate is refused for it."""
    judge = Judge(_request(_many(40, wall=150)))
    pool = [{**ONE, "width": w} for w in range(20, 500, 5)]
    failing = judge._failing(pool)
    plain = judge._model.judge(pool).improvement
    verdicts = judge.verdicts(pool)
    assert [v.worth for v in verdicts] == pytest.approx(list(plain * (1 - failing)))
    assert [("likely to fail" in v.hopeless) for v in verdicts] == [f > 0.5 for f in failing]
    assert any(0.5 < f < 0.9 for f in failing)


def test_scores_near_the_greatest_float_are_no_error() -> None:
    """Where no float holds the differences of the scores, verdicts come all the same, without an expected score."""
    scores: list[float | Outcome] = [-1.7e308, 1.7e308, 1.6e308, 1.7e308, -1.6e308, OOM, 1.7e308]
    request = _request(told([*(draw(MIXED, 0, i) for i in range(6)), draw(MIXED, 0, 1)], scores))
    assert not any(math.isnan(loss) for _, loss in results(request))
    assert all(math.isfinite(v.worth) for v in Judge(request).verdicts([draw(MIXED, 1, i) for i in range(20)]))


def test_few_results_say_nothing() -> None:
    """With two results nothing is hopeless and nothing is worth more."""
    judge = Judge(_request(told([ONE, {**ONE, "lr": 0.1}], [1.0, 2.0])))
    assert not judge.ready
    assert [v.hopeless for v in judge.verdicts([ONE, {**ONE, "lr": 0.9}])] == ["", ""]


def test_an_earlier_study_counts_once_its_scores_can_be_compared() -> None:
    """Its results are shifted by what the baselines differ, and left out while this study's baseline is unknown."""
    tried: list[dict[str, Value]] = [ONE, {**ONE, "lr": 0.1}, {**ONE, "width": 500}]
    earlier = told(tried, [1.0, 3.0, 0.5])
    request = replace(_request(told([ONE], [11.0])), earlier=earlier)
    assert results(request) == [(ONE, 11.0), (ONE, 11.0), (tried[1], 13.0), (tried[2], 10.5)]
    assert results(replace(request, trials=())) == []
