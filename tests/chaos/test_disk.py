"""The disk is full, or a file cannot grow: one sentence, nothing is lost, and the same command goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sweepers import Sweepers, ended, ran, told
from sweeps import command, environment

WORDS = ("hydra.sweeper.isolate=false", "hydra.sweeper.advisor=random", "hydra.sweeper.n_trials=5")
GOES_ON = "What was told before is kept; the same command goes on."


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 512 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    try:
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", place], capture_output=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if made.returncode:
        pytest.skip(f"a small disk needs root: {made.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("left", [0, 64 * 1024])
def test_a_full_disk_ends_in_a_sentence(sweepers: Sweepers, small_disk: Path, tmp_path: Path, left: int) -> None:
    """Full from the start or after some trials, it costs no trial that was told, and no line of a traceback."""
    folder, record = small_disk / "s", tmp_path / "ran"
    folder.mkdir()
    (folder / "said").symlink_to(tmp_path / "said")  # What the sweeper says is read, not measured.
    free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_bsize
    (small_disk / "fill").write_bytes(b"x" * (free - left))
    assert sweepers.run(folder, *WORDS, f"record={record}") == 1
    said = (tmp_path / "said").read_text()
    assert "No space left on device" in said
    assert GOES_ON in said
    assert "Traceback" not in said
    runs = len(record.read_text().splitlines()) if record.exists() else 0
    kept = len(ended(folder))
    (small_disk / "fill").unlink()
    assert sweepers.run(folder, *WORDS, f"record={record}") == 0, (tmp_path / "said").read_text()[-2000:]
    assert [o["state"] for _, o in sorted(told(folder).items())] == ["COMPLETE"] * 5
    again = len(record.read_text().splitlines()) - runs
    assert again + kept == 5  # What ran without room for its result runs again, and nothing else does.


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "said"), [("full", f"No space left on device. {GOES_ON}"), ("deleted", "deleted while the sweep ran")]
)
def test_a_disk_that_fails_under_trials_in_processes_of_their_own(
    small_disk: Path, tmp_path: Path, what: str, said: str
) -> None:
    """Full or gone while two trials run, the disk costs these two at most: a sentence, and the same command goes on."""
    folder, record = small_disk / "s", tmp_path / "ran"
    words = ("hydra.sweeper.advisor=random", "hydra.sweeper.n_trials=3", "hydra.sweeper.max_parallel=2", "seconds=4")
    start = command(folder, *words, f"record={record}")
    with subprocess.Popen(start, env=environment(), cwd=tmp_path, stderr=subprocess.PIPE, text=True) as sweeper:
        end = time.monotonic() + 120
        while not record.exists() or len(record.read_text().splitlines()) < 2:
            assert time.monotonic() < end, "waited too long"
            time.sleep(0.05)
        if what == "deleted":
            shutil.rmtree(folder)
        else:
            free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_bsize
            (small_disk / "fill").write_bytes(b"x" * free)
        _, complaint = sweeper.communicate(timeout=120)
    assert sweeper.returncode == 1
    assert said in complaint
    assert "Traceback" not in complaint
    (small_disk / "fill").unlink(missing_ok=True)
    again = subprocess.run(start, env=environment(), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert [o["state"] for _, o in sorted(told(folder).items())] == ["COMPLETE"] * 3


@pytest.mark.slow
def test_a_journal_that_cannot_grow_ends_in_a_sentence(sweepers: Sweepers, tmp_path: Path) -> None:
    """A record of which only a part found room is taken back; without the limit the study goes on."""
    folder = tmp_path / "s"
    assert sweepers.run(folder, *WORDS, "hydra.sweeper.n_trials=1") == 0
    size = (folder / "neuropt" / "journal.jsonl").stat().st_size
    (folder / "said").rename(tmp_path / "first")
    assert sweepers.run(folder, *WORDS, limit=size + 900) == 1
    said = (folder / "said").read_text()
    assert "File too large" in said
    assert GOES_ON in said
    assert "Traceback" not in said
    assert (folder / "neuropt" / "journal.jsonl").read_bytes().endswith(b"\n")
    assert sweepers.run(folder, *WORDS) == 0
    assert ran(folder) == dict.fromkeys(range(5), 1)
