"""Reads the numbers that a script logs to W&B from its local `.wandb` file, which W&B writes online and offline.

The file is a LevelDB log (https://github.com/google/leveldb/blob/main/doc/log_format.md) behind seven bytes of W&B's
own: blocks of 32 KiB with chunks of a checksum, a length and a kind, whose payloads join to protobuf records. The
numbers of the fields are those of ``wandb/proto/wandb_internal.proto``, the same in 0.28.2 and 0.31.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from neuropt_core.logged._wire import BYTES, WireError, fields, signed, zigzag
from neuropt_core.logged.rows import LARGEST, Row

_MAGIC, _HEAD, _BLOCK = b":W&B", 7, 32768
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_CHUNK = struct.Struct("<IHB")
_HISTORY, _EXIT = 2, 18
"""Fields of a Record."""
_ITEM, _STEP = 1, 2
"""Fields of a HistoryRecord."""
_KEY, _NESTED, _INTEGER, _NUMBER, _JSON, _VALUE_JSON = 1, 2, 5, 6, 8, 16
"""Fields of a HistoryItem."""
_SEED = {kind: zlib.crc32(bytes([kind])) for kind in (_WHOLE, _FIRST, _MIDDLE, _LAST)}
_READ = 32 * _BLOCK


class WandbFile:
    """One `.wandb` file; see `rows.LogFile`."""

    def __init__(self, path: Path) -> None:
        """Opens nothing yet."""
        self.path, self.problem, self.ended = path, "", False
        self._place = 0
        self._parts: list[bytes] | None = None
        self._size = 0

    def rows(self) -> Iterator[Row]:
        """Yields the rows that are new since the last call.

        Values that are no numbers (text, media, histograms, lists, true and false) and W&B's own keys are left out.

        Raises:
            OSError: The file cannot be read.
        """
        self.problem = ""
        for record in self._records():
            try:
                row = self._row(record)
            except (WireError, UnicodeDecodeError) as error:
                self.problem = f"{self.path}: a record cannot be read ({error})"
                continue
            if row is not None:
                yield row

    def _row(self, record: bytes) -> Row | None:
        for number, kind, value in fields(record):
            if number == _HISTORY and kind == BYTES and isinstance(value, bytes):
                return _history(value)
            self.ended |= number == _EXIT
        return None

    def _records(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            if self._place == 0 and not self._begin(file.read(_HEAD)):
                return
            while True:
                at = self._place
                file.seek(at)
                data = file.read(_READ - at % _BLOCK)  # To a block's end: no chunk reaches beyond it.
                yield from self._chunks(data, at)
                if self._place == at:
                    return

    def _begin(self, head: bytes) -> bool:
        if len(head) == _HEAD and head.startswith(_MAGIC):
            self._place = _HEAD
            return True
        if not _MAGIC.startswith(head[:4]):
            self.problem = f"{self.path}: is not a file of W&B"
        return False

    def _chunks(self, data: bytes, at: int) -> Iterator[bytes]:
        """Yields the records that end in these bytes, which begin at a place of the file."""
        place, end = 0, len(data)
        while True:
            left = _BLOCK - (at + place) % _BLOCK
            if left < _CHUNK.size:
                if place + left > end:
                    return
                place += left
                self._place = at + place
                continue
            if place + _CHUNK.size > end:
                return
            checksum, length, kind = _CHUNK.unpack_from(data, place)
            if kind == length == checksum == 0:
                return  # Room that the file system has made, and that is not yet written.
            start, behind = place + _CHUNK.size, place + _CHUNK.size + length
            if behind > end and length + _CHUNK.size <= left:
                return
            payload = data[start:behind]
            if kind not in _SEED or len(payload) < length or zlib.crc32(payload, _SEED[kind]) != checksum:
                self.problem = f"{self.path}: is damaged at byte {at + place}"
                return
            place = behind
            record = self._joined(kind, payload)
            self._place = at + place
            if record is not None:
                yield record

    def _joined(self, kind: int, payload: bytes) -> bytes | None:
        """Returns the record that this chunk completes, or None."""
        if kind == _WHOLE:
            self._parts = None
            return payload
        if kind == _FIRST:
            self._parts, self._size = [], 0
        if self._parts is None:
            return None  # The rest of a record that was too large, or whose beginning is lost.
        self._parts.append(payload)
        self._size += len(payload)
        if self._size > LARGEST:
            self._parts = None
            return None
        if kind == _LAST:
            whole, self._parts = b"".join(self._parts), None
            return whole
        return None


def _history(data: bytes) -> Row:
    values: dict[str, float] = {}
    media: set[str] = set()
    own: dict[str, float] = {}
    step = 0
    for number, _, item in fields(data):
        if number == _STEP and isinstance(item, bytes):
            step = next((signed(v) for n, _, v in fields(item) if n == 1 and isinstance(v, int)), 0)
        elif number == _ITEM and isinstance(item, bytes):
            path, value = _item(item)
            if path[-1] == "_type":
                media.add(".".join(path[:-1]))
            elif value is not None:
                (own if path[0].startswith("_") else values)[".".join(path)] = value
    inside = tuple(f"{name}." for name in media)
    # W&B writes the items of a row in any order; ours is the same for equal rows.
    kept = {name: values[name] for name in sorted(values) if not name.startswith(inside)}
    return Row(int(own.get("_step", step)), kept, own.get("_timestamp", own.get("_runtime", 0.0)))


def _item(data: bytes) -> tuple[list[str], float | None]:
    """Returns the path of a value's name, and the value if it is a number."""
    path: list[str] = []
    key = ""
    found: float | None = None
    for number, _, value in fields(data):
        if isinstance(value, int):
            if number == _INTEGER:
                found = float(zigzag(value))
        elif number == _NESTED:
            path.append(value.decode())
        elif number == _KEY:
            key = value.decode()
        elif number in (_VALUE_JSON, _JSON):
            found = _number(value)
        elif number == _NUMBER and len(value) == 8:
            (found,) = struct.unpack("<d", value)
    return path or [key], found


def _number(text: bytes) -> float | None:
    # JSON's numbers, and Python's NaN and Infinity, are what `float` reads; text is in quotes, and no number then.
    try:
        return float(text)
    except ValueError:
        return None
