"""MRT records of messages and state changes, read and written; the vectors of bgpfix."""

from __future__ import annotations

import json
from typing import Any

import pytest
from test_formats_mrt_damage import decode, record

from bgpipe.formats import json as json_format
from bgpipe.formats import mrt
from bgpipe.formats.base import Block
from bgpipe.formats.json_encoder import format_time
from bgpipe.formats.mrt_record import RECORD_HEADER, TYPE_NAMES
from bgpipe.wire.block import ENTRY, NO_PEER
from bgpipe.wire.context import AS2, AS2_ADD_PATH, AS4, AS4_ADD_PATH, WireContext
from bgpipe.wire.errors import TextError
from bgpipe.wire.family import IPV4_UNICAST, IPV6_UNICAST
from bgpipe.wire.message import KEEPALIVE, UPDATE, Message
from bgpipe.wire.state import StateChange
from cases import all_cases
from vectors import Row, cases

ALIVE = Message(KEEPALIVE).octets
V4 = bytes.fromhex("0001c0000201c0000202")
V6 = b"\0\2" + bytes(15) + b"\1" + bytes(15) + b"\2"
NOBODY = bytes(11) + b"\1" + bytes(8)


def one(octets: bytes, **options: bool) -> Message:
    (message,), damage, counts = decode(octets, **options)
    assert damage == []
    assert counts.records == 1
    return message


@cases("bgpfix_mrt", "mrt-record")
def test_bgpfix_records(row: Row) -> None:
    octets, expected = bytes.fromhex(row["hex"]), row["expected"]
    messages, damage, _ = decode(octets)
    if expected == "error":
        assert (len(messages), len(damage)) == (0, 1)
        return
    if "bgp_hex" in expected:
        assert not damage
        (message,) = messages
        assert message.octets.hex() == expected["bgp_hex"]
        tags: dict[str, Any] = {name: expected[name.lower()] for name in ("PEER_AS", "PEER_IP", "LOCAL_AS", "LOCAL_IP")}
        if expected["interface"]:
            tags["INTERFACE"] = expected["interface"]
        assert message.tags == {name: str(value) for name, value in tags.items()}
        assert format_time(message.time)[:23] == expected["time"][:23]
        assert message.context.as4 == (expected["subtype"] in (4, 7, 9, 11))
        assert (IPV4_UNICAST in message.context.add_path) == (expected["subtype"] in (8, 9, 10, 11))
        kind, subtype = RECORD_HEADER.unpack_from(mrt.MrtEncoder().encode(message))[1:3]
        assert (kind, subtype) == (17, expected["subtype"])
    else:
        check_table(octets, expected)


def check_table(octets: bytes, expected: dict[str, Any]) -> None:
    """A record of a table: its entries as messages, after a table of two peers if it names them by index."""
    peers = bytes.fromhex("0a00000100000002020a000002c00002020000fde9020a000003c00002030000fdea")
    before = record(13, 1, peers) if expected["type"] == "TABLE_DUMP2" and expected["subtype"] != 1 else b""
    messages, damage, counts = decode(before + octets)
    assert not damage
    assert counts.records == (2 if before else 1)
    entries = expected["entries"] or []
    assert len(messages) == len(entries)
    for message, entry in zip(messages, entries, strict=True):
        attributes = bytes.fromhex(entry["attrs_hex"])
        assert message.body[2:4] == len(attributes).to_bytes(2, "big")
        assert message.body[4 : 4 + len(attributes)] == attributes
        assert list(map(str, message.update.reach)) == [expected["prefix"]]
        assert message.context.as4 == (expected["type"] == "TABLE_DUMP2")
        assert message.tags == {
            "PEER_AS": str(65001 + entry["peer_index"]),
            "PEER_IP": f"192.0.2.{2 + entry['peer_index']}",
        }


