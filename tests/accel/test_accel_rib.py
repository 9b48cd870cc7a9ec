"""RIB records by accel's Bundler: the same messages as by the one in Python, or no record taken."""

from __future__ import annotations

import bz2
from random import Random
from struct import pack

import pytest
from accel_records import TIME, attribute
from mutants import read_records, sample_records
from rib_records import (
    ADD_PATH,
    IPV4,
    IPV4_ATTRIBUTES,
    IPV4_MULTICAST,
    IPV6,
    IPV6_ATTRIBUTES,
    IPV6_MULTICAST,
    MED,
    MP_SHORT,
    MP_WHOLE,
    NEXT_HOP,
    ORIGIN,
    OTHER_PATH,
    PATH,
    PATH_2,
    PEERS,
    TABLE_DUMP_V2,
    mrt,
    old_rib,
    peer_table,
    rib,
    rib_records,
)

from bgpipe import accel
from bgpipe.formats import mrt as mrt_format
from bgpipe.formats import mrt_rib
from bgpipe.wire.block import Block
from cases import all_cases

pytestmark = pytest.mark.skipif(not accel.AVAILABLE, reason=accel.WHY_NOT)

NET = b"\x18\xc6\x33\x64"
NET6 = b"\x20\x20\x01\x0d\xb8"
ARCHIVES = [
    "rib.20140530.2200",
    "rib6.20151101.0600.cut",
    "bview.20020722.2337",
    "bview.20160107.addpath4",
    "bview.20160107.addpath6",
    "bview.20180919.64k",
    "daemon.bird6-mrtdump_rib",
    "daemon.quagga_rib",
]


def decode(octets: bytes, size: int = 1 << 20) -> tuple[list[tuple], list[str], str]:
    """Messages, damages and counts of a stream that comes in pieces of `size` octets."""
    damages: list[str] = []
    decoder = mrt_format.MrtDecoder(on_damage=lambda damage: damages.append(str(damage)))
    messages = []
    pieces = [decoder.feed(octets[pos : pos + size]) for pos in range(0, len(octets), size)]
    for part in (*pieces, decoder.end()):
        for item in part:
            messages += item if isinstance(item, Block) else [item]
    found = [(m.type_code, m.body, m.time, m.direction, m.seq, m.context, m.peer) for m in messages]
    return found, damages, repr(decoder.counts)


def decode_in_python(octets: bytes, monkeypatch: pytest.MonkeyPatch) -> tuple[list[tuple], list[str], str]:
    with monkeypatch.context() as patch:
        patch.setattr(mrt_format, "_accel", None)
        patch.setattr(mrt_rib, "_accel", None)
        return decode(octets)


def bundler() -> accel.rib.Bundler:
    """With the peers of PEERS."""
    made = accel.rib.Bundler()
    decoder = mrt_rib.RibDecoder(pytest.fail)
    decoder._bundler = made
    decoder.feed(mrt_rib.Cursor(PEERS, 12), TABLE_DUMP_V2, 1, 0)
    return made


@pytest.mark.parametrize("name", ARCHIVES)
def test_real_archives(name, data, monkeypatch):
    with bz2.open(data / f"{name}.bz2") as stream:
        octets = stream.read(2_000_000)
    messages, *rest = decode(octets, 300_000)
    assert (messages, *rest) == decode_in_python(octets, monkeypatch)
    assert len(messages) > 1


def test_the_sample(monkeypatch):
    octets = b"".join(record for record in sample_records() if record[5] == TABLE_DUMP_V2)
    assert decode(octets) == decode_in_python(octets, monkeypatch)
    taken, records = accel.rib.Bundler().feed(octets, 0)
    assert (taken, records) == (0, 0), "the PEER_INDEX_TABLE is for Python"


def test_records_of_all_kinds(monkeypatch):
    octets = b"".join(rib_records())
    messages, damages, _ = result = decode(octets, 997)
    assert result == decode_in_python(octets, monkeypatch)
    assert damages == []
    assert {len(peer) for *_, peer in messages} == {20, 44}


def test_shuffled_records(monkeypatch):
    records = rib_records()
    for seed in range(20):
        Random(seed).shuffle(records)
        octets = b"".join(records)
        assert decode(octets) == decode_in_python(octets, monkeypatch)


