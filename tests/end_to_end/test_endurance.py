"""Real sweeps whose machines fail, whose time runs out, and whose scores are noisy."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
from sweeps import BOWL, Sweep, command, environment, gate, open_gates, sweep

NOISY = BOWL.with_name("noisy.py")


def _noisy(folder: Path, *words: str, **env: str) -> Sweep:
    return sweep(folder, f"record={folder / 'ran'}", "hydra.sweeper.advisor=random", *words, script=NOISY, env=env)


def _ran(folder: Path) -> list[dict[str, float]]:
    path = folder / "ran"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_trial_whose_import_failed_is_launched_again(tmp_path: Path) -> None:
    """The second attempt counts, under the same number; the console and the results say so, and nothing failed."""
    done = _noisy(tmp_path / "s", "hydra.sweeper.n_trials=3", "bad.numbers=[0,1]", "bad.attempts=1")
    assert done.code == 0, done.stderr
    assert done.ran() == [0, 0, 1, 1, 2]
    assert [o["state"] for o in done.told().values()] == ["COMPLETE"] * 3
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("Trial 1 is launched again")]
    assert (
        line == "Trial 1 is launched again (1/2): import error: ModuleNotFoundError: No module named 'no_such_module'"
    )
    assert done.results["study"]["retries"] == 2
    assert [r["number"] for r in done.journal if r["op"] == "retry"] == [0, 1]


def test_a_trial_is_given_up_after_its_retries(tmp_path: Path) -> None:
    """It is told with its kind and the number of attempts, and the others go on."""
    done = _noisy(tmp_path / "s", "hydra.sweeper.n_trials=3", "bad.numbers=[1]", "hydra.sweeper.retries=1")
    assert done.code == 0, done.stderr
    assert done.ran() == [0, 1, 1, 2]
    failure = done.told()[1]["failure"]
    assert failure["kind"] == "import_error"
    assert failure["message"].endswith("(after 2 attempts)")


@pytest.mark.parametrize(("how", "runs"), [("import", 3), ("key", 1)])
def test_what_is_wrong_with_trial_0_is_said_at_once_and_it_stays_open(tmp_path: Path, how: str, runs: int) -> None:
    """An import or a key that the user's own configuration lacks ends the sweep; mended, trial 0 runs again."""
    folder = tmp_path / "s"
    words = ("hydra.sweeper.n_trials=3", "bad.numbers=[0]", f"bad.how={how}", f"bad.attempts={runs}")
    done = _noisy(folder, *words)
    assert (done.code, done.ran()) == (1, [0] * runs)
    assert ("No module named" if how == "import" else "no_such_key") in done.stderr
    assert "The same command goes on" in done.stderr
    assert "cfg.no_such_key" in done.stderr if how == "key" else "import_module" in done.stderr
    assert done.told() == {}
    mended = _noisy(folder, *words)
    assert mended.code == 0, mended.stderr
    assert {n: o["state"] for n, o in mended.told().items()} == dict.fromkeys(range(3), "COMPLETE")


def test_trials_that_die_in_one_place_end_the_sweep_whatever_they_say(tmp_path: Path) -> None:
    """Messages with changing numbers still count as alike; the end of the traceback and what to do are shown."""
    words = ("bad.numbers=[0,1,2,3,4,5,6,7,8]", "bad.how=raise")
    done = _noisy(tmp_path / "s", "hydra.sweeper.n_trials=9", *words)
    assert (done.code, done.ran()) == (1, [0, 1, 2])
    assert len({o["failure"]["message"] for o in done.told().values()}) == 3
    assert "the first 3 trials all ended alike" in done.stderr
    assert 'raise ValueError(f"{cfg.optimizer.lr} of {number} is broken")' in done.stderr
    assert "run it once without --multirun" in done.stderr
    # Whoever has mended the script goes on with the same command: what died before is no reason any more.
    again = _noisy(tmp_path / "s", "hydra.sweeper.n_trials=9", *words)
    assert again.ran() == [0, 1, 2, 3, 4]  # Then more than half of the budget has failed.


