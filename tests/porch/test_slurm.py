"""What is made of squeue's and sacct's words, and of their silence.

Stand-ins on the PATH take the place of the commands: the real ones, in tests/slurm, do not fail or hang when asked to.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hydra_plugins.neuropt_sweeper._slurm import Asking, Entry, Queue, one_line
from hydra_plugins.neuropt_sweeper._submitit import kind_of

Say = Callable[[str, str], None]


class Clock:
    """Counts as it is told."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Sets what a command does; each notes its arguments in ``asked``."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def script(name: str, body: str) -> None:
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/asked\n{body}\n')
        (tmp_path / name).chmod(0o755)

    script("sacct", "echo Slurm accounting storage is disabled >&2; exit 1")
    script("squeue", "exit 0")
    return script


def _look(queue: Queue, clock: Clock, *jobs: str, hurried: tuple[str, ...] = ()) -> dict[str, Entry]:
    """Lets the queue ask once more, and returns what it makes of the answers."""
    clock.now += 60
    ended = queue.poll(jobs, hurried)
    while queue.busy:
        time.sleep(0.002)
        ended |= queue.poll(jobs, hurried)
    return ended


def _queue() -> tuple[Queue, Clock]:
    clock = Clock()
    return Queue(clock), clock


def test_a_job_in_the_queue_runs(say: Say) -> None:
    """Whatever state a job in the queue has, it may still run; a name that begins as its own is not its own."""
    queue, clock = _queue()
    say(
        "squeue",
        "for s in PENDING RUNNING COMPLETING REQUEUED CONFIGURING; do echo \"1|$s|None\"; done; echo '12_3|RUNNING|'",
    )
    for _ in range(3):
        assert _look(queue, clock, "1", "12_3") == {}
    say("squeue", "echo '12|RUNNING|'; echo '1|RUNNING|'")
    assert _look(queue, clock, "12_3", "1") == {}
    assert _look(queue, clock, "12_3", "1") == {"12_3": Entry("")}


def test_one_absence_is_not_believed(say: Say) -> None:
    """A job must be missing twice, and the second time its last state is asked for; once is enough after a cancel."""
    queue, clock = _queue()
    assert _look(queue, clock, "7") == {}
    say("squeue", "case \"$*\" in *states=all*) echo '7|OUT_OF_MEMORY|OutOfMemory';; esac")
    assert _look(queue, clock, "7")["7"].kind == "host_out_of_memory"
    say("squeue", "exit 0")
    queue, clock = _queue()
    assert _look(queue, clock, "7", hurried=("7",)) == {"7": Entry("")}


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("TIMEOUT", "timeout"),
        ("DEADLINE", "timeout"),
        ("OUT_OF_MEMORY", "host_out_of_memory"),
        ("PREEMPTED", "preempted"),
        ("NODE_FAIL", "node_lost"),
        ("BOOT_FAIL", "node_lost"),
        ("CANCELLED by 1000", "lost"),
        ("FAILED", ""),
        ("COMPLETED", ""),
    ],
)
def test_the_state_tells_the_kind(say: Say, state: str, kind: str) -> None:
    """The first word of a final state becomes the kind of failure, here from accounting."""
    queue, clock = _queue()
    say("sacct", f"echo '7|{state}'")
    assert _look(queue, clock, "7") == {}
    entry = _look(queue, clock, "7")["7"]
    assert (entry.state, entry.kind) == (state.split()[0], kind)


def test_a_job_cancelled_while_it_waited_says_nothing_of_its_configuration() -> None:
    """Only one that had begun is lost; of one that was preempted or ran out of memory the scheduler's word holds."""
    cancelled = Entry("CANCELLED")
    assert (kind_of(cancelled, began=True), kind_of(cancelled, began=False)) == ("lost", "")
    assert kind_of(Entry("NODE_FAIL"), began=False) == "node_lost"