@cases("bgpfix_mrt", "mrt-stream")
def test_bgpfix_streams(row: Row) -> None:
    messages, damage, _ = decode(bytes.fromhex(row["hex"]))
    assert not damage
    expected = [message["json"] for message in row["expected"]["messages"]]
    lines = [json.loads(json_format.JsonEncoder().encode(message)) for message in messages]
    for line, message, want in zip(lines, messages, expected, strict=True):
        wire = line[5].pop("WIRE", "")  # the original has no such key
        assert ("RIB" in wire) == message.from_rib
        assert line[2:] == want[2:]  # direction and number come from the pipeline


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
@all_cases("extended", [False, True])
@all_cases("addresses", [V4, V6], ids=["v4", "v6"])
def test_every_subtype_comes_back_as_it_was(
    subtype: int, context: WireContext, extended: bool, addresses: bytes
) -> None:
    ases = b"\xfd\xe9\xfd\xea" if not context.as4 else b"\0\1\xfd\xe9\xff\xff\xff\xff"
    body = ases + b"\0\x07" + addresses + ALIVE
    octets = record(17, subtype, b"\0\x07\xa1\x20" + body) if extended else record(16, subtype, body)
    message = one(octets)
    assert (message.direction, message.seq, message.type) == ("?", 0, "KEEPALIVE")
    assert message.time == 1_700_000_000_500_000 - (0 if extended else 500_000)
    assert message.context == context
    assert message.tags["PEER_AS"] == ("130537" if context.as4 else "65001")
    assert message.tags["LOCAL_AS"] == ("4294967295" if context.as4 else "65002")
    assert message.tags["INTERFACE"] == "7"
    assert message.tags["PEER_IP"] == ("192.0.2.1" if addresses is V4 else "::1")
    written = mrt.MrtEncoder().encode(message)
    micros = b"\0\x07\xa1\x20" if extended else bytes(4)
    public = {6: 1, 7: 4, 10: 8, 11: 9}.get(subtype, subtype)  # _LOCAL says who sent it, which a message does not
    assert written == record(17, public, micros + body)
    assert mrt.MrtEncoder().encode(one(octets)) == written  # from the header as it came, and from tags


@pytest.mark.parametrize("subtype", [1, 4])
def test_any_message_type_is_kept(subtype: int) -> None:
    needs_check = [
        Message(128, b"abc"),
        Message(0),
        Message(KEEPALIVE, b"x"),
        Message(UPDATE, b"\0"),
        Message(255, bytes(65000)),
    ]
    for message in needs_check:
        octets = record(17, subtype, bytes(4) + bytes(10 if subtype == 4 else 6) + V4 + message.octets)
        read = one(octets)
        assert (read.type_code, read.body) == (message.type_code, message.body)
        assert mrt.MrtEncoder().encode(read) == octets


@pytest.mark.parametrize(
    ("tags", "peer"),
    [
        ({}, NOBODY),
        ({"PEER_AS": "65001"}, b"\0\0\xfd\xe9" + NOBODY[4:]),
        ({"PEER_AS": "4294967296", "LOCAL_AS": "x", "INTERFACE": "65536", "PEER_IP": "nowhere"}, NOBODY),
        ({"INTERFACE": "9", "LOCAL_IP": "10.0.0.1"}, bytes(8) + b"\0\x09\0\1" + bytes(4) + b"\x0a\0\0\1"),
        ({"PEER_IP": "::1", "LOCAL_IP": "10.0.0.1"}, bytes(10) + b"\0\2" + bytes(15) + b"\1" + bytes(16)),
    ],
)
def test_the_header_says_what_the_tags_say(tags: dict[str, str], peer: bytes) -> None:
    octets = mrt.MrtEncoder().encode(Message(KEEPALIVE, tags=tags, time=1_700_000_000_000_001))
    assert octets == record(17, 4, b"\0\0\0\1" + peer + ALIVE)
    touched = one(octets)
    touched.tags["PEER_AS"] = "1"
    assert mrt.MrtEncoder().encode(touched)[16:20] == b"\0\0\0\1"


def test_what_the_fields_of_a_record_cannot_hold() -> None:
    encode = mrt.MrtEncoder().encode
    last = (1 << 32) * 1_000_000 - 1
    far = Message(KEEPALIVE, context=AS2, tags={"PEER_AS": "4200000000", "LOCAL_AS": "7"}, time=last)
    assert encode(far)[:24] == b"\xff\xff\xff\xff" + encode(far)[4:16] + b"\x5b\xa0\0\7\0\0\0\1"  # AS_TRANS
    for time in (-1, last + 1, 1 << 60):
        with pytest.raises(TextError, match="from 1970 to 2106"):
            encode(Message(KEEPALIVE, time=time))


def test_path_identifiers_of_one_family_alone_are_refused_beside_another() -> None:
    mp = b"\x80\x0e\x0b\0\2\1\4\xc0\0\2\1\0\x08\x20"
    body = b"\0\0\0" + bytes((len(mp),)) + mp + b"\0\0\0\7\x08\x0a"
    with pytest.raises(TextError, match="path identifiers in one family"):
        mrt.MrtEncoder().encode(Message(UPDATE, body, context=WireContext(add_path=frozenset({IPV4_UNICAST}))))


