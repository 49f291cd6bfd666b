"""A study told again from its journal alone."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

import pytest
from sink_scenes import BASE, SPACE, ended, falling

from neuropt_core.advice import Consultation, Lesson, Rejection
from neuropt_core.changes import Setup
from neuropt_core.curve import Point
from neuropt_core.errors import StudyError
from neuropt_core.journal import Journal
from neuropt_core.retold import at_work, scene_of, scenes_of
from neuropt_core.spec import StudySpec
from neuropt_core.study import Study
from neuropt_core.ticket import Ticket
from neuropt_core.trial import Failure, Outcome, Proposal, TrialState

PREEMPTED = Outcome(TrialState.FAIL, failure=Failure("preempted", "the node went away"), seconds=3600.0)
STOPPED = Outcome(TrialState.FAIL, failure=Failure("preempted", "the sweep was stopped (Ctrl-C)"), seconds=1.0)


def begun(folder: Path, **more: Any) -> tuple[Study, Journal]:
    """Returns a study whose journal lies in a sweep's folder."""
    journal = Journal(folder / "neuropt" / "journal.jsonl")
    about = {"n_trials": 7, "advisor": "prior (not an LLM)", "command": "python my.py"}
    setup = Setup({"model._target_": "my.Net", "data.key": "[redacted]"})
    return Study(StudySpec("retold", SPACE), journal, setup=setup, about=about, **more), journal


def run(study: Study, outcome: Outcome | None, params: dict[str, Any] | None = None) -> int:
    """Asks and launches a trial, and tells it unless it has no outcome; returns its number."""
    source = "prior" if study.trials else "default"
    trial = study.ask(Proposal({**BASE, **(params or {})}, "Because.", source))
    study.launch(trial.number, PurePath(str(trial.number), "neuropt"), [f"optimizer.lr={trial.number}"])
    if outcome is not None:
        study.tell(trial.number, outcome)
    return trial.number


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a sweep that was told to end: three trials ended, one after two attempts, and one is open."""
    study, journal = begun(tmp_path / "sweep")
    run(study, ended(0.5, curve=falling(1.0, 0.5)))
    usage = {"input_tokens": 1000, "output_tokens": 100}
    study.consult(Consultation("claude-haiku-5-5", usage=usage, learnt=(Lesson("Less is more.", (0,)),)))
    number = run(study, None, {"optimizer.lr": 1e-4})
    study.retry(number, PREEMPTED)
    study.launch(number, PurePath("1", "neuropt"))
    study.retry(number, STOPPED)
    study.launch(number, PurePath("1", "neuropt"))
    study.tell(number, ended(0.4))
    run(study, ended("broken"), {"optimizer.lr": 1e-2})
    run(study, None, {"optimizer.lr": 1e-5})
    journal.close()
    return tmp_path / "sweep"


def test_the_scene_holds_what_the_journal_holds(folder: Path) -> None:
    """Trials, budget, words, overrides, folders, spending, retries and config are those of the sweep."""
    scene = scene_of(folder)
    assert [trial.value for trial in scene.trials] == [0.5, 0.4, None, None]
    assert scene.best is not None
    assert scene.best.number == 1
    assert scene.trials[0].curve == falling(1.0, 0.5)
    assert (scene.n_trials, scene.advisor, scene.command) == (7, "prior (not an LLM)", "python my.py")
    assert scene.reproduce(scene.trials[1]) == "python my.py optimizer.lr=1"
    assert scene.folder == folder
    assert scene.folders[1] == folder / "1" / "neuropt"
    assert scene.retries == {1: 1}, "an attempt that the sweep's own end cut off counts as a fault"
    assert scene.spent.tokens == 1100
    assert scene.spent.usd == pytest.approx(0.00015)
    assert scene.used.gpu_hours == pytest.approx(1.0 + (12 * 3 + 1) / 3600)
    assert scene.config == {"model._target_": "my.Net", "data.key": "[redacted]"}
    assert scene.consulted[0].learnt[0].text == "Less is more."
    assert scene.running == {}


def test_budgets_and_the_users_own_price_count(tmp_path: Path) -> None:
    """GPU-hours are those of all GPUs of a trial, against the user's limit, and dollars are by the user's price."""
    journal = Journal(tmp_path / "neuropt" / "journal.jsonl")
    about = {
        "limits": {"wall_clock": None, "gpu_hours": 9.0, "gpus": 2, "stalled": False},
        "price": {"input": 1e6, "output": 0.0, "cache_read": None},
    }
    study = Study(StudySpec("retold", SPACE), journal, about=about)
    run(study, ended(0.5, seconds=1800.0))
    study.consult(Consultation("my-model", usage={"input_tokens": 3, "output_tokens": 1}))
    scene = scene_of(tmp_path)
    assert (scene.limits.gpu_hours, scene.used.gpu_hours) == (9.0, pytest.approx(1.0))
    assert scene.spent.usd == pytest.approx(3.0)
    journal.close()


def test_nothing_is_written_and_no_lock_is_held(folder: Path) -> None:
    """Told again, a folder is byte for byte as it was, and readable where nothing can be written."""
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}
    for path in (folder / "neuropt", folder):
        path.chmod(0o555)
    try:
        scene_of(folder)
        list(scenes_of(folder))
    finally:
        for path in (folder, folder / "neuropt"):
            path.chmod(0o755)
    after = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}
    assert before == after


def test_a_moved_folder_is_the_same_study(folder: Path, tmp_path: Path) -> None:
    """Folders of trials are kept relative, so that a copy elsewhere tells the same, in its own place."""
    moved = tmp_path / "elsewhere" / "copy"
    moved.parent.mkdir()
    shutil.move(folder, moved)
    scene = scene_of(moved)
    assert scene.folders[0] == moved / "0" / "neuropt"
    assert [trial.value for trial in scene.trials] == [0.5, 0.4, None, None]


def test_each_ended_trial_is_told_with_the_study_as_it_was(folder: Path) -> None:
    """The scenes grow as the sweep's did: no trial knows of a later one, and the best is the best so far."""
    told = [
        (trial.number, scene.best.number if scene.best else None, len(scene.trials))
        for scene, trial in scenes_of(folder)
    ]
    assert told == [(0, 0, 1), (1, 1, 2), (2, 1, 3)]
    scenes = [scene for scene, _ in scenes_of(folder)]
    assert [len(scene.consulted) for scene in scenes] == [0, 1, 1]
    assert {scene.n_trials for scene in scenes} == {7}


