"""UPDATEs without some of their routes, in compiled code and in Python: the same octets."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bgpipe import accel
from bgpipe.wire.block import ENTRY, FLAGS, NO_PEER, TAGS, Block
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
    marks = gone if gone is not None else b"\2" * len(apart.prefixes)
    left = [place for place, mark in enumerate(marks) if mark != 2]
    out = [place for place, mark in enumerate(marks) if mark == 2]
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
        marks.append(bytes(source.choices((0, 1, 2), k=count)))
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


LABELS = "VALID", "NOT_FOUND", "INVALID", "WITHDRAWS", "REST", "AS_IT_WAS"


def plain_parts(message: Message, said: bytes, marked: bool, keep: bool, withdraw: bool, apart: bool):
    """(label, whether the part announces something, body) of each part."""
    found = RoutesApart(message.update)
    groups = {verdict: [place for place, each in enumerate(said) if each == verdict] for verdict in range(3)}
    invalid = [] if keep else groups[2]
    if not marked:
        left = [place for place, each in enumerate(said) if each != 2]
        made = [(4, bool(left), body) for body in found.announce(left)]
    else:
        wanted = [verdict for verdict in range(3 if keep else 2) if groups[verdict]]
        first = wanted[0] if wanted else 0
        places = groups[first] if wanted else []
        gone = invalid if withdraw and not apart else ()
        made = [(first, bool(places), body) for body in found.announce(places, gone)]
        made += [(verdict, True, found.announce_alone(groups[verdict])) for verdict in wanted[1:]]
    if not marked or apart:
        made += [(3, False, body) for body in found.withdraw(invalid)]
    return made


@given(SEEDS, st.sampled_from(["split", "marks withdraw", "marks split", "marks keep", "marks filter"]))
@settings(deadline=None)
def test_parts(seed, words):
    source = random.Random(seed)
    marked, keep = "marks" in words, "keep" in words
    plan = (marked, keep, "withdraw" in words, "split" in words)
    block = random_block(source, 6)
    tagged = bytearray(block.index)
    TAGS.fill(tagged, 7)
    positions, verdicts = sorted(source.sample(range(6), source.randint(1, 6))), []
    for position in positions:
        try:
            count = len(RoutesApart(block.message(position).update).prefixes)
        except WireError:
            count = 3
        verdicts.append(bytes(source.choices(source.choice(((0,), (2,), (0, 2), (0, 1, 2))), k=count)))
    octets, index, labels, starts, declined = accel.cut.part_routes(
        block.octets, block.index, tagged, positions, verdicts, *plan
    )
    new, ends = Block(octets, index), [*memoryview(starts).cast("I"), len(labels)]
    assert len(new) == len(labels)
    for position in range(6):
        before, parts = block.message(position), range(ends[position], ends[position + 1])
        tags = [TAGS.of(index)[part] for part in parts]
        if position not in positions or position in declined:
            assert [(labels[part], new.message(part).octets) for part in parts] == [(5, before.octets)]
            assert tags == [0 if position in declined else 7]
            continue
        expected = plain_parts(before, verdicts[positions.index(position)], *plan)
        assert [new.message(part).body for part in parts] == [body for *_, body in expected]
        for part, place, (label, announces, body) in zip(parts, tags, expected, strict=True):
            assert LABELS[labels[part] & 7] == LABELS[label]
            if body == before.body and marked and len(expected) == 1 and not labels[part] & 8:
                assert place == 7  # it is whole
            else:
                assert bool(labels[part] & 8) == announces
                assert place == (7 if marked and not announces and label != 3 else 0)


def test_usual_parts_are_not_declined():
    source = random.Random(4)
    block = random_block(source, 400, damage=0)
    good = [
        position
        for position, message in enumerate(block)
        if len(message.body) < 3900
        and "MP_UNREACH" not in repr(message.update.attrs)
        and "MULTICAST" not in str(message.update.attrs)
        and plainly(message, None, True)
        and RoutesApart(message.update).prefixes
    ]
    verdicts = [
        bytes(source.randrange(3) for _ in RoutesApart(block.message(position).update).prefixes) for position in good
    ]
    assert len(good) > 150
    args = block.octets, block.index, block.index, good, verdicts
    families = [block.message(position).update.attrs.get(14) for position in good]
    multicast = [place for place, each in zip(good, families, strict=True) if each and each.value.family.safi != 1]
    assert accel.cut.part_routes(*args, True, False, True, False)[4] == multicast
    assert accel.cut.part_routes(*args, False, False, True, True)[4] == multicast


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
    if gone is None:
        gone = [b""] * len(positions)
    with pytest.raises(error):
        accel.cut.part_routes(block.octets, block.index, block.index, positions, gone, True, True, False, False)


def test_marks_that_do_not_fit_the_message():
    update = Update.make(reach=["192.0.2.0/24", "198.51.100.0/24"], attrs={"ORIGIN": "IGP"}, next_hop="192.0.2.1")
    message = Message(UPDATE, update.body)
    block = Block(message.octets, bytearray(ENTRY.pack(1, 1, 0, NO_PEER, len(message.octets), 9, 0)))
    for marks in (b"", b"\2", b"\2\0\0"):
        assert accel.cut.cut_routes(block.octets, block.index, [0], [marks], True)[3] == [0]
        plan = (True, True, False, False)
        assert accel.cut.part_routes(block.octets, block.index, block.index, [0], [marks], *plan)[4] == [0]
