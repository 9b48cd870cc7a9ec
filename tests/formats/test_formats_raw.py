"""Raw BGP: framing, and going on after damage."""

from __future__ import annotations

from collections.abc import Iterable
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpipe import accel
from bgpipe.formats import raw
from bgpipe.formats.base import Damage
from bgpipe.formats.raw import RawDecoder, RawEncoder
from bgpipe.wire.block import ENTRY, NO_PEER, Block
from bgpipe.wire.context import AS2
from bgpipe.wire.family import IPV4_UNICAST
from bgpipe.wire.item import Item
from bgpipe.wire.message import KEEPALIVE, NOTIFICATION, UPDATE, Message
from cases import all_cases

ALIVE = Message(KEEPALIVE).octets
UPDATES = Message(UPDATE, bytes(4)).octets
CEASE = Message(NOTIFICATION, b"\6\2").octets
OTHER = Message(9, b"abc").octets


def opened(items: Iterable[Item]) -> list[Message]:
    return [message for item in items for message in ([item] if isinstance(item, Message) else item)]


def decode(octets: bytes, size: int = 0) -> tuple[list[Message], list[Damage]]:
    damage: list[Damage] = []
    decoder = RawDecoder(on_damage=damage.append)
    messages: list[Message] = []
    for pos in range(0, len(octets), size or len(octets) or 1):
        messages += opened(decoder.feed(octets[pos : pos + (size or len(octets))]))
    messages += opened(decoder.end())
    assert decoder.counts.damaged == len(damage)
    assert decoder.counts.messages == decoder.counts.records == len(messages)
    return messages, damage


@pytest.mark.parametrize("size", [1, 2, 18, 19, 20, 1000])
def test_messages_come_back_whatever_the_pieces(size: int) -> None:
    stream = ALIVE + UPDATES + CEASE + OTHER + ALIVE
    messages, damage = decode(stream, size)
    assert damage == []
    assert b"".join(map(RawEncoder().encode, messages)) == stream
    assert [message.type for message in messages] == ["KEEPALIVE", "UPDATE", "NOTIFY", "Type(9)", "KEEPALIVE"]
    assert {(message.direction, message.seq, message.time) for message in messages} == {("?", 0, 0)}


@all_cases("size", [1, 7, 19, 1000])
@all_cases(
    ("bad", "what"),
    [
        (b"\x00" * 30, "marker"),
        (b"\xff" * 15 + b"\x00" + ALIVE[16:], "marker"),
        (ALIVE[:16] + b"\0\x12\4", "length 18"),
        (ALIVE[:16] + b"\0\x14\4\0", "length 20"),
        (ALIVE[:16] + b"\xff\xff\4", "length 65535"),
        (UPDATES[:16] + b"\0\x16\2\0\0\0", "length 22"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "marker"),
        (b"\xff" * 5, "length"),
    ],
)
def test_after_damage_it_goes_on_at_the_next_marker(bad: bytes, what: str, size: int) -> None:
    messages, damage = decode(ALIVE + bad + CEASE + UPDATES, size)
    assert [message.octets for message in messages] == [ALIVE, CEASE, UPDATES]
    assert [each.offset for each in damage] == [19]
    assert what in damage[0].text


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_length_that_reaches_over_other_messages_is_not_believed(size: int) -> None:
    for length in (40, 60, 4000):
        liar = UPDATES[:16] + length.to_bytes(2, "big") + UPDATES[18:]
        messages, damage = decode(ALIVE + liar + CEASE + CEASE + ALIVE, size)
        assert [message.octets for message in messages] == [ALIVE, CEASE, CEASE, ALIVE]
        assert [each.offset for each in damage] == [19]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_message_may_hold_a_marker(size: int) -> None:
    holder = Message(NOTIFICATION, b"\1\1" + ALIVE).octets
    messages, damage = decode(holder + holder + ALIVE + holder, size)
    assert [message.octets for message in messages] == [holder, holder, ALIVE, holder]
    assert damage == []


def test_two_places_are_two_damages() -> None:
    messages, damage = decode(b"x" * 40 + ALIVE + b"y" * 40 + ALIVE + b"z" * 40)
    assert len(messages) == 2
    assert [each.offset for each in damage] == [0, 59, 118]


@pytest.mark.parametrize("size", [1, 1000])
def test_a_stream_that_is_cut_short(size: int) -> None:
    for cut in range(1, len(UPDATES)):
        messages, damage = decode(ALIVE + UPDATES[:cut], size)
        assert len(messages) == 1
        left = f"{cut} octets" if cut < 19 else f"{cut} of 23 octets"
        assert [str(each) for each in damage] == [f"octet 19: cut short: {left} are left at the end"]


