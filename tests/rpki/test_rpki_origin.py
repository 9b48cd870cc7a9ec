"""Route origin validation of UPDATEs: origins, verdicts, tags, blocks."""

from __future__ import annotations

import pytest

from bgpipe.rpki.origin import Rules, judge, judge_block, origin_as, sender_of, tags_of
from bgpipe.rpki.snapshot import Snapshot
from bgpipe.rpki.vrps import Validity, Vrp
from bgpipe.wire.attrs import as_path
from bgpipe.wire.block import ENTRY, NO_PEER, Block
from bgpipe.wire.context import AS2, AS4, AS4_ADD_PATH
from bgpipe.wire.errors import WireError
from bgpipe.wire.flags import DIRECTION_FLAGS, context_flags
from bgpipe.wire.message import UPDATE, Message
from bgpipe.wire.peer import make_peer
from bgpipe.wire.prefix import parse_prefix
from bgpipe.wire.update import Update

SNAPSHOT = Snapshot.of(
    [
        Vrp(parse_prefix("198.51.100.0/24"), 24, 65001),
        Vrp(parse_prefix("203.0.113.0/24"), 24, 0),
        Vrp(parse_prefix("2001:db8::/32"), 48, 65002),
    ]
)


def block_of(*messages: Message, peer: bytes | None = None) -> Block:
    octets, index = b"", bytearray()
    if peer is not None:
        octets = peer
    for number, message in enumerate(messages):
        flags = context_flags(message.context) | DIRECTION_FLAGS[message.direction] | 4
        place = NO_PEER if peer is None else 0
        index += ENTRY.pack(number, 1000, len(octets), place, len(message.octets), flags, 0)
        octets += message.octets
    return Block(octets, index)


def update(*reach: str, path: object = (65001,), context=AS4) -> Update:
    attrs = {"ORIGIN": "IGP", "ASPATH": path if isinstance(path, list) else list(path)}
    next_hop = "2001:db8::1" if any(":" in each for each in reach) else "192.0.2.1"
    return Update.make(reach=reach, attrs=attrs, next_hop=next_hop, context=context)


@pytest.mark.parametrize(
    ("path", "sender", "origin"),
    [
        ([65001, 65002], 9, 65002),
        ([65001, [65002, 65003]], 9, None),
        ([65001, [65002]], 9, None),
        ([[65002], 65001], 9, 65001),
        ([], 9, 9),
        ([], None, None),
        ([], 0, None),
        ([{"confed_sequence": [65003]}], 9, 9),
        ([{"confed_set": [65003]}], 9, 9),
        ([65001, {"confed_sequence": [65003]}], 9, 65001),
        ([[65001], {"confed_sequence": [65003]}], 9, None),
        ([0], 9, 0),
    ],
)
def test_origin(path, sender, origin):
    assert origin_as(as_path.from_json(path), sender) == origin


def test_no_path_at_all():
    assert origin_as(None, 9) == 9


def test_verdicts():
    found = judge(SNAPSHOT, update("198.51.100.0/24", "198.51.100.0/25", "203.0.113.0/24", "192.0.2.0/24"), None)
    assert tags_of(found) == {
        "rov/198.51.100.0/24": "VALID",
        "rov/198.51.100.0/25": "INVALID",
        "rov/203.0.113.0/24": "INVALID",
        "rov/192.0.2.0/24": "NOT_FOUND",
        "rov/status": "INVALID",
    }
    assert tags_of(judge(SNAPSHOT, update("198.51.100.0/24", "192.0.2.0/24"), None))["rov/status"] == "NOT_FOUND"
    assert tags_of(judge(SNAPSHOT, update("192.0.2.0/24"), None, Rules(strict=True)))["rov/status"] == "INVALID"
    assert tags_of(judge(SNAPSHOT, update(), None)) == {}
    # AS 0 validates nothing, whoever says it
    assert tags_of(judge(SNAPSHOT, update("203.0.113.0/24", path=[0]), None))["rov/status"] == "INVALID"


