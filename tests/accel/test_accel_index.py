"""The index of MRT records: what is taken, where it stops, and that it never looks behind the end."""

from __future__ import annotations

import pytest
from accel_records import (
    KEEPALIVE,
    MARKER,
    MESSAGE,
    NOTIFICATION,
    OPEN,
    ROUTE_REFRESH,
    TIME,
    message,
    peer,
    record,
    update,
)

from bgpipe import accel
from bgpipe.wire.block import ENTRY, Block
from bgpipe.wire.context import AS2, AS2_ADD_PATH, AS4, AS4_ADD_PATH
from cases import all_cases

pytestmark = pytest.mark.skipif(not accel.AVAILABLE, reason=accel.WHY_NOT)
if accel.AVAILABLE:
    from bgpipe.accel.index import mrt, stamp

ROUTE = update(withdrawn=b"\x18\xc6\x33\x64")
STATE = record(b"\0\1\0\6", 5)


@all_cases(
    ("subtype", "context"),
    [
        (1, AS2),
        (4, AS4),
        (6, AS2),
        (7, AS4),
        (8, AS2_ADD_PATH),
        (9, AS4_ADD_PATH),
        (10, AS2_ADD_PATH),
        (11, AS4_ADD_PATH),
    ],
)
@all_cases("ipv6", [False, True])
@all_cases("micros", [None, 678_901])
def test_every_message_subtype_is_indexed(subtype, context, ipv6, micros):
    as4 = subtype in (4, 7, 9, 11)
    octets = record(ROUTE, subtype, peer(as4=as4, ipv6=ipv6, interface=7), micros)
    index, end, records, states = mrt(octets, 0, False)
    assert (end, records, states) == (len(octets), 1, 0)
    (found,) = Block(octets, index)
    assert found.octets == ROUTE
    assert found.context == context
    assert found.time == TIME * 1_000_000 + (micros or 0)
    assert (found.direction, found.seq) == ("?", 0)
    network = "2001:db8::" if ipv6 else "192.0.2."
    assert found.tags == {
        "PEER_AS": "65001",
        "PEER_IP": f"{network}1",
        "LOCAL_AS": "65002",
        "LOCAL_IP": f"{network}2",
        "INTERFACE": "7",
    }


@pytest.mark.parametrize(
    "octets",
    [
        message(bytes(10), OPEN),
        message(b"\6\4", NOTIFICATION),
        message(b"", KEEPALIVE),
        message(b"\0\1\0\1", ROUTE_REFRESH),
        update(reach=b"\0" * 60_000),
    ],
    ids=["open", "notification", "keepalive", "refresh", "extended"],
)
def test_every_message_type_is_indexed(octets):
    found = record(octets)
    index, end, records, _ = mrt(found, 0, False)
    assert (len(index), end, records) == (ENTRY.size, len(found), 1)


ODD = {
    "another type": record(ROUTE).replace(b"\0\x10\0\4", b"\0\x0d\0\4", 1),
    "another subtype": record(ROUTE, 2),
    "subtype with flags": record(ROUTE, 260),
    "a million microseconds": record(ROUTE, micros=1_000_000),
    "unknown AFI": record(ROUTE, header=peer()[:11] + b"\3" + peer()[12:]),
    "wide AFI": record(ROUTE, header=peer()[:10] + b"\1\1" + peer()[12:]),
    "marker": record(b"\xfe" + ROUTE[1:]),
    "last octet of the marker": record(ROUTE[:15] + b"\0" + ROUTE[16:]),
    "shorter than it says": record(ROUTE[:-1]),
    "longer than it says": record(ROUTE + b"\0"),
    "no message": record(b""),
    "unknown message type": record(message(b"\0" * 10, 6)),
    "message type 0": record(message(b"\0" * 10, 0)),
    "short update": record(message(b"\0" * 3)),
    "long keepalive": record(message(b"\0", KEEPALIVE)),
    "short open": record(message(bytes(9), OPEN)),
    "long open": record(message(bytes(4078), OPEN)),
    "short notification": record(message(b"\6", NOTIFICATION)),
    "short refresh": record(message(b"\0\1\0", ROUTE_REFRESH)),
    "length below a header": record(MARKER + b"\0\x12\2"),
    "2-octet header in an AS4 record": record(ROUTE, header=peer(as4=False)),
    "long state change": record(b"\0\1\0\6\0", 5),
    "short state change": record(b"\0\1\0", 5),
    "state change of the other AS width": record(b"\0\1\0\6", 0),
}


