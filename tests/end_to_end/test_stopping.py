"""Stopping real sweeps: from outside, by time-out, by signals; and going on afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sweeps import Sweep, command, environment

LOOPING = Path(__file__).parents[1] / "support" / "apps" / "looping.py"


class Running:
    """A sweep of endless trials, while it runs and after."""

    def __init__(self, folder: Path, process: subprocess.Popen[str]) -> None:
        self.folder, self.process = folder, process

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Waits for something to become true; fails if the sweep ends before."""
        end = time.monotonic() + 300
        while not condition():
            assert self.process.poll() is None, "the sweep has ended"
            assert time.monotonic() < end
            time.sleep(0.05)

    def reported(self, *trials: int) -> bool:
        """Whether these trials have all reported."""
        return all((self.folder / str(n) / "neuropt" / "curve.jsonl").exists() for n in trials)

    def stop(self, *options: str) -> None:
        """Asks the sweep to stop, as a person in another terminal."""
        asked = subprocess.run(
            [sys.executable, "-c", "from neuropt_core.cli.app import main; main()", "stop", str(self.folder), *options],
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert asked.returncode == 0, asked.stdout + asked.stderr

    def ended(self) -> Sweep:
        """Waits for the sweep's own end."""
        stdout, stderr = self.process.communicate(timeout=300)
        return Sweep(self.folder, self.process.returncode, stdout, stderr)


def _command(folder: Path, *words: str) -> list[str]:
    given = ("hydra.sweeper.advisor=random", "hydra.sweeper.pruning.mode=off", *words)
    return command(folder, *given, script=LOOPING)


@contextmanager
def _running(folder: Path, *words: str) -> Iterator[Running]:
    folder.mkdir(exist_ok=True)
    with subprocess.Popen(
        _command(folder, *words),
        env=environment(),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # Whoever tests may have it ignored (nohup).
    ) as process:
        try:
            yield Running(folder, process)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def _retried(done: Sweep) -> dict[int, str]:
    """Trial number -> the kind of failure with which it was left open."""
    return {r["number"]: r["outcome"]["failure"]["kind"] for r in done.journal if r["op"] == "retry"}


def _no_process_is_left(folder: Path) -> bool:
    started = [json.loads(path.read_text()) for path in folder.glob("*/neuropt/started*.json")]
    return not any(Path(f"/proc/{data['pid']}").exists() for data in started)


@pytest.mark.slow
def test_a_sweep_is_stopped_from_outside_and_goes_on(tmp_path: Path) -> None:
    """One trial, then the sweep is stopped; who hears nothing is ended; the same command goes on with both trials."""
    words = ("hydra.sweeper.n_trials=3", "hydra.sweeper.max_parallel=2", "hydra.sweeper.stop_grace=8")
    words += ("hang.numbers=[1]", f"until={tmp_path / 'go'}")
    with _running(tmp_path / "s", *words) as running:
        running.wait_until(lambda: running.reported(0, 1))
        running.stop("--trial", "0", "--reason", "looks flat")
        running.wait_until(lambda: running.reported(2))
        running.stop("--reason", "the evening")
        time.sleep(1.5)
        assert running.process.poll() is None
        running.stop("--now", "--reason", "the evening")
        done = running.ended()
    assert done.code == 0, done.stderr
    assert {n: o["state"] for n, o in done.told().items()} == {0: "PRUNED"}
    assert "looks flat" in done.told()[0]["reason"]
    assert _retried(done) == {1: "preempted", 2: "preempted"}
    assert "No new trials: neuropt stop by" in done.stdout
    assert "Waiting for trials 1 (running for " in done.stdout
    assert "Trial 1 did not stop within 8 s: it is ended by force" in done.stdout
    assert "Go on with: " in done.stdout
    assert _no_process_is_left(done.folder)
    assert list((done.folder / "neuropt").glob("stop*")) == []
    before = len((done.folder / "2" / "neuropt" / "curve.jsonl").read_text().splitlines())
    (tmp_path / "go").touch()
    with _running(tmp_path / "s", *words) as running:
        again = running.ended()
    assert again.code == 0, again.stderr
    assert "a machine was at fault" not in again.stdout
    assert {n: o["state"] for n, o in again.told().items()} == {0: "PRUNED", 1: "COMPLETE", 2: "COMPLETE"}
    lines = (done.folder / "2" / "neuropt" / "curve-1.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines]
    assert steps[0] == before - 1, "it did not go on from its checkpoint"  # The last report was not kept in it.


@pytest.mark.slow
def test_a_trial_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    """Past its time a trial is PRUNED if it obeys, has failed if it must be killed, and the sweep goes on meanwhile."""
    words = ("hydra.sweeper.trial_timeout=2", "hydra.sweeper.stop_grace=8", "hydra.sweeper.max_parallel=2")
    with _running(tmp_path / "s", *words, "hydra.sweeper.n_trials=3", "hang.numbers=[1]", "brief.numbers=[2]") as run:
        done = run.ended()
    assert done.code == 0, done.stderr
    told = done.told()
    assert told[0]["state"] == "PRUNED"
    assert told[0]["reason"] == "it ran longer than hydra.sweeper.trial_timeout=2s"
    assert told[1]["failure"]["kind"] == "timeout"
    assert len(told[1]["curve"]) == 1
    assert told[2]["state"] == "COMPLETE"
    assert _retried(done) == {}
    assert _no_process_is_left(done.folder)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_a_launcher_that_blocks_is_stopped_too(tmp_path: Path, launcher: str) -> None:
    """In the sweeper's own process, and under a launcher that waits for a batch, `--now` and time-outs reach trials."""
    words = (f"hydra/launcher={launcher}", "hydra.sweeper.backend=batch", "hydra.sweeper.isolate=false")
    more = ("hydra.sweeper.n_trials=4", "hydra.sweeper.max_parallel=2", "hydra.sweeper.trial_timeout=15")
    more += ("brief.numbers=[1]",)
    with _running(tmp_path / "s", *words, *more) as running:
        running.wait_until(lambda: (running.folder / "trials.csv").exists() and running.reported(2))
        running.stop("--now")
        done = running.ended()
    assert done.code == 0, done.stderr
    assert done.told()[0]["reason"] == "it ran longer than hydra.sweeper.trial_timeout=15s"
    assert _retried(done)[2] == "preempted"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_machine_that_shuts_down_is_heard(tmp_path: Path, name: str, code: int) -> None:
    """The trials that would die with the sweeper stop and stay open; results and exit code tell of it."""
    with _running(tmp_path / "s", "hydra.sweeper.n_trials=3", "hydra.sweeper.max_parallel=2") as running:
        running.wait_until(lambda: running.reported(0, 1))
        running.process.send_signal(getattr(signal, name))
        done = running.ended()
    assert done.code == code, done.stderr
    assert _retried(done) == {0: "preempted", 1: "preempted"}
    assert done.told() == {}
    assert done.results["study"]["trials"]["running"] == 2
    assert f"ended: it was told to end ({name})" in done.stdout
    assert _no_process_is_left(done.folder)


@pytest.mark.slow
def test_a_budget_is_noticed_while_trials_run(tmp_path: Path) -> None:
    """Hours of GPUs count while they are used: the sweep says that it ends, lets what runs end, and begins nothing."""
    words = ("hydra.sweeper.n_trials=9", "hydra.sweeper.max_parallel=2", "epochs=60", "seconds=0.1")
    hours = f"hydra.sweeper.budget.gpu_hours={2 / 3600:.6f}"
    with _running(tmp_path / "s", *words, hours) as running:
        done = running.ended()
    assert done.code == 0, done.stderr
    assert {n: o["state"] for n, o in done.told().items()} == {0: "COMPLETE", 1: "COMPLETE"}
    assert "No new trials: the budget of" in done.stdout
    assert done.stdout.index("No new trials") < done.stdout.index("trial 0")
