"""What a job printed last, and what is made of it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hydra_plugins.neuropt_sweeper._backend import outcome_of
from neuropt_core.curve import Point
from neuropt_core.runtime.last_lines import last_lines
from neuropt_core.ticket import Ticket
from neuropt_core.trial import Failure, Outcome


@pytest.fixture
def ticket(tmp_path: Path) -> Ticket:
    ticket = Ticket(tmp_path / "3" / "neuropt", 3)
    ticket.write()
    return ticket


def _failure(outcome: Outcome) -> Failure:
    assert outcome.failure is not None
    return outcome.failure


def test_a_killed_job_is_told_with_its_last_lines_its_curve_and_its_seconds(ticket: Ticket) -> None:
    """Nobody knows why it died, but what it did until then is kept."""
    ticket.write_started()
    ticket.append(Point(0, {"val_loss": 0.5}))
    began = ticket.started_path.stat().st_mtime
    ticket.heartbeat_path.touch()
    os.utime(ticket.heartbeat_path, (began + 40, began + 40))
    ticket.output_path.write_text("".join(f"epoch {n}\n" for n in range(50)))
    outcome = outcome_of(ticket)
    assert _failure(outcome).kind == "lost"
    assert _failure(outcome).log.splitlines() == [f"epoch {n}" for n in range(30, 50)]
    assert len(outcome.curve) == 1
    assert outcome.seconds == pytest.approx(40, abs=0.01)


def test_the_first_file_that_says_anything_is_shown(ticket: Ticket, tmp_path: Path) -> None:
    """What a backend names comes first, then the job's own output, submitit's files, and the job's Hydra log."""
    assert last_lines(ticket) == ""
    (ticket.folder.parent / "train.log").write_text("hydra\n")
    assert last_lines(ticket) == "hydra"
    folder = tmp_path / ".submitit" / "71"
    folder.mkdir(parents=True)
    (folder / "71_0_log.err").write_text("\n")
    (folder / "71_0_log.out").write_text("submitit\n")
    ticket.started_path.write_text(json.dumps({"pid": 1, "host": "a", "born": "1", "submitit": str(folder)}))
    assert last_lines(ticket) == "submitit"
    (folder / "71_0_log.err").write_text("error\n")
    assert last_lines(ticket) == "error"
    ticket.output_path.write_text("own\n")
    assert last_lines(ticket) == "own"
    (tmp_path / "named").write_text("named\n")
    assert last_lines(ticket, [tmp_path / "nowhere", tmp_path / "named"]) == "named"


def test_the_lines_are_short_and_hold_no_secret(ticket: Ticket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys go, of a progress bar its last state stays, and a line of a megabyte does not fill the journal."""
    monkeypatch.setenv("STORE_TOKEN", "plain-words-only")
    text = f"a plain-words-only b\r\n 10%|#\r 20%|##\rdone\nsk-canary-0123456789\n{'x' * 5000}\n\xff\n"
    ticket.output_path.write_bytes(text.encode("latin-1"))
    lines = last_lines(ticket).splitlines()
    assert lines == ["a [redacted] b", "done", "[redacted]", "x" * 500 + "…", "\ufffd"]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("slurmstepd: error: Detected 1 oom-kill event(s) in StepId=71.batch.", "host_out_of_memory"),
        (
            "slurmstepd: error: Detected 1 oom_kill event in StepId=71.batch. Some of the step tasks",
            "host_out_of_memory",
        ),
        ("srun: error: node1: task 0: Out Of Memory", "host_out_of_memory"),
        ("slurmstepd: error: *** JOB 71 ON node1 CANCELLED AT 2026-11-01T00:00:00 DUE TO TIME LIMIT ***", "timeout"),
        ("slurmstepd: error: *** JOB 71 ON node1 CANCELLED AT 2026-11-01 DUE TO PREEMPTION ***", "preempted"),
        ("slurmstepd: error: *** JOB 71 ON node1 CANCELLED AT 2026-11-01 DUE TO NODE FAILURE ***", "node_lost"),
        ("slurmstepd: error: *** JOB 71 ON node1 CANCELLED AT 2026-11-01T00:00:00 ***", "lost"),
        ("INFO oom_kill is the name of my model", "lost"),
    ],
)
def test_slurms_last_words_tell_the_kind(ticket: Ticket, line: str, kind: str) -> None:
    """What SLURM itself writes into the output counts where the backend could not tell; what it tells goes first."""
    ticket.write_started()
    ticket.output_path.write_text(f"epoch 1\n{line}\n")
    assert _failure(outcome_of(ticket)).kind == kind
    assert _failure(outcome_of(ticket, "scancel", "timeout")).kind == "timeout"
