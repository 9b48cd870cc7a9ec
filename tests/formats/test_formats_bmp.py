"""BMP and OpenBMP: messages of every type, in and out."""

from __future__ import annotations

import random
from ipaddress import ip_address

import pytest

import vectors
from bgpipe.formats import find, sniff
from bgpipe.formats.base import DecoderOptions
from bgpipe.wire import bmp
from bgpipe.wire.block import Block
from bgpipe.wire.bmp import PeerHeader, encode_tlv, peer_from_tags
from bgpipe.wire.body import body_from_json
from bgpipe.wire.context import AS4, AS4_ADD_PATH
from bgpipe.wire.errors import WireError
from bgpipe.wire.family import IPV4_UNICAST
from bgpipe.wire.message import KEEPALIVE, NOTIFICATION, OPEN, UPDATE, Message
from bgpipe.wire.update import Update
from cases import all_cases

TIME = 1_700_000_000_123_456
PEER = PeerHeader(0, 0, bytes(8), bytes((192, 0, 2, 1)), 65001, bytes((192, 0, 2, 1)), TIME)
ADD_PATH = {"ADDPATH": ["IPV4/UNICAST/BIDIR"], "AS4": 4200000001, "MP": ["IPV4/UNICAST"]}


def framed(kind: int, content: bytes, peer: PeerHeader | None = PEER, version: int = 3) -> bytes:
    octets = (peer.encode() if peer is not None else b"") + content
    return bmp.COMMON_HEADER.pack(version, len(octets) + 6, kind) + octets


def update(prefix: str = "198.51.100.0/24", **more) -> bytes:
    attrs = {"ORIGIN": "IGP", "ASPATH": [65001]}
    return Message(UPDATE, Update.make(reach=[prefix], next_hop="192.0.2.1", attrs=attrs, **more).body).octets


def open_of(asn: int, caps: dict[str, object] | None = None) -> bytes:
    item = {"asn": asn, "id": "192.0.2.1", "hold": 90, "caps": caps or {"MP": ["IPV4/UNICAST"]}}
    return Message(OPEN, body_from_json(OPEN, item, AS4)).octets


PEER_UP = framed(bmp.PEER_UP, bytes(20) + open_of(65000) + open_of(65001) + encode_tlv(0, b"hello"))
INITIATION = framed(bmp.INITIATION, encode_tlv(2, b"edge1") + encode_tlv(1, b"a router"), None)
STATISTICS = framed(bmp.STATISTICS, b"\0\0\0\3" + encode_tlv(7, bytes(7) + b"\5") + encode_tlv(0, b"\0\0\0\1"))
DOWN = framed(bmp.PEER_DOWN, b"\3" + Message(NOTIFICATION, b"\6\2").octets)
TERMINATION = framed(bmp.TERMINATION, encode_tlv(1, b"\0\3") + encode_tlv(0, b"bye"), None)
MIRRORED = framed(bmp.ROUTE_MIRRORING, encode_tlv(0, update("203.0.113.0/24")))
LOST = framed(bmp.ROUTE_MIRRORING, encode_tlv(1, b"\0\1"))
MONITORED = framed(bmp.ROUTE_MONITORING, update())
ALL = [INITIATION, PEER_UP, MONITORED, MONITORED, MIRRORED, LOST, STATISTICS, DOWN, TERMINATION]


def decode(octets: bytes, name: str = "bmp", *, states: bool = True, size: int = 0) -> tuple[list[Message], list[str]]:
    damage: list[str] = []
    decoder = find(name).open_decoder(DecoderOptions(on_damage=lambda each: damage.append(str(each)), states=states))
    step = size or len(octets) or 1
    items = [item for pos in range(0, len(octets), step) for item in decoder.feed(octets[pos : pos + step])]
    items += decoder.end()
    messages = [message for item in items for message in (item if isinstance(item, Block) else [item])]
    assert decoder.counts.damaged == len(damage)
    assert name == "json" or decoder.counts.messages == sum(message.type != "BMP" for message in messages)
    return messages, damage


