"""Endpoints as the two ends of a proxied session: what comes in at one leaves at the other."""

from __future__ import annotations

import pytest

from bgpipe import accel
from bgpipe.session.codec import SessionCodec
from bgpipe.wire import caps
from bgpipe.wire.block import Block
from bgpipe.wire.caps import Capability, add_path, mp
from bgpipe.wire.family import IPV4_UNICAST, IPV6_UNICAST, Family
from bgpipe.wire.message import HEADER, KEEPALIVE, NOTIFICATION, OPEN, UPDATE, Message
from bgpipe.wire.open import Open
from bgpipe.wire.prefix import parse_prefix
from bgpipe.wire.update import Update

IPV4 = Capability(caps.MP, mp.encode(IPV4_UNICAST))
IPV6 = Capability(caps.MP, mp.encode(IPV6_UNICAST))
AS4 = Capability(caps.AS4, (65001).to_bytes(4, "big"))
EXTENDED = Capability(caps.EXTENDED_MESSAGE)


def greeting(*capabilities: Capability) -> bytes:
    return Message(OPEN, Open(65001, 90, "192.0.2.1", capabilities).encode()).octets


def add_paths(*families: object, direction: int = add_path.SEND | add_path.RECEIVE) -> list[Capability]:
    values = add_path.encode(dict.fromkeys(families, direction))  # type: ignore[misc]
    return [Capability(caps.ADD_PATH, value) for value in values]


def agree(codec: SessionCodec, received: bytes, sent: bytes) -> None:
    for item in codec.feed(received, 1):
        assert isinstance(item, Message)
    (message,) = SessionCodec().feed(sent, 1)
    codec.encode(message)
    assert codec.facts.agreement is not None


@pytest.mark.parametrize(
    "capability",
    [
        Capability(caps.ADD_PATH, bytes.fromhex("00010104")),
        Capability(caps.FQDN, b"\xff"),
        Capability(caps.ROLE),
        Capability(caps.MP, b"\0"),
    ],
    ids=str,
)
def test_a_capability_that_cannot_be_read_hides_no_other(capability: Capability) -> None:
    """What two routers let pass in each other's OPEN must not spoil how their messages are read."""
    codec = SessionCodec()
    agree(codec, greeting(AS4, EXTENDED, *add_paths(IPV4_UNICAST)), greeting(EXTENDED, *add_paths(IPV4_UNICAST)))
    without = codec.facts.agreement
    codec = SessionCodec()
    needs_check = greeting(
        AS4, EXTENDED, *([] if capability.code == caps.ADD_PATH else add_paths(IPV4_UNICAST)), capability
    )
    agree(codec, needs_check, greeting(EXTENDED, *add_paths(IPV4_UNICAST)))
    assert codec.facts.peer_open
    assert not codec.facts.receiving.as4
    assert codec.facts.receiving.extended_message
    if capability.code != caps.ADD_PATH:
        assert codec.facts.agreement == without
    else:
        assert IPV4_UNICAST not in codec.facts.receiving.add_path


def test_an_open_that_cannot_be_read_is_none() -> None:
    codec = SessionCodec()
    body = Open(65001, 90, "192.0.2.1", (AS4,)).encode()
    for broken in (b"\3" + body[1:], body[:-1], body[:10] + b"\2\7" + body[12:]):
        list(codec.feed(Message(OPEN, broken).octets, 1))
        assert codec.facts.peer_open is None


def proxy(left: SessionCodec, right: SessionCodec, octets: bytes) -> bytes:
    return b"".join(right.encode(item) for item in left.feed(octets, 1))


def updates(count: int = 50) -> bytes:
    messages = [
        Message(
            UPDATE,
            Update.make(
                reach=[parse_prefix(f"10.{number}.0.0/16")],
                attrs={"ORIGIN": "IGP", "ASPATH": [65001, 64512 + number], "NEXTHOP": "192.0.2.1"},
            ).encode(),
        )
        for number in range(count)
    ]
    return b"".join(message.octets + Message(KEEPALIVE).octets for message in messages)


def test_what_passes_leaves_as_it_came() -> None:
    opening = greeting(IPV4, AS4)
    octets = opening + Message(KEEPALIVE).octets + updates() + Message(NOTIFICATION, b"\6\2").octets
    left, right = SessionCodec(), SessionCodec()
    assert proxy(left, right, octets) == octets
    assert left.fault is None
    assert left.lost() == 0


def test_cut_at_every_place() -> None:
    octets = greeting(IPV4, AS4) + updates(3)
    for cut in range(len(octets) + 1):
        left, right = SessionCodec(), SessionCodec()
        assert proxy(left, right, octets[:cut]) + proxy(left, right, octets[cut:]) == octets


def test_octet_by_octet() -> None:
    octets = greeting(IPV4, AS4) + updates(3)
    left, right = SessionCodec(), SessionCodec()
    assert b"".join(proxy(left, right, octets[pos : pos + 1]) for pos in range(len(octets))) == octets


