"""Which log files are a trial's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from neuropt_core.logged.find import event_files, starts_of, wandb_files
from neuropt_core.ticket import Ticket
from neuropt_core.tracking import RunRecord, record
from neuropt_core.trial import Outcome, TrialState

NAME = "events.out.tfevents"


def _ticket(folder: Path, *starts: dict[str, Any], attempt: int = 0) -> Ticket:
    """A ticket whose starts are told; what they leave out is process 7 of the host h.x, at the time 1000."""
    ticket = Ticket(folder / "neuropt", 3, attempt)
    ticket.write()
    told = [{"host": "h.x", "pid": 7, "time": 1000.5, "cwd": str(folder.parent)} | start for start in starts]
    if told:
        last = told[-1] | ({"earlier": [s | {"seconds": 5.0} for s in told[:-1]]} if told[1:] else {})
        ticket.started_path.write_text(json.dumps(last))
    return ticket


def _file(folder: Path, said: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{NAME}.{said}"
    path.touch()
    return path


def _found(ticket: Ticket) -> dict[tuple[int, int], list[str]]:
    files = event_files(ticket, starts_of(ticket))
    return {origin: [path.name.removeprefix(f"{NAME}.") for path in paths] for origin, paths in files.items()}


def test_a_file_is_known_by_host_process_and_time(tmp_path: Path) -> None:
    """In folders that trials share only the job's own process counts, from the second on in which it began."""
    ticket = _ticket(tmp_path / "job", {})
    for said in ("1000.h.x.7.0", "1001.h.x.7.1.v2", "999.h.x.7.0", "1001.h.x.77.0", "1001.h.7.0", "1001.other.7.0"):
        _file(tmp_path / "runs" / "deep" / said.replace(".", "_"), said)
    _file(tmp_path / "elsewhere", "1001.h.x.7.5")
    (tmp_path / "runs" / "link").symlink_to(tmp_path)
    assert _found(ticket) == {(0, 0): ["1000.h.x.7.0", "1001.h.x.7.1.v2"]}


@pytest.mark.parametrize("place", ["job/tb/version_0", "lightning_logs/version_3", "tb_logs/a", "logs/train/runs/x"])
def test_the_usual_places_are_looked_at(tmp_path: Path, place: str) -> None:
    """The job's output folder and the loggers' default ones below its working directory are searched."""
    ticket = _ticket(tmp_path / "job", {})
    _file(tmp_path / place, "1001.h.x.7.0")
    assert _found(ticket) == {(0, 0): ["1001.h.x.7.0"]}


def test_in_the_jobs_own_folder_a_child_counts_too(tmp_path: Path) -> None:
    """Where the job's process wrote none, its folder's files do, of the process that wrote first: the first rank."""
    ticket = _ticket(tmp_path / "job", {})
    for said in ("1003.h.x.9.0", "1002.h.x.8.0", "1004.h.x.8.1", "900.h.x.6.0"):
        _file(tmp_path / "job" / "tb", said)
    assert _found(ticket) == {(0, 0): ["1002.h.x.8.0", "1004.h.x.8.1"]}
    _file(tmp_path / "job" / "tb", "1009.h.x.7.0")
    assert _found(ticket) == {(0, 0): ["1009.h.x.7.0"]}


def test_names_without_a_process_count_in_the_jobs_own_folder(tmp_path: Path) -> None:
    """As tensorboardX names them; in a folder that trials share nobody knows whose they are."""
    ticket = _ticket(tmp_path / "job", {})
    _file(tmp_path / "runs", "1001.h.x")
    assert _found(ticket) == {}
    _file(tmp_path / "job" / "runs", "1001.h.x")
    assert _found(ticket) == {(0, 0): ["1001.h.x"]}


def test_a_job_that_shares_the_sweeps_folder_takes_only_its_own(tmp_path: Path) -> None:
    """With the sweep's own folder for its output, a job does not take another process's files for its child's."""
    ticket = _ticket(tmp_path / "sweep", {})
    inner = replace(ticket, folder=ticket.folder / "job")
    inner.folder.mkdir()
    ticket.started_path.rename(inner.started_path)
    _file(tmp_path / "sweep" / "other", "1001.h.x.8.0")
    assert _found(inner) == {}
    _file(tmp_path / "sweep" / "tb", "1001.h.x.7.0")
    assert _found(inner) == {(0, 0): ["1001.h.x.7.0"]}


def test_requeued_starts_have_files_of_their_own(tmp_path: Path) -> None:
    """Each start of a requeued job, in whatever process, gets the files that were opened before the next one began."""
    starts = [{"pid": 5}, {"pid": 5, "time": 2000.0}, {"pid": 9, "time": 3000.0}]
    ticket = _ticket(tmp_path / "job", *starts)
    for said in ("1001.h.x.5.0", "2001.h.x.5.0", "3001.h.x.9.0"):
        _file(tmp_path / "job" / "tb", said)
    expected = {(0, 0): ["1001.h.x.5.0"], (0, 1): ["2001.h.x.5.0"], (0, 2): ["3001.h.x.9.0"]}
    assert _found(ticket) == expected
    second = _ticket(tmp_path / "job", {"pid": 9, "time": 4000.0}, attempt=1)
    _file(tmp_path / "job" / "tb", "4001.h.x.9.0")
    assert _found(second) == expected | {(1, 0): ["4001.h.x.9.0"]}


def test_a_job_that_has_ended_opens_no_more_files(tmp_path: Path) -> None:
    """What the same process opened after the job's end is of the next trial."""
    ticket = _ticket(tmp_path / "job", {})
    ticket.write_result(Outcome(TrialState.COMPLETE, 1.0, seconds=10.0))
    for said in ("1010.h.x.7.0", "1011.h.x.7.1"):
        _file(tmp_path / "runs", said)
    assert _found(ticket) == {(0, 0): ["1010.h.x.7.0"]}
    assert starts_of(ticket)[0].ended == 1010.5


def test_a_search_is_bounded(tmp_path: Path) -> None:
    """What lies too deep is not found, and names that say no time are no event files."""
    ticket = _ticket(tmp_path / "job", {})
    _file(tmp_path / "job" / "/".join("abcdefghij"), "1001.h.x.7.0")
    _file(tmp_path / "job", "soon.h.x.7.0")
    assert _found(ticket) == {}
    assert starts_of(_ticket(tmp_path / "not begun")) == ()


def test_runs_in_wandb_are_those_that_the_job_has_recorded(tmp_path: Path) -> None:
    """All files of all attempts count, also the earlier one of a run that was resumed; runs without a file do not."""
    first, second = _ticket(tmp_path / "job", {}), _ticket(tmp_path / "job", {}, attempt=1)
    assert wandb_files(second) == ()
    for ticket, run, file in (
        (first, "a", "/1.wandb"),
        (first, "a", "/2.wandb"),
        (second, "b", ""),
        (second, "a", "/3"),
    ):
        record(ticket.runs_path, RunRecord(run, file=file))
    assert wandb_files(first) == (Path("/1.wandb"), Path("/2.wandb"))
    assert wandb_files(second) == (Path("/1.wandb"), Path("/2.wandb"), Path("/3"))