@pytest.mark.slow
def test_parallel_trials_that_die_in_one_place_end_the_sweep(tmp_path: Path) -> None:
    """Four at a time never stand at three, and end after the first batch all the same."""
    done = _noisy(
        tmp_path / "s",
        "hydra.sweeper.n_trials=12",
        "bad.numbers=[0,1,2,3,4,5,6,7,8]",
        "bad.how=raise",
        "hydra/launcher=joblib",
        "hydra.sweeper.max_parallel=4",
    )
    assert (done.code, sorted(done.ran())) == (1, [0, 1, 2, 3])
    assert "the first 4 trials all ended alike" in done.stderr


def test_no_trial_begins_after_the_wall_clock(tmp_path: Path) -> None:
    """The sweep ends with the setting's name, a pause costs nothing, and a larger limit goes on with the study."""
    folder = tmp_path / "s"
    words = ("hydra.sweeper.n_trials=50", "seconds=2")
    done = _noisy(folder, *words, "hydra.sweeper.budget.wall_clock=6s")
    assert done.code == 0, done.stderr
    count = len(done.ran())
    assert 1 <= count <= 4
    assert "ended: the budget of 6 s is spent (hydra.sweeper.budget.wall_clock)" in done.stdout
    assert done.results["study"]["budget"]["wall_clock"]["of"] == 6.0
    assert _noisy(folder, *words, "hydra.sweeper.budget.wall_clock=6s").ran() == done.ran()
    # A pause of an hour: all that was written is so much older.
    older = [r | ({"time": r["time"] - 3600} if "time" in r else {}) for r in done.journal]
    (folder / "neuropt" / "journal.jsonl").write_text("".join(json.dumps(r) + "\n" for r in older))
    used = done.results["study"]["budget"]["wall_clock"]["seconds"]
    words = (f"hydra.sweeper.n_trials={count + 1}", "seconds=2")
    more = _noisy(folder, *words, f"hydra.sweeper.budget.wall_clock={used + 600:.1f}")
    assert more.code == 0, more.stderr
    assert len(more.ran()) > count


def test_gpu_hours_are_counted(tmp_path: Path) -> None:
    """The sum of the trials' hours times their GPUs ends the study."""
    words = ("hydra.sweeper.budget.gpu_hours=0.001", "hydra.sweeper.budget.gpus_per_trial=4", "seconds=0.5")
    done = _noisy(tmp_path / "s", "hydra.sweeper.n_trials=9", *words, CUDA_VISIBLE_DEVICES="0,1,2,3")
    assert done.code == 0, done.stderr
    seconds = [outcome["seconds"] for _, outcome in sorted(done.told().items())]
    assert sum(seconds[:-1]) * 4 / 3600 < 0.001 <= sum(seconds) * 4 / 3600
    assert done.ran() == list(range(len(seconds)))
    assert "the budget of 0.001 GPU-hours is spent (hydra.sweeper.budget.gpu_hours)" in done.stdout


def test_each_configuration_runs_under_as_many_seeds(tmp_path: Path) -> None:
    """With seeds=2 every proposal has a replicate right behind it, with another seed; n_trials counts both."""
    done = _noisy(tmp_path / "s", "hydra.sweeper.n_trials=5", "hydra.sweeper.seeds=2", "noise=0.1")
    assert done.code == 0, done.stderr
    asked = [(r["proposal"]["source"], r["proposal"]["parent"]) for r in done.journal if r["op"] == "ask"]
    assert asked == [("default", None), ("replicate", 0), ("random", None), ("replicate", 2), ("random", None)]
    ran = _ran(done.folder)
    assert [r["seed"] for r in ran] == [7, 1000010, 7, 1000010, 7]
    assert ran[0]["lr"] == ran[1]["lr"]
    assert ran[2]["lr"] == ran[3]["lr"]
    assert 0 < done.results["recommended"]["noise"] < 1
    assert "seed=1000010" in (done.folder / "1" / ".hydra" / "overrides.yaml").read_text()


