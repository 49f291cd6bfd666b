"""An earlier sweep's trials as evidence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuropt_core.curve import Curve, Point
from neuropt_core.earlier import Earlier, best_of, completed, fitted, from_journal, read_earlier, to_journal
from neuropt_core.errors import ConfigError
from neuropt_core.journal import Journal
from neuropt_core.objectives import Constraint
from neuropt_core.space import Categorical, Float, Parameter, SearchSpace, When
from neuropt_core.spec import StudySpec
from neuropt_core.study import Study
from neuropt_core.trial import Failure, Outcome, Proposal, Trial, TrialState

LR = Float(name="lr", low=1e-5, high=0.1, log=True, default=1e-3, has_default=True)
ACT = Categorical(name="act", choices=("relu", "gelu"), default="relu", has_default=True)
WIDTH = Categorical(name="width", choices=(16, 32))
OLD = StudySpec("old", SearchSpace((LR, ACT)))
ONE: Any = ("minimize",)


def _scored(value: float, *further: float) -> Outcome:
    return Outcome(TrialState.COMPLETE, value, Curve((Point(0, {"val": value}),)), seconds=1.0, further=further)


def _play(folder: Path, spec: StudySpec = OLD) -> Journal:
    """An old sweep: the user's own, three with an outcome, one lost to its machine, one that runs."""
    journal = Journal(folder / "neuropt" / "journal.jsonl")
    study = Study(spec, journal)
    study.tell(study.ask(Proposal({"lr": 1e-3, "act": "relu"}, "Yours.", "default")).number, _scored(0.5))
    for lr, outcome in [
        (1e-2, _scored(0.2)),
        (1e-1, Outcome(TrialState.FAIL, failure=Failure("non_finite", "nan"))),
        (1e-4, Outcome(TrialState.PRUNED, reason="hopeless")),
        (1e-5, Outcome(TrialState.FAIL, failure=Failure("preempted", "gone"))),
    ]:
        study.tell(study.ask(Proposal({"lr": lr, "act": "gelu"}, "Because.", "prior")).number, outcome)
    study.ask(Proposal({"lr": 5e-4, "act": "gelu"}, "Because.", "prior"))
    return journal


def _space(*parameters: Parameter) -> SearchSpace:
    return SearchSpace(parameters)


def test_a_running_sweep_can_be_read_without_being_touched(tmp_path: Path) -> None:
    """What has an outcome that teaches is read beside the lock of the one who writes; nothing is changed."""
    journal = _play(tmp_path)
    with journal.path.open("a") as file:
        file.write('{"op": "tell", "num')  # A line that is being written.
    before = journal.path.read_bytes()
    try:
        for place in (tmp_path, journal.path):
            found = read_earlier(place, OLD.space, ONE)
            assert [(t.number, t.value) for t in found.trials] == [(0, 0.5), (1, 0.2), (2, None), (3, None)]
            assert (found.name, found.left_out, found.dropped) == ("old", 0, ())
    finally:
        journal.close()
    assert journal.path.read_bytes() == before


def test_what_does_not_fit_is_counted(tmp_path: Path) -> None:
    """Common parameters are kept, missing ones take the user's own value, illegal trials are left out."""
    _play(tmp_path).close()
    narrow = Float(name="lr", low=1e-3, high=0.1, log=True, default=1e-3, has_default=True)
    size = Float(name="size", low=0.0, high=1.0, default=0.5, has_default=True)
    found = read_earlier(tmp_path, _space(narrow, size), ONE)
    assert [dict(t.params) for t in found.trials] == [{"lr": lr, "size": 0.5} for lr in (1e-3, 1e-2, 1e-1)]
    assert (found.left_out, found.dropped) == (1, ("act",))


def test_a_condition_decides_what_is_kept() -> None:
    """A value whose condition does not hold is left out; one whose condition holds is asked for."""
    space = _space(ACT, Float(name="slope", low=0.0, high=1.0, when=(When("act", ("gelu",)),)))
    assert completed({"act": "relu", "slope": 0.5}, space) == {"act": "relu"}
    proposal = Proposal({"act": "gelu"}, "Because.", "prior")
    assert fitted(Trial(0, proposal, _scored(1.0)), space) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "must be the folder of an earlier study"),
        ("", "it does not begin with a study"),
        ('{"op": "ask"}\n', "it does not begin with a study"),
        ("[1]\n", "names a journal that cannot be read"),
        ('{"op": "study", "spec": {}}\n', "names a journal that cannot be read"),
        ("nonsense\n{}\n", "is not JSON"),
    ],
)
def test_what_is_no_journal_is_refused(tmp_path: Path, text: str | None, says: str) -> None:
    """A missing, empty, foreign or damaged journal is the setting's fault, in a sentence."""
    if text is not None:
        (tmp_path / "neuropt").mkdir()
        (tmp_path / "neuropt" / "journal.jsonl").write_text(text)
    with pytest.raises(ConfigError, match="warm_start") as caught:
        read_earlier(tmp_path, OLD.space, ONE)
    assert says in str(caught.value)