@pytest.mark.parametrize("failing", ["echo squeue: error: no answer >&2; exit 1", "echo '8|RUNNING|'; exit 1"])
def test_a_failing_squeue_ends_no_job(say: Say, caplog: pytest.LogCaptureFixture, failing: str) -> None:
    """What a squeue that fails does not list is not gone; that it fails is said once, and two looks start anew."""
    queue, clock = _queue()
    assert _look(queue, clock, "7") == {}
    say("squeue", failing)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert _look(queue, clock, "7") == {}
    assert len([r for r in caplog.records if "SLURM does not tell" in r.message]) == 1
    say("squeue", "exit 0")
    assert _look(queue, clock, "7") == {}
    assert _look(queue, clock, "7") == {"7": Entry("")}


def test_a_hanging_command_is_given_up(say: Say) -> None:
    """A command that never returns is ended after its limit, and meanwhile nobody waits for it."""
    say("squeue", "exec sleep 60")
    began = time.monotonic()
    asking = Asking(["squeue"], limit=5)
    assert asking.answer() is None
    assert time.monotonic() - began < 4
    answer = asking.wait()
    assert (answer.code, answer.complaint) == (124, "squeue does not answer")


def test_accounting_that_fails_is_asked_once(say: Say, tmp_path: Path) -> None:
    """Without a working sacct a forgotten job is lost for an unknown reason, and sacct is left alone from then on."""
    queue, clock = _queue()
    for job in ("7", "8"):
        assert _look(queue, clock, job) == {}
        assert _look(queue, clock, job) == {job: Entry("")}
    assert (tmp_path / "asked").read_text().count("sacct") == 1


def test_a_job_that_waits_for_a_person_is_named_once(say: Say, caplog: pytest.LogCaptureFixture) -> None:
    """A held job is warned about once, one that waits for a free node is not."""
    queue, clock = _queue()
    say(
        "squeue",
        "echo '7|PENDING|JobHeldUser'; echo '8|PENDING|Resources'; echo '9|PENDING|launch failed requeued held'",
    )
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert _look(queue, clock, "7", "8", "9") == {}
    assert sorted(r.args[0] for r in caplog.records if isinstance(r.args, tuple)) == ["7", "9"]


def test_a_told_job_that_is_requeued_is_cancelled(say: Say, tmp_path: Path) -> None:
    """A job that ended well while it was preempted is taken out of the queue when SLURM puts it back."""
    queue, clock = _queue()
    say("scancel", "exit 0")
    say("squeue", "echo '5|COMPLETING|None'; echo '6|RUNNING|None'")
    queue.finished("5")
    assert _look(queue, clock, "6") == {}
    say("squeue", "echo '5|PENDING|BeginTime'; echo '6|RUNNING|None'")
    assert _look(queue, clock, "6") == {}
    assert "scancel 5" in (tmp_path / "asked").read_text()


def test_a_persons_own_filters_hide_no_job(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQUEUE_STATES and the like in the environment, which narrow what squeue lists, do not reach it."""
    monkeypatch.setenv("SQUEUE_STATES", "RUNNING")
    monkeypatch.setenv("SQUEUE_PARTITION", "other")
    say("squeue", 'echo "7|${SQUEUE_STATES:-PENDING}${SQUEUE_PARTITION}|None"')
    queue, clock = _queue()
    assert _look(queue, clock, "7") == {}
    assert "PENDING|None" in Asking(["squeue"]).wait().text


def test_the_queue_is_asked_seldom(say: Say, tmp_path: Path) -> None:
    """Squeue is asked every two seconds at most, and more and more seldom while nothing changes."""
    queue, clock = _queue()
    say("squeue", "echo '7|RUNNING|None'")
    for _ in range(3600):
        clock.now += 1
        queue.poll(["7"])
        while queue.busy:
            queue.poll(["7"])
            time.sleep(0.001)
    assert 100 < (tmp_path / "asked").read_text().count("squeue") < 250


def test_a_complaint_is_one_line() -> None:
    """Of what sbatch prints, the words remain, without its name and without repetition."""
    said = "sbatch: error: invalid partition specified: x\nsbatch: error: Batch job submission failed: no\n\n"
    assert one_line(said) == "invalid partition specified: x; Batch job submission failed: no"
