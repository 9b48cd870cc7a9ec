"""RIB dumps: tables, entries, and how they become UPDATEs (see mrt_bundle for the rules)."""

from __future__ import annotations

import json

import pytest
from test_formats_mrt_damage import decode, messages, record

from bgpipe.formats import mrt, mrt_rib
from bgpipe.formats.mrt_bundle import Bundler, RouteAttributes, read_route
from bgpipe.wire.attrs.mp_reach import MpReach
from bgpipe.wire.body import body_from_json
from bgpipe.wire.context import AS2, AS4, AS4_ADD_PATH
from bgpipe.wire.errors import WireError
from bgpipe.wire.family import IPV4_MULTICAST, IPV4_UNICAST, IPV6_MULTICAST, IPV6_UNICAST, Family
from bgpipe.wire.message import UPDATE, Message
from bgpipe.wire.validation import malformed

ORIGIN = b"\x40\1\1\0"
PATH = b"\x40\2\6\2\1\0\0\xfd\xe9"
HOP = b"\x40\3\4\xc0\0\2\1"
MED = b"\x80\4\4\0\0\0\7"
V6 = bytes.fromhex("20010db8000000000000000000000001")
LOCAL = bytes.fromhex("fe800000000000000000000000000001")
SHORT = b"\x80\x0e\x11\x10" + V6  # as RFC 6396 section 4.3.4 wants it
WHOLE = b"\x90\x0e\0\x1a\0\2\1\x10" + V6 + b"\0\x20\x20\1\x0d\xb8"  # as RouteViews writes it
PEERS = [(65001, bytes.fromhex("c0000201")), (65002, bytes.fromhex("c0000202")), (4200000000, V6)]


def table(peers: list[tuple[int, bytes]] = PEERS, as4: bool = True) -> bytes:
    """PEER_INDEX_TABLE."""
    body = b"\x0a\0\0\1\0\4view" + len(peers).to_bytes(2, "big")
    for asn, address in peers:
        kind = 2 * as4 + (len(address) == 16)
        body += bytes((kind,)) + bytes(4) + address + asn.to_bytes(4 if as4 else 2, "big")
    return record(13, 1, body)


def rib(subtype: int, prefix: bytes, *entries: tuple[int, bytes], time: int = 1_700_000_000) -> bytes:
    body = bytes(4) + prefix + len(entries).to_bytes(2, "big")
    for n, (index, attributes) in enumerate(entries):
        path_id = (n + 1).to_bytes(4, "big") if subtype >= 8 else b""
        body += index.to_bytes(2, "big") + bytes(4) + path_id + len(attributes).to_bytes(2, "big") + attributes
    return record(13, subtype, body, time)


def read(octets: bytes) -> list[Message]:
    messages, damage, _ = decode(octets)
    assert damage == []
    return messages


def reach(message: Message) -> list[str]:
    return [str(prefix) for prefix in message.update.reach]


def mp_reach(message: Message) -> MpReach:
    value = message.update.attrs[14].value
    assert isinstance(value, MpReach)
    return value


def test_peers_of_all_kinds() -> None:
    messages = read(table() + rib(2, b"\x08\x0a", *((n, ORIGIN + PATH + HOP) for n in range(3))))
    assert [message.tags for message in messages] == [
        {"PEER_AS": "65001", "PEER_IP": "192.0.2.1"},
        {"PEER_AS": "65002", "PEER_IP": "192.0.2.2"},
        {"PEER_AS": "4200000000", "PEER_IP": "2001:db8::1"},
    ]
    old = read(table(PEERS[:2], as4=False) + rib(2, b"\x08\x0a", (1, ORIGIN + PATH + HOP)))
    assert old[0].tags == {"PEER_AS": "65002", "PEER_IP": "192.0.2.2"}