def test_another_aim_or_another_space_is_refused(tmp_path: Path) -> None:
    """Scores of another direction say the opposite, and trials of which none fits say nothing."""
    _play(tmp_path).close()
    for directions in (("maximize",), ("minimize", "minimize")):
        with pytest.raises(ConfigError, match="must name a study with the objectives of this one"):
            read_earlier(tmp_path, OLD.space, directions)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="none of them fits the search space"):
        read_earlier(tmp_path, _space(LR, WIDTH), ONE)


def test_the_best_is_tried_again_unless_it_is_the_users_own() -> None:
    """Its rationale names the earlier score; nothing is proposed that trial 0 tries, or that breaks a constraint."""
    trials = [
        Trial(n, Proposal({"lr": lr, "act": "relu"}, "Because.", "prior"), _scored(value))
        for n, (lr, value) in enumerate([(1e-3, 0.5), (1e-2, 0.2)])
    ]
    best, again = best_of(Earlier("old", tuple(trials)), OLD)
    assert best is trials[1]
    assert again == Proposal(trials[1].params, "The best of the earlier study old: its trial 1 scored 0.2.", "user")
    assert best_of(Earlier("old", (trials[0],)), OLD) == (trials[0], None)
    limited = StudySpec("new", OLD.space, constraints=(Constraint.parse("ms <= 1"),))
    assert best_of(Earlier("old", tuple(trials)), limited)[1] is None
    assert best_of(Earlier("old", ()), OLD) == (None, None)


@given(st.lists(st.tuples(st.floats(1e-5, 0.1), st.lists(st.floats(-9, 9), min_size=1, max_size=3)), max_size=4))
def test_the_journal_gives_the_same_trials_back(told: list[tuple[float, list[float]]]) -> None:
    """What is kept of an earlier sweep comes back as it was."""
    trials = tuple(
        Trial(n, Proposal({"lr": lr, "act": "relu"}, "Because.", "llm"), _scored(*values))
        for n, (lr, values) in enumerate(told)
    )
    assert from_journal(to_journal(trials)) == trials


def test_a_study_goes_on_with_what_it_began_with(tmp_path: Path) -> None:
    """The evidence lies in the study's own journal, so that it does not matter what is handed over later."""
    _play(tmp_path / "old").close()
    trials = read_earlier(tmp_path / "old", OLD.space, ONE).trials
    journal = Journal(tmp_path / "new.jsonl")
    assert Study(OLD, journal, trials).request(count=1, n_trials=5).earlier == trials
    assert Study(OLD, journal).earlier == trials
    journal.close()


def test_a_log_of_the_original_is_evidence(tmp_path: Path) -> None:
    """Its names may be roles of the new space; what is illegal there is left out, and half a last line is."""
    rate = Float(name="optimizer.lr", low=1e-4, high=0.1, log=True, default=1e-3, has_default=True, role="lr")
    lines = [
        {"id": n, "config": {"lr": lr, "act": act, "old": [1]}, "score": score, "curves": {}, "status": "ok"}
        for n, (lr, act, score) in enumerate([(1e-3, "relu", 0.5), (1e-2, "gelu", 0.25), (1.0, "gelu", 0.1)], start=1)
    ]
    log = tmp_path / "search.jsonl"
    log.write_text("\n".join(map(json.dumps, lines)) + '\n{"id": 4, "conf')
    spec = StudySpec("new", _space(rate, ACT))
    found = read_earlier(log, spec.space, ONE)
    assert [(t.number, t.value, t.params["optimizer.lr"]) for t in found.trials] == [(1, 0.5, 1e-3), (2, 0.25, 1e-2)]
    assert (found.name, found.left_out, found.dropped) == ("search", 1, ("old",))
    best, again = best_of(found, spec)
    assert best is not None
    assert again is not None
    assert dict(again.params) == {"optimizer.lr": 1e-2, "act": "gelu"}
    with pytest.raises(ConfigError, match="objectives of this one, minimize, maximize, got 'one score'"):
        read_earlier(log, spec.space, ("minimize", "maximize"))
    log.write_text('{"id": 1, "config": {}}\n[]\n')
    with pytest.raises(ConfigError, match=r"names a log that cannot be read .line 2: has no config"):
        read_earlier(log, spec.space, ONE)


def test_a_log_leads_to_the_journal_beside_it(tmp_path: Path) -> None:
    """Of a search by ArchSearch its log names the study, which knows more."""
    _play(tmp_path / "search.neuropt").close()
    log = tmp_path / "search.jsonl"
    log.write_text('{"id": 1, "config": {"lr": 0.1}, "score": 1.0}\n')
    assert read_earlier(log, OLD.space, ONE).name == "old"
