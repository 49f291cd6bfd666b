"""What changed between two commands of one study, and which trials still fit."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spaces import spaces

from neuropt_core.advice import own_configuration
from neuropt_core.card import Belief
from neuropt_core.changes import Era, Setup, differences, fit, in_words, leaves_of
from neuropt_core.earlier import completed
from neuropt_core.errors import StudyError
from neuropt_core.files import read_lines
from neuropt_core.journal import Journal
from neuropt_core.objectives import Constraint
from neuropt_core.replay import replayed
from neuropt_core.space import Categorical, Float, Int, SearchSpace, Value, When
from neuropt_core.spec import StudySpec
from neuropt_core.study import Study
from neuropt_core.trial import Failure, Outcome, Proposal, Trial, TrialState

LR = Float(name="optimizer.lr", low=1e-5, high=0.1, log=True, default=1e-3, has_default=True, role="lr")
WIDTH = Int(name="width", low=16, high=512, log=True, default=64, has_default=True)
ACT = Categorical(name="act", choices=("relu", "gelu"), default="relu", has_default=True)
DROP = Float(name="dropout", low=0.0, high=0.5, default=0.1, has_default=True)
SPEC = StudySpec("s", SearchSpace((LR, WIDTH)), fixed=("a=1",))
CONFIG = {"optimizer.lr": 1e-3, "width": 64, "dropout": 0.1, "act": "relu", "epochs": 10, "a": 1}
DONE = Outcome(TrialState.COMPLETE, 0.5)


def _said(spec: StudySpec, config: Mapping[str, Any] = CONFIG, **setup: Any) -> tuple[str, ...]:
    return differences(SPEC, Setup(CONFIG), spec, Setup(config, **setup))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"space": SearchSpace((replace(LR, low=1e-4), WIDTH))}, "optimizer.lr: 1e-05..0.1 log -> 0.0001..0.1 log"),
        ({"space": SearchSpace((LR,))}, "removed width"),
        ({"space": SearchSpace((LR, WIDTH, DROP))}, "added dropout"),
        ({"space": SearchSpace((replace(LR, default=0.01), WIDTH))}, "optimizer.lr: own value 0.001 -> 0.01"),
        (
            {"space": SearchSpace((LR, replace(WIDTH, log=False, step=16)))},
            "width: 16..512 whole numbers log -> 16..512 whole numbers step 16",
        ),
        ({"space": SearchSpace((WIDTH, LR))}, "the parameters stand in another order"),
        ({"direction": "maximize"}, "direction: minimize -> maximize"),
        ({"further": ("minimize",)}, "direction: minimize -> minimize, minimize"),
        ({"constraints": (Constraint("ms", True, 20.0),)}, "constraints: none -> ms <= 20"),
        ({"seed": 3}, "seed: 0 -> 3"),
        ({"fixed": ("a=2",)}, "command line: a=1 -> a=2"),
        ({"fixed": ("a=1", "b=2")}, "command line: b=2 added"),
        ({"fixed": ()}, "command line: a=1 removed"),
        ({"hints": {"width": Belief(mode=32)}}, "priors: width added"),
    ],
)
def test_each_difference_is_one_phrase(spec: dict[str, Any], said: str) -> None:
    """What was and what is stands there in words, once."""
    assert _said(replace(SPEC, **spec)) == (said,)


@pytest.mark.parametrize("spec", [{"task": "words"}, {"name": "other"}, {"cost_aware": True}, {}])
def test_what_does_not_define_a_study_is_free(spec: dict[str, Any]) -> None:
    """Names, the words for the advisor and how trials are weighed may change."""
    assert _said(replace(SPEC, **spec)) == ()


def test_the_config_is_compared_leaf_by_leaf() -> None:
    """Each leaf is said, but for what a parameter or an override has said already."""
    config = {**CONFIG, "epochs": 20, "optimizer.momentum": 0.9, "optimizer.lr": 0.01, "a": 2}
    del config["act"]
    spec = replace(SPEC, space=SearchSpace((replace(LR, default=0.01), WIDTH)), fixed=("a=2",))
    assert _said(spec, config) == (
        "optimizer.lr: own value 0.001 -> 0.01",
        "command line: a=1 -> a=2",
        "config: act removed",
        "config: epochs: 10 -> 20",
        "config: optimizer.momentum added",
    )
    assert _said(SPEC, enqueue=({"width": 32},), seed_key="seed") == (
        'enqueue: [] -> [{"width": 32}]',
        "seed_key: None -> seed",
    )
    assert _said(SPEC, {**CONFIG, "a": True}) == ("config: a: 1 -> true",)


def test_a_journal_without_a_config_is_accepted() -> None:
    """What an older journal does not know is no difference."""
    assert differences(SPEC, Setup(), SPEC, Setup(CONFIG, ({"width": 3},), "seed")) == ()


def test_many_differences_are_counted() -> None:
    """Twelve are written out, of the others their number."""
    assert in_words(map(str, range(14))) == "0; 1; 2; 3; 4; 5; 6; 7; 8; 9; 10; 11; and 2 more"


def test_a_kept_config_holds_no_secret_and_only_what_json_has() -> None:
    """Keys of vendors, values of secret variables and values under telling names are gone; the rest is as written."""
    config = {
        "a": {"api_key": "abcdefghij", "b": [1, float("inf"), {"c": Path("x")}], "empty": {}},
        "url": "https://me:pw@host/x",
        "text": "${oc.env:HOME}/hunter22hunter22",
        3: None,
    }
    assert leaves_of(config, {"MY_PASSWORD": "hunter22hunter22"}) == {
        "a.api_key": "[redacted]",
        "a.b": [1, "inf", {"c": "x"}],
        "a.empty": {},
        "url": "https://[redacted]host/x",
        "text": "${oc.env:HOME}/[redacted]",
        "3": None,
    }


def _trial(**params: Value) -> Trial:
    return Trial(3, Proposal(params, "Because.", "llm"), DONE)


def test_a_trial_fits_where_its_values_are_known() -> None:
    """What is searched only now has the value of then; what is no longer must have the value that holds now."""
    narrow, wide = SearchSpace((LR,)), SearchSpace((LR, DROP))
    then, now = Setup({"dropout": 0.3, "x": 1}), Setup({"dropout": 0.1, "x": 1})
    added = fit(_trial(**{"optimizer.lr": 0.01}), Era(narrow, then), Era(wide, now))
    assert added is not None
    assert added.params == {"optimizer.lr": 0.01, "dropout": 0.3}
    gone = Era(wide, then), Era(narrow, now)
    assert fit(_trial(**{"optimizer.lr": 0.01, "dropout": 0.3}), *gone) is None
    kept = fit(_trial(**{"optimizer.lr": 0.01, "dropout": 0.1}), *gone)
    assert kept is not None
    assert kept.params == {"optimizer.lr": 0.01}


@pytest.mark.parametrize(
    ("then", "now", "value"),
    [
        (None, CONFIG, None),  # An older journal: nothing is known.
        ({"dropout": "${p}", "p": 0.2}, {"dropout": "${p}", "p": 0.3}, None),
        ({"dropout": "${p}", "p": 0.2}, {"dropout": "${p}", "p": 0.2}, 0.1),
        ({}, {}, 0.1),  # What neuropt itself adds is not in the config: its default is the value of then.
        ({"dropout": 0.9}, CONFIG, None),  # Known, and not legal.
    ],
)
def test_a_value_that_cannot_be_told_is_never_guessed(then: Any, now: Any, value: float | None) -> None:
    """A trial of which a value is not known for sure is left out."""
    found = fit(
        _trial(**{"optimizer.lr": 0.01}), Era(SearchSpace((LR,)), Setup(then)), Era(SearchSpace((LR, DROP)), Setup(now))
    )
    assert (None if found is None else found.params["dropout"]) == value


@st.composite
def _points(draw: st.DrawFn, space: SearchSpace) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for p in space.parameters:
        if not space.is_active(p.name, values):
            continue
        if isinstance(p, Categorical):
            values[p.name] = draw(st.sampled_from(p.choices))
        elif isinstance(p, Int):
            values[p.name] = p.low + p.step * draw(st.integers(0, (p.high - p.low) // p.step))
        else:
            values[p.name] = draw(st.floats(p.low, p.high))
    return values


@st.composite
def _narrowed(draw: st.DrawFn, space: SearchSpace) -> SearchSpace:
    kept: list[Any] = []
    for p in space.parameters:
        if len(kept) > 0 and draw(st.integers(0, 3)) == 0:
            continue
        if isinstance(p, Float) and draw(st.booleans()):
            middle = (p.low + p.high) / 2
            p = replace(p, low=middle) if draw(st.booleans()) else replace(p, high=middle)
        kept.append(p)
    names = {p.name for p in kept}
    return SearchSpace(tuple(p for p in kept if all(c.name in names for c in p.when)))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_no_advisor_sees_an_illegal_trial(tmp_path: Path, data: st.DataObject) -> None:
    """Over random chains of forced changes a request's trials are legal, numbers go on, a replay is the same."""
    path = tmp_path / str(len(list(tmp_path.iterdir()))) / "journal.jsonl"
    told = 0
    for _ in range(data.draw(st.integers(2, 4))):
        space = data.draw(spaces())
        space = data.draw(_narrowed(space)) if data.draw(st.booleans()) else space
        config = {f"p{i}": data.draw(st.sampled_from([1.0, -3, "a", 0.5, "${x}"])) for i in range(4)}
        with closing(Journal(path)) as journal:
            study = Study(StudySpec("s", space), journal, setup=Setup(config), force=True)
            assert len(study.trials) == told
            if not study.has_own:
                study.ask(own_configuration(space))
            for _ in range(data.draw(st.integers(1, 3))):
                study.ask(Proposal(data.draw(_points(space)), "Because.", "random"))
            for trial in study.trials[told:]:
                study.tell(trial.number, replace(DONE, value=data.draw(st.floats(-9, 9))))
        told = len(study.trials)
        request = study.request(count=1, n_trials=99)
        first, *others = request.trials
        assert (first.proposal.source, dict(first.params)) == ("default", space.defaults())
        assert not [space.check(t.params) for t in others if space.check(t.params)]
        assert [t.number for t in study.trials] == list(range(told))
        assert request.number == told
        assert study.best in request.trials
        again = replayed(read_lines(path)[0], "")
        assert (again.current, again.in_order, again.spec) == (study.current, study.trials, study.spec)