def test_prefixes_of_the_same_attributes_share_an_update() -> None:
    one, two = ORIGIN + PATH + HOP, ORIGIN + PATH + HOP + MED
    stream = table() + b"".join(
        (
            rib(2, b"\x08\x0a", (0, one), (1, one), time=1),
            rib(2, b"\x08\x0b", (1, one), (0, one), time=1),
            rib(2, b"\x08\x0c", (0, two), time=3),
            rib(2, b"\x08\x0d", (0, one), time=4),
        )
    )
    messages = read(stream)
    got = [(message.tags["PEER_AS"], reach(message), message.time // 1_000_000) for message in messages]
    assert got == [
        ("65001", ["10.0.0.0/8", "11.0.0.0/8"], 1),
        ("65001", ["12.0.0.0/8"], 3),
        ("65001", ["13.0.0.0/8"], 4),
        ("65002", ["10.0.0.0/8", "11.0.0.0/8"], 1),
    ]
    assert messages[1].body == b"\0\0\0\x1b" + two + b"\x08\x0c"


def test_an_update_stays_below_its_estimate() -> None:
    attributes = ORIGIN + PATH + HOP
    count = 3000
    stream = table() + b"".join(rib(2, b"\x18" + n.to_bytes(3, "big"), (0, attributes)) for n in range(count))
    messages = read(stream)
    room = (3800 - 19 - 4 - 64 - len(attributes)) // 4
    sizes = [len(reach(message)) for message in messages]
    assert sizes == [room] * (count // room) + [count % room]
    assert max(len(message.octets) for message in messages) < 4096


def test_a_new_table_and_the_end_send_out_what_is_pending_by_index() -> None:
    attributes = ORIGIN + PATH + HOP
    stream = rib(2, b"\x08\x0a", (2, attributes), (0, attributes)) + table(PEERS[:1])
    messages = read(table() + stream + rib(2, b"\x08\x0b", (0, attributes)))
    assert [(message.tags["PEER_AS"], reach(message)[0]) for message in messages] == [
        ("65001", "10.0.0.0/8"),
        ("4200000000", "10.0.0.0/8"),
        ("65001", "11.0.0.0/8"),
    ]


@pytest.mark.parametrize("mp", [SHORT, WHOLE, b"\xd0\x0e\0\x11\x10" + V6])
def test_ipv6_has_its_next_hop_in_mp_reach(mp: bytes) -> None:
    stream = table() + rib(4, b"\x20\x20\1\x0d\xb8", (0, ORIGIN + mp + MED)) + rib(4, b"\0", (0, ORIGIN + mp + MED))
    (message,) = read(stream)
    value = b"\0\2\1\x10" + V6 + b"\0" + b"\x20\x20\1\x0d\xb8\0"
    attributes = ORIGIN + b"\x80\x0e" + bytes((len(value),)) + value + MED
    assert message.body == b"\0\0" + len(attributes).to_bytes(2, "big") + attributes
    assert reach(message) == ["2001:db8::/32", "::/0"]
    assert mp_reach(message).next_hop == "2001:db8::1"


def test_a_link_local_next_hop_is_kept() -> None:
    (message,) = read(table() + rib(4, b"\0", (0, ORIGIN + b"\x80\x0e\x21\x20" + V6 + LOCAL)))
    assert (mp_reach(message).next_hop, mp_reach(message).link_local) == ("2001:db8::1", "fe80::1")


def test_many_prefixes_make_mp_reach_extended() -> None:
    stream = table() + b"".join(rib(4, b"\x30\x20\1" + n.to_bytes(4, "big"), (0, ORIGIN + SHORT)) for n in range(40))
    (message,) = read(stream)
    assert message.body[8:12] == b"\x90\x0e" + (21 + 40 * 7).to_bytes(2, "big")
    assert len(reach(message)) == 40


@pytest.mark.parametrize(
    ("subtype", "attributes", "family", "hop"),
    [
        (3, ORIGIN + HOP, IPV4_MULTICAST, "192.0.2.1"),
        (3, ORIGIN + b"\x80\x0e\5\4\xc0\0\2\1", IPV4_MULTICAST, "192.0.2.1"),
        (5, ORIGIN + SHORT, IPV6_MULTICAST, "2001:db8::1"),
        (2, ORIGIN + SHORT, IPV4_UNICAST, "2001:db8::1"),  # RFC 8950
        (4, ORIGIN + HOP, IPV6_UNICAST, None),  # BIRD leaves it out
        (5, b"", IPV6_MULTICAST, None),
        (3, ORIGIN, IPV4_MULTICAST, None),
    ],
)
def test_other_families_are_in_mp_reach(subtype: int, attributes: bytes, family: Family, hop: str | None) -> None:
    (message,) = read(table() + rib(subtype, b"\x08\x20", (0, attributes)))
    assert mp_reach(message).family == family
    assert mp_reach(message).next_hop == hop
    assert len(reach(message)) == 1
    assert message.update.next_hop == hop or HOP in attributes
    assert ('"nexthop":"' in message.format_json().partition("MP_REACH")[2]) == (hop is not None)
    back = body_from_json(UPDATE, json.loads(message.format_json()))
    assert back == message.body
    assert malformed(message.update) == []


def test_an_update_has_the_time_of_all_its_entries() -> None:
    one = ORIGIN + PATH + HOP
    entries = [rib(2, bytes((8, 10 + n)), (0, one), (1, one), time=1 + n // 2) for n in range(5)]
    messages = read(table() + b"".join(entries))
    got = [(message.tags["PEER_AS"], reach(message), message.time // 1_000_000) for message in messages]
    parts = [(["10.0.0.0/8", "11.0.0.0/8"], 1), (["12.0.0.0/8", "13.0.0.0/8"], 2), (["14.0.0.0/8"], 3)]
    assert sorted(got) == [(peer, *part) for peer in ("65001", "65002") for part in parts]


@pytest.mark.parametrize(
    ("attributes", "body"),
    [
        (ORIGIN + HOP, ORIGIN + HOP),
        (ORIGIN, ORIGIN),
        (b"", b""),
        (ORIGIN + b"\x80\x0e\5\4\xc0\0\2\1" + MED, ORIGIN + HOP + MED),
        (b"\x40\3\4\x0a\0\0\1" + b"\x80\x0e\5\4\xc0\0\2\1" + MED, HOP + MED),
        (b"\x80\x0e\5\4\xc0\0\2\1" + MED + b"\x40\3\4\x0a\0\0\1", HOP + MED),
        (b"\x90\x0e\0\x0b\0\1\1\4\xc0\0\2\1\0\x08\x0a", HOP),
    ],
)
def test_ipv4_has_its_next_hop_in_next_hop(attributes: bytes, body: bytes) -> None:
    (message,) = read(table() + rib(2, b"\x08\x0a", (0, attributes)))
    assert message.body == b"\0\0" + len(body).to_bytes(2, "big") + body + b"\x08\x0a"


@pytest.mark.parametrize(("subtype", "prefix"), [(8, b"\x08\x0a"), (9, b"\x08\x0a"), (10, b"\0"), (11, b"\0")])
def test_path_identifiers(subtype: int, prefix: bytes) -> None:
    attributes = ORIGIN + (HOP if subtype < 10 else SHORT)
    (message,) = read(table() + rib(subtype, prefix, (0, attributes), (0, attributes)))
    text = "10.0.0.0/8" if subtype < 10 else "::/0"
    assert reach(message) == [f"#1#{text}", f"#2#{text}"]
    assert message.context == AS4_ADD_PATH


def v1(afi: int, address: bytes, length: int, peer: bytes, attributes: bytes) -> bytes:
    body = bytes(4) + address + bytes((length, 1)) + bytes(4) + peer + b"\xfd\xe9"
    return record(12, afi, body + len(attributes).to_bytes(2, "big") + attributes)


def test_table_dump_version_1() -> None:
    attributes = ORIGIN + b"\x40\2\4\2\1\xfd\xe9" + HOP
    first, second = bytes.fromhex("c0000201"), bytes.fromhex("c0000202")
    stream = b"".join(v1(1, bytes((10 + n, 0, 0, 0)), 8, (second, first)[n % 2], attributes) for n in range(4))
    messages = read(stream + v1(2, bytes.fromhex("20010db8") + bytes(12), 32, V6, ORIGIN + SHORT))
    assert [(message.tags["PEER_IP"], reach(message)) for message in messages] == [
        ("192.0.2.2", ["10.0.0.0/8", "12.0.0.0/8"]),
        ("192.0.2.1", ["11.0.0.0/8", "13.0.0.0/8"]),
        ("2001:db8::1", ["2001:db8::/32"]),
    ]
    assert {message.context for message in messages} == {AS2}
    assert str(messages[0].update.as_path) == "65001"


def test_bad_entries_are_left_out_and_told_once_for_a_record() -> None:
    good = ORIGIN + PATH + HOP
    stream = (
        table() + rib(2, b"\x08\x0a", (0, b"\x40"), (1, good), (9, good), (0, good)) + rib(2, b"\x08\x0b", (0, good))
    )
    messages, damage, counts = decode(stream)
    assert [(message.tags["PEER_AS"], len(reach(message))) for message in messages] == [("65001", 2), ("65002", 1)]
    assert len(damage) == 1
    assert damage[0].text.startswith("2 of 4 RIB entries left out: ")
    assert damage[0].offset == len(table())
    assert (counts.records, counts.damaged) == (3, 1)


@pytest.mark.parametrize(
    "mp", [b"\x80\x0e\0", b"\x80\x0e\1\0", b"\x80\x0e\3\x04\1\2", b"\x80\x0e\4\0\1\1\4", b"\x80\x0e\x09\1"]
)
def test_an_mp_reach_without_a_next_hop_is_a_bad_entry(mp: bytes) -> None:
    messages, damage, _ = decode(table() + rib(4, b"\0", (0, ORIGIN + mp)))
    assert (messages, len(damage)) == ([], 1)


def test_attributes_that_fill_a_message() -> None:
    """Nothing is split: what does not fit into 65535 octets is a bad entry."""
    for size, fits in ((65535 - 19 - 4 - 64 - 2 - 4, True), (65535 - 4, False)):
        attributes = b"\xd0\x63" + size.to_bytes(2, "big") + bytes(size)
        messages, damage, _ = decode(table() + rib(2, b"\x08\x0a", (0, attributes)) + rib(2, b"\x08\x0b", (0, ORIGIN)))
        assert [reach(message) for message in messages] == ([["10.0.0.0/8"]] if fits else []) + [["11.0.0.0/8"]]
        assert len(damage) == (not fits)


def test_entries_without_a_table_still_count() -> None:
    entries = rib(2, b"\x08\x0a", (3, ORIGIN + HOP), (0, ORIGIN + HOP)) + rib(2, b"\x08\x0b", (200, ORIGIN + HOP))
    messages, damage, _ = decode(entries + table() + rib(2, b"\x08\x0c", (1, ORIGIN + HOP)))
    assert [reach(message)[0] for message in messages] == ["10.0.0.0/8", "10.0.0.0/8", "11.0.0.0/8", "12.0.0.0/8"]
    assert [message.tags.get("PEER_AS") for message in messages] == [None, None, None, "65002"]
    assert [each.text for each in damage] == [
        "RIB entries without a PEER_INDEX_TABLE before them: their peers are not known"
    ]


def test_read_route_and_the_bundler_by_themselves() -> None:
    route = read_route(ORIGIN + SHORT + MED, IPV6_UNICAST, AS4)
    assert route == RouteAttributes(IPV6_UNICAST, ORIGIN, V6, MED, AS4)
    assert route.estimate == 19 + 4 + 64 + len(ORIGIN + MED)
    with pytest.raises(WireError):
        read_route(b"\x40\1\2\0", IPV4_UNICAST, AS4)
    bundler = Bundler()
    with pytest.raises(WireError):
        bundler.add(0, 0, route, b"\0")
    peers = [n.to_bytes(4, "big") + bytes(7) + b"\1" + bytes(8) for n in range(3)]
    assert [bundler.number(peer) for peer in (*peers, peers[1])] == [0, 1, 2, 1]
    bundler.add(2, 5, route, b"\0")
    bundler.add(1, 6, route, b"\0")
    assert bundler.take() == []
    bundler.flush()
    assert [(message.peer, message.time) for message in bundler.take()] == [(peers[1], 6), (peers[2], 5)]
    assert bundler.take() == []


@pytest.fixture(params=["accel", "python"])
def either(request, monkeypatch):
    """With the compiled part, where there is one, and without it."""
    if request.param == "python":
        monkeypatch.setattr(mrt, "_accel", None)
        monkeypatch.setattr(mrt_rib, "_accel", None)


def test_routes_come_before_the_messages_behind_them(either) -> None:
    """A table and then updates in one file, cut anywhere; also where what is behind the table can't be read."""
    routes = table() + rib(2, b"\x08\x0a", *((n, ORIGIN + PATH + HOP) for n in range(3)))
    updates = messages(3)
    times = [message.time for message in read(b"".join(updates))]
    for size in (1, 40, 1 << 16):
        found = decode(routes + b"".join(updates) + routes, size)[0]
        assert [message.time for message in found[3:6]] == times
        assert (
            [reach(message) for message in found[:3]]
            == [reach(message) for message in found[6:]]
            == 3 * [["10.0.0.0/8"]]
        )
    bad = record(16, 4, bytes(8) + b"\0\0\0\7" + bytes(60))  # addresses of an unknown family
    found, damage, _ = decode(routes + bad + b"".join(updates))
    assert len(damage) == 1
    assert [message.time for message in found[3:]] == times


def test_each_entry_by_itself(either) -> None:
    """As bgpdump shows them: in their order, no two in one UPDATE."""
    same = ORIGIN + PATH + HOP
    octets = table() + b"".join(rib(2, bytes((8, n)), (1, same), (0, same)) for n in range(10, 13))
    found = decode(octets, entries=True)[0]
    peers = [(message.tags["PEER_AS"], reach(message)) for message in found]
    assert peers == [(asn, [f"{n}.0.0.0/8"]) for n in range(10, 13) for asn in ("65002", "65001")]
    assert [message.body for message in decode(octets)[0]] != [message.body for message in found]