def test_the_context_is_handed_on() -> None:
    (message,) = RawDecoder(context=AS2).feed(UPDATES)
    assert isinstance(message, Message)
    assert message.context is AS2


def test_a_block_is_the_same_as_its_messages() -> None:
    octets = b"header" + ALIVE + b"header" + UPDATES
    index = bytearray(ENTRY.pack(1, 0, 6, NO_PEER, 19, 0, 0) + ENTRY.pack(2, 0, 31, NO_PEER, 23, 0, 0))
    assert RawEncoder().encode(Block(octets, index)) == ALIVE + UPDATES
    assert RawEncoder().encode(Block(b"", bytearray())) == b""


@given(st.lists(st.sampled_from([ALIVE, UPDATES, CEASE, OTHER]) | st.binary(max_size=40)), st.integers(1, 50))
def test_any_stream(parts: list[bytes], size: int) -> None:
    stream = b"".join(parts)
    whole, damage = decode(stream)
    pieces, same_damage = decode(stream, size)
    assert [message.octets for message in whole] == [message.octets for message in pieces]
    assert damage == same_damage
    for message in whole:
        assert message.octets in stream


ROUTES = [Message(UPDATE, bytes(4) + bytes((8, number))).octets for number in range(5)]
HOLDING = Message(UPDATE, bytes(4) + b"\x20" + b"\xff" * 16).octets
"""An UPDATE with a marker in it."""
PART = st.sampled_from([*ROUTES, *ROUTES, HOLDING, UPDATES, ALIVE, OTHER, ROUTES[0][:20], b"\xff" * 16, b"\xff"])


@given(st.lists(PART | st.binary(max_size=20), max_size=20), st.integers(1, 400))
def test_blocks_say_the_same_as_messages_one_by_one(parts: list[bytes], size: int) -> None:
    stream = b"".join(parts)
    messages, damage = decode(stream, size)
    with patch.object(raw, "_frame", None):
        expected, told = decode(stream, size)
    assert [each.octets for each in messages] == [each.octets for each in expected]
    assert damage == told


@pytest.mark.skipif(not accel.AVAILABLE, reason="blocks are made by accel")
def test_updates_come_in_blocks_that_are_read_as_said() -> None:
    decoder = RawDecoder(context=AS2)
    first, alive, second = decoder.feed(b"".join(ROUTES) + ALIVE + b"".join(ROUTES))
    assert isinstance(first, Block)
    assert isinstance(alive, Message)
    assert isinstance(second, Block)
    assert [message.octets for message in first] == ROUTES
    assert {message.context for message in (*first, alive, *second)} == {AS2}
    decoder.context = AS2._replace(add_path=frozenset({IPV4_UNICAST}))  # which no flag of a block can say
    assert {message.context for message in opened(decoder.feed(b"".join(ROUTES)))} == {decoder.context}


def start_by_hand(octets: bytes, pos: int, last: bool) -> int:
    """The definition: a marker and a known type, or at the end what may become that."""
    for at in range(pos, len(octets)):
        header = octets[at : at + 19]
        if not (b"\xff" * 16).startswith(header[:16]):
            continue
        if len(header) == 19 and 1 <= header[18] <= 5:
            return at
        if len(header) < 19 and not last:
            return at
    return len(octets)


@given(
    st.lists(st.sampled_from([b"\xff", b"\xff" * 16, b"\0\x13\4", b"\0\x13\x09", b"\2", b"\0"]), max_size=20),
    st.booleans(),
)
def test_where_the_next_message_may_start(parts, last):
    octets = b"".join(parts)
    for pos in range(len(octets) + 1):
        assert raw._next_start(octets, pos, last) == start_by_hand(octets, pos, last)


def test_a_megabyte_of_markers_is_one_damage():
    """It is searched, not tried at each octet; a message behind it is found."""
    tried = []
    find = RawDecoder._find

    def count(self: RawDecoder, octets: bytes, pos: int, last: bool) -> tuple[int, int]:
        tried.append(pos)
        return find(self, octets, pos, last)

    with patch.object(RawDecoder, "_find", count):
        for size in (0, 1 << 16):
            tried.clear()
            messages, damage = decode(b"\xff" * (1 << 20) + b"\0" + ALIVE, size)
            assert [message.type_code for message in messages] == [KEEPALIVE]
            assert len(damage) == 1
            assert len(tried) < 1000
