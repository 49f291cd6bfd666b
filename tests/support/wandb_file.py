"""Reads W&B's local `.wandb` files: LevelDB log framing around protobuf records."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_BLOCK = 32768
_BEGINS, _ENDS = (1, 2), (1, 4)


@dataclass
class LocalRun:
    """What a `.wandb` file holds of a run."""

    fields: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None
    exits: int = 0
    tags: list[str] = field(default_factory=list)
    preempting: bool = False


def read_run(path: Path) -> LocalRun:
    """Reads one file; the torn tail of a killed run is left out."""
    run = LocalRun()
    for record in _records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            for name in ("run_id", "run_group", "job_type", "display_name", "project", "notes"):
                run.fields[name] = getattr(record.run, name)
            run.tags = [*record.run.tags]
            run.config.update({i.key: json.loads(i.value_json) for i in record.run.config.update})
        elif kind == "config":
            for item in record.config.update:
                if item.key:
                    run.config[item.key] = json.loads(item.value_json)
        elif kind == "preempting":
            run.preempting = True
        elif kind == "history":
            items = {(i.key or "/".join(i.nested_key)): json.loads(i.value_json) for i in record.history.item}
            run.history.append(items)
        elif kind == "summary":
            run.summary.update({(i.key or i.nested_key[0]): json.loads(i.value_json) for i in record.summary.update})
        elif kind == "exit":
            run.exit_code = record.exit.exit_code
            run.exits += 1
    return run


def read_folder(folder: Path, count: int, seconds: float = 120.0) -> dict[str, LocalRun]:
    """Returns the ended runs below a `wandb` folder by display name, once there are `count` of them.

    wandb returns from `finish` before its file is complete, so this waits for the last record.
    """
    end = time.monotonic() + seconds
    while True:
        found = [read_run(path) for path in sorted(folder.glob("*run-*/*.wandb")) if not path.parent.is_symlink()]
        ended = [run for run in found if run.exit_code is not None]
        if len(ended) >= count:
            return {run.fields["display_name"]: run for run in ended}
        if time.monotonic() > end:
            raise TimeoutError(f"{count} ended runs expected, found {found}")
        time.sleep(0.05)


def _records(path: Path) -> Iterator[Any]:
    from wandb.proto import wandb_internal_pb2

    data = path.read_bytes()
    if data[:4] != b":W&B":
        return
    position, buffer = 7, b""
    while position + 7 <= len(data):
        left = _BLOCK - position % _BLOCK
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + 7])
        chunk = data[position + 7 : position + 7 + length]
        if len(chunk) < length or kind == 0:
            return
        position += 7 + length
        buffer = chunk if kind in _BEGINS else buffer + chunk
        if kind in _ENDS:
            record = wandb_internal_pb2.Record()
            record.ParseFromString(buffer)
            yield record