@pytest.mark.parametrize("needs_check", ODD.values(), ids=ODD.keys())
def test_the_run_ends_before_an_odd_record(needs_check):
    good = record(ROUTE)
    index, end, records, states = mrt(b"junk" + good + good + needs_check + good, 4, False)
    assert len(Block(b"", index)) == records == 2
    assert end == 4 + 2 * len(good)
    assert states == 0


def test_state_changes_are_counted_or_stopped_at():
    good = record(ROUTE)
    octets = good + STATE + record(b"\0\1\0\2", 0, peer(as4=False, ipv6=True), micros=1) + good
    index, end, records, states = mrt(octets, 0, False)
    assert (len(Block(octets, index)), end, records, states) == (2, len(octets), 4, 2)
    index, end, records, states = mrt(octets, 0, True)
    assert (len(Block(octets, index)), end, records, states) == (1, len(good), 1, 0)


def test_every_cut_ends_the_run_before_the_cut_record():
    records = [
        record(ROUTE),
        record(message(b"", KEEPALIVE), MESSAGE, peer(as4=False)),
        STATE,
        record(ROUTE, 9, peer(ipv6=True), micros=5),
    ]
    octets = b"".join(records)
    ends = [sum(map(len, records[:count])) for count in range(5)]
    for cut in range(len(octets) + 1):
        _, end, count, _ = mrt(octets[:cut], 0, False)
        assert end == max(place for place in ends if place <= cut)
        assert count == ends.index(end)


def test_a_start_at_or_behind_the_end_finds_nothing():
    octets = record(ROUTE)
    assert mrt(octets, len(octets), False) == (bytearray(), len(octets), 0, 0)
    assert mrt(octets, len(octets) + 9, False) == (bytearray(), len(octets) + 9, 0, 0)
    assert mrt(b"", 0, False) == (bytearray(), 0, 0, 0)
    with pytest.raises(ValueError, match="before the first octet"):
        mrt(octets, -1, False)


def test_a_record_length_near_32_bits_is_a_cut_record():
    octets = record(ROUTE)
    assert mrt(octets[:8] + b"\xff\xff\xff\xff" + octets[12:], 0, False)[1:] == (0, 0, 0)


def test_stamp_numbers_what_has_no_number_and_keeps_the_rest():
    octets = record(ROUTE) * 3
    index, _, _, _ = mrt(octets, 0, False)
    block = Block(octets, index)
    assert stamp(index, 8, 10, 0) == 13
    assert [(each.direction, each.seq) for each in block] == [("R", 10), ("R", 11), ("R", 12)]
    assert stamp(index, 16, 50, 0) == 50
    assert [(each.direction, each.seq) for each in block] == [("L", 10), ("L", 11), ("L", 12)]
    assert stamp(index, 0, 1, 0) == 1
    assert {each.direction for each in block} == {"?"}
    assert {each.time for each in block} == {TIME * 1_000_000}


def test_stamp_gives_a_time_to_what_has_none():
    block = Block(ROUTE, bytearray(ENTRY.pack(0, 0, 0, 0xFFFFFFFF, len(ROUTE), 1, 0)))
    assert stamp(block.index, 24, 1, 5_000_000) == 2
    (found,) = block
    assert (found.direction, found.seq, found.time, found.context) == ("LR", 1, 5_000_000, AS4)
