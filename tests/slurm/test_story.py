"""One sweep to which everything happens: jobs die, a node dies, the sweeper dies; nothing is lost or repeated."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from clusters import Watched, ask, release, until
from sweeps import Sweep

pytestmark = [pytest.mark.slurm, pytest.mark.slow]
SECONDS = (1, 25, 1, 30, 0.5, 2, 20, 1, 5, 0.5, 2, 0.5)
PREEMPTED, CANCELLED, ON_A_DEAD_NODE = 1, 3, 6


@dataclass(frozen=True)
class Story:
    """What the sweep left, and what was noted while it ran."""

    watched: Watched
    sweep: Sweep
    preempted_job: str
    told_before_death: int
    dead_for: int


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, cluster: None) -> Story:
    """Twelve trials on four nodes; the sweeper is killed in the middle, and begun again."""
    watched = Watched(
        tmp_path_factory.mktemp("story") / "sweep",
        "hydra.sweeper.n_trials=12",
        "hydra.sweeper.max_parallel=4",
        f"seconds={list(SECONDS)}".replace(" ", ""),
        "hydra.launcher.partition=low",
        "hydra.launcher.gpus_per_node=1",
        "hydra.launcher.timeout_min=7",
        "+hydra.launcher.additional_parameters={nice: 3}",
        "hydra.launcher.setup=['export SET_UP=yes']",
    )
    try:
        return _tell(watched)
    finally:
        if watched.process.poll() is None:
            watched.kill()
        _resume()
        ask("scancel", "--me")


def _tell(watched: Watched) -> Story:
    ask("scancel", watched.job_id(CANCELLED))
    preempted = watched.job_id(PREEMPTED)
    ask("sbatch", "-p", "high", "--gres=gpu:1", "-w", _node(preempted), "-o", "/dev/null", "--wrap", "sleep 1")

    dying = watched.job_id(ON_A_DEAD_NODE)
    ask("scontrol", "update", f"nodename={_node(dying)}", "state=down", "reason=test")
    started = watched.folder / str(ON_A_DEAD_NODE) / "neuropt" / "started.json"
    with contextlib.suppress(
        ProcessLookupError
    ):  # On a node that is dead, nothing runs on; SLURM may have been sooner.
        os.kill(json.loads(started.read_text())["pid"], signal.SIGKILL)
    release(preempted)  # Held for two minutes: it loses nothing by waiting for the other one.
    release(dying)

    watched.until(lambda: len(watched.noted("start")) >= 8, "eight trials have begun")
    watched.kill_between_submissions()
    told = len(watched.journal("tell"))
    in_flight = watched.journal("submit").keys() - watched.journal("tell").keys()
    # Some end while nobody watches.
    until(lambda: watched.noted("end").keys() & in_flight, "a trial ends without its sweeper")
    watched.start()
    return Story(watched, watched.end(), preempted, told, len(in_flight))


def _node(job_id: str) -> str:
    return until(lambda: ask("squeue", "-h", "-j", job_id, "-t", "R", "-o", "%N"), f"job {job_id} has a node")


def _resume() -> None:
    if down := ask("sinfo", "-h", "-N", "-p", "dev", "-t", "down", "-o", "%N").splitlines():
        ask("scontrol", "update", f"nodename={','.join(down)}", "state=resume")


def test_every_trial_is_told_once(story: Story) -> None:
    """After all of it, twelve trials are told, each of them once."""
    assert story.sweep.code == 0, story.sweep.stderr
    assert sorted(story.sweep.told()) == list(range(12))
    assert 0 < story.told_before_death < 12
    assert story.dead_for > 0


def test_only_the_cancelled_one_is_lost(story: Story) -> None:
    """The job that was cancelled from outside is told as lost, in words that say so; all others have their score."""
    told = story.sweep.told()
    assert {n for n, outcome in told.items() if outcome["state"] != "COMPLETE"} == {CANCELLED}
    failure = told[CANCELLED]["failure"]
    assert failure["kind"] == "lost"
    assert "cancelled outside the sweep" in failure["message"]


def test_nothing_ran_twice(story: Story) -> None:
    """Each trial came to its end once, and was launched once: requeued ones went on under their number and job."""
    ends, starts = story.watched.noted("end"), story.watched.noted("start")
    assert {n: len(noted) for n, noted in ends.items()} == dict.fromkeys(set(range(12)) - {CANCELLED}, 1)
    requeued = {PREEMPTED, ON_A_DEAD_NODE}
    assert {n: len(noted) for n, noted in starts.items()} == {n: 1 + (n in requeued) for n in range(12)}
    launches = [r for r in story.sweep.journal if r["op"] == "launch"]
    assert sorted((r["number"], r["attempt"]) for r in launches) == [(n, 0) for n in range(12)]
    assert {n["SLURM_JOB_ID"] for n in starts[PREEMPTED]} == {story.preempted_job}
    assert starts[PREEMPTED][1]["SLURM_RESTART_COUNT"] == "1"


def test_a_requeued_trial_goes_on_from_its_checkpoint_with_its_curve(story: Story) -> None:
    """What a job kept is there when SLURM starts it again, and both starts make one curve, each step once."""
    first, second = story.watched.noted("start")[PREEMPTED]
    assert first["step"] == 0
    assert second["step"] > 0
    steps = [point["step"] for point in story.sweep.told()[PREEMPTED]["curve"]]
    assert steps == [10 * n for n in range(1, 10 * SECONDS[PREEMPTED] // 10 + 1)]
    folder = story.watched.folder / str(PREEMPTED) / "neuropt"
    starts = [json.loads(line).get("start", 0) for line in (folder / "curve.jsonl").read_text().splitlines()]
    assert starts == sorted(starts)
    assert starts[-1] == 1


def test_the_launchers_settings_are_honoured(story: Story) -> None:
    """The file that sbatch got holds what hydra.launcher says, and the job got its GPU."""
    handle = next(r for r in story.sweep.journal if r["op"] == "submit")["handle"]
    folder = Path(handle["folder"].replace("%j", handle["job_id"]))
    text = (folder / f"{handle['job_id']}_submission.sh").read_text()
    for line in ("--partition=low", "--gpus-per-node=1", "--time=7", "--nice=3"):
        assert f"#SBATCH {line}\n" in text
    assert "export SET_UP=yes" in text
    noted: list[dict[str, Any]] = [n for notes in story.watched.noted("start").values() for n in notes]
    assert {n["CUDA_VISIBLE_DEVICES"] for n in noted} == {"0"}


def test_a_result_is_told_within_a_second_or_so(story: Story, record_property: Callable[[str, object], None]) -> None:
    """A job's end is known from its file long before SLURM's accounting or submitit would tell of it."""
    told = {r["number"]: r["time"] for r in story.sweep.journal if r["op"] == "tell"}
    delays = sorted(told[n] - notes[-1]["time"] for n, notes in story.watched.noted("end").items())
    record_property("seconds from end to told", [round(delay, 2) for delay in delays])
    print("seconds from end to told:", [round(delay, 2) for delay in delays])
    assert delays[len(delays) // 2] < 10  # The median: those that ended while no sweeper lived waited for one.
