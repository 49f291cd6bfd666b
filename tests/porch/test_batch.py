"""Batches: what is launched together, and who is suspected when a launcher gives a batch up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from histories import scored, trial
from hydra.plugins.launcher import Launcher

from hydra_plugins.neuropt_sweeper._backend import Job
from hydra_plugins.neuropt_sweeper._batch import BatchBackend
from neuropt_core.curve import Curve
from neuropt_core.files import write_whole
from neuropt_core.ticket import Ticket
from neuropt_core.trial import Outcome


class Scripted(Launcher):
    """A launcher whose batches do what the test says; real ones take seconds, and cannot be told when to fail."""

    def __init__(self, *batches: Callable[[list[int]], None]) -> None:
        self.batches = list(batches)
        self.launched: list[list[int]] = []

    def setup(self, **_: Any) -> None:
        """Takes what Hydra gives."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[Any]:
        """Notes the numbers and does what comes next."""
        numbers = [initial_job_idx + place for place in range(len(job_overrides))]
        self.launched.append(numbers)
        self.batches.pop(0)(numbers)
        return []


class Folder:
    """The jobs' files, as jobs would leave them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def job(self, number: int, attempt: int = 0) -> Job:
        """Returns a job whose ticket is written."""
        ticket = Ticket(self.folder / str(number), number, attempt)
        ticket.write()
        return Job(trial(number, {"lr": 0.1}), ticket, (f"number={number}",))

    def begins(self, *numbers: int, attempt: int = 0) -> None:
        """Leaves word that these jobs began, in a process that is dead by now."""
        for number in numbers:
            path = Ticket(self.folder / str(number), number, attempt).started_path
            write_whole(path, json.dumps({"pid": 4194305, "host": os.uname().nodename, "born": "0"}))

    def ends(self, *numbers: int, attempt: int = 0) -> None:
        """Leaves the results of these jobs."""
        for number in numbers:
            Ticket(self.folder / str(number), number, attempt).write_result(scored(0.5, Curve()))


def kinds(ended: list[tuple[Job, Outcome]]) -> dict[int, str]:
    return {job.trial.number: "" if o.failure is None else o.failure.kind for job, o in ended}


def poll_all(backend: BatchBackend) -> dict[int, str]:
    found: dict[int, str] = {}
    while ended := kinds(backend.poll()):
        found |= ended
    return found


def test_consecutive_trials_share_a_batch(tmp_path: Path) -> None:
    """Hydra numbers jobs from the first of a batch, hence a gap begins another one; each poll launches one."""
    files = Folder(tmp_path)
    launcher = Scripted(lambda numbers: files.ends(*numbers), lambda numbers: files.ends(*numbers))
    backend = BatchBackend(launcher, 4)
    for number in (5, 1, 4):
        backend.submit(files.job(number))
    assert kinds(backend.poll()) == {1: ""}
    assert kinds(backend.poll()) == {4: "", 5: ""}
    assert backend.poll() == []
    assert launcher.launched == [[1], [4, 5]]


def test_suspects_are_tried_again_alone_until_the_culprit_dies_alone(tmp_path: Path) -> None:
    """Of three jobs lost at once the two innocent get their scores, one at a time, and the third is lost."""
    files = Folder(tmp_path)

    def fall(numbers: list[int]) -> None:
        files.begins(*numbers)
        files.ends(numbers[-1])
        raise RuntimeError("a worker\nwas killed")

    def alone(numbers: list[int]) -> None:
        files.begins(*numbers, attempt=1)
        if 2 in numbers:
            raise RuntimeError("a worker was killed")
        files.ends(*numbers, attempt=1)

    launcher = Scripted(fall, alone, alone, alone, lambda numbers: files.ends(*numbers))
    backend = BatchBackend(launcher, 4)
    for number in (1, 2, 3, 4):
        backend.submit(files.job(number))
    ended = backend.poll()
    assert kinds(ended) == {1: "node_lost", 2: "node_lost", 3: "node_lost", 4: ""}
    failure = ended[0][1].failure
    assert failure is not None
    assert "it or another of trials [1, 2, 3] took the batch down, so it is tried again alone" in failure.message
    assert "RuntimeError: a worker was killed" in failure.message
    for number in (1, 2, 3):
        backend.submit(files.job(number, attempt=1))
    backend.submit(files.job(5))
    backend.submit(files.job(6))
    assert poll_all(backend) == {1: "", 2: "lost", 3: "", 5: "", 6: ""}
    assert launcher.launched[1:] == [[1], [2], [3], [5, 6]]


def test_who_is_the_only_one_missing_is_the_culprit(tmp_path: Path) -> None:
    """Where all others left a result or never began, nobody is suspected; the latter run again together."""
    files = Folder(tmp_path)

    def fall(numbers: list[int]) -> None:
        files.begins(0, 1)
        files.ends(0)
        raise RuntimeError("a worker was killed")

    launcher = Scripted(fall, lambda numbers: files.ends(*numbers, attempt=1))
    backend = BatchBackend(launcher, 4)
    for number in range(4):
        backend.submit(files.job(number))
    assert kinds(backend.poll()) == {0: "", 1: "lost", 2: "node_lost", 3: "node_lost"}
    for number in (2, 3):
        backend.submit(files.job(number, attempt=1))
    assert kinds(backend.poll()) == {2: "", 3: ""}


@pytest.mark.parametrize("error", [SystemExit(3), TypeError("cannot pickle"), Exception()])
def test_whatever_a_launcher_raises_each_trial_is_read_from_its_files(tmp_path: Path, error: BaseException) -> None:
    """A SystemExit of a job that joblib passes on, or an exception that cannot be pickled, costs no result."""
    files = Folder(tmp_path)

    def fall(numbers: list[int]) -> None:
        files.begins(*numbers)
        files.ends(*numbers)
        raise error

    backend = BatchBackend(Scripted(fall), 4)
    for number in range(3):
        backend.submit(files.job(number))
    assert kinds(backend.poll()) == {0: "", 1: "", 2: ""}


def test_a_job_that_outlives_its_launcher_is_waited_for(tmp_path: Path) -> None:
    """A launcher that raises while a job still runs on this machine has not ended it: the score comes."""
    files = Folder(tmp_path)
    code = "import sys; from pathlib import Path; from neuropt_core.ticket import Ticket; "
    code += "Ticket.read(Path(sys.argv[1])).write_started(); print(flush=True); sys.stdin.read()"
    job = files.job(0)
    with subprocess.Popen(
        [sys.executable, "-c", code, str(job.ticket.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()

        def fall(numbers: list[int]) -> None:
            assert process.stdin is not None
            timer = threading.Timer(0.3, lambda: (files.ends(0), process.kill()))
            timer.start()
            raise RuntimeError("gave up")

        backend = BatchBackend(Scripted(fall), 4)
        backend.submit(job)
        assert kinds(backend.poll()) == {0: ""}


def test_a_job_on_another_machine_is_waited_for_while_its_heart_beats(tmp_path: Path) -> None:
    """A launcher that gives up may have left a job running elsewhere: its result counts, and it is not run twice."""
    files = Folder(tmp_path)

    def fall(numbers: list[int]) -> None:
        write_whole(files.job(0).ticket.started_path, json.dumps({"pid": 1, "host": "elsewhere", "born": "0"}))
        threading.Timer(0.3, lambda: files.ends(0)).start()
        raise RuntimeError("the connection was lost")

    backend = BatchBackend(Scripted(fall), 4)
    backend.submit(files.job(0))
    assert kinds(backend.poll()) == {0: ""}


def test_who_falls_with_a_job_that_was_ended_is_no_suspect(tmp_path: Path) -> None:
    """When the sweeper itself kills one job and the launcher gives up the batch, the other runs again in company."""
    files = Folder(tmp_path)
    jobs = [files.job(number) for number in range(2)]

    def fall(numbers: list[int]) -> None:
        files.begins(*numbers)
        backend.cancel([jobs[1]])
        raise RuntimeError("a worker was killed")

    launcher = Scripted(fall, lambda numbers: (files.ends(0, attempt=1), files.ends(1)))
    backend = BatchBackend(launcher, 4)
    for job in jobs:
        backend.submit(job)
    assert kinds(backend.poll()) == {0: "node_lost", 1: "lost"}
    backend.submit(files.job(0, attempt=1))
    backend.submit(files.job(1))
    assert kinds(backend.poll()) == {0: "", 1: ""}
    assert launcher.launched == [[0, 1], [0, 1]]


def test_what_waits_can_be_cancelled(tmp_path: Path) -> None:
    """A job that was submitted and not launched yet is forgotten, and never runs."""
    files = Folder(tmp_path)
    launcher = Scripted()
    backend = BatchBackend(launcher, 4)
    job = files.job(0)
    backend.submit(job)
    backend.cancel([job])
    assert backend.poll() == []
    assert launcher.launched == []