def test_the_reserve_runs_the_best_again(tmp_path: Path) -> None:
    """Of ten trials the seventh repeats the best of six with a seed of its own, and the end says what to take."""
    done = _noisy(tmp_path / "s", "hydra.sweeper.n_trials=10", "noise=0.1")
    assert done.code == 0, done.stderr
    told, asked = done.told(), [r["proposal"] for r in done.journal if r["op"] == "ask"]
    assert [p["source"] for p in asked].count("replicate") == 1
    best = min(range(6), key=lambda n: told[n]["value"])
    assert (asked[6]["source"], asked[6]["parent"], asked[6]["seed"]) == ("replicate", best, 1000010)
    assert asked[6]["params"] == asked[best]["params"]
    assert told[6]["value"] != told[best]["value"]
    assert f"replicate of trial {best}" in done.stdout
    assert "Recommended: trial " in done.stdout


def test_a_script_without_chance_spends_one_replicate(tmp_path: Path) -> None:
    """Without a seed key the unchanged command runs again; the very same score ends the reserve, and is said."""
    words = ("hydra.sweeper.replicates=0.3", "hydra.sweeper.seed_key=null")
    done = _noisy(tmp_path / "s", "hydra.sweeper.n_trials=10", *words)
    assert done.code == 0, done.stderr
    assert [r["proposal"]["source"] for r in done.journal if r["op"] == "ask"].count("replicate") == 1
    assert "the very same score" in done.stdout


@pytest.mark.parametrize("isolate", ["true", "false"])
def test_a_sweeper_killed_in_a_retry_goes_on(tmp_path: Path, isolate: str) -> None:
    """After kill -9 during a second attempt the numbers and the budget are kept, and no retry is forgotten."""
    folder = tmp_path / "s"
    folder.mkdir()
    words = (
        f"record={folder / 'ran'}",
        "hydra.sweeper.advisor=random",
        "hydra.sweeper.n_trials=4",
        gate(tmp_path),
        "bad.numbers=[1]",
        "bad.attempts=1",
        f"hydra.sweeper.isolate={isolate}",
    )
    open_gates(tmp_path, 0, 2, 3)
    with subprocess.Popen(
        command(folder, *words, script=NOISY),
        env=environment(),
        cwd=folder,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    ) as first:
        end = time.monotonic() + 120
        while len(_ran(folder)) < 3:
            assert time.monotonic() < end, "waited too long"
            time.sleep(0.02)
        first.send_signal(signal.SIGKILL)
    open_gates(tmp_path, 1)
    assert [r["number"] for r in _ran(folder)] == [0, 1, 1]
    done = sweep(folder, *words, script=NOISY)
    assert done.code == 0, done.stderr
    # In a process of its own the second attempt outlives the sweeper and is waited for; else there is a third.
    assert done.ran() == ([0, 1, 1, 2, 3] if isolate == "true" else [0, 1, 1, 1, 2, 3])
    assert [o["state"] for _, o in sorted(done.told().items())] == ["COMPLETE"] * 4
    assert done.results["study"]["retries"] == 1
    attempts = [r["attempt"] for r in done.journal if r["op"] == "launch" and r["number"] == 1]
    assert attempts == ([0, 1] if isolate == "true" else [0, 1, 2])
    assert len([r for r in done.journal if r["op"] == "session"]) == 2


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("hydra.sweeper.budget.wall_clock='8 hours'", "hydra.sweeper.budget.wall_clock: must be a duration above 0"),
        ("hydra.sweeper.retries=-1", "hydra.sweeper.retries: must be at least 0, got -1"),
        ("hydra.sweeper.seeds=0", "hydra.sweeper.seeds: must be at least 1, got 0"),
        ("hydra.sweeper.replicates=0.9", "hydra.sweeper.replicates: must be between 0 and 0.5, got 0.9"),
        ("hydra.sweeper.seed_key=sed", "hydra.sweeper.seed_key: must be a key of the config, got 'sed'. Did you mean"),
    ],
)
def test_settings_that_cannot_be_end_before_anything_is_launched(tmp_path: Path, argument: str, sentence: str) -> None:
    """One sentence names the setting, the rule and what it got."""
    done = _noisy(tmp_path / "s", "hydra.sweeper.n_trials=2", argument)
    assert done.code == 1
    assert sentence in done.stderr
    assert not (done.folder / "ran").exists()