@pytest.mark.skipif(not accel.AVAILABLE, reason="blocks come from accel")
def test_updates_travel_in_blocks() -> None:
    one = updates(1)[:-HEADER]
    marks = Message(UPDATE, b"\0\0\0\0").octets + Message(UPDATE, bytes.fromhex("00000006800f03000201")).octets
    codec = SessionCodec()
    agree(codec, greeting(IPV4, AS4), greeting(IPV4, AS4))
    items = list(codec.feed(one * 50 + marks + one + Message(KEEPALIVE).octets, 7))
    assert [len(item) if isinstance(item, Block) else item.type for item in items] == [
        50,
        "UPDATE",
        "UPDATE",
        1,
        "KEEPALIVE",
    ]
    assert isinstance(items[0], Block)
    assert [message.time for message in items[0]] == [7] * 50


@pytest.mark.parametrize(
    ("octets", "numbers"),
    [
        (b"\xff" * 15 + b"\xfe" + b"\0\x13\x04", (1, 1)),
        (b"\xff" * 16 + b"\0\x12\x04", (1, 2)),
        (b"\xff" * 16 + b"\x10\x01\x02", (1, 2)),
        (b"\xff" * 16 + b"\0\x14\x04\0", (1, 2)),
    ],
)
def test_bad_header_is_a_fault_after_what_was_good(octets: bytes, numbers: tuple[int, int]) -> None:
    left = SessionCodec()
    good = updates(2)
    out = b"".join(SessionCodec().encode(item) for item in left.feed(good + octets, 1))
    assert out == good
    assert left.fault is not None
    assert (left.fault.code, left.fault.subcode) == numbers


def test_extended_messages_only_when_both_want_them() -> None:
    long = Message(
        UPDATE, Update.make(withdrawn=[parse_prefix(f"10.{n >> 8}.{n & 255}.0/24") for n in range(2000)]).encode()
    )
    both = SessionCodec()
    agree(both, greeting(IPV4, AS4, EXTENDED), greeting(IPV4, AS4, EXTENDED))
    assert len(long.octets) > 4096
    assert b"".join(both.encode(item) for item in both.feed(long.octets, 1)) == long.octets
    one = SessionCodec()
    agree(one, greeting(IPV4, AS4), greeting(IPV4, AS4, EXTENDED))
    assert list(one.feed(long.octets, 1)) == []
    assert one.fault is not None


def test_too_long_for_the_other_side_is_split() -> None:
    prefixes = [parse_prefix(f"10.{number >> 8}.{number & 255}.0/24") for number in range(3000)]
    long = Message(
        UPDATE, Update.make(reach=prefixes, attrs={"ORIGIN": "IGP", "ASPATH": [1], "NEXTHOP": "192.0.2.1"}).encode()
    )
    left, right = SessionCodec(), SessionCodec()
    agree(left, greeting(IPV4, AS4, EXTENDED), greeting(IPV4, AS4, EXTENDED))
    agree(right, greeting(IPV4, AS4), greeting(IPV4, AS4))
    messages = [m for item in SessionCodec().feed(proxy(left, right, long.octets), 1) for m in _each(item)]
    assert len(messages) > 1
    assert [prefix for message in messages for prefix in message.update.nlri] == prefixes


def test_four_octet_as_numbers_for_a_peer_with_two() -> None:
    update = Update.make(
        reach=[parse_prefix("10.0.0.0/8")],
        attrs={"ORIGIN": "IGP", "ASPATH": [4200000001, 65001], "NEXTHOP": "192.0.2.1"},
    )
    left, right = SessionCodec(), SessionCodec()
    agree(left, greeting(IPV4, AS4), greeting(IPV4, AS4))
    agree(right, greeting(IPV4), greeting(IPV4))
    octets = proxy(left, right, Message(UPDATE, update.encode()).octets)
    reader = SessionCodec()
    agree(reader, greeting(IPV4), greeting(IPV4))
    (message,) = (m for item in reader.feed(octets, 1) for m in _each(item))
    assert not message.context.as4
    assert str(message.update.value(2)) == "23456,65001"
    assert str(message.update.as_path) == "4200000001,65001"


def test_add_path_by_family_and_direction() -> None:
    paths = add_paths(IPV4_UNICAST)
    codec = SessionCodec()
    agree(codec, greeting(IPV4, IPV6, AS4, *paths), greeting(IPV4, IPV6, AS4, *paths))
    assert IPV4_UNICAST in codec.facts.receiving.add_path
    assert IPV6_UNICAST not in codec.facts.receiving.add_path
    update = Update.make(
        reach=[parse_prefix("#7#10.0.0.0/8")],
        attrs={"ORIGIN": "IGP", "ASPATH": [1], "NEXTHOP": "192.0.2.1"},
        context=codec.facts.sending,
    )
    octets = Message(UPDATE, update.encode()).octets
    (message,) = (m for item in codec.feed(octets, 1) for m in _each(item))
    assert [str(prefix) for prefix in message.update.nlri] == ["#7#10.0.0.0/8"]
    assert codec.encode(message) == octets
    sender = SessionCodec()
    agree(
        sender,
        greeting(IPV4, AS4, *add_paths(IPV4_UNICAST, direction=add_path.SEND)),
        greeting(IPV4, AS4, *add_paths(IPV4_UNICAST, direction=add_path.RECEIVE)),
    )
    assert IPV4_UNICAST in sender.facts.receiving.add_path
    assert IPV4_UNICAST not in sender.facts.sending.add_path


