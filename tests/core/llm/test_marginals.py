"""What is told of each parameter by itself."""

from __future__ import annotations

import pytest
from histories import failed, request_of, scored, trial
from hypothesis import given
from hypothesis import strategies as st

from neuropt_core.advice import Request
from neuropt_core.llm._marginals import marginals
from neuropt_core.llm._scores import Scores, quantile
from neuropt_core.llm.schema import slots
from neuropt_core.space import Categorical, Float, Int, Parameter, SearchSpace, When

LR = Float(name="lr", low=1e-5, high=1e-1, log=True)


def _lines(request: Request, choices: int = 8) -> list[str]:
    fields = {slot.parameter.name: slot for slot in slots(request.space)}
    return [m.line for m in marginals(request, fields, Scores.of(request), choices)]


def _space(*parameters: Parameter) -> SearchSpace:
    return SearchSpace(parameters)


def test_a_range_is_told_by_thirds() -> None:
    """Tried range, the best quarter's range, the median score of each third, and the fifths without a trial."""
    values = [1e-5, 2e-5, 3e-5, 1e-4, 2e-4, 3e-4, 1e-2, 2e-2, 3e-2]
    scores = [9.0, 8.0, 7.0, 1.0, 2.0, 3.0, 5.0, 5.0, 5.0]
    trials = [trial(i, {"lr": v}, scored(s)) for i, (v, s) in enumerate(zip(values, scores, strict=True))]
    assert _lines(request_of(_space(LR), trials)) == [
        "lr: tried 1e-05..0.03; best quarter 0.0001..0.0003 (n 3); "
        "scores up to 3e-05: 8 (n 3) | up to 0.0003: 2 (n 3) | up to 0.03: 5 (n 3); no trial in 0.000398..0.00251"
    ]


def test_a_best_quarter_of_one_trial_says_so() -> None:
    """A single value is not mistaken for what many trials agree on."""
    trials = [trial(i, {"lr": 10.0 ** (i - 5)}, scored(float(i))) for i in range(4)]
    assert _lines(request_of(_space(LR), trials)) == ["lr: tried 1e-05..0.01; best quarter 1e-05 (n 1)"]


def test_a_range_with_an_offset_is_told_in_digits_that_differ() -> None:
    """Where three digits would make all values one, or step over a bound, there are more."""
    space = _space(Float(name="x", low=1000.0, high=1010.0), Float(name="m", low=0.9, high=0.9999))
    trials = [trial(i, {"x": 1000.5 + i, "m": 0.9996 - i / 1000}, scored(float(i))) for i in range(6)]
    assert _lines(request_of(space, trials)) == [
        "x: tried 1000.5..1005.5; best quarter 1000.5..1001.5 (n 2); "
        "scores up to 1001.5: 0.5 (n 2) | up to 1003.5: 2.5 (n 2) | up to 1005.5: 4.5 (n 2); no trial in 1006..1010",
        "m: tried 0.9946..0.9996; best quarter 0.9986..0.9996 (n 2); "
        "scores up to 0.9956: 4.5 (n 2) | up to 0.9976: 2.5 (n 2) | up to 0.9996: 0.5 (n 2); no trial in 0.9..0.97992",
    ]


def test_a_choice_is_told_by_its_scores() -> None:
    """The best median comes first, failures count, and what was never tried is named."""
    space = _space(Categorical(name="act", choices=("a", "b", "c", 1, "1")))
    outcomes = [("a", scored(3.0)), ("a", scored(1.0)), ("b", scored(0.5)), ("b", failed()), ("c", failed())]
    trials = [trial(i, {"act": choice}, outcome) for i, (choice, outcome) in enumerate(outcomes)]
    (line,) = _lines(request_of(space, trials))
    words = 'act: "v1" n 1 median 0.5 best 0.5, 1 failed | "v0" n 2 median 2 best 1 | "v2" n 0, 1 failed; never tried: '
    assert line == words + '"v3", "v4"'


