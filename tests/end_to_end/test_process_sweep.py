"""Real sweeps under Hydra's basic launcher, a process for each trial: what jobs see, how they die, what they leave."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sweeps import BOWL, Sweep, command, environment, sweep
from terminal import Screen, terminal

CHILD = BOWL.with_name("child.py")
FOUR = "\n".join(f"GPU {index}: NVIDIA A100 (UUID: GPU-{index})" for index in range(4))


def _seen(folder: Path) -> list[dict[str, Any]]:
    """Returns what the jobs wrote down of themselves, in their order."""
    path = folder / "ran"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _run(folder: Path, *arguments: str, **options: Any) -> Sweep:
    return sweep(folder, f"record={folder / 'ran'}", *arguments, script=CHILD, **options)


def _wait_for(condition: Callable[[], object], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_each_trial_has_a_process_of_its_own(tmp_path: Path) -> None:
    """Jobs run in sessions of their own, know the script's classes and resolvers, print to a file and the terminal."""
    done = _run(tmp_path / "s", "hydra.sweeper.n_trials=3")
    assert done.code == 0, done.stderr
    assert "Launcher: a process for each trial, 1 at a time, on " in done.stdout
    seen = _seen(done.folder)
    assert len({job["pid"] for job in seen}) == 3
    assert all(job["sid"] == job["pid"] for job in seen)
    assert {(job["class"], job["width"]) for job in seen} == {("__main__", 8)}
    for number in range(3):
        assert f"printed by {number}\n" in (done.folder / str(number) / "neuropt" / "output.log").read_text()
        assert f"printed by {number}\n" in done.stdout
    assert " 20%\n[1/3] trial 0" in done.stdout.replace("\r", "")
    assert "NEUROPT_TICKET" not in done.stdout
    _wait_for(lambda: not _alive(seen[0]["parent"]))  # The fork server, with the sweep.


def test_what_a_trial_prints_does_not_garble_the_terminal(tmp_path: Path) -> None:
    """On a terminal a trial's lines and its bar of carriage returns stand above the sweep's own, each at the left."""
    folder = tmp_path / "s"
    folder.mkdir()
    words = (f"record={folder / 'ran'}", "hydra.sweeper.n_trials=2")
    with terminal(columns=200, lines=30) as (stream, output):
        subprocess.run(
            command(folder, *words, script=CHILD), env=environment(TERM="xterm"), cwd=folder, stdout=stream, check=True
        )
    screen = Screen(200, 30).feed(output[0])
    assert screen.strange == []
    rows = [row for row in screen.text if "printed by" in row or " 20%" in row or "] trial " in row]
    assert rows[0::3] == ["printed by 0", "printed by 1"]
    assert rows[1::3] == [" 20%", " 20%"]
    assert [row[:13] for row in rows[2::3]] == ["[1/2] trial 0", "[2/2] trial 1"]


@pytest.mark.parametrize("chdir", ["true", "false"])
def test_hydra_is_honoured_in_the_child(tmp_path: Path, chdir: str) -> None:
    """hydra.job.chdir, a subdir of the user's own and a callback work as in the sweeper's process."""
    callback = "+hydra.callbacks.notes._target_=callbacks.Notes"
    words = (f"hydra.job.chdir={chdir}", "hydra.sweep.subdir=t_${hydra.job.num}", "base=5", callback)
    done = _run(tmp_path / "s", "hydra.sweeper.n_trials=2", *words)
    assert done.code == 0, done.stderr
    where = [str(done.folder / f"t_{n}") if chdir == "true" else str(done.folder) for n in (0, 1)]
    assert [(job["cwd"], job["width"]) for job in _seen(done.folder)] == [(place, 10) for place in where]
    assert "job 0 returned 0.1" in (done.folder / "t_0" / "neuropt" / "output.log").read_text()
    assert (done.folder / "t_0" / "child.log").exists()


@pytest.mark.parametrize(
    ("how", "kind", "said"),
    [
        ("raise", "exception", "ValueError: the child is broken"),
        ("exit", "exception", "SystemExit"),
        ("os_exit", "lost", "its process exited with code 4"),
        ("kill", "lost", "it was killed by SIGKILL"),
        ("stubborn", "exception", "cannot be pickled"),
        ("breakpoint", "exception", "set hydra.sweeper.isolate=false"),
        ("a_nan", "non_finite", "finite"),
        ("nothing", "no_number", "must return a number"),
    ],
)
def test_what_a_trial_dies_of_costs_that_trial_alone(tmp_path: Path, how: str, kind: str, said: str) -> None:
    """Each way to fail is told as what it is, the next trial runs, and nothing that the dead one started lives on."""
    seconds = 2.5 if how == "kill" else 0.0
    done = _run(tmp_path / "s", "hydra.sweeper.n_trials=3", "bad.numbers=[1]", f"bad.how={how}", f"seconds={seconds}")
    assert done.code == 0, done.stderr
    told = done.told()
    assert [told[n]["state"] for n in range(3)] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert told[1]["seconds"] >= 0.4 * seconds  # Also where it was killed before its second heartbeat.
    assert told[1]["failure"]["kind"] == kind
    assert said in told[1]["failure"]["message"]
    assert not any(_alive(job["sleeper"]) for job in _seen(done.folder) if job["sleeper"])