def _each(item: Message | Block) -> list[Message]:
    return [item] if isinstance(item, Message) else list(item)


@pytest.mark.parametrize("given_out", [1, 2])
def test_a_notification_is_found_before_what_is_to_come_before_it(given_out: int) -> None:
    """Its facts are known then, though the messages before it were never given out."""
    codec = SessionCodec()
    cease = Message(NOTIFICATION, b"\6\4")
    items = codec.feed(updates(2), 1)
    for _ in range(given_out):
        next(items)
    ahead = Message(KEEPALIVE).octets + cease.octets
    assert not codec.has_notification(b"")
    assert not codec.has_notification(ahead[:-1]), "it is not whole"
    assert codec.has_notification(ahead)
    found, before = codec.take_notification(ahead, 5)
    assert found is not None
    assert found.body == cease.body
    assert before == 4 - given_out + 1
    assert codec.received[NOTIFICATION] == 1
    assert codec.facts.first_notification is not None
    assert codec.facts.first_notification.side == "peer"


@pytest.mark.parametrize("interface", [0, 3])
def test_tags_say_the_interface_of_a_link_local_peer(interface: int) -> None:
    codec = SessionCodec()
    codec.addresses = (b"\xfe\x80" + bytes(13) + b"\1", b"\xfe\x80" + bytes(13) + b"\2")
    codec.interface = interface
    (message, *_) = [each for item in codec.feed(updates(1), 1) for each in _each(item)]
    assert message.tags["PEER_IP"] == "fe80::1"
    assert message.tags.get("INTERFACE", "0") == str(interface)


def test_what_is_given_up_counts_as_received() -> None:
    codec = SessionCodec()
    items = codec.feed(updates(2) + Message(KEEPALIVE).octets * 2, 1)
    next(items)
    before = codec.received.total()
    skipped = codec.skip(Message(KEEPALIVE).octets * 3 + b"\xff" * 5)
    assert codec.received[KEEPALIVE] == 7
    assert codec.received.total() == before + skipped == 9


def test_there_is_no_notification_behind_a_header_that_cannot_be() -> None:
    codec = SessionCodec()
    octets = b"\0" * HEADER + Message(NOTIFICATION, b"\6\4").octets
    assert codec.take_notification(octets, 1) == (None, 0)


def test_one_that_was_made_too_long_withdraws_its_routes() -> None:
    """An edit has added more than the peer can take: the route that it has must not stay (RFC 7606 section 2)."""
    prefixes = ["10.1.0.0/16", "10.2.0.0/16"]
    attrs = {"ORIGIN": "IGP", "ASPATH": [1], "NEXTHOP": "192.0.2.1", "COMMUNITY": [f"1:{n}" for n in range(1100)]}
    long = Message(UPDATE, Update.make(reach=prefixes, attrs=attrs).body)
    codec = SessionCodec()
    agree(codec, greeting(IPV4, AS4), greeting(IPV4, AS4))
    (withdrawal,) = SessionCodec().feed(codec.encode(long), 1)
    assert isinstance(withdrawal, Message)
    assert [str(prefix) for prefix in withdrawal.update.withdrawn] == prefixes
    assert withdrawal.update.reach == []
    (unsent,) = codec.unsent
    assert unsent.message is long
    assert unsent.withdrawn
    codec.unsent.clear()
    without_routes = Message(UPDATE, Update.make(attrs=attrs).body)
    assert codec.encode(without_routes) == b"", "a withdrawal of nothing would be End-of-RIB"
    assert not codec.unsent[0].withdrawn


@pytest.mark.skipif(not accel.AVAILABLE, reason="blocks come from accel")
@pytest.mark.parametrize("family", [IPV4_UNICAST, IPV6_UNICAST], ids=str)
def test_add_path_for_one_family_alone_needs_no_single_messages(family: Family) -> None:
    codec = SessionCodec()
    opens = greeting(IPV4, IPV6, AS4, *add_paths(family))
    agree(codec, opens, opens)
    for _ in range(2):
        list(codec.feed(Message(KEEPALIVE).octets, 1))
        codec.encode(Message(KEEPALIVE))
    path_id = b"\0\0\0\7" if family == IPV4_UNICAST else b""
    nlri = path_id + b"\x18\x0a\0\1"
    attributes = bytes.fromhex("400101004002060201" + "0000fde9" + "400304c0000201")
    update = Message(UPDATE, b"\0\0" + len(attributes).to_bytes(2, "big") + attributes + nlri).octets
    (items,) = codec.feed(update * 3, 1)
    assert isinstance(items, Block)
    assert [message.context for message in items] == [codec.facts.receiving._replace(extended_message=False)] * 3
    assert [[str(prefix) for prefix in message.update.reach] for message in items] == [
        ["#7#10.0.1.0/24" if path_id else "10.0.1.0/24"]
    ] * 3
    assert codec.encode(items) == update * 3
