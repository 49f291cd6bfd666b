"""`neuropt report` on the folders of real sweeps: ended, killed, and uploaded afterwards."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sweeps import Sweep, command, environment, sweep
from wandb_server import WandbServer, serve

_NEUROPT = [sys.executable, "-W", "ignore", "-c", "from neuropt_core.cli.app import main; main()"]


def neuropt(*arguments: object, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs the command as a user does."""
    asked = [*_NEUROPT, "report", *map(str, arguments)]
    return subprocess.run(
        asked, env=environment(**env), capture_output=True, text=True, timeout=240, check=False, cwd="/"
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """A sweep of four trials without W&B; trial 2 fails."""
    ran = sweep(
        tmp_path_factory.mktemp("report") / "s",
        "hydra.sweeper.n_trials=4",
        "hydra.sweeper.study_name=bowls",
        "hydra.sweeper.advisor=prior",
        "bad.numbers=[2]",
    )
    assert ran.code == 0, ran.stderr
    return ran


def test_the_page_of_an_ended_sweep_needs_its_journal_alone(done: Sweep, tmp_path: Path) -> None:
    """A copy that holds nothing but the journal gives the page; no other file is made or changed."""
    (tmp_path / "s" / "neuropt").mkdir(parents=True)
    shutil.copy(done.folder / "neuropt" / "journal.jsonl", tmp_path / "s" / "neuropt")
    told = neuropt(tmp_path / "s")
    assert told.returncode == 0, told.stderr
    assert "bowls" in (tmp_path / "s" / "report.html").read_text()
    assert sorted(p.name for p in (tmp_path / "s").rglob("*")) == ["journal.jsonl", "neuropt", "report.html"]


def test_a_sweep_that_runs_and_one_that_was_killed_are_reported(tmp_path: Path) -> None:
    """While a sweep works its page says so; after a kill the page tells how far it came."""
    folder = tmp_path / "s"
    page = tmp_path / "page.html"  # The sweep may keep a page of its own in its folder.
    folder.mkdir()
    asked = command(folder, "hydra.sweeper.n_trials=30", "seconds=0.3", "hydra.sweeper.advisor=random")
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(asked, env=environment(), cwd=folder, stdout=quiet, stderr=quiet, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        journal = folder / "neuropt" / "journal.jsonl"
        while not (journal.exists() and '"op": "tell"' in journal.read_text()) and time.monotonic() < deadline:
            time.sleep(0.1)
        told = neuropt(folder, "--out", page)
        assert told.returncode == 0, told.stderr
        assert f"running (process {process.pid} on" in page.read_text()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    told = neuropt(folder, "--out", page)
    assert told.returncode == 0, told.stderr
    assert "of 30 trials ended" in page.read_text()


@pytest.fixture(scope="module")
def uploaded(done: Sweep, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[WandbServer, list[str]]]:
    """A server to which the sweep was uploaded twice, moved in between, and what the command said."""
    said, home = [], tmp_path_factory.mktemp("uploaded")
    shutil.copytree(done.folder, home / "0")
    with serve() as server:
        env = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": "4" * 40, "HOME": str(home)}
        for place in range(2):
            told = neuropt(home / str(place), "--wandb", "--project", "p", "--entity", "me", **env)
            assert told.returncode == 0, told.stdout + told.stderr
            said.append(told.stdout)
            (home / str(place)).rename(home / str(place + 1))
        yield server, said


@pytest.mark.slow
def test_what_was_never_online_is_uploaded(uploaded: tuple[WandbServer, list[str]]) -> None:
    """The study's run and one for each trial arrive, in one group, with what came of them."""
    server, said = uploaded
    assert server.unknown == []
    names = {run.fields["displayName"] for run in server.runs.values()}
    assert sorted(names) == ["bowls", "trial-000", "trial-001", "trial-002", "trial-003"]
    assert {run.fields["groupName"] for run in server.runs.values()} == {"bowls"}
    assert server.named("trial-002").exit_code == 1
    assert all(run.complete for run in server.runs.values())
    assert all("Written: " in text and "W&B: http" in text for text in said)


@pytest.mark.slow
def test_a_repeated_upload_doubles_nothing(uploaded: tuple[WandbServer, list[str]]) -> None:
    """After two uploads there is one run a trial, one row of each in the study's run, and one published report."""
    server, _ = uploaded
    assert len(server.runs) == 5
    rows = [row["trial"] for row in server.named("bowls").history.values() if "best" in row]
    assert rows == [0, 1, 2, 3]
    (view,) = server.reports.views.values()
    assert view.fields["type"] == "runs"
    assert "Trial 3" in server.reports.text()


@pytest.mark.slow
def test_a_server_that_is_down_is_told(done: Sweep, tmp_path: Path) -> None:
    """Where W&B cannot be reached the exit code is 1, and the command that uploads the files later is told."""
    copy = tmp_path / "s"
    shutil.copytree(done.folder / "neuropt", copy / "neuropt")
    env = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "4" * 40, "HOME": str(tmp_path)}
    told = neuropt(copy, "--wandb", **env)
    assert told.returncode == 1, told.stdout + told.stderr
    assert "wandb sync" in told.stdout
    assert json.loads((copy / "neuropt" / "journal.jsonl").read_text().splitlines()[0])["op"] == "study"
