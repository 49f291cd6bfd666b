"""Reads the scalars of TensorBoard's event files, whoever wrote them: torch, tensorboardX, Lightning, Keras.

A file is a sequence of TFRecords: a length of eight bytes, its checksum, the payload, its checksum. A payload is an
``Event`` of ``tensorboard/compat/proto/event.proto``; a scalar is its ``simple_value``, or a tensor of one number.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from neuropt_core.logged._wire import FIXED32, WireError, fields, signed, varint
from neuropt_core.logged.rows import LARGEST, Row

_LENGTH = struct.Struct("<QI")
_FRAME = _LENGTH.size + 4
_DOUBLE, _FLOAT = struct.Struct("<d"), struct.Struct("<f")
_PLAIN = re.compile(
    rb"\x09(.{8})(?:\x10([\x80-\xff]{0,9}[\x00-\x7f]))?\x2a.\x0a.\x0a(.)([^\x15]*)\x15(.{4})", re.DOTALL
)
"""A time, perhaps a step, and one scalar under a short tag: most events there are, read in a third of the time."""
_READ = 1024 * 1024
_TIME, _STEP, _SUMMARY = 1, 2, 5
"""Fields of an Event."""
_TAG, _SIMPLE, _TENSOR, _METADATA = 1, 2, 8, 9
"""Fields of a Summary.Value."""
_TYPE, _SHAPE, _CONTENT = 1, 2, 4
"""Fields of a TensorProto."""
_TYPES = {1: ("f", 5), 2: ("d", 6), 3: ("i", 7), 9: ("q", 10), 19: ("e", 13)}
"""Data type of a tensor -> its letter in `struct`, and the field that may hold its numbers: float, double, int32,
int64, half."""


class EventFile:
    """One event file; see `rows.LogFile`. `ended` stays False: the format does not tell."""

    def __init__(self, path: Path) -> None:
        """Opens nothing yet."""
        self.path, self.problem, self.ended = path, "", False
        self.began: float | None = None
        """The time of the first event, which a writer leaves when it opens the file, by the job's clock."""
        self._place = 0

    def rows(self) -> Iterator[Row]:
        """Yields the scalars that are new since the last call, those of one event together.

        Raises:
            OSError: The file cannot be read.
        """
        self.problem = ""
        for payload in self._payloads():
            try:
                time, step, values = _event(payload)
            except (WireError, UnicodeDecodeError) as error:
                self.problem = f"{self.path}: an event cannot be read ({error})"
                continue
            self.began = time if self.began is None else self.began
            if values:
                yield Row(step, values, time)

    def _payloads(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            want = _READ
            while True:
                at, asked = self._place, want
                file.seek(at)
                data = file.read(asked)
                place, want = 0, _READ
                while place + _LENGTH.size <= len(data):
                    length, checksum = _LENGTH.unpack_from(data, place)
                    if length == checksum == 0:
                        return  # Room that the file system has made, and that is not yet written.
                    if _masked(data[place : place + 8]) != checksum:
                        self.problem = f"{self.path}: is damaged at byte {at + place}"
                        return
                    behind = place + _FRAME + length
                    if behind > len(data):
                        if length > LARGEST and at + behind <= file.seek(0, 2):
                            place = behind  # An image or a graph: stepped over.
                            self._place = at + place
                        else:
                            want = max(_READ, _FRAME + min(length, LARGEST))
                        break
                    payload = data[place + _LENGTH.size : behind - 4]
                    place = behind
                    self._place = at + place
                    if length <= LARGEST:
                        yield payload
                if self._place == at and (want <= asked or len(data) < asked):
                    return


def _event(data: bytes) -> tuple[float, int, dict[str, float]]:
    """Returns an event's time, step and scalars."""
    if (plain := _PLAIN.match(data)) is not None:
        at, count, size, tag, value = plain.groups()
        if len(tag) == size[0] and plain.end() == len(data):
            steps = 0 if count is None else signed(varint(count, 0)[0])
            return _DOUBLE.unpack(at)[0], steps, {tag.decode(): _FLOAT.unpack(value)[0]}
    time, step = 0.0, 0
    values: dict[str, float] = {}
    for number, _, value in fields(data):
        if isinstance(value, int):
            if number == _STEP:
                step = signed(value)
        elif number == _TIME and len(value) == 8:
            (time,) = struct.unpack("<d", value)
        elif number == _SUMMARY:
            for inner, _, item in fields(value):
                if inner == 1 and isinstance(item, bytes) and (found := _scalar(item)) is not None:
                    values[found[0]] = found[1]
    return time, step, values


def _scalar(data: bytes) -> tuple[str, float] | None:
    tag, found, plugin = "", None, ""
    for number, kind, value in fields(data):
        if isinstance(value, int):
            continue
        if number == _SIMPLE and kind == FIXED32:
            (found,) = struct.unpack("<f", value)
        elif number == _TAG:
            tag = value.decode()
        elif number == _TENSOR:
            found = _tensor(value)
        elif number == _METADATA:
            plugin = _plugin(value)
    return (tag, found) if found is not None and tag and plugin in ("", "scalars") else None


def _plugin(metadata: bytes) -> str:
    """Returns which part of TensorBoard a value is for: ``scalars``, ``text``, ``images``; "" where it is not said."""
    for number, _, data in fields(metadata):
        if number == 1 and isinstance(data, bytes):
            return next((v.decode() for n, _, v in fields(data) if n == 1 and isinstance(v, bytes)), "")
    return ""


def _tensor(data: bytes) -> float | None:
    """Returns the number of a tensor that holds exactly one, or None."""
    found: dict[int, Any] = {number: value for number, _, value in fields(data)}
    if found.get(_TYPE) not in _TYPES or (_SHAPE in found and _count(found[_SHAPE]) != 1):
        return None
    letter, where = _TYPES[found[_TYPE]]
    size = struct.calcsize(letter)
    content = found.get(_CONTENT, b"")
    if isinstance(content, bytes) and len(content) == size:
        return float(struct.unpack(f"<{letter}", content)[0])
    held = found.get(where)
    if isinstance(held, bytes) and letter in "iqe":  # Packed varints.
        held = varint(held, 0)[0]
    if isinstance(held, int):
        return float(struct.unpack("<e", struct.pack("<H", held & 0xFFFF))[0]) if letter == "e" else float(signed(held))
    if isinstance(held, bytes) and len(held) == size:
        return float(struct.unpack(f"<{letter}", held)[0])
    return 0.0 if held is None and not content else None  # Zeros may be left out.


def _count(shape: bytes) -> int:
    count = 1
    for number, _, dimension in fields(shape):
        if number == 2 and isinstance(dimension, bytes):
            count *= next((v for n, _, v in fields(dimension) if n == 1 and isinstance(v, int)), 0)
    return count


@cache
def _table() -> tuple[int, ...]:
    """Returns the table of CRC-32C (Castagnoli), of which `zlib` knows only its sister."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return tuple(table)


@cache
def _checksum_of_small(length: int) -> int:
    return _crc(struct.pack("<Q", length))


def _crc(data: bytes) -> int:
    table, crc = _table(), 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _masked(data: bytes) -> int:
    """Returns the masked CRC-32C of a length, as TFRecord stores it."""
    length = int.from_bytes(data, "little")
    return _checksum_of_small(length) if length < 4096 else _crc(data)