def _again(path: Path, spec: StudySpec, *, force: bool = True, **config: Any) -> tuple[Study, Journal]:
    journal = Journal(path)
    return Study(spec, journal, setup=Setup({**CONFIG, **config}), force=force), journal


def test_a_forced_study_goes_on_and_is_compared_with_its_newest_state(tmp_path: Path) -> None:
    """The changed command then goes on by itself, the one of before is the one that is refused."""
    path = tmp_path / "journal.jsonl"
    study, journal = _again(path, SPEC)
    study.ask(own_configuration(SPEC.space))
    study.tell(0, DONE)
    study.ask(Proposal({"optimizer.lr": 2e-5, "width": 32}, "Because.", "random"))
    study.tell(1, replace(DONE, value=0.1))
    journal.close()
    changed = replace(SPEC, space=SearchSpace((replace(LR, low=1e-4), WIDTH)), profile=None)
    study, journal = _again(path, changed, epochs=20)
    assert study.taken == ("optimizer.lr: 1e-05..0.1 log -> 0.0001..0.1 log", "config: epochs: 10 -> 20")
    assert ([t.number for t in study.current], len(study.trials)) == ([0], 2)
    assert study.best is not None
    assert study.best.number == 0
    assert study.ask(Proposal({"optimizer.lr": 2e-4, "width": 32}, "Because.", "random")).number == 2
    journal.close()
    study, journal = _again(path, changed, force=False, epochs=20)
    assert study.taken == ()
    journal.close()
    journal = Journal(path)
    with pytest.raises(StudyError, match="epochs: 20 -> 10"):
        Study(SPEC, journal, setup=Setup(CONFIG))
    with pytest.raises(StudyError, match="Scores of other objectives cannot be compared"):
        Study(replace(changed, direction="maximize"), journal, setup=Setup(CONFIG), force=True)
    journal.close()


