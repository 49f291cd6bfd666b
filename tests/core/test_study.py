"""The study and its journal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from neuropt_core.advice import Advice, Rejection
from neuropt_core.curve import Curve, Point
from neuropt_core.errors import StudyError
from neuropt_core.journal import Journal
from neuropt_core.profile import Group, ModelProfile, Pretrained
from neuropt_core.space import Categorical, Float, SearchSpace
from neuropt_core.spec import StudySpec
from neuropt_core.study import Study
from neuropt_core.trial import Failure, Outcome, Predicted, Proposal, TrialState

SPACE = SearchSpace(
    (
        Float(name="lr", low=1e-5, high=0.1, log=True, default=1e-3, has_default=True),
        Categorical(name="act", choices=("relu", "gelu")),
    )
)
PROFILE = ModelProfile(
    "m.Net",
    12,
    activations={"ReLU": 2},
    head=("fc",),
    groups=(Group("stem", 1, 4),),
    pretrained=Pretrained(True, ("loaded",), fresh=("fc.weight",)),
    offered=SPACE.parameters,
    left_out={"x": "y"},
)
SPEC = StudySpec("s", SPACE, profile=PROFILE, fixed=("a=1",))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "journal.jsonl")
    yield opened
    opened.close()


def _proposal(lr: float = 0.01) -> Proposal:
    return Proposal({"lr": lr, "act": "gelu"}, "Because.", "llm", Predicted(0.1, 0.2, 0.3), stands_in_for="")


def _outcome(value: float) -> Outcome:
    points = (Point(0, {"val": float("nan")}, 1.5), Point(1, {"val": value}, 2.0))
    return Outcome(TrialState.COMPLETE, value, Curve(points), seconds=2.5)


def _play(study: Study) -> None:
    study.ask(Proposal({"lr": 1.0}, "Yours.", "default"))
    study.launch(0)
    study.tell(0, _outcome(0.5))
    study.ask(_proposal())
    study.launch(1)
    study.launch(1)
    study.tell(1, Outcome(TrialState.FAIL, failure=Failure("lost", "gone", "trace")))
    study.ask(_proposal(0.02))
    study.tell(2, Outcome(TrialState.PRUNED, reason="nan"))
    study.ask(_proposal(0.03))


def test_a_replay_yields_the_same_study(tmp_path: Path, journal: Journal) -> None:
    """A study opened again on its journal equals the one that wrote it, running trials and profile included."""
    study = Study(SPEC, journal)
    _play(study)
    journal.close()
    reopened = Journal(tmp_path / "journal.jsonl")
    again = Study(SPEC, reopened)
    reopened.close()
    assert again.spec.profile == PROFILE
    assert [t.proposal for t in again.trials] == [t.proposal for t in study.trials]
    assert [t.state for t in again.trials] == ["COMPLETE", "FAIL", "PRUNED", "RUNNING"]
    assert again.trials[0].curve.series("val")[1] == (1, 0.5)
    assert again.best == again.baseline == again.trials[0]
    assert again.attempts(1) == 2
    assert again.trials[1].outcome == study.trials[1].outcome
    assert repr(again.trials[0].curve) == repr(study.trials[0].curve)  # nan, which equals nothing, included


def test_the_journal_is_readable_at_every_byte_cut(tmp_path: Path, journal: Journal) -> None:
    """Wherever a crash cuts the journal, what opens again is a study that had existed before."""
    states = []
    study = Study(SPEC, journal)
    _play(study)
    journal.close()
    data = (tmp_path / "journal.jsonl").read_bytes()
    for cut in range(data.index(b"\n") + 1, len(data)):
        path = tmp_path / "cut" / "journal.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data[:cut])
        torn = Journal(path)
        reopened = Study(SPEC, torn)
        for early, late in zip(reopened.trials, study.trials, strict=False):
            assert early.proposal == late.proposal
            assert early.outcome is None or repr(early.outcome) == repr(late.outcome)
        states.append(len(reopened.finished))
        torn.append({"op": "consult"})
        assert torn.records()[-1] == {"op": "consult"}
        torn.close()
    assert states == sorted(states)
    assert states[-1] == 3


def test_a_damaged_line_before_the_last_is_an_error(tmp_path: Path) -> None:
    """A journal is never read past a line that is not JSON; the error says which line."""
    path = tmp_path / "journal.jsonl"
    path.write_text('{"op": "study"}\nrubbish\n{"op": "ask"}\n')
    with pytest.raises(StudyError, match="line 2"):
        Journal(path)


def test_a_second_sweeper_is_refused(tmp_path: Path) -> None:
    """Two writers would interleave their trials, so the second one is told to wait."""
    first = Journal(tmp_path / "journal.jsonl")
    with pytest.raises(StudyError, match="in use by another sweeper"):
        Journal(tmp_path / "journal.jsonl")
    first.close()
    Journal(tmp_path / "journal.jsonl").close()


def test_a_changed_study_is_refused_with_its_differences(journal: Journal) -> None:
    """Resuming with another space, direction or command line names what differs."""
    Study(SPEC, journal)
    other = StudySpec("s", SearchSpace((Float(name="lr", low=1e-4, high=0.1, log=True),)), "maximize", fixed=("a=2",))
    with pytest.raises(StudyError) as caught:
        Study(other, journal)
    words = (
        "holds a study that differs in lr: 1e-05..0.1 log -> 0.0001..0.1 log; lr: own value 0.001 -> none; removed act"
    )
    assert f"{words}; direction: minimize -> maximize; command line: a=1 -> a=2." in str(caught.value)


def test_what_is_not_legal_is_never_numbered(journal: Journal) -> None:
    """A proposal outside the space is refused, and so is an outcome for an unknown or told trial."""
    study = Study(SPEC, journal)
    with pytest.raises(StudyError, match="lr: must satisfy"):
        study.ask(_proposal(lr=3.0))
    assert study.trials == ()
    study.ask(_proposal())
    study.tell(0, _outcome(1.0))
    with pytest.raises(StudyError, match="told before"):
        study.tell(0, _outcome(2.0))
    with pytest.raises(StudyError, match="never asked"):
        study.tell(7, _outcome(2.0))


@pytest.mark.parametrize(("direction", "best"), [("minimize", 1), ("maximize", 2)])
def test_the_best_follows_the_direction(journal: Journal, direction: str, best: int) -> None:
    """Small wins when minimizing, large when maximizing, the earlier of equals; failures never do."""
    study = Study(StudySpec("s", SPACE, direction), journal)  # type: ignore[arg-type]
    for number, value in enumerate([0.5, 0.1, 0.9, 0.1, 0.9]):
        study.ask(_proposal())
        study.tell(number, _outcome(value))
    assert study.best is not None
    assert study.best.number == best


def test_nothing_is_recorded_when_the_disk_is_full(journal: Journal) -> None:
    """If the journal cannot take a record, the study has not changed either."""
    study = Study(SPEC, journal)
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    journal.path = full
    with pytest.raises(OSError, match="No space left"):
        study.ask(_proposal())
    assert study.trials == ()


def _clocked(journal: Journal, *times: float) -> Study:
    ticks = iter(times)
    return Study(SPEC, journal, clock=lambda: next(ticks))


def test_the_clock_stands_still_between_sessions(tmp_path: Path, journal: Journal) -> None:
    """Time counts from the first record of a sweeper to its last, and to now; pauses and jumps back cost nothing."""
    study = _clocked(journal, 100.0, 110.0, 105.0, 108.0, 109.0)
    study.ask(_proposal())  # 10 s after the beginning
    study.launch(0)  # by a clock that was set back
    study.tell(0, _outcome(1.0))  # 3 s later
    assert study.seconds == 14.0
    journal.close()
    reopened = Journal(tmp_path / "journal.jsonl")
    again = _clocked(reopened, 5000.0, 5002.0)
    assert again.seconds == 15.0
    reopened.close()


def test_a_retry_is_kept_and_its_trial_stays_open(tmp_path: Path, journal: Journal) -> None:
    """A replay knows each attempt that was given up, whether one is in flight, and how many took the sweeper along."""
    study = Study(SPEC, journal)
    study.ask(_proposal())
    assert not study.in_flight(0)
    study.launch(0)
    assert study.in_flight(0)
    lost = Outcome(TrialState.FAIL, failure=Failure("node_lost", "gone", place="x"), seconds=3.0)
    study.retry(0, lost)
    assert (study.in_flight(0), study.attempts(0), study.crashes(0)) == (False, 1, 0)
    study.launch(0)
    study.launch(0)
    journal.close()
    reopened = Journal(tmp_path / "journal.jsonl")
    again = Study(SPEC, reopened)
    assert (again.in_flight(0), again.attempts(0), again.crashes(0)) == (True, 3, 2)
    assert again.retried == {0: (lost,)}
    assert again.trials[0].state is TrialState.RUNNING
    again.tell(0, _outcome(1.0))
    with pytest.raises(StudyError, match="told before"):
        again.retry(0, lost)
    reopened.close()


def test_what_was_put_aside_for_no_trial_is_forgotten(tmp_path: Path, journal: Journal) -> None:
    """A study that was left between a slate and its trial goes on without the slate's rejections, with all others."""
    study = Study(SPEC, journal)
    _play(study)
    numbers = [len(study.trials) - 1, len(study.trials)]
    study.note(Advice((), rejected=tuple(Rejection(_proposal(), n, "crowded", "Another.") for n in numbers)))
    assert [r.number for r in study.request(count=1, n_trials=9).rejected] == numbers
    journal.close()
    again = Journal(tmp_path / "journal.jsonl")
    assert [r.number for r in Study(SPEC, again).request(count=1, n_trials=9).rejected] == numbers[:1]
    again.close()


def test_a_replicate_repeats_a_trial_exactly(journal: Journal) -> None:
    """It may lie outside the space, as trial 0 may, but it must be the very configuration of the trial it names."""
    study = Study(SPEC, journal)
    study.ask(Proposal({"lr": 1.0}, "Yours.", "default"))
    assert study.ask(Proposal({"lr": 1.0}, "Again.", "replicate", parent=0, seed=5)).proposal.seed == 5
    for wrong in (Proposal({"lr": 0.9}, "Again.", "replicate", parent=0), Proposal({"lr": 1.0}, "Again.", "replicate")):
        with pytest.raises(StudyError, match="must repeat a trial"):
            study.ask(wrong)