def encode(messages: list[Message], name: str = "bmp") -> bytes:
    return b"".join(map(find(name).open_encoder().encode, messages))


@pytest.mark.parametrize("size", [0, 1, 7, 50])
def test_messages_of_every_type_come_back(size):
    messages, damage = decode(b"".join(ALL), size=size)
    assert damage == []
    assert encode(messages) == b"".join(ALL)


@all_cases("name", ["json", "obmp"])
def test_they_come_back_from_other_formats(name):
    messages, _ = decode(b"".join(ALL))
    again, damage = decode(encode(messages, name), name)
    assert damage == []
    assert encode(again) == b"".join(ALL)


def test_what_a_router_says_becomes_messages_with_tags():
    messages, _ = decode(b"".join(ALL), states=False)
    peer = {"PEER_AS": "65001", "PEER_IP": "192.0.2.1", "PEER_ID": "192.0.2.1"}
    router = {"ROUTER": "edge1"}
    assert [(message.type, message.tags, message.time) for message in messages] == [
        ("OPEN", peer | {"RIB": "in-pre"} | router, TIME),
        ("OPEN", peer | {"RIB": "out-pre"} | router, TIME),
        ("UPDATE", peer | {"RIB": "in-pre"} | router, TIME),
        ("UPDATE", peer | {"RIB": "in-pre"} | router, TIME),
        ("UPDATE", peer | {"RIB": "in-pre"} | router | {"BMP": "ROUTE_MIRRORING"}, TIME),
        ("NOTIFY", peer | {"RIB": "in-pre"} | router, TIME),
    ]
    assert [message.open.asn for message in messages[:2]] == [65001, 65000], "the peer's OPEN comes first"


def test_a_message_without_a_bgp_message_says_what_it_holds():
    shown = {message.body: message.format_json() for message in decode(b"".join(ALL))[0] if message.type == "BMP"}
    assert '"sysName":"edge1","sysDescr":"a router"' in shown[INITIATION].replace('": "', '":"')
    assert '"reason":"redundant connection","text":"bye"' in shown[TERMINATION]
    assert '"type":"STATISTICS_REPORT","adj_rib_in":5,"rejected":1' in shown[STATISTICS]
    assert '"reason":"remote, NOTIFICATION received"' in shown[DOWN]
    assert '"type":"VERSION_4"' in decode(framed(bmp.ROUTE_MONITORING, b"abc", version=4))[0][0].format_json()


def test_hostile_texts_stay_in_their_string():
    evil = b'"],"x":[\x1b[2J\xff\n'
    (message,) = decode(framed(bmp.INITIATION, encode_tlv(2, evil), None))[0]
    text = encode([message], "json")
    assert text.count(b"\n") == 1
    assert b"\x1b" not in text
    assert decode(text, "json")[0][0].body == message.body


def test_path_identifiers_are_read_as_the_opens_agreed():
    up = framed(bmp.PEER_UP, bytes(20) + open_of(65000, ADD_PATH) + open_of(65001, ADD_PATH))
    context = decode(up)[0][1].context
    assert IPV4_UNICAST not in context.add_path
    body = bytes.fromhex("00000014400101004002060201fd e9 0000400304c00002010000000718c63364".replace(" ", ""))
    body = Update.make(
        reach=["198.51.100.0/24"], next_hop="192.0.2.1", attrs={"ORIGIN": "IGP", "ASPATH": [65001]}
    ).body.replace(b"\x18\xc6\x33\x64", b"\0\0\0\7\x18\xc6\x33\x64")
    monitored = framed(bmp.ROUTE_MONITORING, Message(UPDATE, body).octets)
    other = framed(bmp.ROUTE_MONITORING, update(), PEER._replace(address=bytes((192, 0, 2, 2))))
    messages, damage = decode(up + monitored + other)
    assert damage == []
    assert [prefix.path_id for message in messages[-2:] for prefix in message.update.reach] == [7, None]
    down = framed(bmp.PEER_DOWN, b"\4")
    assert decode(up + down + framed(bmp.ROUTE_MONITORING, update()))[0][-1].update.reach[0].path_id is None