def test_a_trial_that_runs_is_told_with_its_curve(tmp_path: Path) -> None:
    """While its sweeper works, a trial whose process lives runs, with what it has reported; one in the queue waits."""
    study, journal = begun(tmp_path)
    run(study, ended(0.5))
    for number in (1, 2, 3):
        run(study, None, {"optimizer.lr": 1e-4 * number})
        Ticket(tmp_path / str(number) / "neuropt", number).write()
    live, dead = (Ticket(tmp_path / str(number) / "neuropt", number) for number in (1, 3))
    live.write_started()
    live.append(Point(0, {"val_loss": 0.9}))
    start = json.loads(live.started_path.read_text())
    parent = {
        "pid": os.getppid(),
        "born": (Path(f"/proc/{os.getppid()}/stat").read_text().rsplit(")", 1)[1].split())[19],
    }
    live.started_path.write_text(json.dumps(start | parent))  # A job that shares the reader's process is not known.
    dead.started_path.write_text(json.dumps(start | {"pid": 2**22 + 1, "born": "1"}))
    scene = scene_of(tmp_path)
    assert set(scene.running) == {1, 2}
    assert scene.running[2] is None
    began = scene.running[1]
    assert began is not None
    assert 0 <= time.monotonic() - began < 60
    assert {number: curve.series("val_loss") for number, curve in scene.curves.items()} == {1: ((0, 0.9),)}
    assert at_work(tmp_path) == f"process {os.getpid()} on {os.uname().nodename}"
    journal.close()
    assert at_work(tmp_path) == ""
    assert set(scene_of(tmp_path).running) == {1}, "a trial waits though nobody would launch it"


