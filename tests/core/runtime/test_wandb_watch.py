"""From a job's start to its end: when wandb is taken over, what of one job reaches another, and who is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sweeps import environment
from wandb_file import read_run
from wandb_jobs import SCORE, job
from wandb_server import serve

from neuropt_core.runtime.wandb_watch import WandbWatch
from neuropt_core.stop_file import asked
from neuropt_core.ticket import Ticket
from neuropt_core.tracking import RunRecord, recorded
from neuropt_core.trial import Outcome, TrialState

wandb: Any = pytest.importorskip("wandb")
pytestmark = pytest.mark.usefixtures("wandb_alone")


def online(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Lets W&B's SDK reach a server."""
    for name, value in {"BASE_URL": url, "API_KEY": "4" * 40, "MODE": "online"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)


def test_nothing_of_one_trial_reaches_the_next(make: Callable[..., Ticket]) -> None:
    """In one process each trial's run is its own, and afterwards W&B is as it was, for those who kept `init`, too."""
    genuine, kept = wandb.init, []
    for number in (3, 4):
        (run,) = job(make(number), lambda: kept.append(wandb.init) or wandb.init())
        assert run.fields["display_name"] == f"trial-{number:03d}"
        assert run.config["neuropt"]["trial"] == number
    assert wandb.init is genuine
    assert wandb.sdk.wandb_init.init is genuine
    for init in (genuine, *kept):
        run = init()
        assert (run.group, run.name, dict(run.config)) == ("", None, {})
        run.finish()


def test_a_run_from_before_the_job_is_left_alone(make: Callable[..., Ticket]) -> None:
    """A run that the process has opened before its trial began stays open, and is not the trial's."""
    before = wandb.init()
    ticket = make()
    with WandbWatch(ticket) as runs:
        assert wandb.init() is before
        runs.settle(SCORE)
    before.log({"loss": 1.0})
    assert recorded(ticket.runs_path) == ()
    assert "neuropt" not in dict(before.config)


def test_another_rank_records_nothing(make: Callable[..., Ticket]) -> None:
    """A run of a rank that is not the first is in the group under a name of its own, and not taken for the trial's."""
    ticket, names = make(), []
    job(ticket, lambda: names.append((wandb.init().name, wandb.run.group)), rank=1)
    assert names == [("trial-007-rank1", "bowls")]
    assert not ticket.runs_path.exists()


def test_a_requeued_job_counts_its_runs_on(make: Callable[..., Ticket]) -> None:
    """A run of a second start of a job has the next number; one that it resumes by its id keeps its own."""
    ticket = make()
    job(ticket, lambda: wandb.init(id="one"))
    job(ticket, lambda: wandb.init(id="two"))
    job(ticket, lambda: wandb.init(id="one", resume="allow"))
    assert {run.id: run.name for run in recorded(ticket.runs_path)} == {"one": "trial-007", "two": "trial-007-2"}