def test_both_families_and_path_identifiers():
    mixed = Update.make(
        reach=["#7#198.51.100.0/24"],
        attrs={"ORIGIN": "IGP", "ASPATH": [65002], "NEXTHOP": "192.0.2.1"},
        context=AS4_ADD_PATH,
    )
    assert tags_of(judge(SNAPSHOT, mixed, None)) == {"rov/#7#198.51.100.0/24": "INVALID", "rov/status": "INVALID"}
    six = update("2001:db8:1::/48", path=[65002])
    assert tags_of(judge(SNAPSHOT, six, None)) == {"rov/2001:db8:1::/48": "VALID", "rov/status": "VALID"}


def test_other_families_are_not_judged():
    attrs = {
        "ORIGIN": "IGP",
        "ASPATH": [65001],
        "MP_REACH": {"af": "IPV4/MULTICAST", "nexthop": "192.0.2.1", "prefixes": ["198.51.100.0/25"]},
    }
    assert judge(SNAPSHOT, Update.make(attrs=attrs), None) == {}


def test_as4_path_is_merged():
    path = {"ASPATH": [23456], "AS4PATH": [4200000001], "ORIGIN": "IGP"}
    snapshot = Snapshot.of([Vrp(parse_prefix("192.0.2.0/24"), 24, 4200000001)])
    merged = Update.make(reach=["192.0.2.0/24"], attrs=path, next_hop="192.0.2.1", context=AS2)
    assert list(judge(snapshot, merged, None).values()) == [Validity.VALID]


def test_what_cannot_be_decoded():
    with pytest.raises(WireError):
        judge(SNAPSHOT, Update(b"\0\0\0\0\xff", AS4), None)


def test_sender():
    message = Message(UPDATE, direction="R", tags={"PEER_AS": "65009"})
    assert sender_of(message, {"R": 65001}) == 65001
    assert sender_of(message, {"L": 65001}) == 65009
    assert sender_of(message, {"R": 0}) == 65009
    assert sender_of(Message(UPDATE, direction="R", tags={"PEER_AS": "x"}), {}) is None
    assert sender_of(Message(UPDATE), {}) is None


def test_blocks():
    peer = make_peer(65009, bytes([192, 0, 2, 9]), 0, bytes(4), b"\0\0")
    bodies = [
        update("198.51.100.0/24", "198.51.100.0/25"),
        update("2001:db8::/32", path=[65002]),
        update(),
        update("198.51.100.0/24", path=[]),
    ]
    messages = [Message(UPDATE, each.body, direction="R") for each in bodies]
    messages.append(Message(UPDATE, b"\0\0\0\0\xff", direction="R"))
    messages.append(Message(4, b"", direction="R"))
    block = block_of(*messages, peer=peer)
    judged = judge_block(SNAPSHOT, block)
    said = {"PEER_AS": "65009", "PEER_IP": "192.0.2.9"}
    assert [message.tags for message in judged.block] == [
        {
            "PEER_AS": "65009",
            "PEER_IP": "192.0.2.9",
            "rov/198.51.100.0/24": "VALID",
            "rov/198.51.100.0/25": "INVALID",
            "rov/status": "INVALID",
        },
        said | {"rov/2001:db8::/32": "VALID", "rov/status": "VALID"},
        said,
        said | {"rov/198.51.100.0/24": "INVALID", "rov/status": "INVALID"},
        said,
        said,
    ]
    assert judged.invalid == [0, 3]
    assert judged.messages == 3
    assert judged.counts == {Validity.VALID: 2, Validity.INVALID: 2, Validity.NOT_FOUND: 0}
    assert [message.body for message in judged.block] == [message.body for message in messages]
    bare = judge_block(SNAPSHOT, block, senders={"R": 65001}, tag=False)
    assert bare.block is block
    assert bare.invalid == [0]


def test_tags_that_are_too_long_for_a_block():
    many = [f"10.{number >> 8}.{number & 255}.0/24" for number in range(3000)]
    judged = judge_block(
        SNAPSHOT, block_of(Message(UPDATE, update(*many).body), Message(UPDATE, update("192.0.2.0/24").body))
    )
    assert judged.unfit == [0]
    assert judged.counts[Validity.NOT_FOUND] == 3001
    assert [len(message.tags) for message in judged.block] == [0, 2]
