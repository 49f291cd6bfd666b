"""The record of the proposers."""

from __future__ import annotations

from histories import failed, request_of, scored, trial

from neuropt_core.llm._record import calibration, outside, record
from neuropt_core.llm._scores import Scores
from neuropt_core.objectives import Direction
from neuropt_core.space import Float, SearchSpace
from neuropt_core.trial import Predicted, Trial

SPACE = SearchSpace((Float(name="x", low=0, high=1),))
P = {"x": 0.5}


def _record(trials: list[Trial], direction: Direction = "minimize") -> list[str]:
    request = request_of(SPACE, trials, direction)
    return record(request, Scores.of(request))


def test_each_source_is_ranked_among_all() -> None:
    """Share in the best quarter, median rank and failures, by source; the user's own configuration is no proposal."""
    trials = [trial(0, P, scored(5.0), source="default")]
    trials += [trial(i, P, scored(float(i)), source="surrogate") for i in (1, 2, 3, 4)]
    trials += [trial(5, P, scored(0.5)), trial(6, P, scored(0.6)), trial(7, P, scored(9.0)), trial(8, P, failed())]
    assert _record([*trials, trial(9, P)]) == [
        "surrogate: 4 ended, 0 of 4 scores in the best quarter, median rank 4.5 of 8",
        "you (llm): 4 ended, 2 of 3 scores in the best quarter, median rank 2 of 8, 1 failed",
    ]


def test_the_direction_turns_the_ranks() -> None:
    """The largest score is the best where more is better."""
    trials = [trial(0, P, scored(1.0), source="prior"), trial(1, P, scored(2.0))]
    assert _record(trials, "maximize")[1].startswith("you (llm): 1 ended, 1 of 1 scores in the best quarter")
    assert _record(trials, "minimize")[1].startswith("you (llm): 1 ended, 0 of 1 scores in the best quarter")


def test_the_last_proposals_are_told_apart() -> None:
    """After more than twelve, the latest twelve have a line of their own."""
    trials = [trial(i, P, scored(float(i))) for i in range(16)]
    assert _record(trials)[1] == "you, last 12: 12 ended, 0 of 12 scores in the best quarter, median rank 10.5 of 16"


def test_intents_are_judged_by_their_parents() -> None:
    """What scores better than its parent has won, and a failure has not; without a parent's score nothing counts."""
    trials = [
        trial(0, P, scored(5.0), source="default"),
        trial(1, P, scored(4.0), intent="repair", parent=0),
        trial(2, P, failed(), intent="repair", parent=0),
        trial(3, P, scored(4.5), intent="exploit", parent=1),
        trial(4, P, scored(4.5), intent="explore"),
        trial(5, P, scored(4.5), intent="ablate", parent=2),
    ]
    assert "yours that beat their parent: exploit 0 of 1, repair 1 of 2" in _record(trials)
    assert "yours that beat their parent: exploit 1 of 1, repair 0 of 2" in _record(trials, "maximize")


def test_expectations_are_compared_with_scores() -> None:
    """Share within p10..p90, and how far p50 was off in units of the spread; optimism follows the direction."""
    expected = Predicted(1.0, 2.0, 3.0)
    trials = [trial(i, P, scored(v), predicted=expected) for i, v in enumerate((2.0, 3.0, 4.0, 5.0, 6.0))]
    words = "your expectations: 2 of 5 scores lay within p10..p90, where 8 in 10 should; p50 "
    end = "in units of the scores' interquartile range (medians)"
    assert _record(trials)[-1] == f"{words}too optimistic by 1, and off by 1 either way, {end}"
    assert _record(trials, "maximize")[-1] == f"{words}too pessimistic by 1, and off by 1 either way, {end}"


def test_too_few_expectations_say_nothing() -> None:
    """Below three stated and scored there is no calibration; alike scores have no spread."""
    expected = Predicted(1.0, 2.0, 3.0)
    trials = [trial(i, P, scored(2.0), predicted=expected) for i in range(3)]
    scores = Scores.of(request_of(SPACE, trials))
    assert calibration(trials[:2], scores) == ""
    assert calibration(trials, scores) == "your expectations: 3 of 3 scores lay within p10..p90, where 8 in 10 should"


def test_no_proposal_no_record() -> None:
    """Before anything that was proposed has ended there is nothing to tell."""
    assert _record([trial(0, P, scored(1.0), source="default"), trial(1, P)]) == []


def test_surprise_is_the_distance_from_the_interval() -> None:
    """Within it, without a score or without an expectation, it is 0."""
    expected = Predicted(1.0, 2.0, 3.0)
    assert outside(trial(0, P, scored(0.25), predicted=expected)) == 0.75
    assert outside(trial(0, P, scored(5.0), predicted=expected)) == 2.0
    assert outside(trial(0, P, scored(1.5), predicted=expected)) == 0.0
    assert outside(trial(0, P, scored(1.5))) == outside(trial(0, P, failed(), predicted=expected)) == 0.0
