"""The wire format of protocol buffers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from log_files import field, varint

from neuropt_core.logged import _wire


@given(st.integers(min_value=-(2**63), max_value=2**63 - 1))
def test_numbers_come_back(value: int) -> None:
    """A signed number, written in two's complement or in zigzag, is read as it was."""
    assert _wire.signed(_wire.varint(varint(value % 2**64), 0)[0]) == value
    assert _wire.zigzag((value << 1 ^ value >> 63) % 2**64) == value


@given(st.lists(st.tuples(st.integers(1, 5000), st.binary(max_size=300) | st.integers(0, 2**64 - 1))), st.data())
def test_fields_come_back_and_a_cut_is_noticed(written: list[tuple[int, bytes | int]], data: st.DataObject) -> None:
    """Fields are read as they were written; of a message that is cut all whole fields, and then an error or the end."""
    message = b"".join(field(number, value) for number, value in written)
    assert [(number, value) for number, _, value in _wire.fields(message)] == written
    cut = message[: data.draw(st.integers(0, len(message)))]
    read = []
    try:
        for number, _, value in _wire.fields(cut):
            read.append((number, value))
    except _wire.WireError:
        assert len(cut) < len(message)
    assert read == written[: len(read)]


@given(st.binary(max_size=200))
def test_noise_is_an_error_and_nothing_else(noise: bytes) -> None:
    """Whatever bytes come, the reader ends, with fields or with the one error that says they are no message."""
    try:
        list(_wire.fields(noise))
    except _wire.WireError:
        return


@pytest.mark.parametrize("message", [b"\x0b", b"\xff" * 11, b"\x0a\x05ab", b"\x08"])
def test_what_is_no_message_is_refused(message: bytes) -> None:
    """A group, a number without an end, bytes that are cut and a field without its value are errors."""
    with pytest.raises(_wire.WireError):
        list(_wire.fields(message))