def test_path_identifiers_may_be_announced_for_records_that_have_no_place_to_say_it() -> None:
    octets = b"".join(
        mrt.MrtEncoder().encode(Message(UPDATE, b"\0\0\0\0\0\0\0\7\x08\x0a", context=context))
        for context in (AS2, AS4, AS2_ADD_PATH, AS4_ADD_PATH)
    )
    for family, said in ((IPV4_UNICAST, True), (IPV6_UNICAST, False)):
        messages, damage, _ = decode(octets, context=WireContext(add_path=frozenset({family})))
        assert damage == []
        assert [IPV4_UNICAST in message.context.add_path for message in messages] == [said, said, True, True]
        assert [message.context.as4 for message in messages] == [False, True, False, True]
        assert [message.update.reach[0].path_id for message in messages if said] == [7, 7, 7, 7][: 4 * said]


@pytest.mark.parametrize(
    ("body", "family"),
    [
        (b"\0\0\0\0\0\0\0\1\x08\x0a", IPV4_UNICAST),
        (b"\0\5\0\0\0\1\0\0\0", IPV4_UNICAST),
        (b"\0\0\0\6\x80\x0f\3\0\2\1", IPV6_UNICAST),
        (b"\0\0\0\x09\x40\1\1\0\x80\x0e\3\0\2", IPV4_UNICAST),
        (b"\0", IPV4_UNICAST),
    ],
)
def test_path_identifiers_of_a_session_are_told_by_the_family(body: bytes, family: object) -> None:
    for add_path in (frozenset({IPV4_UNICAST}), frozenset({IPV6_UNICAST})):
        octets = mrt.MrtEncoder().encode(Message(UPDATE, body, context=WireContext(add_path=add_path)))
        assert octets[7] == (9 if family in add_path else 4)
    assert mrt.MrtEncoder().encode(Message(KEEPALIVE, context=WireContext(add_path={IPV4_UNICAST})))[7] == 4


@pytest.mark.parametrize("extended", [False, True])
@pytest.mark.parametrize("as4", [False, True])
def test_state_changes_are_counted_and_given_on_request(as4: bool, extended: bool) -> None:
    body = (b"\0\0\xfd\xe9\0\0\0\0" if as4 else b"\xfd\xe9\0\0") + b"\0\0" + V4 + b"\0\6\0\1"
    octets = record(17, 5 if as4 else 0, bytes(4) + body) if extended else record(16, 5 if as4 else 0, body)
    messages, damage, counts = decode(octets * 3)
    assert (messages, damage, counts.states, counts.records, counts.messages) == ([], [], 3, 3, 0)
    change = one(octets, states=True)
    assert isinstance(change, StateChange)
    assert (change.type, change.old, change.new, change.octets) == ("STATE", 6, 1, b"")
    assert json.loads(json_format.JsonEncoder().encode(change)) == [
        "?",
        0,
        "2023-11-14T22:13:20.000",
        "STATE",
        {"old": "ESTABLISHED", "new": "IDLE"},
        {"PEER_AS": "65001", "PEER_IP": "192.0.2.1", "LOCAL_IP": "192.0.2.2"},
    ]
    assert mrt.MrtEncoder().encode(change) == record(17, 5 if as4 else 0, bytes(4) + body)


def test_states_stand_in_order_between_messages() -> None:
    head = b"\xfd\xe9\0\0\0\0" + V4
    alive, change = record(16, 1, head + ALIVE), record(16, 0, head + b"\0\1\0\2")
    messages, _, counts = decode(alive + change + alive + alive + change, states=True)
    assert [message.type for message in messages] == ["KEEPALIVE", "STATE", "KEEPALIVE", "KEEPALIVE", "STATE"]
    assert (counts.messages, counts.states, counts.records) == (3, 2, 5)


def test_the_old_type_bgp() -> None:
    """RFC 6396 appendix B.1: messages without their header, from IPv4 peers with 2-octet AS numbers."""
    head = bytes.fromhex("0d05c1000038fffdc1000001")
    body = bytes.fromhex("0000000b4001010040020402010d0518c00002")
    message = one(record(5, 1, head + body))
    assert (message.type, message.body, message.context) == ("UPDATE", body, AS2)
    assert message.tags == {"PEER_AS": "3333", "PEER_IP": "193.0.0.56", "LOCAL_AS": "65533", "LOCAL_IP": "193.0.0.1"}
    assert str(message.update.reach[0]) == "192.0.2.0/24"
    assert one(record(5, 7, head)).type == "KEEPALIVE"
    assert one(record(5, 5, head + b"\4" + bytes(9))).type == "OPEN"
    assert one(record(5, 6, head + b"\6\2")).type == "NOTIFY"
    change = one(record(5, 3, bytes.fromhex("0d05c100003800020004")), states=True)
    assert isinstance(change, StateChange)
    assert (change.old, change.new, change.tags) == (2, 4, {"PEER_AS": "3333", "PEER_IP": "193.0.0.56"})