def test_routes_wait_over_damage_that_looks_like_an_update(monkeypatch):
    one, other = (
        old_rib(prefix, 24, "192.0.2.1", 65001, IPV4_ATTRIBUTES) for prefix in ("198.51.100.0", "203.0.113.0")
    )
    damaged = mrt(16, 4, bytes(60))[:8] + pack(">I", 1 << 31) + bytes(60)
    messages, damages, _ = result = decode(one + damaged + other)
    assert result == decode_in_python(one + damaged + other, monkeypatch)
    assert (len(messages), len(damages)) == (1, 1)
    update = mrt(16, 4, bytes(10) + b"\0\1" + bytes(8) + b"\xff" * 16 + b"\0\x17\2" + bytes(4))
    messages, damages, _ = result = decode(one + update + other)
    assert result == decode_in_python(one + update + other, monkeypatch)
    assert (len(messages), damages) == (3, []), "what comes behind an UPDATE does not go before it"


TAKEN = [
    rib(IPV4, NET, (0, IPV4_ATTRIBUTES)),
    rib(IPV4, b"\0", (2, b"")),
    rib(IPV4, NET, (0, IPV4_ATTRIBUTES), (1, IPV4_ATTRIBUTES), (0, IPV4_ATTRIBUTES)),
    rib(IPV4, NET),
    rib(IPV4, NET, (1, ORIGIN + MP_SHORT)),
    rib(IPV6, NET6, (1, IPV6_ATTRIBUTES)),
    rib(IPV6, NET6, (1, MP_WHOLE)),
    rib(IPV4_MULTICAST, NET, (1, attribute(0x80, 14, "04 c0000201"))),
    rib(IPV6_MULTICAST, NET6, (1, IPV6_ATTRIBUTES)),
    rib(IPV4 + ADD_PATH, NET, (0, IPV4_ATTRIBUTES)),
    rib(IPV6 + ADD_PATH, NET6, (0, IPV6_ATTRIBUTES)),
]


@pytest.mark.parametrize("record", TAKEN, ids=lambda record: record.hex()[24:60])
def test_good_records_are_taken(record, monkeypatch):
    made = bundler()
    assert made.feed(b"before" + record * 3, 6) == (6 + 3 * len(record), 3)
    assert decode(PEERS + record * 3) == decode_in_python(PEERS + record * 3, monkeypatch)


DECLINED = {
    "cut short": rib(IPV4, NET, (0, IPV4_ATTRIBUTES))[:-1],
    "octets behind": rib(IPV4, NET, (0, IPV4_ATTRIBUTES), more=b"\0"),
    "octets behind two": rib(IPV4, NET, (0, IPV4_ATTRIBUTES), (1, b""), more=b"\0"),
    "unknown peer": rib(IPV4, NET, (3, IPV4_ATTRIBUTES)),
    "unknown peer behind": rib(IPV4, NET, (0, IPV4_ATTRIBUTES), (65535, IPV4_ATTRIBUTES)),
    "long prefix": rib(IPV4, b"\x21" + bytes(5), (0, IPV4_ATTRIBUTES)),
    "long IPv6 prefix": rib(IPV6, b"\x81" + bytes(17), (0, IPV6_ATTRIBUTES)),
    "prefix cut short": mrt(TABLE_DUMP_V2, IPV4, bytes(4) + b"\x20\0\0"),
    "attribute cut short": rib(IPV4, NET, (0, IPV4_ATTRIBUTES[:-1])),
    "attribute cut short behind": rib(IPV4, NET, (0, IPV4_ATTRIBUTES), (1, b"\x40")),
    "extended length cut short": rib(IPV4, NET, (0, ORIGIN + b"\x50\x02\0")),
    "no next hop": rib(IPV6, NET6, (0, ORIGIN + PATH)),
    "next hop elsewhere": rib(IPV4_MULTICAST, NET, (0, IPV4_ATTRIBUTES)),
    "empty MP_REACH": rib(IPV6, NET6, (0, attribute(0x80, 14, ""))),
    "empty next hop": rib(IPV6, NET6, (0, attribute(0x80, 14, "00"))),
    "MP_REACH cut short": rib(IPV6, NET6, (0, attribute(0x80, 14, "0002 01 10 2001"))),
    "neither short nor whole": rib(IPV6, NET6, (0, attribute(0x80, 14, "04 c0000201 00"))),
    "two MP_REACH": rib(IPV6, NET6, (0, MP_SHORT + MP_SHORT)),
    "MP_REACH that NEXT_HOP can say": rib(IPV4, NET, (0, attribute(0x80, 14, "04 c0000201"))),
    "much": rib(IPV4, NET, (0, attribute(0xD0, 99, bytes(60000)))),
    "RIB_GENERIC": mrt(TABLE_DUMP_V2, 6, bytes(20)),
    "PEER_INDEX_TABLE": PEERS,
    "another type": mrt(16, IPV4, bytes(40)),
    "an old peer not met": old_rib("198.51.100.0", 24, "192.0.2.9", 9, ORIGIN),
    "an old record cut short": mrt(12, 1, bytes(21)),
    "an old record of another family": mrt(12, 3, bytes(22)),
}


