"""W&B's local files, as the tests write them and as the real SDK does."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from log_files import field, history, wandb_bytes, wandb_flushes
from sweeps import environment

from neuropt_core.logged.wandb_file import WandbFile

ROWS = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from(["loss", "val/loss", "a.b"]), st.floats(allow_nan=False) | st.text(max_size=9)),
        st.integers(0, 2**40),
    ),
    max_size=8,
)
SCRIPT = """
import os, signal, sys, time
import numpy, torch, wandb
run = wandb.init(mode="offline", dir=sys.argv[1], project="p", settings=wandb.Settings(x_disable_stats=True))
run.define_metric("epoch")
run.define_metric("val/*", step_metric="epoch")
run.log({"loss": 1, "val": {"acc": 0.5, "deep": {"x": 2}}, "epoch": 0, "flag": True, "big": 2**70})
run.log({"nan": float("nan"), "inf": float("inf"), "ninf": -float("inf"), "text": "7", "none": None, "a.b/c": 3.5,
         "np": numpy.float32(0.5), "t": torch.tensor(0.25)})
run.log({"hist": wandb.Histogram([1, 2, 3]), "html": wandb.Html("<p>5</p>"), "list": [1, 2], "array": torch.zeros(99),
         "table": wandb.Table(columns=["a"], data=[[1]])})
run.log({"long": "x" * 70000, "after": 1.5}, step=10)
if sys.argv[2:]:
    for step in range(100):
        run.log({"loss": step})
    from pathlib import Path
    from neuropt_core.logged.wandb_file import WandbFile
    file, end = Path(run.settings.sync_file), time.monotonic() + float(sys.argv[2])
    while time.monotonic() < end and not any(row.values.get("loss") == 99 for row in WandbFile(file).rows()):
        time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGKILL)
run.finish()
"""


def _logged(folder: Path, *arguments: str) -> tuple[WandbFile, int]:
    env = environment(WANDB_SILENT="true", WANDB__TRANSACTION_LOG_FLUSH_INTERVAL="1", WANDB_DATA_DIR=str(folder))
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(folder), *arguments], env=env, check=False)
    (file,) = (path for path in folder.glob("wandb/*run-*/*.wandb") if not path.parent.is_symlink())
    return WandbFile(file), done.returncode


def test_what_the_sdk_writes_is_read(tmp_path: Path) -> None:
    """Numbers come back under the names that W&B shows, be they nan, numpy's or tensors; nothing else does."""
    log, code = _logged(tmp_path)
    rows = list(log.rows())
    assert (code, log.problem, log.ended) == (0, "", True)
    assert [row.step for row in rows] == [0, 1, 2, 10]
    assert rows[0].values == {"big": 2.0**70, "epoch": 0, "loss": 1, "val.acc": 0.5, "val.deep.x": 2}
    assert math.isnan(rows[1].values["nan"])
    rest = {name: value for name, value in rows[1].values.items() if name != "nan"}
    assert rest == {"inf": math.inf, "ninf": -math.inf, "a.b/c": 3.5, "np": 0.5, "t": 0.25}
    assert rows[2].values == {}
    assert rows[3].values == {"after": 1.5}
    times = [row.time for row in rows]
    assert times == sorted(times)
    assert times[0] > 1.6e9


