"""Replicates are folded into the trial that they repeat."""

from __future__ import annotations

from dataclasses import replace
from statistics import stdev

import pytest
from histories import curve_of, failed, pruned, request_of, scored, trial
from hypothesis import given
from hypothesis import strategies as st

from neuropt_core.llm._history import history
from neuropt_core.llm._replicates import fold
from neuropt_core.space import Float, SearchSpace
from neuropt_core.trial import Trial

SPACE = SearchSpace((Float(name="x", low=0.0, high=1.0, default=0.5, has_default=True),))
OWN = trial(0, {"x": 0.5}, scored(1.0), source="default")


def _again(number: int, parent: int, value: float | None, x: float = 0.2) -> Trial:
    outcome = None if value is None else scored(value)
    return trial(number, {"x": x}, outcome, source="replicate", parent=parent)


def test_the_score_is_the_mean_and_the_spread_is_told() -> None:
    """Three runs of one configuration are one row with their mean, and count once in all that is told."""
    trials = [OWN, trial(1, {"x": 0.2}, scored(0.4)), _again(2, 1, 0.5), _again(3, 2, 0.6), _again(4, 1, None)]
    text = history(request_of(SPACE, trials))
    assert "score 0.5 ± 0.1 (n=3 with #2, #3), 1 more seed running, rank 1/2" in text
    assert "\n#2 " not in text
    assert "\n#3 " not in text
    assert "another seed changes a score by 0.1 (standard deviation, from 3 runs of 1 configuration)" in text
    assert "Trials so far: 5, 4 scored, 1 running." in text
    assert "you (llm): 1 ended" in text
    assert "replicate:" not in text


def test_differences_below_the_noise_are_ties() -> None:
    """A score that lies nearer to the best than seeds do is called a tie with it, and one that does not is none."""
    near, far = trial(3, {"x": 0.3}, scored(0.49)), trial(4, {"x": 0.4}, scored(0.7))
    trials = [OWN, trial(1, {"x": 0.2}, scored(0.4)), _again(2, 1, 0.5), near, far]
    text = history(request_of(SPACE, trials))
    assert "score 0.49, rank 2/4, a tie with #1" in text
    assert "score 0.7, rank 3/4\n" in text
    assert "tie" not in history(request_of(SPACE, [OWN, near]))


@pytest.mark.parametrize("outcome", [None, failed(), pruned()])
def test_what_has_no_score_has_no_mean(outcome: object) -> None:
    """A replicate of a trial without a score stays a row of its own, and nothing is folded."""
    trials = [OWN, replace(trial(1, {"x": 0.2}), outcome=outcome), _again(2, 1, 0.5)]  # type: ignore[type-var]
    folded = fold(request_of(SPACE, trials))
    assert [t.number for t in folded.request.trials] == [0, 1, 2]
    assert (folded.noise, folded.noise_words) == (None, "")


def test_failed_seeds_are_told_and_not_counted() -> None:
    """A seed that failed is said beside the mean of the others."""
    bad = replace(_again(3, 1, 0.0), outcome=failed())
    trials = [OWN, trial(1, {"x": 0.2}, scored(0.4, curve_of([0.4]))), _again(2, 1, 0.5), bad]
    text = history(request_of(SPACE, trials))
    assert "score 0.45 ± 0.071 (n=2 with #2), 1 more seed failed" in text


def test_a_parent_that_is_none_is_no_parent() -> None:
    """A replicate of an unknown or a later trial is shown as it is, and the walk to its origin ends."""
    trials = [OWN, _again(1, 7, 0.4), _again(2, 3, 0.5), _again(3, 2, 0.6)]
    folded = fold(request_of(SPACE, trials))
    assert [t.number for t in folded.request.trials] == [0, 1, 2]


@given(st.lists(st.lists(st.floats(-10, 10), min_size=1, max_size=4), min_size=1, max_size=4))
def test_each_configuration_is_counted_once(groups: list[list[float]]) -> None:
    """Whatever is repeated how often: one trial a configuration, its score the mean, the noise the pooled deviation."""
    trials: list[Trial] = []
    for first, *rest in groups:
        root = len(trials)
        trials.append(trial(root, {"x": 0.1}, scored(first)))
        trials += [_again(root + i, root, value) for i, value in enumerate(rest, start=1)]
    folded = fold(request_of(SPACE, trials))
    assert len(folded.request.trials) == len(groups)
    for made, values in zip(folded.request.trials, groups, strict=True):
        assert made.value == pytest.approx(sum(values) / len(values))
    freedom = sum(len(values) - 1 for values in groups)
    if freedom:
        pooled = sum((len(v) - 1) * stdev(v) ** 2 for v in groups if len(v) > 1) / freedom
        assert folded.noise == pytest.approx(pooled**0.5)
    else:
        assert folded.noise is None