@pytest.mark.parametrize(
    ("kind", "subtype", "size", "name"),
    [
        (16, 2, 30, "BGP4MP/ENTRY"),
        (16, 3, 4, "BGP4MP/SNAPSHOT"),
        (16, 99, 4, "BGP4MP/99"),
        (13, 6, 60, "TABLE_DUMP_V2/RIB_GENERIC"),
        (13, 7, 12, "TABLE_DUMP_V2/GEO_PEER_TABLE"),
        (5, 4, 8, "BGP/SYNC"),
        (11, 0, 44, "OSPFv2"),
        (49, 0, 44, "OSPFv3_ET"),
        (999, 1, 0, "type 999"),
    ],
)
def test_other_records_are_skipped_by_name(kind: int, subtype: int, size: int, name: str) -> None:
    other = record(kind, subtype, bytes(size))
    alive = record(16, 1, bytes(6) + V4 + ALIVE)
    twice = other if kind in TYPE_NAMES else alive  # only the end or a record that is known may follow another
    for octets in (other, alive + other + twice + alive):
        messages, damage, counts = decode(octets)
        assert damage == []
        assert counts.kinds == {name: octets.count(other)}
        assert counts.skipped == octets.count(other)
        assert len(messages) == octets.count(alive)
        assert counts.records == counts.skipped + len(messages)


def test_guessing_is_for_whoever_reads_the_message() -> None:
    alive = record(16, 1, bytes(6) + V4 + ALIVE)
    needs_check = record(16, 4, bytes(10) + V4 + Message(UPDATE, b"\0").octets)
    old = record(5, 7, bytes(12))
    for guess_as in (False, True):
        messages, _, _ = decode(alive + needs_check + old + alive, context=WireContext(guess_as=guess_as))
        assert [message.context.guess_as for message in messages] == [guess_as] * 4
        assert [message.context.as4 for message in messages] == [False, True, False, False]


def test_pieces_larger_than_a_block_are_cut() -> None:
    alive = record(16, 1, bytes(6) + V4 + ALIVE)
    octets = alive * (3 << 20 // len(alive))
    decoder = mrt.MrtDecoder()
    items = [*decoder.feed(octets), *decoder.end()]
    assert sum(len(item) if isinstance(item, Block) else 1 for item in items) == len(octets) // len(alive)
    assert all(len(item.octets) < 2 << 20 for item in items if isinstance(item, Block))


def test_blocks_are_written_as_their_messages_are() -> None:
    head = ENTRY.pack(0, 7, 0, NO_PEER, 19, 1, 0) + ENTRY.pack(0, 7, 19, NO_PEER, 19, 0, 0)
    block = Block(ALIVE + ALIVE, bytearray(head))
    encode = mrt.MrtEncoder().encode
    assert encode(block) == b"".join(map(encode, block))
    assert encode(block) == record(17, 4, b"\0\0\0\7" + NOBODY + ALIVE, 0) + record(
        17, 1, b"\0\0\0\7" + NOBODY[4:] + ALIVE, 0
    )


def test_sniffing() -> None:
    head = bytes(6) + V4
    alive = record(16, 1, head + ALIVE)
    assert mrt.sniff(alive)
    assert mrt.sniff(alive[:-1])
    assert mrt.sniff(record(13, 1, bytes(8))[:12])
    assert mrt.sniff(record(13, 1, bytes(8)) + alive)
    assert mrt.sniff(record(12, 2, bytes(46)) + alive)
    assert mrt.sniff(record(5, 7, bytes(12)) + record(5, 7, bytes(12)))
    assert not mrt.sniff(b"")
    assert not mrt.sniff(alive[:11])
    assert not mrt.sniff(ALIVE)
    assert not mrt.sniff(b'["R",1,null,"KEEPALIVE",null,{}]\n' * 9)
    assert not mrt.sniff(b"\3\0\0\0\6\4" + bytes(60))  # BMP
    assert not mrt.sniff(record(16, 1, head + ALIVE[1:] + b"x"))
    assert not mrt.sniff(record(13, 1, bytes(8)) + b"this is no header")


def test_octets_of_zero_are_one_damage() -> None:
    alive = record(16, 1, bytes(6) + V4 + ALIVE)
    for zeros in (11, 48, 5000):
        messages, damage, counts = decode(alive + bytes(zeros) + alive)
        assert (len(messages), len(damage), counts.skipped) == (2, 1, 0)
