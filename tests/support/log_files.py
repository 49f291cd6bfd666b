"""Writes log files byte by byte, as W&B and TensorBoard do: the tests' own encoder, apart from the readers."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_BLOCK = 32768


def wandb_flushes() -> bool:
    """Tells whether the installed W&B can be told to flush its file each second; 0.28.2 writes whole blocks alone."""
    found = find_spec("wandb")
    assert found is not None
    assert found.origin is not None
    return (
        "x_transaction_log_flush_interval"
        in Path(found.origin).with_name("sdk").joinpath("wandb_settings.py").read_text()
    )


def varint(value: int) -> bytes:
    """Encodes an unsigned number."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: int | bytes | float) -> bytes:
    """Encodes one field: a varint, bytes with their length, or a double."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value % (1 << 64))
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def history(values: Mapping[str, Any], step: int = 0, time: float = 0.0) -> bytes:
    """Encodes a record of W&B; a name with dots is nested."""
    row = {**values, "_step": step, "_timestamp": time}
    items = b""
    for name, value in row.items():
        path = b"".join(field(2, part.encode()) for part in name.split("."))
        items += field(1, path + field(16, json.dumps(value).encode()))
    return field(1, 7) + field(2, items + field(2, field(1, step)))


def wandb_bytes(records: Iterable[bytes]) -> bytes:
    """Frames records as LevelDB's log does."""
    out = bytearray(b":W&B" + b"\xe1\xbe\x00")
    for record in records:
        first = True
        while True:
            left = _BLOCK - len(out) % _BLOCK
            if left < 7:
                out += bytes(left)
                continue
            part, record = record[: left - 7], record[left - 7 :]
            kind = (1 if first else 4) if not record else (2 if first else 3)
            out += struct.pack("<IHB", zlib.crc32(bytes([kind]) + part), len(part), kind) + part
            first = False
            if not record:
                break
    return bytes(out)


def event(values: Mapping[str, float], step: int = 0, time: float = 0.0, *, tensor: bool = False) -> bytes:
    """Encodes an event of TensorBoard with scalars, as simple values or as tensors."""
    summary = b""
    for tag, value in values.items():
        number = struct.pack("<f", value)
        held = varint(2 << 3 | 5) + number if not tensor else field(8, field(1, 1) + field(5, number))
        plugin = field(9, field(1, field(1, b"scalars"))) if tensor else b""
        summary += field(1, field(1, tag.encode()) + held + plugin)
    return field(1, time) + field(2, step) + (field(5, summary) if values else field(3, b"brain.Event:2"))


def event_bytes(events: Iterable[bytes]) -> bytes:
    """Frames events as TFRecord does; the checksums of the payloads, which readers may leave out, are zeros."""
    out = bytearray()
    for payload in events:
        length = struct.pack("<Q", len(payload))
        out += length + struct.pack("<I", _masked(length)) + payload + bytes(4)
    return bytes(out)


def write_events(path: Path, events: Iterable[bytes]) -> Path:
    """Writes an event file, its folder too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(event_bytes(events))
    return path


def _masked(data: bytes) -> int:
    """CRC-32C bit by bit, masked as TFRecord does."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