def test_nothing_is_at_stake_before_the_first_outcome(tmp_path: Path) -> None:
    """Whoever mends the config because trial 0 could not run goes on with the same command, and no force."""
    path = tmp_path / "journal.jsonl"
    study, journal = _again(path, SPEC)
    study.ask(own_configuration(SPEC.space))
    study.launch(0)
    journal.close()
    journal = Journal(path)
    with pytest.raises(StudyError, match="epochs"):  # It may be running.
        Study(SPEC, journal, setup=Setup({**CONFIG, "epochs": 3}))
    journal.close()
    study, journal = _again(path, SPEC)
    study.retry(0, Outcome(TrialState.FAIL, failure=Failure("config", "no such key")))
    journal.close()
    mended = replace(SPEC, space=SearchSpace((replace(LR, default=0.01), WIDTH)))
    study, journal = _again(path, mended, force=False, epochs=3)
    assert study.taken
    now = study.ask_again(0)
    assert now is not None
    assert now.params == study.trials[0].params == mended.space.defaults()
    assert study.has_own
    journal.close()


def test_an_open_trial_becomes_what_it_is_now_or_is_given_up(tmp_path: Path) -> None:
    """Before it is launched again a trial gets values of the present parameters; one that does not fit, None."""
    path = tmp_path / "journal.jsonl"
    study, journal = _again(path, SPEC)
    study.ask(own_configuration(SPEC.space))
    study.tell(0, DONE)
    for lr in (2e-5, 1e-2):
        study.ask(Proposal({"optimizer.lr": lr, "width": 32}, "Because.", "random"))
    journal.close()
    space = SearchSpace(
        (replace(LR, low=1e-4), WIDTH, ACT, Float(name="slope", low=0.0, high=1.0, when=(When("act", ("gelu",)),)))
    )
    study, journal = _again(path, replace(SPEC, space=space))
    assert study.ask_again(1) is None
    now = study.ask_again(2)
    assert now is not None
    assert now.params == {"optimizer.lr": 1e-2, "width": 32, "act": "relu"} == study.trials[2].params
    assert completed(now.params, space) == dict(now.params)
    journal.close()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("hub.token=abc", "hub.token=other"),
        ("hub.token=[redacted]", "hub.token=${oc.env:HF_TOKEN}"),
        ("url=https://[redacted]host/x", "url=https://me:pw@host/x"),
        ("text='the key [redacted], please'", "text='the key hunter2hunter2, please'"),
    ],
)
def test_another_secret_is_no_change(old: str, new: str) -> None:
    """A study goes on with another key on its line or in its config: what is redacted is not compared."""
    before, after = replace(SPEC, fixed=(old,)), replace(SPEC, fixed=(new,))
    assert differences(before, Setup(CONFIG), after, Setup(CONFIG)) == ()
    (key, held), (_, holds) = old.split("=", 1), new.split("=", 1)
    if "[redacted]" in held:
        assert differences(SPEC, Setup({key: held}), SPEC, Setup({key: holds})) == ()


def test_what_surrounds_a_secret_is_compared() -> None:
    """Another host is a change, and no word of the secret is in what is said of it."""
    old, new = replace(SPEC, fixed=("url=https://[redacted]a/x",)), replace(SPEC, fixed=("url=https://me:pw@b/x",))
    said = differences(old, Setup(CONFIG), new, Setup(CONFIG))
    assert said == ("command line: url=https://[redacted]a/x -> url=https://[redacted]b/x",)