@all_cases("record", DECLINED.values(), ids=DECLINED.keys())
def test_what_is_declined_leaves_no_trace(record, monkeypatch):
    made = bundler()
    assert made.feed(record, 0) == (0, 0)
    made.flush()
    assert made.take() == (b"", bytearray())
    between = rib(IPV4, NET, (0, IPV4_ATTRIBUTES)) + record + rib(IPV4, NET, (1, IPV4_ATTRIBUTES))
    assert decode(PEERS + between) == decode_in_python(PEERS + between, monkeypatch)


def prefixes(count: int) -> bytes:
    return b"".join(rib(IPV4, bytes((24, 10, n >> 8, n & 255)), (0, IPV4_ATTRIBUTES)) for n in range(count))


def test_a_bundle_ends_at_the_estimate():
    first = (3800 - 19 - 4 - 64 - len(IPV4_ATTRIBUTES)) // 4
    messages, _, _ = decode(PEERS + prefixes(first + 1))
    assert [len(body) for _, body, *_ in messages] == [
        4 + len(IPV4_ATTRIBUTES) + 4 * first,
        4 + len(IPV4_ATTRIBUTES) + 4,
    ]


@pytest.mark.parametrize("attributes", [IPV4_ATTRIBUTES, IPV6_ATTRIBUTES, ORIGIN + attribute(0xC0, 8, bytes(252)) * 20])
def test_many_prefixes(attributes, monkeypatch):
    octets = PEERS + b"".join(
        rib(IPV4, bytes((24, 10, n >> 8, n & 255)), (0, attributes), time=TIME + n) for n in range(3000)
    )
    assert decode(octets) == decode_in_python(octets, monkeypatch)


def test_what_is_pending_leaves_by_the_number_of_the_peer():
    octets = PEERS + rib(IPV4, NET, (2, IPV4_ATTRIBUTES)) + rib(IPV4, NET, (1, IPV4_ATTRIBUTES), (0, IPV4_ATTRIBUTES))
    messages, _, _ = decode(octets)
    assert [peer[3] for *_, peer in messages] == [65001 & 255, 4200000001 & 255, 65003 & 255]


def test_a_new_table_sends_out_what_is_pending():
    octets = PEERS + rib(IPV4, NET, (0, IPV4_ATTRIBUTES)) + peer_table(("192.0.2.9", 9)) + rib(IPV4, NET, (0, MED))
    messages, _, _ = decode(octets)
    assert [peer[:4] for *_, peer in messages] == [b"\0\0\xfd\xe9", b"\0\0\0\t"]


def test_many_old_peers(monkeypatch):
    octets = b"".join(
        old_rib("198.51.100.0", 24, f"192.0.2.{n % 200}", 60000 + n % 3, ORIGIN + PATH_2) for n in range(1500)
    )
    assert decode(octets) == decode_in_python(octets, monkeypatch)


def test_an_update_ends_where_the_time_changes(monkeypatch):
    octets = PEERS + b"".join(rib(IPV4, bytes((8, n)), (0, IPV4_ATTRIBUTES), time=TIME + n // 2) for n in range(5))
    messages, *_ = result = decode(octets)
    assert [time for _, _, time, *_ in messages] == [(TIME + n) * 1_000_000 for n in range(3)]
    assert result == decode_in_python(octets, monkeypatch)


def test_add_refuses_what_python_does_not_know():
    made = bundler()
    route = mrt_rib.read_route(ORIGIN + OTHER_PATH + NEXT_HOP, mrt_rib.IPV4_UNICAST, mrt_rib.AS4)
    with pytest.raises(ValueError, match="no peer with index 3"):
        made.add(3, 0, route, NET)
    long = mrt_rib.read_route(attribute(0xD0, 99, bytes(65500)), mrt_rib.IPV4_UNICAST, mrt_rib.AS4)
    with pytest.raises(ValueError, match="does not fit"):
        made.add(0, 0, long, NET)
    assert made.take() == (b"", bytearray())


def test_a_cut_anywhere(monkeypatch):
    octets = b"".join(rib_records()[:24])
    for cut in Random(1).sample(range(len(octets)), 60):
        assert decode(octets[:cut]) == decode_in_python(octets[:cut], monkeypatch)


def test_all_records_of_the_benchmark_archive_are_taken(data):
    with bz2.open(data / "rib.20140530.2200.bz2") as stream:
        octets = stream.read(1_000_000)
    table, *records = read_records(octets)
    decoder = mrt_rib.RibDecoder(pytest.fail)
    decoder.feed(mrt_rib.Cursor(table, 12), TABLE_DUMP_V2, 1, 0)
    whole = b"".join(records[:-1])
    assert decoder.run(whole, 0) == (len(whole), len(records) - 1)
