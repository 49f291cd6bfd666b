"""The wire format of protocol buffers, just enough to read: tags, varints, fixed numbers and lengths.

Source: https://protobuf.dev/programming-guides/encoding. Neither protobuf nor a schema is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""The wire types that these formats use; groups (3 and 4) are obsolete and are refused."""


class WireError(ValueError):
    """Bytes that are no message."""


def varint(data: bytes, place: int) -> tuple[int, int]:
    """Returns the unsigned number at a place, and the place behind it.

    Raises:
        WireError: It does not end within the data, or takes more than ten bytes.
    """
    value = shift = 0
    try:
        while True:
            byte = data[place]
            place += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & 0xFFFF_FFFF_FFFF_FFFF, place
            shift += 7
            if shift > 63:
                raise WireError("a number takes more than ten bytes")
    except IndexError:
        raise WireError("a number does not end") from None


def signed(value: int) -> int:
    """Returns the int64 or int32 that an unsigned varint stands for, in two's complement."""
    return value - (1 << 64) if value >> 63 else value


def zigzag(value: int) -> int:
    """Returns the sint64 that an unsigned varint stands for: 0, -1, 1, -2 are written as 0, 1, 2, 3."""
    return (value >> 1) ^ -(value & 1)


def fields(data: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """Yields (number of the field, wire type, value): unsigned for a varint, raw bytes for all others.

    Raises:
        WireError: The bytes are no message; what came before the fault has been yielded.
    """
    place, end = 0, len(data)
    while place < end:
        tag = data[place]
        if tag < 0x80:
            place += 1
        else:
            tag, place = varint(data, place)
        kind = tag & 7
        if kind == VARINT:
            value, place = varint(data, place)
            yield tag >> 3, kind, value
            continue
        if kind == BYTES:
            size, place = varint(data, place)
        elif kind == FIXED64:
            size = 8
        elif kind == FIXED32:
            size = 4
        else:
            raise WireError(f"wire type {kind} is not known")
        behind = place + size
        if tag < 8 or behind > end:
            raise WireError("a field does not end" if tag >= 8 else "a field has the number 0")
        yield tag >> 3, kind, data[place:behind]
        place = behind
