"""TensorBoard's event files, as the tests write them and as torch and Lightning do."""

from __future__ import annotations

import math
import struct
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from log_files import event, event_bytes, field

from neuropt_core.logged.event_file import EventFile

F32 = st.floats(width=32, allow_nan=False)


def _only(folder: Path) -> EventFile:
    (path,) = folder.glob("events.out.tfevents.*")
    return EventFile(path)


def test_what_torch_writes_is_read(tmp_path: Path) -> None:
    """Scalars of both styles come back with their steps; histograms, texts and hyperparameters are no scalars."""
    import torch
    from torch.utils.tensorboard import SummaryWriter

    before = time.time()
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_scalar("loss/train", 0.5, 3)
        writer.add_scalar("new", torch.tensor(0.25), 4, new_style=True)
        writer.add_scalar("double", 0.1, 5, new_style=True, double_precision=True)
        writer.add_scalar("nan", math.nan, 6)
        writer.add_scalar("no step", 2.0)
        writer.add_histogram("h", torch.zeros(10), 1)
        writer.add_text("text", "7", 1)
        writer.add_image("image", torch.zeros(3, 4, 4), 1)
        writer.add_hparams({"lr": 0.1}, {"hp/metric": 0.5}, run_name="hp")
    log = _only(tmp_path)
    rows = [(row.step, *row.values.items()) for row in log.rows()]
    assert rows[:3] == [(3, ("loss/train", 0.5)), (4, ("new", 0.25)), (5, ("double", pytest.approx(0.1, abs=1e-17)))]
    assert rows[3][0] == 6
    assert math.isnan(rows[3][1][1])
    assert rows[4:] == [(0, ("no step", 2.0))]
    assert log.problem == ""
    assert log.began is not None
    assert before <= log.began <= time.time()


def test_what_lightning_logs_is_read(tmp_path: Path, models: ModuleType) -> None:
    """Lightning's own logger leaves metrics and the epoch at each step."""
    pytest.importorskip("lightning")
    from lightning.pytorch.loggers import TensorBoardLogger

    logger = TensorBoardLogger(tmp_path, name="a", version="b")
    logger.log_metrics({"val_loss": 0.5, "epoch": 0}, step=9)
    logger.finalize("success")
    rows = list(_only(tmp_path / "a" / "b").rows())
    assert [(row.step, dict(row.values)) for row in rows] == [(9, {"val_loss": 0.5}), (9, {"epoch": 0.0})]


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=10
)
@given(st.lists(st.tuples(st.dictionaries(st.text(min_size=1, max_size=5), F32), st.integers(-9, 2**40)), max_size=5))
def test_a_file_that_grows_byte_by_byte(tmp_path: Path, rows: list[tuple[dict[str, float], int]]) -> None:
    """However the writing and the reading fall together, each event is yielded once, and never half of one."""
    written = [event(values, step, 5.0, tensor=step % 2 == 0) for values, step in rows]
    whole, path = event_bytes([event({}, 0, 4.0), *written]), tmp_path / "events"
    path.write_bytes(b"")
    log, read = EventFile(path), []
    for end in range(len(whole) + 1):
        path.write_bytes(whole[:end])
        read += list(log.rows())
        assert log.problem == ""
    assert [(dict(row.values), row.step) for row in read] == [row for row in rows if row[0]]
    assert log.began == 4.0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data())
def test_damage_is_no_exception(tmp_path: Path, data: st.DataObject) -> None:
    """A byte that has turned harms its own event, or ends the reading with a word if it is in a length."""
    whole = bytearray(event_bytes([event({"n": float(n)}, n) for n in range(5)]))
    size = len(whole) // 5
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    path = tmp_path / "events"
    path.write_bytes(whole)
    log = EventFile(path)
    read = [row.values.get("n") for row in log.rows()]
    before = place // size
    assert read[:before] == [float(n) for n in range(before)]
    if place % size < 12:
        assert f"is damaged at byte {before * size}" in log.problem
        assert len(read) == before


@pytest.mark.parametrize(
    ("tensor", "value"),
    [
        (field(1, 1) + field(4, struct.pack("<f", 0.5)), 0.5),
        (field(1, 2) + field(6, struct.pack("<d", 0.1)), 0.1),
        (field(1, 2) + field(6, 0.1), 0.1),
        (field(1, 3) + field(7, 7), 7.0),
        (field(1, 9) + field(10, -3), -3.0),
        (field(1, 9) + field(10, b"\x05"), 5.0),
        (field(1, 19) + field(13, 0x3C00), 1.0),
        (field(1, 19) + field(4, b"\x00\x38"), 0.5),
        (field(1, 1) + field(2, b""), 0.0),
        (field(1, 1) + field(2, field(2, field(1, 1))) + field(4, struct.pack("<f", 2.0)), 2.0),
        (field(1, 1) + field(2, field(2, field(1, 2))) + field(4, struct.pack("<ff", 1, 2)), None),
        (field(1, 1) + field(4, struct.pack("<ff", 1, 2)), None),
        (field(1, 7) + field(8, b"text"), None),
    ],
)
def test_tensors_of_one_number(tmp_path: Path, tensor: bytes, value: float | None) -> None:
    """A tensor is a scalar if it is one number of a type that counts, wherever the writer has put it."""
    path = tmp_path / "events"
    path.write_bytes(event_bytes([field(5, field(1, field(1, b"t") + field(8, tensor)))]))
    found: list[Any] = [row.values["t"] for row in EventFile(path).rows()]
    assert found == ([] if value is None else [value])


def test_media_are_stepped_over(tmp_path: Path) -> None:
    """An event of more than 16 MiB is not read, also while it is still growing; one of 3 MiB between rows is no bar."""
    path = tmp_path / "events"
    media = [field(4, bytes(1 << 20) * 17), field(4, bytes(3 << 20))]
    whole = event_bytes([event({"n": 0.0}), media[0], event({"n": 1.0}), media[1], event({"n": 2.0})])
    log, read = EventFile(path), []
    for end in (100_000, 17 << 20, (17 << 20) + 300, len(whole) - 5, len(whole)):
        path.write_bytes(whole[:end])
        read += [row.values["n"] for row in log.rows()]
        assert log.problem == ""
    assert read == [0.0, 1.0, 2.0]


def test_the_reading_may_be_left_and_taken_up(tmp_path: Path) -> None:
    """Whoever leaves the iteration at a row finds the next one when it begins again."""
    path = tmp_path / "events"
    path.write_bytes(event_bytes([event({"n": float(n)}, n) for n in range(300)]))
    log = EventFile(path)
    assert [next(log.rows()).step for _ in range(300)] == list(range(300))
    assert list(log.rows()) == []