def test_more_is_better_where_it_is() -> None:
    """Order and best follow the direction."""
    space = _space(Categorical(name="act", choices=("a", "b")))
    trials = [trial(i, {"act": c}, scored(s)) for i, (c, s) in enumerate([("a", 1.0), ("b", 2.0), ("b", 4.0)])]
    (line,) = _lines(request_of(space, trials, "maximize"))
    assert line == 'act: "b" n 2 median 3 best 4 | "a" n 1 median 1 best 1'


def test_a_few_whole_numbers_are_counted_one_by_one() -> None:
    """An Int of eight values or fewer reads like choices; a wider one like a range, in whole numbers."""
    space = _space(Int(name="depth", low=2, high=8, step=2), Int(name="width", low=16, high=1024, log=True))
    trials = [trial(i, {"depth": 2 + 2 * (i % 2), "width": 64 + i}, scored(float(i))) for i in range(6)]
    depth, width = _lines(request_of(space, trials))
    assert depth == "depth: 2 n 3 median 2 best 0 | 4 n 3 median 3 best 1; never tried: 6, 8"
    assert width.startswith("width: tried 64..69; best quarter 64..65 (n 2); scores up to 65: 0.5 (n 2) | ")
    assert width.endswith("; no trial in 16..37, 84..1024")


def test_many_choices_are_cut_in_sight() -> None:
    """Of many choices the best are shown, and the others counted."""
    space = _space(Categorical(name="c", choices=tuple(range(30))))
    trials = [trial(i, {"c": i}, scored(float(i))) for i in range(20)]
    (line,) = _lines(request_of(space, trials), choices=2)
    assert line == (
        'c: "0" n 1 median 0 best 0 | "1" n 1 median 1 best 1 | 18 more choices tried; '
        'never tried: "20", "21" and 8 more'
    )


def test_only_trials_with_the_parameter_count() -> None:
    """A conditional parameter is told by the trials in which it was active; one that never was is left out."""
    momentum = Float(name="momentum", low=0.0, high=1.0, when=(When("opt", ("SGD",)),))
    space = _space(Categorical(name="opt", choices=("SGD", "Adam")), momentum)
    trials = [trial(0, {"opt": "Adam"}, scored(1.0)), trial(1, {"opt": "SGD", "momentum": 0.5}, scored(2.0))]
    assert _lines(request_of(space, trials))[1:] == ["momentum: tried 0.5"]
    assert len(_lines(request_of(space, trials[:1]))) == 1


@pytest.mark.parametrize("default", ["auto", None, True, float("nan")])
def test_a_default_that_is_no_number_is_no_harm(default: object) -> None:
    """The user's own configuration may hold anything."""
    lines = _lines(request_of(_space(LR), [trial(0, {"lr": default}, scored(1.0))]))  # type: ignore[dict-item]
    assert lines == ["lr: no number tried"]


@given(st.lists(st.tuples(st.floats(1e-5, 1e-1), st.floats(-1e3, 1e3)), min_size=1, max_size=40))
def test_thirds_hold_every_scored_trial_once(pairs: list[tuple[float, float]]) -> None:
    """The counts of the groups add up, whatever the values; every line is one line."""
    trials = [trial(i, {"lr": v}, scored(s)) for i, (v, s) in enumerate(pairs)]
    (line,) = _lines(request_of(_space(LR), trials))
    counts = [int(part.split(")")[0]) for part in line.partition("; scores ")[2].split("(n ")[1:]]
    assert sum(counts) in (0, len(pairs))
    assert "\n" not in line


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.floats(0, 1))
def test_a_quantile_lies_between_the_ends(values: list[float], share: float) -> None:
    """And is exact at them."""
    assert min(values) <= quantile(values, share) <= max(values)
    assert (quantile(values, 0), quantile(values, 1)) == (min(values), max(values))
