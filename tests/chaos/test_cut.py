"""The journal, cut at every byte or damaged anywhere, is a prefix of the study or a sentence with a line number."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from neuropt_core.advice import Advice, Consultation, Rejection
from neuropt_core.card import SpaceCard
from neuropt_core.changes import Setup
from neuropt_core.curve import Curve, Point
from neuropt_core.errors import StudyError
from neuropt_core.files import read_lines
from neuropt_core.journal import Journal
from neuropt_core.replay import Replay
from neuropt_core.space import Categorical, Float, SearchSpace
from neuropt_core.spec import StudySpec
from neuropt_core.study import Study
from neuropt_core.trial import Failure, Outcome, Proposal, TrialState

SPACE = SearchSpace(
    (
        Float(name="lr", low=1e-5, high=0.1, log=True, default=1e-3, has_default=True),
        Categorical(name="act", choices=("relu", "gelu"), default="relu", has_default=True),
    )
)
WIDER = SearchSpace(
    (Float(name="lr", low=1e-6, high=0.1, log=True, default=1e-3, has_default=True), *SPACE.parameters[1:])
)
LOST = Outcome(TrialState.FAIL, failure=Failure("node_lost", "gone: ü"))


def _proposal(lr: float) -> Proposal:
    return Proposal({"lr": lr, "act": "gelu"}, "Weil: ä\u2028ö.", "llm")


def _written(path: Path) -> bytes:
    """A journal in which every kind of record stands, and text that is not ASCII."""
    journal = Journal(path)
    study = Study(StudySpec("s", SPACE), journal, setup=Setup({"epochs": 3}))
    study.ask(Proposal(SPACE.defaults(), "Yours.", "default"))
    study.launch(0, Path("0/neuropt"))
    study.submitted(0, {"job_id": "7"})
    study.retry(0, LOST)
    study.launch(0, Path("0/neuropt"))
    study.tell(0, Outcome(TrialState.COMPLETE, 0.5, Curve((Point(0, {"val": float("nan")}, 1.5),)), seconds=2.5))
    study.consult(Consultation("m", number=1, accepted=1))
    study.note(Advice((), rejected=(Rejection(_proposal(0.01), 1, "crowded", "Another."),), card=SpaceCard("llm")))
    study.ask(_proposal(0.02))
    journal.close()
    journal = Journal(path)
    study = Study(StudySpec("s", WIDER), journal, setup=Setup({"epochs": 4}), force=True)
    study.launch(1)
    study.tell(1, LOST)
    journal.close()
    data = path.read_bytes()
    assert {r["op"] for r in read_lines(path)[0]} == {
        *("study", "session", "ask", "launch", "submit", "retry", "tell", "consult", "card", "reject", "changed")
    }
    return data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return _written(tmp_path_factory.mktemp("whole") / "journal.jsonl")


def test_every_cut_is_a_prefix_of_the_study(tmp_path: Path, data: bytes) -> None:
    """Wherever a crash cuts the journal, it opens, holds the whole lines before the cut, and takes the next one."""
    records = [json.loads(line) for line in data.decode().split("\n")[:-1]]
    path = tmp_path / "cut" / "journal.jsonl"
    path.parent.mkdir()
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        torn = Journal(path)
        whole = data[:cut].count(b"\n")
        assert torn.records() == records[:whole]
        if cut % 11 == 0:  # Each costs a visit to the disk.
            torn.append({"op": "session"})
            assert torn.records() == [*records[:whole], {"op": "session"}]
        torn.close()


def test_every_whole_line_opens_as_a_study_that_was(tmp_path: Path, data: bytes) -> None:
    """A study that goes on from any record has the state that it had then, with the present command or by force."""
    lines = data.splitlines(keepends=True)
    replay = Replay(json.loads(lines[0]))
    for count in range(1, len(lines)):
        if count > 1:
            replay.take(json.loads(lines[count - 1]))
        path = tmp_path / str(count) / "journal.jsonl"
        path.parent.mkdir()
        path.write_bytes(b"".join(lines[:count]) + lines[count][: len(lines[count]) // 2])
        journal = Journal(path)
        study = Study(replay.spec, journal, setup=replay.setup)
        assert study.taken == ()
        assert study.trials == replay.in_order or repr(study.trials) == repr(replay.in_order)
        assert [t.number for t in study.trials] == list(range(len(study.trials)))
        again = [json.loads(line) for line in path.read_bytes().splitlines()]
        second = Replay(again[0])
        for record in again[1:]:
            second.take(record)
        assert repr(second.in_order) == repr(study.trials)
        journal.close()


def _is_record(line: bytes) -> bool:
    try:
        record = json.loads(line)
    except ValueError:
        return False
    return isinstance(record, dict) and "op" in record


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    place=st.floats(0, 1, exclude_max=True),
    start=st.floats(0, 1, exclude_max=True),
    rubbish=st.binary(max_size=40).filter(lambda b: b"\n" not in b),
    kept=st.booleans(),
)
def test_damage_in_the_middle_is_told_with_its_line(
    tmp_path: Path, data: bytes, place: float, start: float, rubbish: bytes, kept: bool
) -> None:
    """A line that is no record is never read past: the sentence names it, and the file stays as it is."""
    path = tmp_path / "journal.jsonl"
    lines = data.split(b"\n")[:-1]
    number = int(place * len(lines))
    lines[number] = lines[number][: int(start * len(lines[number]))] + rubbish if kept else rubbish
    assume(not _is_record(lines[number]))  # The rubbish may mend what was cut.
    damaged = b"\n".join(lines) + b"\n"
    path.write_bytes(damaged)
    with pytest.raises(StudyError, match=f"line {number + 1}: "):
        Journal(path)
    assert path.read_bytes() == damaged


@pytest.mark.parametrize("line", ['{"op": "ask"}', '{"op": "tell", "number": 9, "outcome": {}}', '{"op": "study"}'])
def test_a_record_that_cannot_be_is_told_with_its_line(tmp_path: Path, data: bytes, line: str) -> None:
    """What is JSON and yet no record of this study ends in the same sentence, not in a traceback."""
    path = tmp_path / "journal.jsonl"
    lines = data.split(b"\n")[:-1]
    place = 0 if "study" in line else 3
    lines[place] = line.encode()
    path.write_bytes(b"\n".join(lines) + b"\n")
    journal = Journal(path)
    with pytest.raises(StudyError, match=f"line {place + 1}: "):
        Study(StudySpec("s", SPACE), journal)
    journal.close()
