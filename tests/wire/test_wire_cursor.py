"""Checked reads, and errors that say where."""

from __future__ import annotations

import pytest

from bgpipe.wire.cursor import Cursor
from bgpipe.wire.errors import Reaction, ShortError, WireError

OCTETS = bytes(range(1, 17))


def test_reads():
    cursor = Cursor(OCTETS)
    assert cursor.u8() == 1
    assert cursor.u16() == 0x0203
    assert cursor.u32() == 0x04050607
    assert cursor.take(1) == b"\x08"
    assert cursor.left == 8
    inner = cursor.sub(4)
    assert inner.rest() == bytes((9, 10, 11, 12))
    assert cursor.rest() == bytes((13, 14, 15, 16))
    assert cursor.rest() == b""
    assert Cursor(OCTETS, 8).u64() == 0x090A0B0C0D0E0F10


@pytest.mark.parametrize("read", ["u8", "u16", "u32", "u64"])
def test_no_read_goes_past_the_end(read):
    size = int(read[1:]) // 8
    cursor = Cursor(OCTETS, 4, 4 + size - 1)
    with pytest.raises(ShortError) as caught:
        getattr(cursor, read)()
    assert caught.value.offset == 4
    assert cursor.pos == 4


def test_parts_do_not_go_past_the_end():
    cursor = Cursor(OCTETS, end=3)
    for read in (cursor.take, cursor.sub):
        with pytest.raises(ShortError, match="4 octets expected, 3 left"):
            read(4)
    inner = cursor.sub(2)
    with pytest.raises(ShortError):
        inner.take(3)


def test_errors_say_what_and_where():
    error = WireError("odd", subcode=5, offset=7)
    assert str(error) == "odd (at octet 7)"
    assert (error.code, error.subcode, error.data, error.reaction) == (3, 5, b"", Reaction.SESSION_RESET)
    assert str(WireError("odd")) == "odd"
    assert max(Reaction) is Reaction.SESSION_RESET