def test_trials_fill_the_gpus(tmp_path: Path) -> None:
    """With four GPUs four trials run at once, each with one; nvidia-smi is a script here, for there is no GPU."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\necho '{FOUR}'\n")
    tool.chmod(0o755)
    folder = tmp_path / "s"
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = _run(folder, "hydra.sweeper.n_trials=5", "together=4", env=env)
    assert done.code == 0, done.stderr
    assert "4 at a time, on GPUs 0, 1, 2, 3, one each; what they print is in" in done.stdout
    assert "printed by" not in done.stdout
    seen = _seen(folder)
    assert sorted(job["CUDA_VISIBLE_DEVICES"] for job in seen[:4]) == ["0", "1", "2", "3"]
    assert [outcome["state"] for outcome in done.told().values()] == ["COMPLETE"] * 5  # Each waited for three others.
    few = _run(folder, "hydra.sweeper.n_trials=7", "together=4", env={**env, "CUDA_VISIBLE_DEVICES": "GPU-3,GPU-1"})
    assert few.code == 0, few.stderr
    assert {job["CUDA_VISIBLE_DEVICES"] for job in _seen(folder)[5:]} <= {"GPU-3", "GPU-1"}


def test_more_gpus_than_there_are_is_a_sentence(tmp_path: Path) -> None:
    """A trial that asks for two GPUs on a machine of one ends the sweep before anything is launched."""
    words = ("hydra.sweeper.n_trials=2", "hydra.sweeper.budget.gpus_per_trial=2")
    done = _run(tmp_path / "s", *words, env={"CUDA_VISIBLE_DEVICES": "0"})
    assert done.code == 1
    assert "gpus_per_trial: must be at most the number of GPUs that this process may use, 1, got 2" in done.stderr


def test_a_second_ctrl_c_ends_what_a_trial_started(tmp_path: Path) -> None:
    """Twice Ctrl-C ends a hanging trial and its children within seconds, and the trial is not told."""
    folder = tmp_path / "s"
    folder.mkdir()
    words = (f"record={folder / 'ran'}", "bad.numbers=[0]", "bad.how=hang")
    with subprocess.Popen(
        command(folder, *words, script=CHILD),
        env=environment(),
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        _wait_for(lambda: _seen(folder))
        os.killpg(running.pid, signal.SIGINT)
        _wait_for(lambda: "Press Ctrl-C again" in (folder / "neuropt.log").read_text())
        os.killpg(running.pid, signal.SIGINT)
        stdout, _ = running.communicate(timeout=120)
    assert running.returncode == 130
    (job,) = _seen(folder)
    _wait_for(lambda: not _alive(job["pid"]) and not _alive(job["sleeper"]))
    assert Sweep(folder, 130, stdout, "").told() == {}


def test_a_job_outlives_its_sweeper_and_is_taken_over(tmp_path: Path) -> None:
    """After kill -9 of the sweeper the running trial goes on, and the same command waits for it."""
    folder = tmp_path / "s"
    folder.mkdir()
    words = (f"record={folder / 'ran'}", "hydra.sweeper.n_trials=2", "seconds=4")
    with subprocess.Popen(
        command(folder, *words, script=CHILD), env=environment(), cwd=folder, stdout=subprocess.DEVNULL
    ) as first:
        _wait_for(lambda: _seen(folder))
        first.kill()
    (job,) = _seen(folder)
    assert _alive(job["pid"])
    done = sweep(folder, *words, script=CHILD)
    assert done.code == 0, done.stderr
    assert [job["number"] for job in _seen(folder)] == [0, 1]
    assert [outcome["state"] for outcome in done.told().values()] == ["COMPLETE"] * 2


@pytest.mark.slow
def test_a_sweeper_that_dies_before_it_has_noted_a_process_takes_it_along(tmp_path: Path) -> None:
    """A process whose handle is not in the journal runs nothing: each trial runs once, wherever the sweeper dies."""
    folder, script = tmp_path / "s", tmp_path / "slow.py"
    folder.mkdir()
    # Imported by a trial it waits for a second attempt, so that the first could not say before that it began.
    wait = f"    while not Path({str(folder)!r}, '0/neuropt/ticket-1.json').exists():\n        time.sleep(0.1)\n"
    script.write_text(f"{CHILD.read_text()}if __name__ == '__mp_main__':\n{wait}")
    patch = (
        "import os, runpy, signal, sys; from neuropt_core.study import Study; "
        "Study.submitted = lambda *a: os.kill(os.getpid(), signal.SIGKILL); sys.argv = sys.argv[1:]; "
        "sys.path.insert(0, os.path.dirname(sys.argv[0])); runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    words = (f"record={folder / 'ran'}", "hydra.sweeper.n_trials=1", "seconds=2")
    whole = command(folder, *words, script=script)
    killed = subprocess.run(
        [*whole[:3], "-c", patch, *whole[3:]],
        env=environment(),
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    done = sweep(folder, *words, script=script)
    assert done.code == 0, done.stderr
    assert [job["number"] for job in _seen(folder)] == [0]


def test_a_script_without_a_guard_runs_in_the_sweepers_process(tmp_path: Path) -> None:
    """Importing such a script would run it, so its trials stay in the sweeper, and the first lines say why."""
    script = tmp_path / "bare.py"
    text = CHILD.read_text()
    script.write_text(text[: text.index('if __name__ == "__main__"')] + "main()\n")
    done = sweep(tmp_path / "s", f"record={tmp_path / 'ran'}", "hydra.sweeper.n_trials=2", script=script)
    assert done.code == 0, done.stderr
    assert re.search(r"Trials run in this process: line \d+ of the script runs the task function when", done.stdout)
    assert len({job["pid"] for job in _seen(tmp_path)}) == 1


def test_isolate_false_stops_in_a_debugger(tmp_path: Path) -> None:
    """Without isolation a breakpoint in the task function is the terminal's, as in a plain run."""
    folder, script = tmp_path / "s", tmp_path / "stops.py"
    folder.mkdir()
    script.write_text(CHILD.read_text().replace("    number = hydra", "    breakpoint()\n    number = hydra", 1))
    words = (f"record={folder / 'ran'}", "hydra.sweeper.n_trials=1", "hydra.sweeper.isolate=false")
    done = subprocess.run(
        command(folder, *words, script=script),
        env=environment(),
        input="p 'seen by ' + 'the debugger'\nc\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "seen by the debugger" in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="needs a GPU")
def test_four_trials_leave_no_memory_on_the_gpu(tmp_path: Path) -> None:
    """Each of four trials in sequence, which hold a gigabyte, finds as much free memory as the first did."""
    torch = pytest.importorskip("torch")
    script = tmp_path / "holds.py"
    script.write_text(
        CHILD.read_text()
        .replace("import hydra\n", "import hydra\nimport torch\n", 1)
        .replace("    seen |= {", "    seen['free'] = torch.cuda.mem_get_info()[0]\n    seen |= {", 1)
        .replace("    seen |= {", "    held = torch.ones(1 << 28, device='cuda')\n    seen |= {", 1)
        .replace("return _misbehave", "assert held.sum() > 0\n    return _misbehave")
    )
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU that torch can use")
    before = _used()
    done = sweep(tmp_path / "s", f"record={tmp_path / 'ran'}", "hydra.sweeper.n_trials=4", script=script)
    assert done.code == 0, done.stderr
    assert [outcome["state"] for outcome in done.told().values()] == ["COMPLETE"] * 4
    free = [job["free"] for job in _seen(tmp_path)]
    assert min(free) > free[0] - 64 * 2**20
    _wait_for(lambda: _used() <= before + 64, 10)


def _used() -> int:
    words = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    return sum(map(int, subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()))


def test_an_interrupted_start_is_not_waited_for(tmp_path: Path) -> None:
    """A sweep that is told to end while a trial's process starts ends then, and leaves the trial open."""
    interrupted = (
        "import os, runpy, signal, sys, time; from hydra_plugins.neuropt_sweeper._forks import Forks; "
        "Forks.fork = lambda *a: print('at', time.time(), flush=True) or os.kill(os.getpid(), signal.SIGTERM); "
        "sys.argv = sys.argv[1:]; "
        f"runpy.run_path({str(CHILD)!r}, run_name='__main__')"
    )
    folder = tmp_path / "s"
    folder.mkdir()
    words = command(folder, f"record={folder / 'ran'}", "hydra.sweeper.n_trials=2", script=CHILD)
    program = [*words[:3], "-c", interrupted, *words[3:]]
    done = subprocess.run(program, env=environment(), cwd=folder, capture_output=True, text=True, timeout=300)
    ended = time.time()
    assert done.returncode == 143, done.stderr
    assert "Trials: 1 unfinished." in done.stdout
    assert ended - float(re.findall(r"^at ([\d.]+)$", done.stdout, flags=re.MULTILINE)[0]) < 45  # Seconds of a minute.


def test_a_script_that_a_trial_cannot_import_ends_the_sweep(tmp_path: Path) -> None:
    """It is told as an import that failed, without a pause; in the sweep's own folder a job's files lie apart."""
    script = tmp_path / "shy.py"
    script.write_text(f"{CHILD.read_text()}else:\n    raise OSError('not twice')\n")
    done = sweep(tmp_path / "s", f"record={tmp_path / 'ran'}", "hydra.sweep.subdir=.", script=script)
    assert done.code == 1
    assert "its process could not import the script: OSError: not twice) (after 3 attempts)" in done.stderr
    assert " again in " not in done.stdout
    assert (done.folder / "neuropt" / "job" / "ticket-2.json").exists()
