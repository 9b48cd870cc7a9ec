"""UPDATEs without some of their routes, in compiled code and in Python: the same octets."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bgpipe import accel
from bgpipe.wire.block import ENTRY, FLAGS, NO_PEER, Block
from bgpipe.wire.errors import WireError
from bgpipe.wire.flags import CONTEXTS
from bgpipe.wire.message import UPDATE, Message
from bgpipe.wire.routes_apart import RoutesApart
from bgpipe.wire.update import Update

pytestmark = pytest.mark.skipif(not accel.AVAILABLE, reason=accel.WHY_NOT)

SEEDS = st.integers(0, 2**32)


def prefixes(source: random.Random, afi: int, add_path: int, most: int) -> list[str]:
    bits = 32 if afi == 1 else 128
    found = []
    for _ in range(source.randint(0, most)):
        address = source.getrandbits(32).to_bytes(4, "big")
        text = (
            ".".join(map(str, address)) if afi == 1 else f"2001:{source.getrandbits(16):x}::{source.getrandbits(9):x}"
        )
        found.append(f"{f'#{source.randrange(5)}#' if add_path else ''}{text}/{source.randint(0, bits)}")
    return found


def random_update(source: random.Random, flags: int) -> Update:
    add_path = flags & 2
    attrs: dict = {"ORIGIN": "IGP", "ASPATH": [1, 2], "COMMUNITY": ["1:2"] * source.choice((1, 1, 100))}
    if source.random() < 0.5:
        family = source.choice(("IPV6/UNICAST", "IPV6/UNICAST", "IPV4/UNICAST", "IPV6/MULTICAST"))
        inside = prefixes(source, 1 if "V4" in family else 2, add_path, source.choice((1, 4, 40)))
        attrs["MP_REACH"] = {"af": family, "nexthop": "2001:db8::1", "prefixes": inside}
    if source.random() < 0.3:
        family = source.choice(("IPV6/UNICAST", "IPV6/UNICAST", "IPV4/UNICAST", "IPV6/MULTICAST"))
        inside = prefixes(source, 1 if "V4" in family else 2, add_path, 4)
        attrs["MP_UNREACH"] = {"af": family, "prefixes": inside}
    order = list(attrs)
    source.shuffle(order)
    return Update.make(
        reach=prefixes(source, 1, add_path, source.choice((0, 1, 4, 900 if source.random() < 0.1 else 5))),
        withdrawn=prefixes(source, 1, add_path, 2),
        attrs={name: attrs[name] for name in order},
        next_hop="192.0.2.1",
        context=CONTEXTS[flags & 3],
    )


def extend(source: random.Random, body: bytes) -> bytes:
    """The body with the extended length bit in its first attribute, perhaps."""
    start = 4 + int.from_bytes(body[:2], "big")
    if source.random() < 0.7 or len(body) < start + 3 or body[start] & 16:
        return body
    size = int.from_bytes(body[start - 2 : start], "big") + 1
    header = bytes((body[start] | 16, body[start + 1], 0))
    return body[: start - 2] + size.to_bytes(2, "big") + header + body[start + 2 :]


def random_block(source: random.Random, count: int, damage: float = 0.05) -> Block:
    octets, index = b"", bytearray()
    for number in range(count):
        flags = source.choice((0, 1, 2, 3))
        body = bytearray(extend(source, random_update(source, flags).body))
        if source.random() < damage and body:
            body[source.randrange(len(body))] ^= 1 << source.randrange(8)
        index += ENTRY.pack(number, 1, len(octets), NO_PEER, len(body) + 19, flags | 8 | 64, 0)
        octets += b"\xff" * 16 + (len(body) + 19).to_bytes(2, "big") + b"\2" + body
    return Block(octets, index)


def plainly(message: Message, gone: bytes | None, withdraw: bool) -> list[bytes] | None:
    """The bodies that Python makes; None if it can't read the message."""
    try:
        apart = RoutesApart(message.update)
    except WireError:
        return None
    marks = gone if gone is not None else b"\1" * len(apart.prefixes)
    left = [place for place, mark in enumerate(marks) if not mark]
    out = [place for place, mark in enumerate(marks) if mark]
    return apart.announce(left, out if withdraw else ())


@given(SEEDS, st.booleans(), st.booleans())
@settings(deadline=None)
def test_messages(seed, withdraw, all_go):
    source = random.Random(seed)
    block = random_block(source, 6)
    positions = sorted(source.sample(range(6), source.randint(1, 6)))
    marks: list[bytes] | None = None if all_go else []
    for position in positions if marks is not None else ():
        try:
            count = len(RoutesApart(block.message(position).update).prefixes)
        except WireError:
            count = 3
        marks.append(bytes(source.choices((0, 1), k=count)))
    octets, index, empty, declined = accel.cut.cut_routes(block.octets, block.index, positions, marks, withdraw)
    cut = Block(octets, index)
    for position in range(6):
        before, after = block.message(position), cut.message(position)
        if position not in positions or position in declined or position in empty:
            assert after.octets == before.octets
        if position not in positions or position in declined:
            continue
        bodies = plainly(before, None if marks is None else marks[positions.index(position)], withdraw)
        assert bodies == ([] if position in empty else [after.body])
        assert not FLAGS.of(cut.index)[position] & 64 or position in empty


def test_what_is_usual_is_not_declined():
    source = random.Random(3)
    block = random_block(source, 400, damage=0)
    good = [
        position
        for position, message in enumerate(block)
        if len(message.body) < 4000 and "MP_UNREACH" not in repr(message.update.attrs) and plainly(message, None, True)
    ]
    assert len(good) > 200
    assert accel.cut.cut_routes(block.octets, block.index, good, None, True)[3] == []


@pytest.mark.parametrize(
    ("positions", "gone", "error"),
    [([6], None, ValueError), ([0], [], ValueError), ([0], [3], TypeError), ([-1], None, OverflowError)],
)
def test_what_cannot_be_asked(positions, gone, error):
    block = random_block(random.Random(1), 2)
    with pytest.raises(error):
        accel.cut.cut_routes(block.octets, block.index, positions, gone, True)


def test_marks_that_do_not_fit_the_message():
    update = Update.make(reach=["192.0.2.0/24", "198.51.100.0/24"], attrs={"ORIGIN": "IGP"}, next_hop="192.0.2.1")
    message = Message(UPDATE, update.body)
    block = Block(message.octets, bytearray(ENTRY.pack(1, 1, 0, NO_PEER, len(message.octets), 9, 0)))
    for marks in (b"", b"\1", b"\1\0\0"):
        assert accel.cut.cut_routes(block.octets, block.index, [0], [marks], True)[3] == [0]