def test_runs_of_a_job_that_is_requeued_end_as_preempted(
    make: Callable[..., Ticket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the scheduler's exit passes through, the open run is marked and ends, without the trial's score."""
    monkeypatch.setattr("neuropt_core.runtime.wandb_watch.HURRY", 60.0)  # Seconds; a loaded machine may need them.
    ticket = make()

    def requeued() -> None:
        with WandbWatch(ticket):
            wandb.init()
            sys.exit(0)

    with pytest.raises(SystemExit):
        requeued()
    wandb.teardown()
    (run,) = (read_run(Path(run.file)) for run in recorded(ticket.runs_path))
    assert run.exit_code == 1
    assert run.preempting
    assert "neuropt/state" not in run.summary


def test_stopping_a_run_on_its_page_asks_for_its_trial(make: Callable[..., Ticket], tmp_path: Path) -> None:
    """W&B's stop leaves a request to stop the trial where the sweeper finds it, and does not interrupt the script."""
    seen: list[Any] = []
    job(make(), lambda: seen.append(wandb.init().settings))
    assert asked(tmp_path, 7) is None
    seen[0].stop_fn()
    request = asked(tmp_path, 7)
    assert request is not None
    assert (request.how, request.by) == ("finish", "W&B")


def test_online_the_runs_are_attached_to_the_sweep(
    make: Callable[..., Ticket], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Online, with a W&B sweep, the run is its, in its project, with its tags and an end; nothing unknown is asked."""
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / "sweep.json").write_text(json.dumps({"id": "s1", "project": "studies", "entity": "me"}))
    ticket = make()
    with serve() as server:
        online(monkeypatch, server.url)

        def script() -> None:
            wandb.init(project="own", tags=["a"], settings={"x_disable_stats": True})
            wandb.log({"loss": 0.5})

        with WandbWatch(ticket) as runs:
            script()
            runs.settle(SCORE)
        wandb.teardown()
        (known,) = recorded(ticket.runs_path)
        run = server.runs[known.id]
    assert server.unknown == []
    assert run.fields["sweep"] == "s1"
    assert (run.fields["project"], run.fields["groupName"], run.fields["jobType"]) == ("studies", "bowls", "trial")
    assert run.fields["tags"] == ["a", "neuropt"]
    assert run.config["neuropt"]["trial"] == 7
    assert run.summary["score"] == 0.25
    assert (run.complete, run.exit_code) == (True, 0)
    assert (known.mode, known.ended) == ("online", 0)
    assert known.url.endswith(f"/runs/{known.id}")


def test_a_run_that_is_resumed_is_the_jobs(make: Callable[..., Ticket], monkeypatch: pytest.MonkeyPatch) -> None:
    """Online, the second start of a job goes on with the run of the first one: its name and its tags are kept."""
    ticket = make()
    with serve() as server:
        online(monkeypatch, server.url)
        for tags in (["a"], None):
            with WandbWatch(ticket) as runs:
                wandb.init(id="one", resume="allow", tags=tags, settings={"x_disable_stats": True})
                runs.settle(SCORE)
            wandb.teardown()
    assert server.unknown == []
    assert [line["ended"] for line in map(json.loads, ticket.runs_path.read_text().splitlines())] == [None, 0, None, 0]
    assert server.runs["one"].fields["displayName"] == "trial-007"


def test_a_server_that_hangs_at_the_end_holds_the_job_up_for_its_time_alone(
    make: Callable[..., Ticket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that was asked to end waits a few seconds for W&B, and leaves a file with the one end that a sync takes."""
    ticket = make()
    with serve() as server:
        online(monkeypatch, server.url)
        monkeypatch.setattr("neuropt_core.runtime.wandb_watch.HURRY", 0.5)
        with WandbWatch(ticket) as runs:
            wandb.init(settings={"finish_timeout": 60.0, "x_disable_stats": True})
            wandb.log({"loss": 0.5})
            server.fault = lambda what: 500
            ticket.stop_path.write_text("enough")
            runs.settle(Outcome(TrialState.PRUNED, reason="enough"))
        (known,) = recorded(ticket.runs_path)
        assert known.ended is None
        server.fault = lambda what: 200
        wandb.teardown()
        assert read_run(Path(known.file)).exits == 1


LATE = """
import sys, types
from pathlib import Path
from neuropt_core.runtime.wandb_watch import WandbWatch
from neuropt_core.ticket import Ticket
from neuropt_core.tracking import recorded
from neuropt_core.trial import Outcome, TrialState

ticket = Ticket.read(Path(sys.argv[1]))
with WandbWatch(ticket) as runs:
    assert "wandb" not in sys.modules
    if sys.argv[2] == "imports":
        from wandb import init
        import wandb.sdk
        init()
        assert wandb.__spec__.loader.get_source("wandb")
    runs.settle(Outcome(TrialState.COMPLETE, 0.5))
assert '_Finder' not in [type(finder).__name__ for finder in sys.meta_path]
print([run.name for run in recorded(ticket.runs_path)], "wandb" in sys.modules)
"""


@pytest.mark.parametrize(("what", "said"), [("imports", "['trial-007'] True"), ("nothing", "[] False")])
def test_wandb_is_taken_over_when_it_is_imported(make: Callable[..., Ticket], what: str, said: str) -> None:
    """A script that imports it late, and by the name of `init`, is seen; for one that never does, nor do we."""
    own = {name: value for name, value in os.environ.items() if name.startswith(("WANDB", "NETRC"))}
    done = subprocess.run(
        [sys.executable, "-W", "error::ImportWarning", "-c", textwrap.dedent(LATE), str(make().path), what],
        env=environment(**own),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == said, done.stderr


def test_a_folder_named_wandb_is_no_wandb(
    make: Callable[..., Ticket], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What runs leave in the working directory can be imported as an empty package, and is passed over."""
    monkeypatch.setitem(sys.modules, "wandb", types.ModuleType("wandb"))
    with WandbWatch(make()) as runs:
        runs.settle(SCORE)
    assert caplog.text == ""


def test_a_record_of_a_run_that_a_kill_ends_has_no_end(make: Callable[..., Ticket]) -> None:
    """What a killed job leaves says where its run is, and not that it has ended."""
    ticket = make()
    with WandbWatch(ticket) as runs:
        wandb.init()
        (known,) = recorded(ticket.runs_path)
        assert isinstance(known, RunRecord)
        assert known.ended is None
        assert Path(known.file).parent.is_dir()
        runs.settle(SCORE)