def test_a_run_that_was_killed_keeps_its_rows(tmp_path: Path) -> None:
    """With W&B's flush at one second, a script that is killed a while after its last row has lost none.

    A W&B that cannot be told to flush leaves what filled whole blocks.
    """
    log, code = _logged(tmp_path, "90" if wandb_flushes() else "4")
    rows = list(log.rows())
    assert (code, log.ended) == (-signal.SIGKILL, False)
    losses = [row.values["loss"] for row in rows[3:]]
    assert losses == [float(step) for step in range(100 if wandb_flushes() else len(losses))]
    assert losses


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=10
)
@given(ROWS)
def test_a_file_that_grows_byte_by_byte(tmp_path: Path, rows: list[tuple[dict[str, object], int]]) -> None:
    """However the writing and the reading fall together, each row is yielded once, and never half of one."""
    whole = wandb_bytes([history(values, step, 5.0) for values, step in rows])
    path = tmp_path / "run.wandb"
    path.write_bytes(b"")
    log, read = WandbFile(path), []
    for end in range(len(whole) + 1):
        path.write_bytes(whole[:end])
        read += list(log.rows())
        assert log.problem == ""
    numbers = [{name: v for name, v in values.items() if isinstance(v, float)} for values, _ in rows]
    assert [dict(row.values) for row in read] == numbers
    assert [row.step for row in read] == [step for _, step in rows]


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=8
)
@given(st.lists(st.integers(0, 40_000), min_size=1, max_size=8), st.integers(1, 100_000))
def test_records_that_span_blocks(tmp_path: Path, sizes: list[int], piece: int) -> None:
    """Records of any length, which end at or across the borders of blocks, are read whole in whatever pieces."""
    records = [history({"text": "x" * size, "n": n}, n) for n, size in enumerate(sizes)]
    whole, path = wandb_bytes(records), tmp_path / "run.wandb"
    path.write_bytes(b"")
    log, read = WandbFile(path), []
    for end in [*range(0, len(whole), piece), len(whole)]:
        path.write_bytes(whole[:end])
        read += [row.values["n"] for row in log.rows()]
    assert read == list(range(len(sizes)))
    assert log.problem == ""


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data())
def test_damage_ends_the_reading_with_a_word(tmp_path: Path, data: st.DataObject) -> None:
    """A byte that has turned is noticed: what lies before it counts, nothing that lies behind it is believed."""
    whole = bytearray(wandb_bytes([history({"n": n}, n) for n in range(5)]))
    whole[data.draw(st.integers(7, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    path = tmp_path / "run.wandb"
    path.write_bytes(whole)
    log = WandbFile(path)
    read = [row.values["n"] for row in log.rows()]
    assert read == list(range(len(read)))
    assert len(read) < 5
    assert list(log.rows()) == []


def test_what_is_no_file_of_wandb_is_said(tmp_path: Path) -> None:
    """Text is refused in words, an empty file and the room of a sparse one are waited for."""
    path = tmp_path / "run.wandb"
    path.write_text("hello, world")
    log = WandbFile(path)
    assert list(log.rows()) == []
    assert "is not a file of W&B" in log.problem
    for waiting in (b"", b":W", wandb_bytes([])[:6], wandb_bytes([]) + bytes(500)):
        path.write_bytes(waiting)
        log = WandbFile(path)
        assert (list(log.rows()), log.problem) == ([], "")


def test_values_as_newer_writers_may_give_them(tmp_path: Path) -> None:
    """The typed fields that the format has had since 0.31 are read as the JSON ones are."""
    items = [(b"i", field(5, 7)), (b"d", field(6, 0.5)), (b"j", field(8, b"2.5")), (b"s", field(7, b"3"))]
    record = field(2, b"".join(field(1, field(1, key) + value) for key, value in items) + field(2, field(1, 3)))
    path = tmp_path / "run.wandb"
    path.write_bytes(wandb_bytes([record, field(18, field(1, 0))]))
    log = WandbFile(path)
    (row,) = log.rows()
    assert (row.step, dict(row.values)) == (3, {"d": 0.5, "i": -4.0, "j": 2.5})
    assert log.ended


def test_a_record_that_is_too_large_is_stepped_over(tmp_path: Path) -> None:
    """A record of more than 16 MiB is not kept in memory; the rows around it are read."""
    path = tmp_path / "run.wandb"
    path.write_bytes(wandb_bytes([history({"n": 0}), field(4, os.urandom(1 << 20) * 17), history({"n": 1})]))
    log = WandbFile(path)
    assert [row.values["n"] for row in log.rows()] == [0, 1]


def test_the_reading_may_be_left_and_taken_up(tmp_path: Path) -> None:
    """Whoever leaves the iteration at a row finds the next one when it begins again."""
    path = tmp_path / "run.wandb"
    path.write_bytes(wandb_bytes([history({"n": n}, n) for n in range(2000)]))
    log = WandbFile(path)
    assert [next(log.rows()).values["n"] for _ in range(2000)] == list(range(2000))
    assert list(log.rows()) == []
