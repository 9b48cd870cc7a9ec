"""Blocks to MRT records, and back by the index."""

from __future__ import annotations

from struct import pack

import pytest
from accel_records import KEEPALIVE, TIME, block, join, message, peer, record, update

from bgpipe import accel
from bgpipe.wire.block import ENTRY, Block
from bgpipe.wire.flags import FLAG_AS4, FLAG_PEER_AS4

pytestmark = pytest.mark.skipif(not accel.AVAILABLE, reason=accel.WHY_NOT)
if accel.AVAILABLE:
    from bgpipe.accel.index import mrt
    from bgpipe.accel.mrt_out import encode

ROUTE = update(reach=b"\x18\xc6\x33\x64")


@pytest.mark.parametrize(("subtype", "written"), [(1, 1), (4, 4), (6, 1), (7, 4), (8, 8), (9, 9), (10, 8), (11, 9)])
@pytest.mark.parametrize("ipv6", [False, True])
def test_every_subtype_comes_back_as_its_plain_one(subtype, written, ipv6):
    as4 = written in (4, 9)
    octets = record(ROUTE, subtype, peer(as4=as4, ipv6=ipv6, interface=9), micros=678_901)
    index, _, _, _ = mrt(octets, 0, False)
    text, position = encode(octets, index, 0)
    assert position == 1
    assert text == octets[:6] + pack(">H", written) + octets[8:]


def test_records_without_microseconds_get_them():
    octets = record(ROUTE)
    index, _, _, _ = mrt(octets, 0, False)
    assert encode(octets, index, 0) == (record(ROUTE, micros=0), 1)


def test_a_message_without_a_peer_gets_a_header_that_says_nothing():
    for flags, subtype, header in ((FLAG_AS4, 4, bytes(10)), (0, 1, bytes(6))):
        nobody = block(ROUTE, flags)
        assert encode(nobody.octets, nobody.index, 0) == (record(ROUTE, subtype, header + b"\0\1" + bytes(8), 0), 1)


def test_as_numbers_get_the_width_of_the_message():
    wide = block(ROUTE, 0, header=peer(65001, 65536))
    assert encode(wide.octets, wide.index, 0) == (record(ROUTE, 1, peer(65001, 23456, as4=False), 0), 1)
    header = peer(65001, 65002, as4=False, ipv6=True)
    entry = ENTRY.pack(1, TIME * 1_000_000, len(header), 0, len(ROUTE), FLAG_AS4, 0)
    assert encode(header + ROUTE, entry, 0) == (record(ROUTE, 4, peer(65001, 65002, ipv6=True), 0), 1)


@pytest.mark.parametrize(
    "needs_check",
    [
        block(ROUTE, header=peer(), time=-1),
        block(ROUTE, header=peer(), time=2**32 * 1_000_000),
    ],
    ids=["before 1970", "after 2106"],
)
def test_what_has_no_simple_record_is_left_to_python(needs_check):
    three = join(block(ROUTE, header=peer()), needs_check, block(ROUTE, header=peer()))
    good = record(ROUTE, micros=0)
    assert encode(three.octets, three.index, 0) == (good, 1)
    assert encode(three.octets, three.index, 1) == (b"", 1)
    assert encode(three.octets, three.index, 2) == (good, 3)


def test_the_last_time_that_a_record_can_have():
    last = block(message(b"", KEEPALIVE), header=peer(), time=2**32 * 1_000_000 - 1)
    text, position = encode(last.octets, last.index, 0)
    assert (text[:4], text[12:16], position) == (b"\xff" * 4, pack(">I", 999_999), 1)


def test_an_index_that_points_outside_is_declined():
    inside = block(ROUTE, header=peer())
    for offset, place in ((len(inside.octets), 0), (20, len(inside.octets) - 19), (2**32 - 1, 0)):
        entry = ENTRY.pack(1, TIME, offset, place, len(ROUTE), FLAG_AS4 | FLAG_PEER_AS4, 0)
        assert encode(inside.octets, entry, 0) == (b"", 0)
    assert encode(b"", Block(b"", bytearray()).index, 0) == (b"", 0)