def test_a_job_on_another_machine_lives_by_its_heartbeat(tmp_path: Path) -> None:
    """Of a process elsewhere only its last sign of life is known."""
    study, journal = begun(tmp_path)
    run(study, None)
    journal.close()
    ticket = Ticket(tmp_path / "0" / "neuropt", 0)
    ticket.write()
    ticket.write_started()
    start = json.loads(ticket.started_path.read_text())
    ticket.started_path.write_text(json.dumps(start | {"host": "another"}))
    assert set(scene_of(tmp_path).running) == {0}
    long_ago = time.time() - 3600
    os.utime(ticket.started_path, (long_ago, long_ago))
    assert scene_of(tmp_path).running == {}


def test_an_older_journal_is_read(folder: Path) -> None:
    """A journal of before sessions, overrides, folders, config and times were kept yields what it has."""
    path = folder / "neuropt" / "journal.jsonl"
    kept = []
    for line in path.read_text().splitlines():
        record = json.loads(line)
        if record["op"] != "session":
            gone = ("time", "folder", "overrides", "config", "enqueue", "seed_key")
            kept.append(json.dumps({name: value for name, value in record.items() if name not in gone}))
    path.write_text("\n".join(kept) + "\n")
    scene = scene_of(folder)
    assert [trial.value for trial in scene.trials] == [0.5, 0.4, None, None]
    assert (scene.n_trials, scene.command, scene.advisor) == (4, "python train.py", "")
    assert (scene.overrides, scene.folders, scene.config, scene.used.seconds) == ({}, {}, {}, 0.0)
    assert scene.runs(scene.trials[0]) == ()


def test_what_a_change_left_out_is_marked(folder: Path) -> None:
    """After a change of the space, trials that do not fit it any more are listed and cannot be the best."""
    journal = Journal(folder / "neuropt" / "journal.jsonl")
    narrow = type(SPACE)(tuple(replace(p, low=5e-4) if p.name == "optimizer.lr" else p for p in SPACE.parameters))
    study = Study(StudySpec("retold", narrow), journal, force=True)
    study.note(replace_advice())
    journal.close()
    scene = scene_of(folder)
    assert scene.left_out == {1, 3}
    assert scene.best is not None
    assert scene.best.number == 0
    assert [rejection.rule for rejection in scene.rejected] == ["duplicate"]


def replace_advice() -> Any:
    """Returns an advice that holds nothing but a rejection."""
    from neuropt_core.advice import Advice

    return Advice((), rejected=(Rejection(Proposal(BASE, "Because.", "llm"), 4, "duplicate", "It is trial 0."),))


def test_a_line_that_a_crash_tore_is_left_out(folder: Path) -> None:
    """Half a line at the end, as a writer leaves it that is killed, or that writes just now, is not read."""
    path = folder / "neuropt" / "journal.jsonl"
    whole = scene_of(folder)
    with path.open("a") as file:
        file.write('{"op": "tell", "num')
    assert scene_of(folder).trials == whole.trials


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("absent", "does not exist"),
        ("file", "is no folder"),
        ("empty folder", "holds no neuropt study."),
        ("empty journal", "its journal is empty"),
        ("no JSON", "journal.jsonl, line 3: is not JSON"),
        ("no record", "journal.jsonl, line 3: cannot be read as a record"),
        ("another file", "journal.jsonl, line 1: cannot be read as a record"),
    ],
)
def test_what_is_no_study_is_told_in_a_sentence(folder: Path, damage: str, says: str) -> None:
    """A wrong folder or a damaged journal ends in one sentence that names the place."""
    path = folder / "neuropt" / "journal.jsonl"
    lines = path.read_text().splitlines()
    if damage == "absent":
        folder = folder / "absent"
    elif damage == "file":
        folder = path
    elif damage == "empty folder":
        folder = folder / "neuropt"
    else:
        third = {"no JSON": "{", "no record": '{"op": "tell"}'}.get(damage, "")
        text = {"empty journal": "", "another file": '{"a": 1}\n'}.get(
            damage, "\n".join([*lines[:2], third, *lines[3:], ""])
        )
        path.write_text(text)
    for tell in (scene_of, lambda folder: list(scenes_of(folder))):
        with pytest.raises(StudyError) as error:
            tell(folder)
        assert says in str(error.value)
