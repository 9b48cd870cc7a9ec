"""What was announced, as a peer wants to hear it again."""

from __future__ import annotations

import pytest

from bgpipe import accel
from bgpipe.routes.adj_rib_out import DIGEST_UPDATES, AdjRibOut
from bgpipe.session.codec import SessionCodec
from bgpipe.wire.attrs import MP_REACH, MP_UNREACH, OPTIONAL
from bgpipe.wire.attrs.attribute import encode_header
from bgpipe.wire.block import ENTRY, NO_PEER, Block
from bgpipe.wire.context import AS4_ADD_PATH, MAX_MESSAGE
from bgpipe.wire.family import IPV4_UNICAST, IPV6_UNICAST, Family
from bgpipe.wire.flags import FLAG_AS4
from bgpipe.wire.message import KEEPALIVE, OPEN, UPDATE, Message
from bgpipe.wire.open import Open
from bgpipe.wire.update import Update
from bgpipe.wire.update_body import join

ATTRS = {"ORIGIN": "IGP", "ASPATH": [65001]}
FLOWSPEC = Family(1, 133)


def announce(*prefixes: str, next_hop: str = "192.0.2.1", **attrs: object) -> Message:
    return Message(UPDATE, Update.make(reach=prefixes, attrs=ATTRS | attrs, next_hop=next_hop).body)


def withdraw(*prefixes: str) -> Message:
    return Message(UPDATE, Update.make(withdrawn=prefixes).body)


def again(announced: AdjRibOut, family: Family) -> list[Message]:
    return [message for message in announced.replay(family) if message is not None]


def routes(messages: list[Message]) -> dict[str, int | None]:
    return {str(prefix): message.update.med for message in messages for prefix in message.update.reach}


def test_the_last_word_counts() -> None:
    announced = AdjRibOut()
    for message in (
        announce("10.0.0.0/8", "10.1.0.0/16", MED=1),
        Message(KEEPALIVE),
        withdraw("10.1.0.0/16", "192.0.2.0/24"),
        announce("10.0.0.0/8", MED=2),
        announce("2001:db8::/32", next_hop="2001:db8::1"),
        announce("10.2.0.0/16", MED=2),
    ):
        announced.add(message)
    (ipv4,) = again(announced, IPV4_UNICAST)
    assert routes([ipv4]) == {"10.0.0.0/8": 2, "10.2.0.0/16": 2}
    (ipv6,) = again(announced, IPV6_UNICAST)
    assert routes([ipv6]) == {"2001:db8::/32": None}
    assert ipv6.update.next_hop == "2001:db8::1"
    assert again(announced, Family(1, 2)) == []


def test_a_few_messages_of_a_block_keep_no_others_in_memory() -> None:
    messages = [announce(f"10.{n >> 8}.{n & 255}.0/24") for n in range(2000)]
    octets, index = b"", bytearray()
    for message in messages:
        index += ENTRY.pack(0, 0, len(octets), NO_PEER, len(message.octets), FLAG_AS4, 0)
        octets += message.octets
    whole = Block(octets, index)
    announced = AdjRibOut()
    for n in range(0, 2000, 500):
        announced.add(whole.part(n, n + 2))
    assert 0 < announced.held < 8 * (100 + ENTRY.size)
    announced.add(whole)
    assert announced.held > whole.weight
    assert len(routes(again(announced, IPV4_UNICAST))) == 2000
    assert announced.held == 0


def test_messages_are_filled_and_not_too_long() -> None:
    announced = AdjRibOut()
    prefixes = [f"10.{high}.{low}.0/24" for high in range(20) for low in range(256)]
    for prefix in prefixes:
        announced.add(announce(prefix))
    messages = again(announced, IPV4_UNICAST)
    assert sorted(routes(messages)) == sorted(prefixes)
    assert all(len(message.octets) <= MAX_MESSAGE for message in messages)
    assert len(messages) == len(prefixes) * 4 // MAX_MESSAGE + 1


def test_others_have_their_turn() -> None:
    announced = AdjRibOut()
    for number in range(DIGEST_UPDATES * 2):
        announced.add(announce(f"10.{number >> 8}.{number & 255}.0/24"))
    assert [message is None for message in announced.replay(IPV4_UNICAST)][:2] == [True, True]
    assert not announced.digest()


def test_what_is_withdrawn_meanwhile_is_not_announced() -> None:
    announced = AdjRibOut()
    announced.add(announce("10.1.0.0/16", MED=1))
    announced.add(announce("10.2.0.0/16", MED=2))
    refresh = announced.replay(IPV4_UNICAST)
    assert next(refresh) is not None
    announced.add(withdraw("10.2.0.0/16"))
    assert list(refresh) == []


