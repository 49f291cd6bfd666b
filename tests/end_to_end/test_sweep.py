"""Real sweeps of a real Hydra script, in a process of their own."""

from __future__ import annotations

import csv
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sweeps import BOWL, Sweep, command, environment, gate, open_gates, sweep

from neuropt_core.processes import born


def test_the_walk_with_the_basic_launcher(tmp_path: Path) -> None:
    """A script that only returns a number gets a sweep over lr, wd and its own parameters."""
    done = sweep(tmp_path / "s", "hydra.sweeper.n_trials=6", "width=choice(16,32,64)")
    assert done.code == 0, done.stderr
    assert done.ran() == [0, 1, 2, 3, 4, 5]
    assert [o["state"] for o in done.told().values()] == ["COMPLETE"] * 6
    results = done.results
    assert results["comparison"]["baseline_value"] == pytest.approx(4.4)
    assert results["best_value"] == min(o["value"] for o in done.told().values())
    assert "Search space: ['lr', 'wd', 'width']" in done.stdout
    assert "not an LLM" in done.stdout
    with (done.folder / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["source"] for row in rows][:2] == ["default", "prior"]
    assert all(row["rationale"] for row in rows)


def test_the_reproduction_command_gives_the_best_score_again(tmp_path: Path) -> None:
    """The command in results.yaml, run as it stands, returns the best value outside a sweep."""
    done = sweep(tmp_path / "s", "hydra.sweeper.n_trials=5", "act=choice('it''s','a,b ${x}',relu)".replace("''", "\\'"))
    assert done.code == 0, done.stderr
    words = shlex.split(done.results["best"]["command"])
    again = subprocess.run(
        [sys.executable, *words[1:], f"record={tmp_path / 'again'}"],
        env=environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"loss {done.results['best_value']:.4f}" in again.stdout
    ran = json.loads((tmp_path / "again").read_text())
    assert {"optimizer.lr": ran["lr"], "act": ran["act"]}.items() <= done.results["best_params"].items()


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_the_walk_with_parallel_launchers(tmp_path: Path, launcher: str) -> None:
    """The same sweep runs under other launchers, two trials at a time, with the same bookkeeping."""
    done = sweep(
        tmp_path / "s", f"hydra/launcher={launcher}", "hydra.sweeper.max_parallel=2", "hydra.sweeper.n_trials=4"
    )
    assert done.code == 0, done.stderr
    assert sorted(done.ran()) == [0, 1, 2, 3]
    assert [o["state"] for o in done.told().values()] == ["COMPLETE"] * 4
    assert "2 at a time" in done.stdout


@pytest.mark.parametrize(
    ("how", "kind"),
    [("raise", "exception"), ("exit", "exception"), ("a_nan", "non_finite"), ("memory", "host_out_of_memory")],
)
def test_a_failed_trial_is_a_line_with_its_reason_and_the_sweep_goes_on(tmp_path: Path, how: str, kind: str) -> None:
    """One job that raises, exits or diverges costs that trial alone."""
    done = sweep(tmp_path / "s", "hydra.sweeper.n_trials=4", "bad.numbers=[2]", f"bad.how={how}")
    assert done.code == 0, done.stderr
    states = {number: outcome["state"] for number, outcome in done.told().items()}
    assert states == {0: "COMPLETE", 1: "COMPLETE", 2: "FAIL", 3: "COMPLETE"}
    assert done.told()[2]["failure"]["kind"] == kind
    assert done.results["failures"][0]["number"] == 2
    (line,) = [line for line in done.stdout.splitlines() if "trial 2 " in line]
    assert "FAILED" in line


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_a_killed_job_does_not_cost_the_others_of_its_batch(tmp_path: Path, launcher: str) -> None:
    """When one of two parallel jobs is killed, the other's result is kept though the launcher loses the batch."""
    done = sweep(
        tmp_path / "s",
        f"hydra/launcher={launcher}",
        "hydra.sweeper.max_parallel=2",
        "hydra.sweeper.n_trials=4",
        "bad.numbers=[1]",
        "bad.how=kill",
    )
    assert done.code == 0, done.stderr
    told = done.told()
    assert told[1]["failure"]["kind"] == "lost"
    assert [told[n]["state"] for n in (2, 3)] == ["COMPLETE"] * 2


@pytest.mark.parametrize("how", ["nothing", "a_text", "a_bool", "a_dict"])
def test_an_objective_that_is_no_number_ends_the_sweep_at_once(tmp_path: Path, how: str) -> None:
    """A script that returns no score is told so after trial 0, not after the whole budget."""
    done = sweep(tmp_path / "s", "hydra.sweeper.n_trials=9", "bad.numbers=[0]", f"bad.how={how}")
    assert done.code == 1
    assert done.ran() == [0]
    assert "must return a number" in done.stderr
    assert "Traceback" not in done.stderr


def test_trials_that_all_die_alike_end_the_sweep(tmp_path: Path) -> None:
    """Three equal failures from the start are the script's fault, not the configurations'."""
    done = sweep(tmp_path / "s", "hydra.sweeper.n_trials=9", "bad.numbers=[0,1,2,3,4,5,6,7,8]")
    assert done.code == 1
    assert done.ran() == [0, 1, 2]
    assert "ValueError: the bowl is broken" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["hydra.sweeper.n_trials=-3"], "hydra.sweeper.n_trials: must be at least 1, got -3"),
        (["hydra.sweeper.direction=up"], "hydra.sweeper.direction: must be minimize or maximize, or a list of these"),
        (["hydra.sweeper.bind.lr=optimizer.rate"], "must be a key of the config, got 'optimizer.rate'"),
        (["widht=choice(1,2)"], "Did you mean width"),
        (["hydra.sweeper.advisor=llm"], "ANTHROPIC_API_KEY"),
        (["hydra.sweeper.model=width"], "must be the key of a node with a _target_, got 'width'"),
        (["+model._target_=no.such.Net"], "model._target_: must be importable, got 'no.such.Net'"),
        (["optimizer.lr=0.1", "optimizer.weight_decay=0"], "search space: is empty"),
        (["width=interval(5,1)"], "width: needs two finite bounds, the lower one first, got (5.0, 1.0)"),
        (["width=glob(*)"], "must be choice(), range() or interval()"),
    ],
)
def test_bad_input_ends_before_anything_is_launched(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    """One sentence says where, which rule, what it got and how to mend it; no trial runs, no traceback is shown."""
    done = sweep(tmp_path / "s", "hydra.sweeper.n_trials=2", *arguments)
    assert done.code == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not (done.folder / "ran").exists()


def _wait_for(condition: object, seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def _ran(folder: Path) -> int:
    path = folder / "ran"
    return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.mark.parametrize(
    ("launcher", "isolate"),
    [("basic", "true"), ("basic", "false"), pytest.param("submitit_local", "true", marks=pytest.mark.slow)],
)
def test_a_killed_sweeper_goes_on_with_the_same_command(tmp_path: Path, launcher: str, isolate: str) -> None:
    """After kill -9 in mid-trial the same command tells every trial once, keeps the numbers, and ends at the budget."""
    folder = tmp_path / "s"
    folder.mkdir()
    how = (f"hydra/launcher={launcher}", f"hydra.sweeper.isolate={isolate}")
    words = ("hydra.sweeper.n_trials=5", gate(tmp_path), *how)
    open_gates(tmp_path, *range(2))
    with subprocess.Popen(
        command(folder, *words), env=environment(), cwd=folder, stdout=subprocess.DEVNULL, start_new_session=True
    ) as first:
        _wait_for(lambda: _ran(folder) == 3)
        first.send_signal(signal.SIGKILL)
    open_gates(tmp_path, *range(5))
    before = Sweep(folder, 0, "", "").told()
    done = sweep(folder, *words)
    assert done.code == 0, done.stderr
    assert "Resuming study s: 2 of 5 trials done" in done.stdout
    assert before.items() <= done.told().items()
    assert sorted(done.told()) == [0, 1, 2, 3, 4]
    # A job in the sweeper's own process dies with it and runs again; another one lives on and is waited for.
    assert sorted(done.ran()) == ([0, 1, 2, 2, 3, 4] if isolate == "false" else [0, 1, 2, 3, 4])


def test_a_finished_study_is_not_run_again_and_a_larger_budget_is(tmp_path: Path) -> None:
    """n_trials is the total: the same command does nothing more, and a larger total continues the numbers."""
    folder = tmp_path / "s"
    sweep(folder, "hydra.sweeper.n_trials=3")
    again = sweep(folder, "hydra.sweeper.n_trials=3")
    assert (again.code, again.ran()) == (0, [0, 1, 2])
    more = sweep(folder, "hydra.sweeper.n_trials=4")
    assert (more.code, more.ran()) == (0, [0, 1, 2, 3])


def test_a_changed_study_is_refused(tmp_path: Path) -> None:
    """The same folder with another command line names the difference and launches nothing."""
    folder = tmp_path / "s"
    sweep(folder, "hydra.sweeper.n_trials=2")
    other = sweep(folder, "hydra.sweeper.n_trials=4", "width=32")
    assert other.code == 1
    assert "holds a study that differs in" in other.stderr
    assert other.ran() == [0, 1]


@pytest.mark.parametrize(
    ("launcher", "workers"),
    [
        ("basic", 1),
        pytest.param("joblib", 2, marks=pytest.mark.slow),
        pytest.param("submitit_local", 2, marks=pytest.mark.slow),
    ],
)
def test_ctrl_c_finishes_what_runs_and_says_how_to_go_on(tmp_path: Path, launcher: str, workers: int) -> None:
    """One Ctrl-C, which a terminal sends to all processes, lets running trials end and prints how to continue."""
    folder = tmp_path / "s"
    folder.mkdir()
    words = ("hydra.sweeper.n_trials=6", gate(tmp_path), f"hydra/launcher={launcher}")
    open_gates(tmp_path, *range(workers))
    with subprocess.Popen(
        command(folder, *words, f"hydra.sweeper.max_parallel={workers}"),
        env=environment(),
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        _wait_for(lambda: _ran(folder) == 2 * workers)
        os.killpg(running.pid, signal.SIGINT)
        _wait_for(lambda: "Press Ctrl-C again" in (folder / "neuropt.log").read_text())
        open_gates(tmp_path, *range(6))
        stdout, _ = running.communicate(timeout=300)
    assert running.returncode == 130
    done = Sweep(folder, 130, stdout, "")
    assert [o["state"] for o in done.told().values()] == ["COMPLETE"] * 2 * workers
    assert done.results["study"]["trials"]["done"] == 2 * workers
    (line,) = [line for line in stdout.splitlines() if line.startswith("Go on with: ")]
    assert f"hydra.sweep.dir={folder}" in line
    goes_on = shlex.split(line.removeprefix("Go on with: "))
    subprocess.run([sys.executable, *goes_on[1:]], env=environment(), cwd=folder, check=True, stdout=subprocess.DEVNULL)
    assert sorted(done.told()) == [0, 1, 2, 3, 4, 5]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["basic", "submitit_local"])
def test_a_second_ctrl_c_stops_at_once(tmp_path: Path, launcher: str) -> None:
    """Twice Ctrl-C ends jobs of ten minutes in seconds, writes the results, and the trial is launched again later."""
    folder = tmp_path / "s"
    folder.mkdir()
    with subprocess.Popen(
        command(folder, "seconds=600", f"hydra/launcher={launcher}"),
        env=environment(),
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        _wait_for(lambda: _ran(folder) == 1)
        os.killpg(running.pid, signal.SIGINT)
        _wait_for(lambda: "Press Ctrl-C again" in (folder / "neuropt.log").read_text())
        os.killpg(running.pid, signal.SIGINT)
        stdout, _ = running.communicate(timeout=120)
    assert running.returncode == 130
    assert "Go on with: " in stdout
    assert Sweep(folder, 130, stdout, "").told() == {}
    started = json.loads((folder / "0" / "neuropt" / "started.json").read_text())
    _wait_for(lambda: born(started["pid"]) is None, 60)  # It was killed; the machine may take a moment over it.


def test_two_sweepers_do_not_share_a_study(tmp_path: Path) -> None:
    """The second sweeper on a folder is refused while the first one works."""
    folder = tmp_path / "s"
    folder.mkdir()
    with subprocess.Popen(
        command(folder, "seconds=30"), env=environment(), cwd=folder, stdout=subprocess.DEVNULL, start_new_session=True
    ) as first:
        _wait_for(lambda: _ran(folder) == 1)
        second = sweep(folder, "seconds=30")
        os.killpg(first.pid, signal.SIGKILL)
    assert second.code == 1
    assert "is in use by another sweeper" in second.stderr


def test_jobs_that_would_share_a_folder_are_refused(tmp_path: Path) -> None:
    """Two jobs in one output folder would read each other's results, so a subdir without the number is refused."""
    words = ("hydra.sweep.subdir=same", "hydra/launcher=joblib", "hydra.sweeper.max_parallel=2")
    done = sweep(tmp_path / "s", "hydra.sweeper.n_trials=4", *words)
    assert done.code == 1
    assert "hydra.sweep.subdir: must give every job a folder of its own" in done.stderr
    assert not (done.folder / "ran").exists()


def test_a_job_that_kills_the_sweeper_does_so_three_times_at_most(tmp_path: Path) -> None:
    """In the sweeper's process a killed job is a killed sweeper; the same command goes on, and at last past it."""
    words = ("hydra.sweeper.n_trials=3", "bad.numbers=[1]", "bad.how=kill", "hydra.sweeper.isolate=false")
    codes = [sweep(tmp_path / "s", *words).code for _ in range(4)]
    assert codes == [-signal.SIGKILL] * 3 + [0]
    told = Sweep(tmp_path / "s", 0, "", "").told()
    assert [told[n]["state"] for n in range(3)] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert told[1]["failure"]["kind"] == "lost"


def test_a_trial_that_may_run_on_another_machine_is_not_run_twice(tmp_path: Path) -> None:
    """A job that began elsewhere and has no result ends the resumed sweep with a sentence, until its word is gone."""
    folder = tmp_path / "s"
    words = ("hydra.sweeper.n_trials=2", "bad.numbers=[1]", "bad.how=kill", "hydra.sweeper.isolate=false")
    sweep(folder, *words)
    started = folder / "1" / "neuropt" / "started.json"
    started.write_text(json.dumps({**json.loads(started.read_text()), "host": "far-away", "pid": 1}))
    refused = sweep(folder, *words)
    assert refused.code == 1
    assert "trial 1: began on far-away" in refused.stderr
    assert refused.ran() == [0, 1]
    started.unlink()
    sweep(folder, *words)
    assert refused.ran() == [0, 1, 1]


def test_a_refused_sweep_changes_no_file(tmp_path: Path) -> None:
    """A sweep that is refused leaves the files of the study that lies there as they are."""
    folder = tmp_path / "s"
    sweep(folder, "hydra.sweeper.n_trials=2")
    names = ("multirun.yaml", "neuropt.log", "results.yaml", "neuropt/journal.jsonl")
    before = {name: (folder / name).read_bytes() for name in names}
    assert sweep(folder, "hydra.sweeper.n_trials=2", "hydra.sweeper.direction=maximize").code == 1
    assert {name: (folder / name).read_bytes() for name in names} == before


def test_a_present_value_outside_the_interval_is_said_and_the_rules_still_move(tmp_path: Path) -> None:
    """Trial 0 runs with the user's value all the same; the rules of thumb start inside what he asked to search."""
    done = sweep(tmp_path / "s", "hydra.sweeper.n_trials=3", "width=choice(32,64)")
    assert done.code == 0, done.stderr
    assert "width: its present value 16 is not among those searched" in done.stdout
    asked = [r["proposal"] for r in done.journal if r["op"] == "ask"]
    assert [p["source"] for p in asked] == ["default", "prior", "filler"]
    assert all(p["params"]["width"] in (32, 64) for p in asked[1:])


def test_a_fixed_value_is_not_searched(tmp_path: Path) -> None:
    """What the command line fixes keeps its value in every trial and leaves the space."""
    done = sweep(tmp_path / "s", "hydra.sweeper.n_trials=3", "optimizer.lr=0.02")
    assert "Search space: ['wd']" in done.stdout
    rates = {json.loads(line)["lr"] for line in (done.folder / "ran").read_text().splitlines()}
    assert rates == {0.02}


@pytest.mark.parametrize("chdir", ["true", "false"])
def test_jobs_may_change_their_folder(tmp_path: Path, chdir: str) -> None:
    """hydra.job.chdir and a subdir of the user's own are honoured, with a relative sweep folder too."""
    words = (
        "hydra.sweeper.n_trials=2",
        f"hydra.job.chdir={chdir}",
        "hydra.sweep.dir=out",
        "hydra.sweep.subdir=t_${hydra.job.num}",
    )
    done = sweep(tmp_path / "s", *words)
    assert done.code == 0, done.stderr
    assert {p.name for p in (tmp_path / "s" / "out").glob("t_*")} == {"t_0", "t_1"}
    assert BOWL.exists()


def test_a_dry_run_launches_nothing(tmp_path: Path) -> None:
    """It says what would be searched and launched, with commands that run, and leaves no file behind."""
    done = sweep(tmp_path / "s", "hydra.sweeper.dry_run=true", "hydra.sweeper.n_trials=3")
    assert done.code == 0, done.stderr
    assert "nothing is launched and nobody is asked" in done.stdout
    assert "Search space: ['lr', 'wd']" in done.stdout
    rows = [line.split() for line in done.stdout.splitlines()]
    assert next(row for row in rows if row[:2] == ["optimizer.lr", "float,"])[2:7] == ["log", "1e-05", "..", "1", "0.1"]
    assert "Cost of advice: none, since no LLM would be asked." in done.stdout
    assert "optimizer.lr=0.0333" in done.stdout
    assert list(done.folder.iterdir()) == []  # The test makes the folder itself.


def test_a_dry_run_says_what_the_llm_would_cost(tmp_path: Path) -> None:
    """With a key nobody is asked, and the size of the first prompt and the cost of all calls are told."""
    done = sweep(tmp_path / "s", "hydra.sweeper.dry_run=true", env={"ANTHROPIC_API_KEY": "nobody-sees-this"})
    assert done.code == 0, done.stderr
    assert "the first prompt has about" in done.stdout
    assert "(prices of 20" in done.stdout
    assert "nobody-sees-this" not in done.stdout + done.stderr


def test_a_dry_run_quotes_readably(tmp_path: Path) -> None:
    """Overrides with single quotes stand in double ones; what the stream has no sign for is a question mark."""
    words = ("hydra.sweeper.dry_run=true", "hydra.sweeper.n_trials=1", "+note=['é']")
    done = sweep(tmp_path / "s", *words, env={"PYTHONIOENCODING": "ascii"})
    assert done.code == 0, done.stderr
    assert "\"+note=['?']\"" in done.stdout
