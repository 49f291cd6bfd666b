"""What it costs to read the logs of one trial: CPU time and memory, of files as W&B and TensorBoard leave them.

Run: ``PYTHONPATH=tests/support python benchmarks/logged.py``
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from log_files import event, event_bytes, history, wandb_bytes

from neuropt_core.logged.event_file import EventFile
from neuropt_core.logged.gathering import Gathering
from neuropt_core.logged.wandb_file import WandbFile

_NAMES = [f"train/metric_{number}" for number in range(10)]


def _read(name: str, log: WandbFile | EventFile, more: Callable[[], object]) -> None:
    gathering = Gathering()

    def look() -> tuple[int, float]:
        began, rows = time.process_time(), 0
        for row in log.rows():
            gathering.add(row)
            rows += 1
        return rows, time.process_time() - began

    rows, seconds = look()
    size = log.path.stat().st_size / 1e6
    more()
    _, again = look()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    values = sum(map(len, gathering.values.values()))
    print(f"{name}: {size:.1f} MB, {rows} rows in {seconds:.2f} s ({seconds / rows * 1e6:.1f} us each), {values} kept,")
    print(f"  a look at ten more {again * 1e3:.1f} ms, the process at most {peak:.0f} MB")


def main() -> None:
    """Prints the costs, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.wandb"
        records = [history(dict.fromkeys(_NAMES, 0.5 / (n + 1)), n, 1e9 + n) for n in range(10_010)]
        whole = wandb_bytes(records)
        path.write_bytes(wandb_bytes(records[:-10]))
        _read("W&B, 10,000 rows of 10 metrics", WandbFile(path), lambda: path.write_bytes(whole))
        path = Path(folder) / "events"
        some = event_bytes(event({name: 0.5}, 20_000, 1e9) for name in _NAMES)
        path.write_bytes(event_bytes(event({name: 0.5}, n, 1e9 + n) for n in range(20_000) for name in _NAMES))
        _read("TensorBoard, 20,000 steps of 10 metrics", EventFile(path), lambda: _append(path, some))
        image = event_bytes([b"\x22\x80\x80\x40" + bytes(1 << 20)])
        path.write_bytes((some + image) * 95)
        _read("TensorBoard, with images of 1 MiB", EventFile(path), lambda: _append(path, some))


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


if __name__ == "__main__":
    main()