def test_path_identifiers() -> None:
    announced = AdjRibOut()
    for update in (
        Update.make(reach=["#1#10.0.0.0/8", "#2#10.0.0.0/8"], attrs=ATTRS, next_hop="192.0.2.1", context=AS4_ADD_PATH),
        Update.make(withdrawn=["#1#10.0.0.0/8"], context=AS4_ADD_PATH),
    ):
        announced.add(Message(UPDATE, update.body, context=AS4_ADD_PATH))
    (message,) = again(announced, IPV4_UNICAST)
    assert message.context == AS4_ADD_PATH
    assert list(routes([message])) == ["#2#10.0.0.0/8"]


def flowspec(code: int, *specifications: bytes) -> Message:
    nlri = b"".join(bytes((len(each),)) + each for each in specifications)
    value = b"\0\1\x85" + (b"\0\0" if code == MP_REACH else b"") + nlri
    return Message(UPDATE, join(b"", encode_header(OPTIONAL, code, len(value)) + value, b""))


def test_flow_specifications_are_taken_apart() -> None:
    announced = AdjRibOut()
    announced.add(flowspec(MP_REACH, b"\1\x18\xc0\0\2", b"\3\x81\6"))
    announced.add(flowspec(MP_UNREACH, b"\1\x18\xc0\0\2"))
    (message,) = again(announced, FLOWSPEC)
    assert message.body == flowspec(MP_REACH, b"\3\x81\6").body


def test_what_can_not_be_read_is_no_route() -> None:
    announced = AdjRibOut()
    announced.add(Message(UPDATE, b"\0\x30\0\0"))
    assert again(announced, IPV4_UNICAST) == []


@pytest.mark.skipif(not accel.AVAILABLE, reason="blocks come from accel")
def test_blocks() -> None:
    octets = b"".join(announce(f"10.{number}.0.0/16").octets for number in range(10))
    codec = SessionCodec()
    codec.facts.on_received(Message(OPEN, Open(65002, 90, "192.0.2.2").encode()))
    codec.facts.on_sent(Message(OPEN, Open(65001, 90, "192.0.2.1").encode()))
    items = list(codec.feed(octets, 1))
    assert any(isinstance(item, Block) for item in items)
    announced = AdjRibOut()
    for item in items:
        announced.add(item)
    assert len(routes(again(announced, IPV4_UNICAST))) == 10


def mp(kind: str, family: str, *routes: dict[str, object]) -> Message:
    """An UPDATE that announces (MP_REACH) or withdraws (MP_UNREACH) routes of another family."""
    value = {"af": family, "routes": list(routes)} | ({"nexthop": "192.0.2.1"} if kind == "MP_REACH" else {})
    return Message(UPDATE, Update.make(attrs=(ATTRS if kind == "MP_REACH" else {}) | {kind: value}).body)


def vpn(number: int, label: int | str = 100) -> dict[str, object]:
    return {"rd": "65000:1", "prefix": f"10.{number}.0.0/16", "labels": [label]}


def mac_ip(number: int, label: int = 100, esi: str = "0") -> dict[str, object]:
    known = {"type": "MAC_IP", "rd": "65000:1", "esi": esi, "tag": 0, "mac": f"00:00:5e:00:53:{number:02x}"}
    return known | {"ip": "192.0.2.1", "labels": [label]}


def ip_prefix(number: int, label: int = 100) -> dict[str, object]:
    known = {"type": "IP_PREFIX", "rd": "65000:1", "esi": "0", "tag": 0, "prefix": f"10.{number}.0.0/16"}
    return known | {"gateway": "0.0.0.0", "labels": [label]}


@pytest.mark.parametrize(
    ("family", "route", "gone"),
    [
        ("IPV4/MPLS_VPN", vpn, vpn(1, "0x800000")),
        ("IPV4/MPLS_VPN", vpn, vpn(1, "0x000000")),
        ("L2VPN/EVPNS", mac_ip, mac_ip(1, 0)),
        ("L2VPN/EVPNS", ip_prefix, ip_prefix(1, 0)),
    ],
)
def test_routes_with_labels_come_and_go_one_by_one(family, route, gone) -> None:
    """Of several in one UPDATE one is withdrawn, whatever its label says, and one gets another label."""
    announced = AdjRibOut()
    announced.add(mp("MP_REACH", family, route(1), route(2), route(3)))
    announced.add(mp("MP_UNREACH", family, gone))
    announced.add(mp("MP_REACH", family, route(3, 200)))
    while announced.digest():
        pass
    (table,) = announced.routes.values()
    assert len(table) == 2
    messages = again(announced, *announced.routes)
    told = [dict(each.members) for message in messages for each in message.update.routes]
    assert told == [route(2), route(3, 200)]


def test_two_ethernet_segments_of_a_mac_address_are_one_route() -> None:
    announced = AdjRibOut()
    for esi in ("0", "00:11:22:33:44:55:66:77:88:99"):
        announced.add(mp("MP_REACH", "L2VPN/EVPNS", mac_ip(1, esi=esi)))
    assert len(again(announced, Family(25, 70))) == 1