def test_as_numbers_of_two_octets_are_told_by_a_flag():
    body = bytes.fromhex("0000000e4001010040020402 01fde9400304c0000201".replace(" ", ""))
    body = body[:3] + bytes((len(body) - 4,)) + body[4:] + b"\x18\xc6\x33\x64"
    octets = framed(bmp.ROUTE_MONITORING, Message(UPDATE, body).octets, PEER._replace(flags=bmp.FLAG_AS2))
    (message,) = decode(octets)[0]
    assert message.update.as_path is not None
    assert message.update.as_path.ases == (65001,)
    assert encode([message]) == octets


@all_cases(
    ("kind", "flags", "rib"),
    [
        (0, 0, "in-pre"),
        (0, 0x40, "in-post"),
        (0, 0x10, "out-pre"),
        (0, 0x50, "out-post"),
        (3, 0, "loc"),
        (3, 0x80, "loc"),
        (2, 0xA0, "in-pre"),
        (1, 0xFF, "out-post"),
    ],
)
def test_peer_headers_come_back_from_their_tags(kind, flags, rib):
    ipv6 = flags & 0x80 and kind != 3
    address = ip_address("2001:db8::1" if ipv6 else "192.0.2.1").packed
    peer = PeerHeader(kind, flags, bytes.fromhex("0000fde800000001") if kind == 1 else bytes(8), address, 1, bytes(4))
    tags = peer.tags()
    assert tags["RIB"] == rib
    assert peer_from_tags(tags, as4=peer.as4) == peer
    assert PeerHeader.decode(peer.encode()) == peer


def test_damage_costs_the_message_that_has_it():
    generator = random.Random(3)
    whole = [framed(bmp.ROUTE_MONITORING, update(f"10.{number >> 8}.{number & 255}.0/24")) for number in range(400)]
    for _ in range(60):
        stream = bytearray(b"".join(whole))
        pos = generator.randrange(len(stream))
        how = generator.randrange(3)
        if how == 0:
            stream[pos] ^= 1 << generator.randrange(8)
        elif how == 1:
            del stream[pos : pos + generator.randrange(1, 60)]
        else:
            stream[pos:pos] = generator.randbytes(generator.randrange(1, 60))
        messages, _ = decode(bytes(stream))
        found = {message.octets for message in messages}
        lost = sum(octets[48:] not in found for octets in whole)
        assert lost <= 2, (pos, how)


@all_cases(
    ("octets", "error"),
    [
        (b"\3\0\0\0\6", "octet 0: cut short"),
        (MONITORED[:-3], "octet 0: cut short"),
        (b"\1\0\0\0\6\4", "octet 0: not a BMP message"),
        (framed(bmp.ROUTE_MONITORING, update()[:-1]), "octet 0: ROUTE_MONITORING: the BGP message is cut short"),
        (framed(bmp.PEER_UP, bytes(20) + Message(KEEPALIVE).octets * 2), "PEER_UP: Peer Up: an OPEN is expected"),
        (framed(bmp.INITIATION, b"\0\2\0\x10abc", None), "INITIATION: a TLV is cut short"),
    ],
)
def test_what_can_not_be_read_is_told(octets, error):
    messages, damage = decode(octets)
    assert messages == []
    (why,) = damage
    assert why.startswith(error) or error in why
    assert [message.type for message in decode(MONITORED + octets + MONITORED)[0]].count("UPDATE") == 2


def test_the_content_tells_them():
    for octets, name in (
        (INITIATION + MONITORED, "bmp"),
        (MONITORED, "bmp"),
        (encode(decode(MONITORED)[0], "obmp"), "obmp"),
    ):
        found = sniff(octets)
        assert found is not None
        assert found.name == name


