"""Real sweeps that go on: after changes, under other settings, and with what an earlier sweeper left behind."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sweepers import KILLED, Sweepers, journal, ran, told
from sweeps import BOWL, Sweep, sweep

WORDS = ("hydra.sweeper.isolate=false", "hydra.sweeper.advisor=random")


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of three trials that has ended."""
    folder = tmp_path_factory.mktemp("begun") / "s"
    done = sweep(folder, *WORDS, "hydra.sweeper.n_trials=3", "width=choice(16,64)")
    assert done.code == 0, done.stderr
    return folder


def _copy(begun: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "s"
    shutil.copytree(begun, folder)
    (folder / "ran").unlink()
    return folder


def _go_on(begun: Path, folder: Path, *words: str) -> Sweep:
    return sweep(folder, *WORDS, f"record={begun / 'ran'}", *words)


def test_all_that_changed_is_told_and_nothing_is_launched(begun: Path, tmp_path: Path) -> None:
    """Space, beliefs, list, seed, line and the config's own file: each with what was and what is, in one sentence."""
    folder = _copy(begun, tmp_path)
    before = (folder / "neuropt" / "journal.jsonl").read_bytes()
    words = (
        "+hydra.sweeper.priors={optimizer.lr: 0.01}",
        "hydra.sweeper.enqueue=[{width: 32}]",
        "hydra.sweeper.seed=4",
    )
    refused = _go_on(begun, folder, "hydra.sweeper.n_trials=5", "width=choice(16,32)", "act=b", *words)
    assert refused.code == 1
    assert "Traceback" not in refused.stderr
    for phrase in (
        "width: choice(16, 64) -> choice(16, 32)",
        "seed: 0 -> 4",
        "command line: act=b added",
        "priors: optimizer.lr added",
        "enqueue: [] -> [",
        "hydra.sweeper.resume=force",
    ):
        assert phrase in refused.stderr
    assert (folder / "neuropt" / "journal.jsonl").read_bytes() == before
    assert not (folder / "ran").exists()


def test_a_changed_config_file_is_told_leaf_by_leaf(tmp_path: Path) -> None:
    """What no parameter and no override says is found in the config itself, and a secret in it is not written down."""
    script = tmp_path / "bowl.py"
    shutil.copy(BOWL, script)
    shutil.copytree(BOWL.with_name("bowl_conf"), tmp_path / "bowl_conf")
    config = tmp_path / "bowl_conf" / "config.yaml"
    whole = config.read_text()
    config.write_text(f"{whole}\nepochs: 10\nstamp: ${{now:%f}}\napi_key: hunter2hunter2\n")
    words = (*WORDS, "hydra.sweeper.n_trials=2", f"record={tmp_path / 'ran'}")
    done = sweep(tmp_path / "s", *words, script=script)
    assert done.code == 0, done.stderr
    assert "hunter2" not in (tmp_path / "s" / "neuropt" / "journal.jsonl").read_text()
    config.write_text(f"{whole}\nepochs: 20\nstamp: ${{now:%f}}\napi_key: hunter3hunter3\nnew: [1]\n")
    refused = sweep(tmp_path / "s", *words, script=script)
    assert refused.code == 1
    assert "differs in config: epochs: 10 -> 20; config: new added." in refused.stderr
    assert len((tmp_path / "ran").read_text().splitlines()) == 2


def test_force_goes_on_with_the_numbers_and_leaves_out_what_does_not_fit(begun: Path, tmp_path: Path) -> None:
    """Trials of before count and are listed; the best is one that fits; the changed command then needs no force."""
    folder = _copy(begun, tmp_path)
    words = ("hydra.sweeper.n_trials=5", "width=choice(16,32)")
    done = _go_on(begun, folder, *words, "hydra.sweeper.resume=force")
    assert done.code == 0, done.stderr
    assert "Changed: width: choice(16, 64) -> choice(16, 32)" in done.stdout
    wide = {r["number"] for r in done.journal if r["op"] == "ask" and r["proposal"]["params"].get("width") == 64}
    assert sorted(done.told()) == [0, 1, 2, 3, 4]
    assert done.results["best"]["number"] not in wide
    with (folder / "trials.csv").open() as file:
        assert [row["number"] for row in csv.DictReader(file)] == ["0", "1", "2", "3", "4"]
    again = _go_on(begun, folder, *words)
    assert again.code == 0, again.stderr
    assert "Changed" not in again.stdout
    refused = _go_on(begun, folder, *words, "hydra.sweeper.direction=maximize", "hydra.sweeper.resume=force")
    assert refused.code == 1
    assert "Scores of other objectives cannot be compared" in refused.stderr


@pytest.fixture(scope="module")
def sweepers() -> Iterator[Sweepers]:
    """A process that forks sweepers."""
    made = Sweepers()
    yield made
    made.close()


@pytest.mark.slow
def test_what_an_earlier_sweeper_left_is_found_whatever_was_changed(sweepers: Sweepers, tmp_path: Path) -> None:
    """A result on disk is told though the folders' names and the legal values changed; it runs no second time."""
    folder = tmp_path / "s"
    words = (*WORDS, "hydra.sweeper.n_trials=3")
    assert sweepers.run(folder, *words, "width=choice(16,32)", place=4, when="after", only="result.json") == KILLED
    assert (sorted(told(folder)), ran(folder)) == ([0], Counter({0: 1, 1: 1}))
    changes = ("width=choice(64,128)", "hydra.sweeper.resume=force", "hydra.sweep.subdir=x${hydra.job.num}")
    assert sweepers.run(folder, *words, *changes) == 0, (folder / "said").read_text()[-2000:]
    assert ran(folder) == Counter({0: 1, 1: 1, 2: 1})
    assert [told(folder)[number]["state"] for number in range(3)] == ["COMPLETE"] * 3


@pytest.mark.slow
def test_a_smaller_budget_ends_and_a_larger_one_takes_up_what_was_open(sweepers: Sweepers, tmp_path: Path) -> None:
    """An open trial beyond a lowered n_trials is neither launched nor lost."""
    folder = tmp_path / "s"
    assert sweepers.run(folder, *WORDS, "hydra.sweeper.n_trials=4", place=9, when="after", only="journal") == KILLED
    assert [r["op"] for r in journal(folder)][-1] == "ask"
    assert sweepers.run(folder, *WORDS, "hydra.sweeper.n_trials=2") == 0
    assert ran(folder) == Counter({0: 1, 1: 1})
    assert sweepers.run(folder, *WORDS, "hydra.sweeper.n_trials=3") == 0
    assert ran(folder) == Counter({0: 1, 1: 1, 2: 1})
    assert sorted(told(folder)) == [0, 1, 2]
