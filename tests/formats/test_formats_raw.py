"""Raw BGP: framing, and going on after damage."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpipe.formats.base import Damage
from bgpipe.formats.raw import Decoder, Encoder
from bgpipe.wire.block import ENTRY, NO_PEER, Block
from bgpipe.wire.context import AS2
from bgpipe.wire.message import KEEPALIVE, NOTIFICATION, UPDATE, Message

ALIVE = Message(KEEPALIVE).octets
UPDATES = Message(UPDATE, bytes(4)).octets
CEASE = Message(NOTIFICATION, b"\6\2").octets
OTHER = Message(9, b"abc").octets


def decode(octets: bytes, size: int = 0) -> tuple[list[Message], list[Damage]]:
    damage: list[Damage] = []
    decoder = Decoder(on_damage=damage.append)
    messages: list[Message] = []
    for pos in range(0, len(octets), size or len(octets) or 1):
        messages += list(decoder.feed(octets[pos : pos + (size or len(octets))]))  # type: ignore[arg-type]
    messages += list(decoder.end())  # type: ignore[arg-type]
    assert decoder.counts.damaged == len(damage)
    assert decoder.counts.messages == decoder.counts.records == len(messages)
    return messages, damage


@pytest.mark.parametrize("size", [1, 2, 18, 19, 20, 1000])
def test_messages_come_back_whatever_the_pieces(size: int) -> None:
    stream = ALIVE + UPDATES + CEASE + OTHER + ALIVE
    messages, damage = decode(stream, size)
    assert damage == []
    assert b"".join(map(Encoder().encode, messages)) == stream
    assert [message.type for message in messages] == ["KEEPALIVE", "UPDATE", "NOTIFY", "Type(9)", "KEEPALIVE"]
    assert {(message.direction, message.seq, message.time) for message in messages} == {("?", 0, 0)}


@pytest.mark.parametrize("size", [1, 7, 19, 1000])
@pytest.mark.parametrize(
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
    (message,) = Decoder(context=AS2).feed(UPDATES)
    assert isinstance(message, Message)
    assert message.context is AS2


def test_a_block_is_the_same_as_its_messages() -> None:
    octets = b"header" + ALIVE + b"header" + UPDATES
    index = bytearray(ENTRY.pack(1, 0, 6, NO_PEER, 19, 0, 0) + ENTRY.pack(2, 0, 31, NO_PEER, 23, 0, 0))
    assert Encoder().encode(Block(octets, index)) == ALIVE + UPDATES
    assert Encoder().encode(Block(b"", bytearray())) == b""


@given(st.lists(st.sampled_from([ALIVE, UPDATES, CEASE, OTHER]) | st.binary(max_size=40)), st.integers(1, 50))
def test_any_stream(parts: list[bytes], size: int) -> None:
    stream = b"".join(parts)
    whole, damage = decode(stream)
    pieces, same_damage = decode(stream, size)
    assert [message.octets for message in whole] == [message.octets for message in pieces]
    assert damage == same_damage
    for message in whole:
        assert message.octets in stream