def test_openbmp_names_the_collector_and_the_router():
    message = Message(
        UPDATE, Update(update()[19:]).body, time=TIME, tags={"COLLECTOR": "rv", "ROUTER": "2001:db8::9", "PEER_AS": "1"}
    )
    octets = encode([message], "obmp")
    (again,) = decode(octets, "obmp")[0]
    assert {name: again.tags[name] for name in ("COLLECTOR", "ROUTER", "PEER_AS")} == message.tags
    assert encode([again], "obmp") == octets
    messages, damage = decode(b"garbage" + octets + b"OBMP" + octets, "obmp")
    assert (len(messages), len(damage)) == (2, 2)


@vectors.cases("bgpfix_bmp", "bmp", "openbmp")
def test_vectors(row):
    octets, expected = bytes.fromhex(row["hex"]), row["expected"]
    messages, damage = decode(octets, "bmp" if row["kind"] == "bmp" else "obmp")
    if expected == "error":
        assert messages == []
        assert damage or not octets
        return
    if "bgp_hex" in expected:
        assert [message.octets.hex() for message in messages] == [expected["bgp_hex"]]
        tags = messages[0].tags
        assert tags.get("PEER_AS", "0") == str(expected["peer"]["as"])
        assert tags.get("PEER_IP", "0.0.0.0") == expected["peer"]["address"]
    if row["kind"] == "bmp" and not damage:
        assert encode(messages) == octets


@vectors.cases("bgpfix_bmp", "bmp-peer-header")
def test_vectors_of_peer_headers(row):
    octets, expected = bytes.fromhex(row["hex"]), row["expected"]
    if expected == "error":
        with pytest.raises(WireError):
            PeerHeader.decode(octets)
        return
    peer = PeerHeader.decode(octets)
    assert (peer.type, peer.flags, peer.asn) == (expected["type"], expected["flags"], expected["as"])
    assert ip_address(peer.address) == ip_address(expected["address"]) or peer.type == bmp.LOC_RIB
    assert peer.encode() == octets


def with_path_ids(*prefixes: str, asn: int = 65001, context=AS4_ADD_PATH, **tags: str) -> Message:
    body = Update.make(
        reach=prefixes, next_hop="192.0.2.1", attrs={"ORIGIN": "IGP", "ASPATH": [1]}, context=context
    ).body
    tags = {"PEER_AS": str(asn), "PEER_IP": f"192.0.2.{asn % 256}"} | tags
    return Message(UPDATE, body, context=context, time=TIME, tags=tags)


@pytest.mark.parametrize("name", ["bmp", "obmp"])
def test_a_peer_up_tells_of_path_identifiers(name):
    """Of messages from elsewhere, such as MRT: once for each peer, and again where it is otherwise."""
    said = [
        with_path_ids("#7#198.51.100.0/24"),
        with_path_ids("#8#198.51.100.0/24"),
        with_path_ids("#9#203.0.113.0/24", asn=65002),
        with_path_ids("198.51.101.0/24", context=AS4),
        with_path_ids("198.51.102.0/24", asn=65003, context=AS4),
        with_path_ids("#1#198.51.103.0/24"),
    ]
    messages, damage = decode(encode(said, name), name)
    assert damage == []
    assert [str(p) for m in messages if m.type == "UPDATE" for p in m.update.reach] == [
        str(p) for m in said for p in m.update.reach
    ]
    ups = [message.tags["PEER_AS"] for message in messages if message.type == "BMP"]
    assert ups == ["65001", "65002", "65001", "65001"]


def test_a_peer_up_that_has_passed_is_enough():
    """What was read from BMP is written as it was."""
    both = framed(bmp.PEER_UP, bytes(20) + open_of(65000, ADD_PATH) + open_of(65001, ADD_PATH))
    body = Update.make(reach=["#7#198.51.100.0/24"], next_hop="192.0.2.1", context=AS4_ADD_PATH).body
    whole = both + framed(bmp.ROUTE_MONITORING, Message(UPDATE, body).octets)
    assert encode(decode(whole)[0]) == whole


@pytest.mark.parametrize("name", ["mrt", "raw", "bgpdump", "exa"])
def test_formats_without_a_form_for_bmp_leave_it_out(name):
    assert encode(decode(INITIATION)[0], name) == b""
